"""The invariance explorer on a page of its own, without a network or a kernel."""

from __future__ import annotations

from pathlib import Path

import pytest
from invariance_frames import make_frames
from playwright.sync_api import Page, expect
from standalone_page import open_page

from kernel_widgets import InvarianceExplorer


@pytest.fixture
def explorer(page: Page, tmp_path: Path) -> Page:
    """The widget, opened offline and drawn."""
    open_page(page, tmp_path, InvarianceExplorer(make_frames()))
    return page


def press(page: Page, *keys: str) -> None:
    page.get_by_role("slider").focus()
    for key in keys:
        page.keyboard.press(key)


def test_keys_move_both_steps_and_the_model_learns_of_it(explorer: Page) -> None:
    slider = explorer.get_by_role("slider")
    expect(slider).to_have_attribute("aria-valuetext", "untouched, accuracy 100 percent")
    press(explorer, "ArrowRight", "ArrowRight", "ArrowDown")
    expect(slider).to_have_attribute("aria-valuetext", "2.0°, accuracy 50 percent")
    expect(explorer.locator(".ki-value")).to_have_text("2.0° and -1.0°: 0.300")
    assert explorer.evaluate("[model.get('step'), model.get('other')]") == [4, 1]
    press(explorer, "i")
    expect(explorer.locator(".ki-value")).to_have_text("0.0° and 0.0°: 0.000")


def test_a_changed_class_is_marked_and_said(explorer: Page, screenshots: Path) -> None:
    assert explorer.locator(".ki-changed").count() == 0
    before = explorer.locator(".ki-picture").first.evaluate("canvas => canvas.toDataURL()")
    press(explorer, "End")
    expect(explorer.locator(".ki-changed")).to_have_count(1)
    expect(explorer.locator(".ki-changed .ki-bar-name").first).to_have_text("≠ two")
    expect(explorer.locator(".ki-images [role=status]")).to_contain_text(
        "At 2.0°, 1 of these 3 images"
    )
    after = explorer.locator(".ki-picture").first.evaluate("canvas => canvas.toDataURL()")
    assert after != before
    explorer.screenshot(path=screenshots / "explorer.png", full_page=True)


def test_the_matrix_is_picked_with_the_mouse_and_plateaus_are_named(explorer: Page) -> None:
    box = explorer.locator(".ki-matrix-picture").bounding_box()
    explorer.mouse.click(box["x"] + 0.3 * box["width"], box["y"] + 0.5 * box["height"])
    expect(explorer.locator(".ki-value")).to_have_text("-1.0° and 0.0°: 0.100 (the same pixels)")
    explorer.get_by_role("combobox").select_option("flips")
    expect(explorer.locator(".ki-value")).to_contain_text("0.200")
    press(explorer, "m")
    expect(explorer.get_by_role("combobox")).to_have_value("confidence")


def test_python_moves_the_page_and_it_plays(explorer: Page) -> None:
    explorer.evaluate("model.set('step', 0)")
    expect(explorer.locator(".ki-now")).to_have_text("-2.0°")
    press(explorer, " ")
    expect(explorer.get_by_role("button", name="Pause")).to_be_visible()
    expect(explorer.locator(".ki-now")).not_to_have_text("-2.0°")
    press(explorer, " ")
    expect(explorer.get_by_role("button", name="Play")).to_be_visible()


def test_help_and_cleanup(explorer: Page) -> None:
    press(explorer, "?")
    expect(explorer.get_by_role("dialog")).to_be_visible()
    explorer.keyboard.press("Escape")
    explorer.evaluate("cleanup()")
    assert explorer.locator(".ki-page").count() == 0
    assert explorer.evaluate("Object.values(listeners).flat().length") == 0


def test_it_fits_a_narrow_page(explorer: Page) -> None:
    explorer.set_viewport_size({"width": 420, "height": 900})
    wide = explorer.evaluate("document.documentElement.scrollWidth")
    assert wide <= 420


def test_it_is_readable_in_the_dark(explorer: Page, screenshots: Path) -> None:
    explorer.emulate_media(color_scheme="dark")
    press(explorer, "End")
    brightness = explorer.evaluate(
        """() => {
          const light = (colour) => colour.match(/[\\d.]+/g).slice(0, 3)
            .reduce((sum, part) => sum + Number(part), 0);
          const page = getComputedStyle(document.querySelector(".ki-page"));
          return [light(page.backgroundColor), light(page.color)];
        }"""
    )
    assert brightness[0] < 150 < 450 < brightness[1]  # sums of three channels up to 255
    ring = explorer.get_by_role("slider").bounding_box()
    words = explorer.locator(".ki-tick").first.bounding_box()
    assert words["y"] >= ring["y"] + ring["height"] + 4  # clear of the ring of the focus
    explorer.screenshot(path=screenshots / "explorer_dark.png", full_page=True)
