"""Intervals of little: by hand, held against simulation, and never of zero width."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from kernel_lib.audit.intervals import mean_interval, paired_difference_interval, unseen_share


def test_unseen_share_is_the_exact_binomial_bound():
    for count in (1, 5, 60):
        bound = stats.binomtest(0, count).proportion_ci(0.95, method="exact").high
        assert unseen_share(count) == pytest.approx(bound)
    assert unseen_share(0) == 1


def test_one_seed_is_the_t_interval_of_the_images():
    values = np.random.default_rng(0).normal(0, 1, 12)
    expected = stats.t.interval(0.95, 11, values.mean(), stats.sem(values))
    np.testing.assert_allclose(mean_interval(values[None], (0, 0))[1:], expected)


def test_alike_images_leave_the_t_interval_of_the_seeds():
    seeds = np.array([0.1, 0.5, 0.3])
    values = np.repeat(seeds[:, None], 500, axis=1)
    expected = stats.t.interval(0.95, 2, seeds.mean(), stats.sem(seeds))
    np.testing.assert_allclose(mean_interval(values, (0.3, 0.3))[1:], expected)


def test_values_that_are_all_alike_still_leave_room():
    mean, low, high = mean_interval(np.full((3, 20), 0.25), (0, 1))
    missed = 1 - 0.025 ** (1 / 20)
    assert (mean, low, high) == pytest.approx((0.25, 0.25 - missed * 0.25, 0.25 + missed * 0.75))
    assert mean_interval(np.array([[0.2]]), (0, 1)) == (0.2, 0, 1)


def test_what_is_not_known_is_left_out():
    values = np.random.default_rng(0).random((3, 10))
    holes = np.concatenate([values, np.full((3, 4), np.nan)], axis=1)
    assert mean_interval(holes, (0, 1)) == mean_interval(values, (0, 1))
    mean, low, high = mean_interval(np.full((2, 3), np.nan), (0, 1))
    assert np.isnan(mean)
    assert (low, high) == (0, 1)


@pytest.mark.parametrize(("seeds", "images"), [(2, 8), (3, 8), (3, 60), (5, 200)])
@pytest.mark.parametrize("by_seed", [0.0, 0.05, 0.2])
def test_means_are_covered(seeds, images, by_seed):
    random = np.random.default_rng([seeds, images])
    missed = 0
    for _ in range(600):
        values = 0.2 * random.normal(size=(1, images)) + 0.1 * random.normal(size=(seeds, images))
        values += by_seed * random.normal(size=(seeds, 1))
        _, low, high = mean_interval(values, (-0.5, 0.5))
        missed += not low <= 0 <= high
    assert missed / 600 <= 0.07  # 5 %, and three deviations of this simulation


def pairs(both, only_one, only_other, neither):
    counts = [both, only_one, only_other, neither]
    one = np.repeat([True, True, False, False], counts)
    return one, np.repeat([True, False, True, False], counts)


def test_paired_difference_turns_with_its_sides():
    one, other = pairs(36, 12, 2, 0)
    found = paired_difference_interval(one, other)
    assert found[0] == pytest.approx(0.2)
    turned = paired_difference_interval(other, one)
    assert turned == pytest.approx((-found[0], -found[2], -found[1]))


@pytest.mark.parametrize("shares", [(0.0, 0.05), (0.1, 0.1), (0.3, 0.1), (0.02, 0.0)])
def test_paired_differences_are_covered(shares):
    """Summed over all outcomes of 40 pairs, not simulated; each end alone misses rarely."""
    count, (only_one, only_other) = 40, shares
    truth = only_one - only_other
    too_low = too_high = 0.0
    for a in range(count + 1):
        for b in range(count + 1 - a):
            chance = stats.multinomial.pmf(
                [a, b, count - a - b], count, [only_one, only_other, 1 - only_one - only_other]
            )
            if chance < 1e-7:
                continue
            _, low, high = paired_difference_interval(*pairs(0, a, b, count - a - b))
            too_low += chance * (high < truth)
            too_high += chance * (low > truth)
    assert too_low <= 0.05
    assert too_high <= 0.05


def test_nothing_seen_is_not_nothing():
    nothing = np.zeros(60, bool)
    value, low, high = paired_difference_interval(nothing, nothing)
    assert value == 0
    assert high == -low == pytest.approx(3.8415 / (60 + 3.8415), abs=1e-4)
    assert np.isnan(paired_difference_interval(nothing[:0], nothing[:0])[0])
