"""Intervals: against a plain resampling loop, and against what theory says."""

from __future__ import annotations

import numpy as np
import pytest

from kernel_lib.report.uncertainty import _counts, bootstrap_means, interval, mean_of


def test_resampled_means_equal_a_plain_loop():
    values = np.random.default_rng(0).normal(size=(3, 7))
    seeds, images = _counts(3, 7, 50, seed=4)
    expected = [
        np.mean(np.repeat(np.repeat(values, s.astype(int), axis=0), i.astype(int), axis=1))
        for s, i in zip(seeds, images, strict=True)
    ]
    np.testing.assert_allclose(bootstrap_means(values, 50, seed=4), expected)


def test_missing_values_are_left_out():
    values = np.array([[1.0, np.nan, 3.0]])
    assert mean_of(values) == 2
    seeds, images = _counts(1, 3, 200, seed=0)
    kept = images[:, [0, 2]]
    expected = kept @ [1.0, 3.0] / np.where(kept.sum(axis=1) > 0, kept.sum(axis=1), np.nan)
    np.testing.assert_allclose(bootstrap_means(values, 200), expected)


def test_cells_share_their_draws():
    values = np.random.default_rng(1).normal(size=(2, 4, 5))
    values[1] = values[0] + 1
    first, second = bootstrap_means(values)
    np.testing.assert_allclose(second - first, 1)


def test_intervals_have_the_width_of_the_standard_error():
    values = np.random.default_rng(2).normal(size=(1, 400))
    low, high = interval(bootstrap_means(values, 4000))
    assert (high - low) / 2 == pytest.approx(1.96 * values.std() / 20, rel=0.08)
    assert low < mean_of(values) < high


def test_seeds_widen_the_interval_when_they_differ():
    images = np.random.default_rng(3).normal(size=(1, 200)) * 0.01
    same, apart = np.tile(images, (5, 1)), images + np.arange(5)[:, None]
    widths = [np.diff(interval(bootstrap_means(v))).item() for v in (same, apart)]
    assert widths[1] > 20 * widths[0]


def test_all_missing_stays_missing():
    values = np.full((2, 3), np.nan)
    assert np.isnan(mean_of(values))
    assert np.isnan(interval(bootstrap_means(values))).all()
