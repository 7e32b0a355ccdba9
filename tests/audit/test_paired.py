"""Intervals of losses that are paired, possibly the worst of several, and never of zero width."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from kernel_lib.audit.paired import (
    images_needed,
    paired_counts,
    relative_loss,
    relative_loss_interval,
    rounded_up,
    worst_loss_interval,
)


def test_counts_by_hand():
    before = np.array([1, 1, 1, 0, 0, np.nan])
    after = np.array([1, 0, 0, 1, 0, 1])
    counts = paired_counts(before, after)
    assert counts == (1, 2, 1)
    assert relative_loss(*counts) == pytest.approx(1 / 3)


@pytest.mark.parametrize("count", [8, 16, 72, 500])
def test_with_nothing_gained_the_upper_end_is_the_exact_one(count):
    for lost in (0, 1, count // 2, count):
        low, high = relative_loss_interval(count - lost, lost, 0)
        exact = stats.binomtest(lost, count).proportion_ci(method="exact")
        assert high == pytest.approx(exact.high)
        assert low <= exact.low + 1e-12
        assert high > low


def test_nothing_lost_of_16_still_allows_a_fifth():
    low, high = worst_loss_interval(np.ones(16, bool), np.ones((4, 16), bool))
    assert low == 0
    assert high == pytest.approx(1 - 0.025 ** (1 / 16))


def test_with_many_images_the_interval_is_that_of_the_delta_method():
    kept, lost, gained = 7000, 900, 400
    low, high = relative_loss_interval(kept, lost, gained)
    before = kept + lost
    share, gain = lost / before, gained / before
    error = np.sqrt(share * (1 - share) / before + gain * (1 + gain) / before)
    middle = relative_loss(kept, lost, gained)
    assert high - middle == pytest.approx(1.96 * error, rel=0.05)
    assert middle - low == pytest.approx(1.96 * error, rel=0.05)


def test_nothing_right_before_says_nothing():
    low, high = relative_loss_interval(0, 0, 5)
    assert (low, high) == (-1, 1)


@pytest.mark.parametrize("loss", [0.0, 0.02, 0.05, 0.15])
@pytest.mark.parametrize("num_images", [8, 30, 100])
@pytest.mark.parametrize("churn", [0.0, 0.05])
def test_the_interval_of_the_worst_step_covers_the_truth(loss, num_images, churn):
    """Four steps: one loses all of the loss, one as much on other images, two lose half of it."""
    random = np.random.default_rng([num_images, round(100 * loss)])
    draws, accuracy = 1000, 0.85
    gain = churn * accuracy / (1 - accuracy)
    before = random.random((draws, 1, num_images)) < accuracy
    luck = random.random((draws, 2, num_images)).repeat(2, axis=1)
    losses = np.array([loss, loss / 2, loss, loss / 2])[:, None]
    after = np.where(before, luck >= losses + churn, luck < gain)
    low, high = relative_loss_interval(*paired_counts(before, after), num_compared=4)
    missed = (low.max(axis=1) > loss + 1e-12) | (high.max(axis=1) < loss - 1e-12)
    assert missed.mean() <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / draws)
    one = worst_loss_interval(before[0, 0], after[0])
    assert one == (max(0, low[0].max()), max(0, high[0].max()))


def test_how_many_images_would_do():
    assert images_needed(lambda count: count >= 231, 60) == 240
    assert images_needed(lambda count: False, 60) is None
    assert [rounded_up(number) for number in (7, 73, 100, 101, 1999)] == [7, 73, 100, 110, 2000]
