"""The triage widget on a page of its own, opened from disk without a network or a kernel."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import standalone_page
from playwright.sync_api import Page, expect
from synthetic_triage import make_triage

from kernel_widgets import ErrorTriage

Opener = Callable[..., dict[str, Any]]


@pytest.fixture
def open_page(page: Page, tmp_path: Path) -> Opener:
    """Open a triage, offline, and wait until it is drawn."""

    def opener(frames: dict[str, Any] | None = None, **traits: Any) -> dict[str, Any]:
        frames = make_triage() if frames is None else frames
        standalone_page.open_page(page, tmp_path, ErrorTriage(frames, **traits))
        return frames

    return opener


def cards(page: Page) -> list[int]:
    return [int(card.get_attribute("data-image")) for card in page.locator(".kt-card").all()]


def test_images_are_sorted_by_the_chosen_score(page: Page, open_page: Opener) -> None:
    frames = open_page(score="both")
    for position, score in enumerate(frames["scores"]):
        page.get_by_label("sort by").select_option(score["name"])
        order = np.argsort(frames["suspicion"][position], kind="stable").tolist()
        ranks = [order.index(index) for index in frames["shown"]]
        assert cards(page) == np.argsort(ranks)[::-1].tolist()


def test_the_slider_counts_every_image_not_only_the_shown(page: Page, open_page: Opener) -> None:
    frames = open_page(score="both")
    suspicion = frames["suspicion"][[s["name"] for s in frames["scores"]].index("both")]
    order = np.argsort(suspicion, kind="stable")
    for share in (0.5, 0.85, 1.0, 0.0):
        page.get_by_role("slider").fill(str(share))
        kept = round(share * len(order))
        wrong = frames["wrong"][order]
        for side, part in ((0, wrong[:kept]), (1, wrong[kept:])):
            text = page.locator(".kt-side").nth(side).inner_text()
            if len(part):
                assert f"{len(part)} images" in text
                shown = float(text.split(" %")[0])
                assert shown == pytest.approx(100 * (1 - part.mean()), abs=0.0501)
            else:
                assert "no image" in text
        caught = page.get_by_text(re.compile("errors are withheld"))
        expect(caught).to_contain_text(f"{wrong[kept:].sum()} of {wrong.sum()} errors")


def test_withheld_cards_are_dashed_and_said(page: Page, open_page: Opener) -> None:
    frames = open_page(score="both", coverage=0.7)
    suspicion = frames["suspicion"][[s["name"] for s in frames["scores"]].index("both")]
    rank = np.argsort(np.argsort(suspicion, kind="stable"))
    withheld = set(np.flatnonzero(rank[frames["shown"]] >= round(0.7 * len(rank))).tolist())
    marked = page.locator(".kt-card.kt-withheld").all()
    assert {int(card.get_attribute("data-image")) for card in marked} == withheld
    assert 0 < len(withheld) < len(frames["shown"])


def test_a_chosen_image_shows_votes_maps_and_neighbours(page: Page, open_page: Opener) -> None:
    frames = open_page()
    page.locator(".kt-card").nth(3).click()
    image = cards(page)[3]
    record = frames["images"][image]
    detail = page.locator(".kt-detail")
    expect(detail.locator(".kt-lead")).to_contain_text(f"Says {record['predicted']}")
    counts = [int(text) for text in detail.locator(".kt-vote-count").all_inner_texts()]
    assert counts == [vote["count"] for vote in record["votes"]][:4]
    assert detail.locator(".kt-column").count() == len(record["maps"])
    outside = sum(abs(m["value"] - m["mean"]) > 2 * m["deviation"] for m in record["maps"])
    assert detail.locator(".kt-outside").count() == outside
    assert detail.locator(".kt-near li").count() == 3
    assert page.evaluate("model.get('selected')") == image


def test_keys_move_filter_and_withhold(page: Page, open_page: Opener) -> None:
    frames = open_page(coverage=0.5)
    page.locator(".kt-card").first.click()
    page.keyboard.press("ArrowRight")
    assert page.evaluate("model.get('selected')") == cards(page)[1]
    expect(page.locator(".kt-card").nth(1)).to_be_focused()
    page.keyboard.press("]")
    assert page.evaluate("model.get('coverage')") == pytest.approx(0.51)
    page.keyboard.press("w")
    wrong = frames["wrong"][frames["shown"]]
    assert sorted(cards(page)) == np.flatnonzero(wrong).tolist()
    page.keyboard.press("s")
    names = [score["name"] for score in frames["scores"]]
    now = page.evaluate("model.get('score')")
    assert now == names[(names.index("both") + 1) % len(names)]
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()


def test_it_asks_for_nothing_but_its_own_file(page: Page, open_page: Opener) -> None:
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    open_page()
    page.locator(".kt-card").nth(2).click()
    assert requests
    assert [url for url in requests if not url.startswith(("file:", "blob:", "data:"))] == []


def test_cleanup_leaves_no_listener_and_no_node(page: Page, open_page: Opener) -> None:
    open_page()
    page.evaluate("cleanup()")
    assert page.evaluate("Object.values(listeners).flat().length") == 0
    assert page.locator(".kernel-triage").count() == 0


def test_a_result_without_mutants_or_conductance_is_shown(page: Page, open_page: Opener) -> None:
    frames = make_triage()
    for image in frames["images"]:
        image["votes"], image["maps"] = [], []
    open_page(frames)
    assert page.locator(".kt-vote").count() == page.locator(".kt-chart").count() == 0


@pytest.mark.parametrize(("scheme", "width"), [("light", 1180), ("dark", 1180), ("light", 560)])
def test_it_fits_and_can_be_looked_at(
    page: Page, open_page: Opener, screenshots: Path, scheme: str, width: int
) -> None:
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 900})
    open_page()
    page.locator(".kt-card").nth(1).click()
    page.screenshot(path=screenshots / f"triage_{scheme}_{width}.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
