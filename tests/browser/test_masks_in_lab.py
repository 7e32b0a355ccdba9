"""The mask importer and the polygon editor, live in a real JupyterLab."""

from __future__ import annotations

import json
from pathlib import Path

import nbformat
import numpy as np
import pytest
from conftest import Server
from PIL import Image
from playwright.sync_api import Locator, Page, expect
from test_lab import change_theme

from kernel_lib.data import labelme_mask, write_labelme

_IMAGES = """\
import numpy as np
from kernel_lib.data import ImageSet
from kernel_widgets import MaskImporter, PolygonEditor

y, x = np.mgrid[:32, :32]
pictures = np.stack([np.stack([x, y, np.full_like(x, 4 * i)], -1) / 32 for i in range(4)])
images = ImageSet(np.clip(pictures, 0, 1).astype("float32"), np.arange(4) % 2, ("cat", "dog"))
importer = MaskImporter(images, "labels", target="masks")
importer"""
_EDITOR = """\
editor = PolygonEditor(images.images[3], name="image 3")
editor"""
_SAVE = """\
editor.save("drawn/3.json")"""


@pytest.fixture
def notebook(page: Page, jupyter_lab: Server) -> Locator:
    """A notebook that has not been run, beside a folder of LabelMe files."""
    for place in range(3):
        cat = {"label": "cat", "points": [[4, 6], [24, 5], [20, 26], [7, 22]]}
        ear = {"label": "ear", "points": [[26, 2], [30, 8]], "shape_type": "rectangle"}
        write_labelme(jupyter_lab.folder / "labels" / f"{place}.json", [cat, ear], 32, 32)
    (jupyter_lab.folder / "labels" / "3.json").write_text('{"shapes": [')
    cells = [nbformat.v4.new_code_cell(cell) for cell in (_IMAGES, _EDITOR, _SAVE)]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    nbformat.write(
        nbformat.v4.new_notebook(cells=cells, metadata=kernel), jupyter_lab.folder / "masks.ipynb"
    )
    page.goto(jupyter_lab.lab_url("masks.ipynb"))
    found = page.locator(".jp-Notebook")
    found.locator(".jp-Cell").nth(2).wait_for(timeout=60_000)
    return found


def run(page: Page, notebook: Locator, cell: int) -> None:
    """Run one cell and wait until its number stands beside it."""
    notebook.locator(".jp-Cell").nth(cell).locator(".cm-content").click()
    page.keyboard.press("Control+Enter")
    prompt = notebook.locator(".jp-Cell").nth(cell).locator(".jp-InputPrompt")
    expect(prompt).to_have_text(f"[{cell + 1}]:", timeout=60_000)


def both_themes(page: Page, path: Path, seen: Locator) -> None:
    seen.scroll_into_view_if_needed()
    page.screenshot(path=path.with_suffix(".png"))
    change_theme(page, "JupyterLab Dark")
    expect(page.locator("body")).to_have_attribute("data-jp-theme-light", "false")
    page.wait_for_timeout(500)
    page.screenshot(path=path.with_name(f"{path.name}_dark.png"))
    change_theme(page, "JupyterLab Light")


def test_masks_are_chosen_and_saved_and_one_is_drawn(
    page: Page, notebook: Locator, jupyter_lab: Server, screenshots: Path
) -> None:
    run(page, notebook, 0)
    importer = page.locator(".kernel-masks")
    expect(importer.get_by_role("list", name="Masks").get_by_role("listitem")).to_have_count(3)
    expect(importer.get_by_role("list", name="Files with problems")).to_contain_text("truncated")
    importer.get_by_label("ear").uncheck()
    expect(importer.get_by_text("image 0, cat; 32 % covered")).to_be_visible()
    importer.get_by_label("Shapes outline").select_option("background")
    expect(importer.get_by_text("image 0, cat; 68 % covered")).to_be_visible()
    importer.get_by_label("1.json").uncheck()
    both_themes(page, screenshots / "importer_lab", importer)
    importer.get_by_role("button", name="Save 2 masks").click()
    expect(importer.get_by_role("status")).to_have_text("2 masks saved to masks.")
    saved = jupyter_lab.folder / "masks"
    lines = (saved / "manifest.jsonl").read_text().splitlines()
    assert [json.loads(line)["index"] for line in lines] == [0, 2]
    wanted = ~labelme_mask(jupyter_lab.folder / "labels" / "0.json", labels=["cat"])
    written = np.asarray(Image.open(saved / "000000.png"))
    np.testing.assert_array_equal(written, wanted * 255)

    run(page, notebook, 1)
    stage = page.locator(".kernel-polygons svg")
    stage.scroll_into_view_if_needed()
    box = stage.bounding_box()
    for x, y in ((0.25, 0.25), (0.75, 0.25), (0.75, 0.75)):
        page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])
    page.keyboard.press("Enter")
    both_themes(page, screenshots / "editor_lab", stage)
    run(page, notebook, 2)
    (shape,) = json.loads((jupyter_lab.folder / "drawn" / "3.json").read_text())["shapes"]
    np.testing.assert_allclose(shape["points"], [[8, 8], [24, 8], [24, 24]], atol=0.1)
    assert labelme_mask(jupyter_lab.folder / "drawn" / "3.json")[12, 20]
