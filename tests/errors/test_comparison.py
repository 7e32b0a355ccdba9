"""Paired comparisons: two independent ways agree, and chance is called chance."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from kernel_lib.errors.comparison import (
    auroc_interval,
    bootstrap_aurocs,
    delong,
    paired_bootstrap,
    score_interval,
)
from kernel_lib.errors.metrics import auroc


def make(seed, size=400, gain=0.0):
    random = np.random.default_rng(seed)
    wrong = random.random(size) < 0.25
    shared = random.normal(size=size) + wrong
    return (shared + random.normal(0, 0.7, size) + gain * wrong,
            np.round(shared + random.normal(0, 0.7, size), 1), wrong)  # fmt: skip


def test_resampled_areas_are_areas_of_resamples():
    scores, others, wrong = make(0, 60)
    counts = np.random.default_rng(1).integers(0, 4, (5, 60)).astype(np.float32)
    for tied in (scores, others):
        expected = [
            auroc(np.repeat(tied, row.astype(int)), np.repeat(wrong, row.astype(int)))
            for row in counts
        ]
        np.testing.assert_allclose(bootstrap_aurocs(tied, wrong, counts), expected)


def test_delong_and_bootstrap_agree():
    scores, others, wrong = make(2, gain=0.4)
    one, other = delong(scores, others, wrong), paired_bootstrap(scores, others, wrong)
    assert one.value == other.value == pytest.approx(auroc(scores, wrong) - auroc(others, wrong))
    assert one.low == pytest.approx(other.low, abs=0.008)
    assert one.high == pytest.approx(other.high, abs=0.008)


def test_equal_scores_do_not_differ():
    scores, _, wrong = make(3)
    for compare in (delong, paired_bootstrap):
        found = compare(scores, 2 * scores + 1, wrong)
        assert (found.value, found.low, found.high, found.p_value) == (0, 0, 0, 1)


def test_chance_is_found_significant_at_its_nominal_rate():
    p_values = [delong(*make(seed, 200)).p_value for seed in range(300)]
    share = np.mean(np.array(p_values) < 0.05)
    assert 0.02 <= share <= 0.09


def test_an_interval_holds_its_area():
    scores, _, wrong = make(4)
    low, high = auroc_interval(scores, wrong)
    assert low < auroc(scores, wrong) < high
    assert high - low < 0.15


# --- few, and all alike --------------------------------------------------------------------------


@pytest.mark.parametrize(("num_wrong", "num_right"), [(1, 1), (3, 57), (10, 190), (30, 10)])
@pytest.mark.parametrize("turned", [False, True])
def test_perfect_separation_of_few_is_not_certain(num_wrong, num_right, turned):
    wrong = np.arange(num_wrong + num_right) < num_wrong
    scores = np.where(wrong, 1.0, 0.0) * (-1 if turned else 1)
    low, high = auroc_interval(scores, wrong)
    assert high - low > 0.3 / min(num_wrong, num_right)
    assert (low, high)[not turned] == float(not turned)


def test_the_score_interval_turns_and_shrinks():
    low, high = score_interval(0.8, 20, 80)
    assert score_interval(0.2, 20, 80) == pytest.approx((1 - high, 1 - low))
    narrow = score_interval(0.8, 2000, 8000)
    assert low < narrow[0] < 0.8 < narrow[1] < high
    # By hand: the lower end lies one interval's half from 0.8 by its own deviation.
    spread = 1 + 49 * (1 - low) / (2 - low) + 49 * low / (1 + low)
    assert 0.8 - low == pytest.approx(1.959964 * np.sqrt(low * (1 - low) * spread / 1600))


@pytest.mark.parametrize(("num_wrong", "num_right", "shift"), [(10, 190, 1.5), (12, 30, 2.5)])
def test_few_wrong_predictions_are_covered(num_wrong, num_right, shift):
    """The true area of two normals is known; the lower end lies above it rarely."""
    random = np.random.default_rng(num_right)
    wrong = np.arange(num_wrong + num_right) < num_wrong
    truth = norm.cdf(shift / np.sqrt(2))
    found = []
    for _ in range(200):
        scores = random.normal(size=len(wrong)) + shift * wrong
        found.append(auroc_interval(scores, wrong, num_resamples=300))
    low, high = np.array(found).T
    assert (low > truth).mean() <= 0.05
    assert (high < truth).mean() <= 0.07


def test_the_same_lead_on_every_image_is_not_certain_either():
    """Four wrong predictions that one score finds and another does not: p is 2 / 2**4."""
    wrong = np.arange(24) < 4
    perfect, blind = wrong.astype(float), np.zeros(24)
    for compare in (delong, paired_bootstrap):
        found = compare(perfect, blind, wrong)
        assert found.value == 0.5
        assert found.low < 0.5 < found.high
        assert found.p_value == 0.125
