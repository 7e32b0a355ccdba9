"""Verdicts follow from curves that are drawn by hand."""

from __future__ import annotations

import numpy as np
import pytest

from kernel_lib.saliency.methods import METHODS
from kernel_lib.saliency.verdict import broken_steps, evidence_for, method_verdicts, overall

LABELS = ["trained", "top", "middle", "bottom"]
ACCURACY = np.array([0.9, 0.1, 0.1, 0.1])
CORRELATION = np.array([1.0, 0.0, 0.0, 0.0])


def judge(curve, method="gradient", floor=0.0, test="cascade", spread=0.0, labels=LABELS):
    """The verdict on one method whose similarity follows `curve` for every image."""
    random = np.random.default_rng(0)
    values = np.array(curve)[None, :, None, None] + spread * random.normal(
        size=(2, len(curve), 1, 30)
    )
    floors = np.full((2, len(curve), 30), floor)
    evidence = evidence_for(test, labels, ACCURACY, CORRELATION, 0.1)
    chosen = [METHODS[method]]
    judged = method_verdicts(
        chosen, values, {True: floors, False: np.zeros_like(floors)}, evidence, 0
    )
    return judged[0], overall(judged, {method: METHODS[method].title}, evidence, test)


@pytest.mark.parametrize(
    ("curve", "status"),
    [
        ([1, 0.1, 0.0, 0.0], "pass"),
        ([1, 0.9, 0.8, 0.2], "warning"),
        ([1, 0.9, 0.9, 0.8], "fail"),
        ([1, np.nan, np.nan, np.nan], "undetermined"),
    ],
)
def test_status_of_a_cascade(curve, status):
    one, verdict = judge(curve)
    assert one.status == verdict.status == status


def test_a_wide_interval_over_the_cut_is_undetermined():
    assert judge([1, 0.5, 0.4, 0.3], spread=0.5)[0].status == "undetermined"


def test_methods_that_multiply_the_image_are_held_against_their_own_floor():
    """Similarity 0.6 is much for a gradient, and nothing for image times gradient."""
    curve = [1, 0.6, 0.6, 0.6]
    assert judge(curve, "gradient", floor=0.6)[0].status == "fail"
    found = judge(curve, "input_times_gradient", floor=0.6)[0]
    assert found.status == "pass"
    assert found.retained == pytest.approx(0)


def test_retained_share_by_hand():
    found = judge([1, 0.7, 0.7, 0.7], "input_times_gradient", floor=0.4)[0]
    assert found.retained == pytest.approx((0.7 - 0.4) / (1 - 0.4))


def test_the_network_breaks_where_three_quarters_are_lost():
    correlation = np.ones(5)
    assert broken_steps(np.array([0.9, 0.8, 0.31, 0.29, 0.1]), correlation, 0.1) == (3, 4)
    assert broken_steps(np.array([0.9, 0.8, 0.7, 0.6, 0.5]), correlation, 0.1) == (4,)
    unlabelled = np.full(4, np.nan)
    assert broken_steps(unlabelled, np.array([1, 0.5, 0.2, 0.1]), 0.1) == (2, 3)


def test_text_names_the_places_and_numbers():
    text = judge([1, 0.2, 0.1, 0.0])[0].text
    assert "20 % [20, 20] at top and 0 % [0, 0] at bottom" in text


def test_one_place_is_named_once():
    text = judge([1, 0.2], labels=["trained", "random labels"], test="labels")[0].text
    assert text.count("random labels") == 1


def test_other_classes():
    assert judge([1, 0.9, 0.9, 0.9], test="random_logit")[0].status == "fail"
    assert judge([1, 0.1, 0.0, -0.2], test="random_logit")[0].status == "pass"
    assert "the class" in judge([1, 0.1, 0.0, -0.2], test="random_logit")[1].headline


def test_independent_blocks_count_where_the_network_needs_them():
    evidence = evidence_for("independent", LABELS, np.array([0.9, 0.1, 0.8, 0.2]), CORRELATION, 0.1)
    assert evidence.warn_at == (1, 3)


def test_the_headline_counts_and_the_advice_names():
    _, verdict = judge([1, 0.1, 0, 0])
    assert verdict.headline == ("1 of 1 explanation methods depend on what the network learned.")
    assert verdict.next_step == "Explain this network with Gradient."
    _, verdict = judge([1, 0.9, 0.9, 0.9])
    assert verdict.next_step.startswith("Do not explain this network with these methods")
