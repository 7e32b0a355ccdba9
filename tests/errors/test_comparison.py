"""Paired comparisons: two independent ways agree, and chance is called chance."""

from __future__ import annotations

import numpy as np
import pytest

from kernel_lib.errors.comparison import (
    auroc_interval,
    bootstrap_aurocs,
    delong,
    paired_bootstrap,
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
