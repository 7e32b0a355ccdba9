"""The widget in a real JupyterLab: an executed, signed notebook is opened and not run again."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import Server
from notebooks import CASCADE, sign, write_notebook
from playwright.sync_api import Locator, Page, expect


@pytest.fixture
def opened(page: Page, jupyter_lab: Server) -> Locator:
    """The stepper in an opened notebook whose kernel has run nothing."""
    notebook = write_notebook(
        jupyter_lab.folder / "cascade.ipynb", CASCADE, environment=jupyter_lab.environment
    )
    sign(notebook, jupyter_lab.data_dir)
    page.goto(jupyter_lab.lab_url(notebook.name))
    stepper = page.locator(".kernel-cascade")
    stepper.wait_for(timeout=60_000)
    return stepper


def canvas(stepper: Locator, method: int) -> str:
    cell = stepper.locator(f"tbody tr:first-child [data-method='{method}'] canvas")
    return cell.evaluate("canvas => canvas.toDataURL()")


def test_it_steps_by_mouse_and_keyboard_without_running(
    page: Page, opened: Locator, screenshots: Path
) -> None:
    slider = opened.get_by_role("slider")
    gradient, edges = canvas(opened, 0), canvas(opened, 7)
    box = slider.bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(slider).to_have_attribute(
        "aria-valuetext", "2 of 4, fc1 randomised, accuracy 14 percent"
    )
    page.wait_for_timeout(300)
    halfway = canvas(opened, 0)
    assert halfway != gradient
    for key in ("ArrowRight", "ArrowRight"):
        page.keyboard.press(key)
    expect(slider).to_have_attribute("aria-valuenow", "4")
    page.wait_for_timeout(300)
    assert canvas(opened, 0) != halfway
    assert canvas(opened, 7) == edges
    page.screenshot(path=screenshots / "lab.png")
    # The prompt still shows the run before: this kernel has executed nothing.
    expect(page.locator(".jp-InputPrompt").first).to_have_text("[1]:")


def test_its_keys_are_not_those_of_the_notebook(page: Page, opened: Locator) -> None:
    cells = page.locator(".jp-Notebook .jp-Cell")
    before = cells.count()
    opened.locator("td canvas").first.click()  # anywhere in the widget, not only on the slider
    for key in ("a", "m", "s", "b", "ArrowDown", "ArrowRight"):
        page.keyboard.press(key)
    expect(opened.get_by_role("slider")).to_have_attribute("aria-valuenow", "1")
    expect(opened.get_by_role("combobox", name="Similarity")).to_have_value("cosine_signed")
    assert cells.count() == before


def test_it_takes_the_dark_theme(page: Page, opened: Locator, screenshots: Path) -> None:
    change_theme(page, "JupyterLab Dark")
    expect(page.locator("body")).to_have_attribute("data-jp-theme-light", "false")
    expect(opened).to_have_css("color-scheme", "dark")
    opened.get_by_role("slider").press("ArrowRight")
    page.wait_for_timeout(500)
    page.screenshot(path=screenshots / "lab_dark.png")
    change_theme(page, "JupyterLab Light")
    expect(opened).to_have_css("color-scheme", "light")


def change_theme(page: Page, name: str) -> None:
    page.evaluate(
        """async (theme) => {
            await jupyterapp.commands.execute("apputils:change-theme", { theme });
        }""",
        name,
    )


def test_an_unsigned_notebook_shows_the_still_picture(
    page: Page, jupyter_lab: Server, screenshots: Path
) -> None:
    notebook = write_notebook(
        jupyter_lab.folder / "unsigned.ipynb", CASCADE, environment=jupyter_lab.environment
    )
    page.goto(jupyter_lab.lab_url(notebook.name))
    still = page.locator(".jp-OutputArea-output table")
    still.wait_for(timeout=60_000)
    page.screenshot(path=screenshots / "lab_unsigned.png")
    expect(still).to_contain_text("softmax_linear, fc1 randomised; accuracy 14%.")
    assert still.locator("img").count() == 59
    widths = still.locator("img").evaluate_all("images => images.map((each) => each.naturalWidth)")
    assert set(widths) == {64}
