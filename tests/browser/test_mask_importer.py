"""The mask importer and the polygon editor on pages of their own, without network or kernel."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page, expect
from standalone_page import open_page

from kernel_lib.data import ImageSet, write_labelme
from kernel_widgets import MaskImporter, PolygonEditor

Opener = Callable[[Any], None]


@pytest.fixture
def show(page: Page, tmp_path: Path) -> Opener:
    """Open a widget offline."""
    return partial(open_page, page, tmp_path)


@pytest.fixture
def images() -> ImageSet:
    y, x = np.mgrid[:32, :32]
    pictures = np.stack([np.stack([x, y, np.full_like(x, 4 * i)], -1) / 32 for i in range(6)])
    return ImageSet(np.clip(pictures, 0, 1).astype(np.float32), np.arange(6) % 2, ("cat", "dog"))


@pytest.fixture
def importer(images: ImageSet, tmp_path: Path) -> MaskImporter:
    folder = tmp_path / "labels"
    for place in range(4):
        shapes = [
            {"label": "cat", "points": [[4, 6], [24, 5], [20, 26], [7, 22]]},
            {"label": "ear", "points": [[24, 2], [30, 8]], "shape_type": "rectangle"},
        ]
        write_labelme(folder / f"{place}_cat.json", shapes, 32, 32)
    (folder / "4_cat.json").write_text('{"shapes": [')
    return MaskImporter(images, folder)


def test_masks_and_problems_are_seen_and_chosen(
    page: Page, show: Opener, importer: MaskImporter, screenshots: Path
) -> None:
    show(importer)
    expect(page.get_by_role("list", name="Masks").get_by_role("listitem")).to_have_count(4)
    problems = page.get_by_role("list", name="Files with problems")
    expect(problems).to_contain_text("4_cat.json")
    expect(problems).to_contain_text("truncated")
    page.get_by_label("1_cat.json").focus()
    page.keyboard.press("Space")
    assert page.evaluate("state.left_out") == ["1_cat.json"]
    expect(page.get_by_role("button", name="Save 3 masks")).to_be_enabled()
    assert page.evaluate("document.activeElement.id") == "km-use-1"
    page.get_by_label("ear").uncheck()
    assert page.evaluate("state.labels") == ["cat"]
    page.get_by_label("Shapes outline").select_option("background")
    assert page.evaluate("state.polarity") == "background"
    page.get_by_role("button", name="Save 3 masks").click()
    assert page.evaluate("state.save_clicks") == 1
    page.screenshot(path=screenshots / "mask_importer.png")
    page.emulate_media(color_scheme="dark")
    page.screenshot(path=screenshots / "mask_importer_dark.png")


def test_files_are_uploaded_as_text(page: Page, show: Opener, images: ImageSet) -> None:
    show(MaskImporter(images))
    files = [{"name": "2.json", "mimeType": "application/json", "buffer": b'{"shapes": []}'}]
    page.locator("#km-files").set_input_files(files)
    page.wait_for_function("Object.keys(state.uploads).length > 0")
    assert page.evaluate("state.uploads") == {"2.json": '{"shapes": []}'}


def test_a_polygon_is_drawn_moved_undone_and_deleted(
    page: Page, show: Opener, images: ImageSet, screenshots: Path
) -> None:
    show(PolygonEditor(images.images[3]))
    stage = page.locator("svg")
    box = stage.bounding_box()
    for x, y in ((0.25, 0.25), (0.75, 0.25), (0.75, 0.75)):
        page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])
    page.keyboard.press("Enter")
    (shape,) = page.evaluate("state.shapes")
    np.testing.assert_allclose(shape["points"], [[8, 8], [24, 8], [24, 24]], atol=0.1)
    assert shape["label"] == "object"

    page.keyboard.press("Tab")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Shift+ArrowDown")
    assert page.evaluate("state.shapes[0].points[0]") == pytest.approx([7, 13], abs=0.1)
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    assert page.evaluate("state.shapes[0].points[0]") == pytest.approx([8, 8], abs=0.1)
    page.keyboard.press("Control+y")
    assert page.evaluate("state.shapes[0].points[0]") == pytest.approx([7, 8], abs=0.1)

    page.mouse.move(box["x"] + 0.75 * box["width"], box["y"] + 0.75 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.9 * box["height"])
    page.mouse.up()
    assert page.evaluate("state.shapes[0].points[2]") == pytest.approx([16, 28.8], abs=0.1)
    page.screenshot(path=screenshots / "polygon_editor.png")
    page.keyboard.press("Delete")
    assert page.evaluate("state.shapes") == []
    page.keyboard.press("Control+z")
    assert len(page.evaluate("state.shapes")) == 1


def test_cleaning_up_leaves_nothing(page: Page, show: Opener, images: ImageSet) -> None:
    show(PolygonEditor(images.images[0]))
    page.evaluate("cleanup()")
    assert page.evaluate("Object.values(listeners).flat().length") == 0
    assert page.locator("#widget > *").count() == 0
