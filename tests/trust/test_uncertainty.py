"""Intervals, permutations and corrections against numbers from elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from kernel_lib.audit.statistics import holm, wilson_interval
from kernel_lib.trust.uncertainty import permutation_p_values, resampled_accuracy, widened


def test_wilson_of_the_published_cells():
    low, high = wilson_interval(np.array([0.2283, 0.1998]), 1260)
    assert low[0] == pytest.approx(0.2060, abs=5e-5)
    assert high[0] == pytest.approx(0.2523, abs=5e-5)
    assert low[0] > 0.2  # so the cell leaks
    assert low[1] > 1 / 7


def test_wilson_agrees_with_scipy():
    for hits, count in ((0, 7), (3, 10), (10, 10), (17, 300)):
        expected = stats.binomtest(hits, count).proportion_ci(method="wilson")
        assert wilson_interval(hits / count, count) == pytest.approx(tuple(expected), abs=1e-12)


def test_holm_by_hand():
    found = holm(np.array([[0.01, 0.04], [0.03, 0.005]]))
    # Sorted 0.005 * 4, 0.01 * 3, 0.03 * 2, 0.04 * 1, each at least the one before.
    np.testing.assert_allclose(found, [[0.03, 0.06], [0.06, 0.02]])
    assert holm(np.array([0.9, 0.8])).max() == 1


def test_resampled_accuracy_of_one_run_has_the_binomial_deviation(random):
    hits = (random.random((1, 1, 1, 400)) < 0.7).astype(np.float32)
    spread = resampled_accuracy(hits, 4000, seed=1)[:, 0, 0].std()
    share = hits.mean()
    assert spread == pytest.approx(np.sqrt(share * (1 - share) / 400), rel=0.05)


def test_runs_that_differ_widen_the_spread():
    hits = np.zeros((4, 1, 1, 200), np.float32)
    hits[:2] = 1  # two runs right on every image, two on none: only runs vary
    spread = resampled_accuracy(hits, 4000)[:, 0, 0].std()
    assert spread == pytest.approx(0.5 / np.sqrt(4), rel=0.05)


def test_resampling_is_shared_by_all_cells_and_repeatable(random):
    hits = np.repeat((random.random((2, 1, 1, 50)) < 0.5).astype(np.float32), 3, axis=2)
    found = resampled_accuracy(hits, 20, seed=5)
    np.testing.assert_array_equal(found[..., 0], found[..., 2])
    np.testing.assert_array_equal(found, resampled_accuracy(hits, 20, seed=5))
    assert not np.array_equal(found, resampled_accuracy(hits, 20, seed=6))


def test_missing_labels_are_left_out_of_resamples(random):
    hits = np.ones((1, 1, 2, 40), np.float32)
    hits[0, 0, 1, ::2] = np.nan
    np.testing.assert_allclose(resampled_accuracy(hits, 10), 1)


def test_permutation_p_values_are_uniform_without_an_effect():
    random = np.random.default_rng(1)
    labels, strata = random.integers(0, 3, 200), random.integers(0, 2, 200)
    found = permutation_p_values(random.integers(0, 3, (300, 200)), labels, strata, 199)
    assert (found <= 0.05).mean() == pytest.approx(0.05, abs=0.03)
    assert found.mean() == pytest.approx(0.5, abs=0.06)


def test_an_effect_through_the_strata_alone_is_no_effect(random):
    strata = random.integers(0, 2, 400)
    labels = np.where(random.random(400) < 0.9, strata, 1 - strata)  # goes with the primary label
    told_by_primary = strata[None]
    told_itself = labels[None]
    one = np.zeros(400, int)
    assert permutation_p_values(told_by_primary, labels, one)[0] == 1 / 1000
    assert permutation_p_values(told_by_primary, labels, strata)[0] == 1
    assert permutation_p_values(told_itself, labels, strata)[0] == 1 / 1000


def test_six_right_answers_of_six_are_not_certain():
    hits = np.ones((1, 1, 2, 6), np.float32)
    hits[:, :, 1] = 0
    draws = widened(resampled_accuracy(hits, 2000), hits)
    low, high = np.quantile(draws, (0.025, 0.975), axis=0)[:, 0]
    wilson = wilson_interval(np.array([1.0, 0.0]), 6)
    np.testing.assert_allclose(low, wilson[0], atol=0.05)
    np.testing.assert_allclose(high, wilson[1], atol=0.05)
    again = widened(resampled_accuracy(hits, 2000), hits)
    np.testing.assert_array_equal(draws, again)


def test_many_images_are_hardly_widened(random):
    hits = (random.random((1, 2, 3, 2000)) < 0.7).astype(np.float32)
    plain = resampled_accuracy(hits, 1000)
    np.testing.assert_allclose(widened(plain, hits), plain, atol=0.01)
