"""The widget on a page of its own, opened from disk without a network or a kernel."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import standalone_page
from PIL import Image
from playwright.sync_api import Page, expect
from synthetic_frames import METHODS, make_frames

from kernel_lib.saliency.audit import TESTS
from kernel_widgets import CascadeStepper

NAMES = [method[0] for method in METHODS]
INCEPTION = tuple(
    f"Conv2d_{name}" if name < "5" else f"Mixed_{name}"
    for name in ("1a", "2a", "2b", "3b", "4a", "5b", "5c", "5d", "6a", "6b", "6c", "6d", "6e")
) + ("Mixed_7a", "Mixed_7b", "Mixed_7c", "Logits", "softmax")
FADE = 300  # milliseconds, twice the cross-fade and then some

Opener = Callable[..., dict[str, Any]]


@pytest.fixture
def open_page(page: Page, tmp_path: Path) -> Opener:
    """Open a widget made of frames, offline, and wait until it is drawn."""

    def opener(*frames: dict[str, Any], standalone: bool = False, **traits: Any) -> dict[str, Any]:
        shown = frames or (make_frames(),)
        widget = CascadeStepper(*shown, **traits)
        standalone_page.open_page(page, tmp_path, widget, standalone=standalone)
        return shown[0]

    return opener


def press(page: Page, *keys: str) -> None:
    page.locator(".kc-track").focus()
    for key in keys:
        page.keyboard.press(key)
    page.wait_for_timeout(FADE)


def cell(page: Page, method: str, row: int = 0):
    return page.locator("tbody tr").nth(row).locator(f"[data-method='{NAMES.index(method)}']")


def pixels(page: Page, method: str, row: int = 0) -> str:
    return cell(page, method, row).locator("canvas").evaluate("canvas => canvas.toDataURL()")


def badges(page: Page) -> np.ndarray:
    """The numbers a reader sees, (images, methods)."""
    rows = page.locator("tbody tr").all()
    texts = [row.locator(".kc-badge").all_inner_texts() for row in rows]
    read = {"–": "nan"}
    return np.array([[float(read.get(t, t.replace("−", "-"))) for t in row] for row in texts])


@pytest.mark.parametrize("test", TESTS)
def test_it_draws_every_test_that_the_form_offers(page: Page, open_page: Opener, test: str) -> None:
    frames = open_page(make_frames(test=test))
    expect(page.locator(".kc-lead")).not_to_be_empty()
    expect(page.locator("tbody tr canvas").first).to_be_visible()
    press(page, "End")
    np.testing.assert_allclose(badges(page), frames["values"][0, -1, :, 0].T, atol=0.00501)


def test_all_tests_share_a_page_as_tabs_of_their_own_names(page: Page, open_page: Opener) -> None:
    open_page(*(make_frames(test=test) for test in TESTS))
    tabs = page.get_by_role("tab")
    names = tabs.all_inner_texts()
    assert len(set(names)) == len(TESTS)
    for tab in tabs.all():
        tab.click()
        expect(page.locator(".kc-lead")).not_to_be_empty()


def test_it_asks_for_nothing_but_its_own_file(page: Page, open_page: Opener) -> None:
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    open_page()
    press(page, "End", "o", "m", "5")
    assert requests
    assert [url for url in requests if not url.startswith(("file:", "blob:", "data:"))] == []


def test_the_badges_are_the_values(page: Page, open_page: Opener) -> None:
    frames = open_page()
    for step, key in enumerate(["Home", *["ArrowRight"] * 4]):
        press(page, key)
        expected = frames["values"][0, step, :, 0].T
        np.testing.assert_allclose(badges(page), expected, atol=0.00501)
    press(page, "s", "m")
    np.testing.assert_allclose(badges(page), frames["values"][1, 4, :, 1].T, atol=0.00501)


def test_keys_move_the_slider_and_say_so(page: Page, open_page: Opener) -> None:
    open_page()
    slider = page.get_by_role("slider")
    expect(slider).to_have_attribute("aria-valuetext", "0 of 4, trained, accuracy 97 percent")
    press(page, "ArrowRight", "ArrowUp")
    expect(slider).to_have_attribute(
        "aria-valuetext", "2 of 4, fc1 randomised, accuracy 14 percent"
    )
    live = page.locator("[aria-live=polite]")
    expect(live).to_contain_text("softmax_linear, fc1 randomised. Image 0: predicted 6 (was 0).")
    for keys, now in [
        (("ArrowLeft",), "1"), (("ArrowDown",), "0"), (("PageUp",), "3"), (("End",), "4"),
        (("PageDown",), "1"), (("Home",), "0"), (("ArrowLeft",), "0"),
    ]:  # fmt: skip
        press(page, *keys)
        expect(slider).to_have_attribute("aria-valuenow", now)


def test_the_mouse_moves_the_slider(page: Page, open_page: Opener) -> None:
    open_page()
    slider = page.get_by_role("slider")
    box = slider.bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 1, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.77 * box["width"], middle, steps=5)
    page.mouse.up()
    expect(slider).to_have_attribute("aria-valuenow", "3")
    page.locator(".kc-tick", has_text="fc1").click()
    expect(slider).to_have_attribute("aria-valuenow", "2")
    page.locator(".kc-block", has_text="hidden1").click()
    expect(slider).to_have_attribute("aria-valuenow", "4")
    chart = page.locator(".kc-svg").bounding_box()
    page.mouse.click(chart["x"] + 50, chart["y"] + 150)
    expect(slider).to_have_attribute("aria-valuenow", "0")


def test_random_blocks_are_hatched_and_named(page: Page, open_page: Opener) -> None:
    open_page()
    press(page, "ArrowRight", "ArrowRight")
    assert page.locator(".kc-block.kc-changed .kc-block-name").all_inner_texts() == [
        "fc1", "softmax_linear"
    ]  # fmt: skip
    assert page.locator(".kc-block.kc-changed .kc-icon").first.is_visible()
    expect(page.get_by_role("listitem").filter(has_text="fc1").first).to_contain_text(", random")


def test_the_gradient_changes_and_the_edge_control_does_not(
    page: Page, open_page: Opener, screenshots: Path
) -> None:
    open_page()
    before = {name: pixels(page, name) for name in ("gradient", "edges")}
    page.screenshot(path=screenshots / "first.png", full_page=True)
    press(page, "End")
    page.screenshot(path=screenshots / "last.png", full_page=True)
    assert pixels(page, "gradient") != before["gradient"]
    assert pixels(page, "edges") == before["edges"]


def test_a_step_fades_unless_motion_is_reduced(page: Page, open_page: Opener) -> None:
    page.emulate_media(reduced_motion="reduce")
    open_page()
    trained = pixels(page, "gradient")
    page.locator(".kc-track").focus()
    at_once = page.evaluate("""() => {
        const canvas = document.querySelector("td[data-method='0'] canvas");
        const key = new KeyboardEvent("keydown", { key: "End", bubbles: true });
        document.activeElement.dispatchEvent(key);
        return canvas.toDataURL();
    }""")
    page.wait_for_timeout(FADE)
    assert trained != at_once == pixels(page, "gradient")


def test_holding_shows_the_trained_maps(page: Page, open_page: Opener) -> None:
    open_page()
    trained = pixels(page, "gradient"), pixels(page, "smoothgrad")
    press(page, "End")
    random = pixels(page, "gradient"), pixels(page, "smoothgrad")
    page.keyboard.down("c")
    assert (pixels(page, "gradient"), pixels(page, "smoothgrad")) == trained
    expect(page.locator(".kc-trained-words").first).to_be_visible()
    page.keyboard.up("c")
    assert (pixels(page, "gradient"), pixels(page, "smoothgrad")) == random
    cell(page, "gradient").locator("canvas").hover()
    page.mouse.down()
    assert (pixels(page, "gradient"), pixels(page, "smoothgrad")) == (trained[0], random[1])
    page.mouse.up()
    assert pixels(page, "gradient") == random[0]


def test_an_empty_map_is_said_to_be_empty(page: Page, open_page: Opener) -> None:
    open_page()
    words = cell(page, "grad_cam").get_by_text("empty map")
    expect(words).to_be_hidden()
    press(page, "End")
    expect(words).to_be_visible()
    expect(cell(page, "grad_cam").locator(".kc-badge")).to_have_text("–")
    expect(cell(page, "grad_cam", row=1).get_by_text("empty map")).to_be_hidden()


def test_the_number_follows_the_view_that_is_seen(page: Page, open_page: Opener) -> None:
    open_page()
    measure = page.get_by_role("combobox", name="Similarity")
    press(page, "a")
    expect(measure).to_have_value("spearman_abs")
    press(page, "o")
    expect(measure).to_have_value("spearman_abs")
    expect(page.get_by_role("button", name="Overlay")).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="Signed").click()
    expect(measure).to_have_value("spearman_signed")
    measure.select_option("spearman_abs")
    expect(page.get_by_role("button", name="Absolute")).to_have_attribute("aria-pressed", "true")


def test_signed_maps_are_white_at_zero(page: Page, open_page: Opener) -> None:
    frames = make_frames()
    frames["maps_signed"][:] = 127
    open_page(frames)
    colour = (
        cell(page, "gradient")
        .locator("canvas")
        .evaluate("canvas => [...canvas.getContext('2d').getImageData(3, 3, 1, 1).data]")
    )
    assert colour == [0xF7, 0xF7, 0xF5, 255]


def test_focus_shows_every_step_and_links_column_and_curve(page: Page, open_page: Opener) -> None:
    open_page()
    press(page, "5")
    film = page.get_by_label("All steps of the focused method")
    expect(film).to_contain_text("Guided backprop")
    assert film.locator("button.kc-film-frame").count() == 5
    expect(page.locator(".kc-series.kc-lit")).to_have_attribute("data-method", "4")
    film.locator("button.kc-film-frame").nth(3).click()
    expect(page.get_by_role("slider")).to_have_attribute("aria-valuenow", "3")
    press(page, "Escape")
    expect(film).to_be_hidden()
    cell(page, "grad_cam").hover()
    expect(page.locator(".kc-series.kc-lit")).to_have_attribute("data-method", "5")


def test_images_are_paged_and_chosen(page: Page, open_page: Opener) -> None:
    frames = open_page(make_frames(num_images=6))
    labels = page.locator(".kc-image-label")
    assert labels.all_inner_texts() == ["0", "1", "2", "3"]
    press(page, "]", "]", "]", "]")
    assert labels.all_inner_texts() == ["4", "5"]
    np.testing.assert_allclose(badges(page), frames["values"][0, 0, :, 0, 4:].T, atol=0.00501)
    press(page, "[")
    assert labels.all_inner_texts() == ["0", "1", "2", "3"]
    page.get_by_role("button", name="Image 6, 5").click()
    expect(page.locator(".kc-pager")).to_contain_text("images 5 to 6 of 6")


def test_it_plays_one_step_a_second_and_stops_at_the_end(page: Page, open_page: Opener) -> None:
    open_page(step=2)
    press(page, " ")
    slider = page.get_by_role("slider")
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    expect(slider).to_have_attribute("aria-valuenow", "3", timeout=2500)
    expect(slider).to_have_attribute("aria-valuenow", "4", timeout=2500)
    expect(page.get_by_role("button", name="Play, one step a second")).to_be_visible()


def test_help_lists_the_keys_and_gives_the_focus_back(
    page: Page, open_page: Opener, screenshots: Path
) -> None:
    open_page()
    press(page, "?")
    help_dialog = page.get_by_role("dialog", name="Keys")
    expect(help_dialog).to_contain_text("hold to see the maps of the trained model")
    page.screenshot(path=screenshots / "help.png")
    page.keyboard.press("Escape")
    expect(help_dialog).to_be_hidden()
    expect(page.get_by_role("slider")).to_be_focused()


def test_the_view_is_kept_in_the_address_of_its_own_page_only(
    page: Page, open_page: Opener
) -> None:
    open_page(standalone=True)
    press(page, "ArrowRight", "s", "3")
    address = page.url
    assert re.search(r"#.*step=1&seed=1.*focus=input_x_gradient", address)
    page.goto("about:blank")
    page.goto(address)
    expect(page.get_by_role("slider")).to_have_attribute("aria-valuenow", "1")
    expect(page.locator(".kc-film")).to_contain_text("Input x gradient")


def test_a_notebook_keeps_its_address(page: Page, open_page: Opener) -> None:
    open_page()
    press(page, "ArrowRight")
    assert "#" not in page.url


def test_it_follows_its_model_and_tells_it(page: Page, open_page: Opener) -> None:
    open_page()
    page.evaluate("model.set('step', 3)")
    expect(page.get_by_role("slider")).to_have_attribute("aria-valuenow", "3")
    press(page, "ArrowRight")
    assert page.evaluate("model.get('step')") == 4


def test_leaving_undoes_every_listener(page: Page, open_page: Opener) -> None:
    open_page()
    page.evaluate("cleanup()")
    assert page.evaluate("Object.values(listeners).flat().length") == 0
    assert page.locator("#widget > *").count() == 0


def test_several_experiments_have_a_tab_each(page: Page, open_page: Opener) -> None:
    open_page(make_frames(), make_frames(test="noise", num_images=1))
    press(page, "End")
    page.get_by_role("tab", name="Noise").click()
    expect(page.get_by_role("slider")).to_have_attribute("aria-valuenow", "0")
    expect(page.get_by_role("tab", name="Noise")).to_be_focused()
    assert page.locator("tbody tr").count() == 1
    assert page.evaluate("[model.get('tab'), model.get('step')]") == [1, 0]
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Cascade")).to_be_focused()
    assert page.locator("tbody tr").count() == 4


def test_the_saved_picture_is_the_page(page: Page, open_page: Opener, screenshots: Path) -> None:
    open_page()
    press(page, "ArrowRight", "ArrowRight")
    with page.expect_download() as download:
        page.get_by_role("button", name="Picture").click()
    assert download.value.suggested_filename == "drawn-digits-small-cnn-cascade-step-2-signed.png"
    download.value.save_as(screenshots / "saved.png")
    saved = Image.open(screenshots / "saved.png").convert("RGB")
    shown_size = page.locator(".kernel-cascade").bounding_box()
    assert saved.width == pytest.approx(2 * shown_size["width"], abs=2)
    assert saved.height == pytest.approx(2 * shown_size["height"], rel=0.03)
    shown = Image.open(io.BytesIO(cell(page, "guided_backprop").locator("canvas").screenshot()))
    orange = _count_near(saved, (0xDD, 0x7A, 0x22))
    assert orange > 5 * _count_near(shown.convert("RGB"), (0xDD, 0x7A, 0x22)) > 0


def _count_near(picture: Image.Image, colour: tuple[int, int, int]) -> int:
    distance = np.abs(np.asarray(picture, int) - colour).max(axis=-1)
    return int((distance < 12).sum())


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_takes_the_colours_of_the_system(
    page: Page, open_page: Opener, screenshots: Path, scheme: str
) -> None:
    page.emulate_media(color_scheme=scheme)
    open_page()
    press(page, "ArrowRight", "ArrowRight")
    page.screenshot(path=screenshots / f"{scheme}.png", full_page=True)
    assert _contrast_of_texts(page) == []


def _contrast_of_texts(page: Page) -> list[Any]:
    """Texts of less than 4.5:1 on the widget's paper, or below 12 pixels."""
    return page.evaluate(r"""() => {
      const options = { willReadFrequently: true };
      const canvas = document.createElement("canvas").getContext("2d", options);
      const paper = getComputedStyle(document.querySelector(".kc-page")).backgroundColor;
      const light = (colour) => {
        for (const each of [paper, colour]) {
          canvas.fillStyle = each;
          canvas.fillRect(0, 0, 1, 1);
        }
        return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3).map((value) => {
          const share = value / 255;
          return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
        }).reduce((sum, value, index) => sum + value * [0.2126, 0.7152, 0.0722][index], 0);
      };
      const contrast = (colour) => {
        const [low, high] = [light(paper), light(colour)].sort((a, b) => a - b);
        return (high + 0.05) / (low + 0.05);
      };
      const walker = document.createTreeWalker(
        document.querySelector(".kc-page"), NodeFilter.SHOW_TEXT);
      const poor = [];
      while (walker.nextNode()) {
        const node = walker.currentNode.parentElement;
        const seen = node.checkVisibility({ visibilityProperty: true });
        if (!seen || node.closest(".kw-spoken")) continue;
        const style = getComputedStyle(node);
        const colour = node instanceof SVGElement ? style.fill : style.color;
        const ratio = contrast(colour);
        if (ratio < 4.5 || parseFloat(style.fontSize) < 12) {
          poor.push([walker.currentNode.textContent, ratio, style.fontSize]);
        }
      }
      return poor;
    }""")


