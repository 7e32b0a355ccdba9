"""Verdicts follow from curves that are drawn by hand."""

from __future__ import annotations

import numpy as np
import pytest

from kernel_lib.saliency.methods import METHODS
from kernel_lib.saliency.verdict import broken_steps, evidence_for, method_verdicts, overall

LABELS = ["trained", "top", "middle", "bottom"]
ACCURACY = np.array([0.9, 0.1, 0.1, 0.1])
CORRELATION = np.array([1.0, 0.0, 0.0, 0.0])


def judge(
    curve,
    method="gradient",
    floor=0.0,
    test="cascade",
    spread=0.0,
    labels=LABELS,
    seeds=3,
    images=30,
    blank=0,
    has_labels=True,
    accuracy=ACCURACY,
):
    """The verdict on one method whose similarity follows `curve` for every image."""
    random = np.random.default_rng(0)
    values = np.array(curve)[None, :, None, None] + spread * random.normal(
        size=(seeds, len(curve), 1, images)
    )
    values[..., :blank] = np.nan
    floors = np.full((seeds, len(curve), images), floor)
    evidence = evidence_for(test, labels, accuracy[: len(labels)], CORRELATION, 0.1)
    chosen = [METHODS[method]]
    judged = method_verdicts(chosen, values, {True: floors, False: np.zeros_like(floors)}, evidence)
    titles = {method: METHODS[method].title}
    verdict = overall(judged, titles, evidence, test, num_seeds=seeds, has_labels=has_labels)
    return judged[0], verdict


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
    """Thirty images that are all alike may have missed 11.6 % of others: 1 - 0.025 ** (1 / 30)."""
    text = judge([1, 0.2, 0.1, 0.0])[0].text
    assert "20 % [18, 29] at top and 0 % [0, 12] at bottom" in text


def test_one_place_is_named_once():
    text = judge([1, 0.2], labels=["trained", "random labels"], test="labels")[0].text
    assert text.count("random labels") == 1


def test_other_classes():
    assert judge([1, 0.9, 0.9, 0.9], test="random_logit")[0].status == "fail"
    assert judge([1, 0.1, 0.0, -0.2], test="random_logit", seeds=1)[0].status == "pass"
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


# --- no conclusion without evidence --------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"images": 1}, "1 image to judge by; at least 6 are needed"),
        ({"images": 5}, "5 images to judge by; at least 6 are needed"),
        ({"seeds": 1}, "drawn once, so the intervals are for other images, not for other draws"),
        ({"seeds": 2}, "2 seeds; at least 3 are needed"),
        ({"blank": 20}, "Blank maps: Gradient (of 20 of 30 images)"),
        ({"images": 30, "blank": 30}, "Blank maps: Gradient (of 30 of 30 images)"),
    ],
)
def test_too_little_is_undetermined_and_says_what_is_lacking(changes, words):
    one, verdict = judge([1, 0.1, 0.0, 0.0], **changes)
    assert one.status == verdict.status == "undetermined"
    assert words in verdict.headline
    assert "Explain this network" not in verdict.next_step


def test_a_few_blank_maps_are_mentioned():
    one, verdict = judge([1, 0.1, 0.0, 0.0], blank=6)
    assert one.status == "pass"
    assert (one.num_images, one.num_blank) == (24, 6)
    assert "blank for 6 of 30 images" in one.text
    assert "Gradient (of 6 of 30 images)" in verdict.headline


def test_a_failure_needs_no_second_draw_but_images():
    assert judge([1, 0.95, 0.95, 0.95], seeds=1)[0].status == "fail"
    assert judge([1, 0.95, 0.95, 0.95], images=5)[0].status == "undetermined"


def test_without_labels_the_accuracy_is_said_to_be_unknown():
    one, verdict = judge([1, 0.1, 0.0, 0.0], has_labels=False)
    assert one.status == "pass"
    assert "Without labels the accuracy is unknown" in verdict.headline
    assert verdict.next_step.startswith("Find out how often the network is right.")


@pytest.mark.parametrize(
    ("test", "cure"),
    [("noise", "larger `noise_levels`"), ("independent", "test='cascade'"), ("labels", "twin")],
)
def test_a_network_that_keeps_what_it_knows_judges_no_map(test, cure):
    """Maps that stay alike while the network stays right are as they should be."""
    still_right = np.array([0.9, 0.9, 0.85, 0.88])
    labels = LABELS[:2] if test == "labels" else LABELS
    curve = [1, 0.99, 0.99, 0.99][: len(labels)]
    one, verdict = judge(curve, test=test, labels=labels, accuracy=still_right)
    assert one.status == verdict.status == "undetermined"
    assert cure in verdict.headline


@pytest.mark.parametrize(("seeds", "images"), [(3, 6), (3, 20), (3, 100), (5, 40)])
@pytest.mark.parametrize("by_seed", [0.0, 0.1])
def test_a_method_at_the_cut_seldom_passes_or_fails(seeds, images, by_seed):
    """Truly half is retained; draws of weights and images scatter around it."""
    random = np.random.default_rng([seeds, images])
    evidence = evidence_for("full", LABELS[:2], ACCURACY[:2], CORRELATION[:2], 0.1)
    floors = np.zeros((seeds, 2, images))
    found = []
    for _ in range(400):
        shape = (seeds, 2, 1, images)
        values = 0.5 + 0.1 * random.normal(size=shape) + 0.2 * random.normal(size=(1, 1, 1, images))
        values += by_seed * random.normal(size=(seeds, 1, 1, 1))
        judged = method_verdicts(
            [METHODS["gradient"]], values, {True: floors, False: floors}, evidence
        )
        found.append(judged[0].status)
    assert found.count("pass") <= 0.05 * len(found)
    assert found.count("fail") + found.count("warning") <= 0.05 * len(found)


def test_several_classes_are_several_looks():
    """None of nine other classes retains more than half; the worst of nine looks must not fail."""
    random = np.random.default_rng(0)
    labels = ["trained", *"abcdefghi"]
    evidence = evidence_for("random_logit", labels, ACCURACY, CORRELATION, 0.1)
    floors = np.zeros((1, 10, 20))
    found = []
    for _ in range(400):
        values = 0.5 + 0.3 * random.normal(size=(1, 10, 1, 20))
        judged = method_verdicts(
            [METHODS["gradient"]], values, {True: floors, False: floors}, evidence
        )
        found.append(judged[0].status)
    assert found.count("fail") <= 0.05 * len(found)
    assert found.count("pass") == 0
