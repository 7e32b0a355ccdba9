"""The trust matrix on a page of its own, opened from disk without a network or a kernel."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import standalone_page
from playwright.sync_api import Locator, Page, expect
from synthetic_trust import TASKS, make_trust_frames

from kernel_widgets import TrustMatrix

NAMES = list(TASKS)
Opener = Callable[..., dict[str, Any]]


@pytest.fixture
def open_page(page: Page, tmp_path: Path) -> Opener:
    """Open a matrix made of frames, offline, and wait until it is drawn."""

    def opener(frames: dict[str, Any] | None = None, **traits: Any) -> dict[str, Any]:
        frames = make_trust_frames() if frames is None else frames
        standalone_page.open_page(page, tmp_path, TrustMatrix(frames, **traits))
        return frames

    return opener


def cell(page: Page, primary: str, task: str, name: str = "accuracy") -> Locator:
    table = page.locator(f"[data-map={name}] tbody tr")
    return table.nth(NAMES.index(primary)).locator("button").nth(NAMES.index(task))


def state(page: Page, name: str) -> int:
    return int(page.evaluate("name => window.model.get(name)", name))


def test_the_maps_hold_the_numbers(page: Page, open_page: Opener, screenshots: Path):
    frames = open_page(primary=2, task=3)
    page.screenshot(path=screenshots / "trust.png", full_page=True)
    shown = page.locator("[data-map=accuracy] button").all_inner_texts()
    expected = [f"{value:.2f}" for value in frames["cells"]["accuracy"][3, 0].flat]
    assert shown == expected
    ideal = page.locator("[data-map=ideal] button").all_inner_texts()
    assert ideal == [f"{value:.2f}" for value in frames["ideal"].flat]
    difference = float(cell(page, "size", "quadrant", "difference").inner_text().replace("−", "-"))
    value = frames["cells"]["accuracy"][3, 0, 2, 3] - frames["ideal"][2, 3]
    assert difference == pytest.approx(value, abs=0.00501)


def test_a_cell_gives_its_interval_chance_and_controls(page: Page, open_page: Opener):
    frames = open_page()
    cell(page, "color", "size").click()
    card = page.locator(".kt-card")
    expect(card).to_contain_text("A network trained for color tells size")
    low, high = (frames["cells"][name][3, 0, 1, 2] for name in ("low", "high"))
    expect(card).to_contain_text(f"[{low:.2f}, {high:.2f}]")
    expect(card).to_contain_text("1,260 of 3 classes")
    expect(card).to_contain_text("chance0.33")
    expect(card).to_contain_text("untrained networks0.53")
    expect(card).to_contain_text("control task (memory alone)0.36")
    expect(card).not_to_contain_text("raw pixels")  # not measured
    assert (state(page, "primary"), state(page, "task")) == (1, 2)
    cell(page, "color", "color").click()
    expect(card).to_contain_text("A network trained for color tells it")
    expect(card).not_to_contain_text("p, corrected")


def test_keys_move_the_cell_and_the_layer(page: Page, open_page: Opener):
    open_page(primary=0, task=0)
    cell(page, "shape", "shape").focus()
    for key in ("ArrowDown", "ArrowRight", "ArrowRight", "ArrowUp", "ArrowUp"):
        page.keyboard.press(key)
    assert (state(page, "primary"), state(page, "task")) == (0, 2)
    expect(cell(page, "shape", "size")).to_be_focused()
    page.keyboard.press("[")
    assert state(page, "layer") == 2
    expect(page.get_by_role("combobox", name="Layer")).to_have_value("2")
    page.keyboard.press("]")
    page.keyboard.press("]")
    assert state(page, "layer") == 3
    page.keyboard.press("p")
    page.keyboard.press("s")
    assert (state(page, "probe"), state(page, "score")) == (1, 0)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    page.locator(".kt-curve").focus()
    page.keyboard.press("Home")
    assert state(page, "layer") == 0


def test_a_click_on_the_curve_chooses_the_layer(page: Page, open_page: Opener):
    frames = open_page()
    curve = page.get_by_role("slider", name="Layer")
    box = curve.bounding_box()
    page.mouse.click(box["x"] + box["width"] * 0.3, box["y"] + 40)
    assert state(page, "layer") == 1
    leakage = frames["totals"]["leakage"][1, 0, 1, 0]
    expect(curve).to_have_attribute("aria-valuetext", f"conv2, leakage {leakage:.2f}")
    expect(page.locator("[data-readout=leakage] .kt-number")).to_have_text(f"{leakage:.2f}")
    assert page.locator("[data-map=accuracy] button").first.inner_text() == (
        f"{frames['cells']['accuracy'][1, 0, 0, 0]:.2f}"
    )


def test_significant_leaks_are_starred_and_said(page: Page, open_page: Opener):
    frames = open_page(layer=1)
    starred = page.locator("[data-map=accuracy] .kt-leak").count()
    assert starred == int((frames["cells"]["p_holm"][1, 0] <= 0.05).sum()) > 0
    name = page.locator("[data-map=accuracy] .kt-leak").first.get_attribute("aria-label")
    assert name.endswith("significant leak")


def test_python_can_choose_and_the_page_cleans_up(page: Page, open_page: Opener):
    open_page()
    page.evaluate("() => window.model.set('layer', 1)")
    expect(page.get_by_role("combobox", name="Layer")).to_have_value("1")
    page.evaluate("() => window.cleanup()")
    assert page.locator(".kt-page").count() == 0
    left = page.evaluate("() => Object.values(window.listeners).flat().length")
    assert left == 0


def test_text_can_be_read_on_every_colour(page: Page, open_page: Opener):
    open_page()
    ratios = page.evaluate("""() => {
        const light = (text) => {
            const [r, g, b] = text.match(/[\\d.]+/g).slice(0, 3).map((value) => {
                const share = value / 255;
                return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
            });
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
        };
        return [...document.querySelectorAll(".kt-cell")].map((cell) => {
            const style = getComputedStyle(cell);
            const pair = [light(style.color), light(style.backgroundColor)].sort((a, b) => b - a);
            return (pair[0] + 0.05) / (pair[1] + 0.05);
        });
    }""")
    assert min(ratios) >= 4.5


def test_it_fits_a_narrow_page_and_the_dark(page: Page, open_page: Opener, screenshots: Path):
    page.emulate_media(color_scheme="dark")
    open_page(make_trust_frames(rows=("size",)))
    page.screenshot(path=screenshots / "trust_dark.png", full_page=True)
    paper = page.locator(".kt-page").evaluate("each => getComputedStyle(each).backgroundColor")
    assert paper == "rgb(21, 23, 28)"
    page.set_viewport_size({"width": 480, "height": 900})
    page.screenshot(path=screenshots / "trust_narrow.png", full_page=True)
    over = page.evaluate(
        "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    assert over == 0