@pytest.mark.parametrize(
    ("name", "width", "options"),
    [
        ("narrow", 700, {}),
        ("phone", 390, {}),
        ("many_blocks", 1280, {"blocks": INCEPTION, "num_seeds": 1}),
        ("many_blocks_narrow", 700, {"blocks": INCEPTION, "num_seeds": 1}),
        ("colour", 1280, {"colour": True, "side": 112, "num_seeds": 1}),
        ("one_image", 1280, {"num_images": 1, "num_seeds": 1, "methods": METHODS[:3]}),
    ],
)
def test_nothing_sticks_out(
    page: Page, open_page: Opener, screenshots: Path, name: str, width: int, options: Any
) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    open_page(make_frames(**options))
    press(page, "ArrowRight")
    page.screenshot(path=screenshots / f"{name}.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    below = (
        page.locator(".kc-curves").bounding_box()["y"]
        > page.locator(".kc-grid").bounding_box()["y"] + 100
    )
    assert below == (width < 1000)


def test_a_step_takes_less_than_50_milliseconds(page: Page, open_page: Opener) -> None:
    open_page(make_frames(num_seeds=1, side=56, colour=True))
    page.locator(".kc-track").focus()
    times = page.evaluate("""() => Array.from({ length: 11 }, (_, index) => {
        const key = index % 2 ? "ArrowLeft" : "ArrowRight";
        const began = performance.now();
        document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
        document.body.getBoundingClientRect();
        return performance.now() - began;
    })""")
    assert np.median(times) < 50
