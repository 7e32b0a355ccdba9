"""Is one score better than another on the same images, or is it luck?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm

from kernel_lib._checks import check_count
from kernel_lib._random import random_stream
from kernel_lib.audit.intervals import unseen_share
from kernel_lib.errors.metrics import auroc, check_scores, midranks

_CELLS = 4_000_000  # numbers in memory at once


@dataclass(frozen=True)
class Difference:
    """AUROC of one score minus that of another.

    Attributes:
        value: the difference.
        low, high: 95 % interval.
        p_value: two-sided.
    """

    value: float
    low: float
    high: float
    p_value: float


def delong(scores: np.ndarray, others: np.ndarray, wrong: np.ndarray) -> Difference:
    """Paired comparison of two AUROCs by DeLong's variance (fast form, Sun and Xu 2014)."""
    scores, wrong = check_scores(scores, wrong)
    others, _ = check_scores(others, wrong)
    value = auroc(scores, wrong) - auroc(others, wrong)
    by_wrong, by_right = (
        a - b for a, b in zip(_placements(scores, wrong), _placements(others, wrong), strict=True)
    )
    variance = _variance(by_wrong) / len(by_wrong) + _variance(by_right) / len(by_right)
    if variance == 0:
        return _without_spread(value, wrong)
    deviation = float(np.sqrt(variance))
    p_value = float(2 * norm.sf(abs(value) / deviation))
    return Difference(value, value - 1.96 * deviation, value + 1.96 * deviation, p_value)


def _without_spread(value: float, wrong: np.ndarray) -> Difference:
    """A difference that is the same for every image: as sure as so few images can make it."""
    if value == 0:
        return Difference(0.0, 0.0, 0.0, 1.0)
    count = int(min(wrong.sum(), (~wrong).sum()))
    missed = unseen_share(count)
    return Difference(
        value, value - missed * (value + 1), value + missed * (1 - value), min(1.0, 2 * 0.5**count)
    )


def _placements(scores: np.ndarray, wrong: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Share of right scores below each wrong one, and of wrong scores above each right one."""
    ranks = midranks(scores)
    num_wrong, num_right = wrong.sum(), (~wrong).sum()
    by_wrong = (ranks[wrong] - midranks(scores[wrong])) / num_right
    by_right = 1 - (ranks[~wrong] - midranks(scores[~wrong])) / num_wrong
    return by_wrong, by_right


def _variance(values: np.ndarray) -> float:
    return float(values.var(ddof=1)) if len(values) > 1 else 0.0


def paired_bootstrap(
    scores: np.ndarray,
    others: np.ndarray,
    wrong: np.ndarray,
    num_resamples: int = 2000,
    seed: int = 0,
) -> Difference:
    """Paired comparison of two AUROCs by drawing images with replacement.

    The same draws are used for both scores; wrong and right images are drawn apart, so that every
    resample holds both.
    """
    scores, wrong = check_scores(scores, wrong)
    others, _ = check_scores(others, wrong)
    draws = _draws(wrong, check_count("num_resamples", num_resamples), seed)
    change = bootstrap_aurocs(scores, wrong, draws) - bootstrap_aurocs(others, wrong, draws)
    low, high = np.quantile(change, (0.025, 0.975))
    tail = min((change <= 0).mean(), (change >= 0).mean())
    value = auroc(scores, wrong) - auroc(others, wrong)
    if low == high:
        return _without_spread(value, wrong)
    p_value = min(1.0, 2 * max(float(tail), 1 / num_resamples))
    return Difference(value, float(low), float(high), p_value)


def auroc_interval(
    scores: np.ndarray, wrong: np.ndarray, num_resamples: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """95 % interval of an AUROC, see `auroc_intervals`."""
    return auroc_intervals(scores, wrong, (1,), num_resamples, seed)[0]


def auroc_intervals(
    scores: np.ndarray,
    wrong: np.ndarray,
    num_compared: Sequence[int],
    num_resamples: int = 2000,
    seed: int = 0,
) -> list[tuple[float, float]]:
    """Intervals of an AUROC: the bootstrap's, widened to the score interval's.

    The bootstrap of few wrong predictions is too narrow, and where they are separated perfectly it
    has no width at all; see `score_interval`.

    Args:
        scores: (num_images,) suspicion.
        wrong: (num_images,) whether each prediction is wrong.
        num_compared: for each interval, how many are to hold at once with 95 % (Bonferroni).
        num_resamples: of the bootstrap.
        seed: of the draws.
    """
    scores, wrong = check_scores(scores, wrong)
    values = bootstrap_aurocs(scores, wrong, _draws(wrong, num_resamples, seed))
    value, num_wrong = auroc(scores, wrong), int(wrong.sum())
    intervals = []
    for count in num_compared:
        tail = 0.025 / count
        low, high = np.quantile(values, (tail, 1 - tail))
        found = score_interval(value, num_wrong, len(wrong) - num_wrong, 1 - 2 * tail)
        intervals.append((min(float(low), found[0]), max(float(high), found[1])))
    return intervals


def score_interval(
    value: float, num_wrong: int, num_right: int, level: float = 0.95
) -> tuple[float, float]:
    """Interval of an AUROC from its value and the numbers alone (Newcombe 2006, method 5).

    The areas from which the value lies no farther than their own standard error allows (that of
    Hanley and McNeil 1982 for exponential scores). Never of zero width: an AUROC of 1 over 10 wrong
    and 190 right predictions may still be 0.9.

    Args:
        value: the AUROC.
        num_wrong, num_right: predictions of either kind, at least 1 each.
        level: coverage.

    Example:
        >>> low, high = score_interval(1.0, 10, 190)
        >>> round(low, 2), high
        (0.9, 1.0)
    """
    z = float(norm.ppf((1 + level) / 2))
    middle = max((num_wrong + num_right) / 2 - 1, 0)

    def excess(area: float) -> float:
        spread = 1 + middle * (1 - area) / (2 - area) + middle * area / (1 + area)
        variance = area * (1 - area) * spread / (num_wrong * num_right)
        return abs(value - area) - z * float(np.sqrt(variance))

    tiny = 1e-9
    low = brentq(excess, 0, value - tiny) if value > tiny and excess(0) > 0 else 0.0
    high = brentq(excess, value + tiny, 1) if value < 1 - tiny and excess(1) > 0 else 1.0
    return float(low), float(high)


def _draws(wrong: np.ndarray, num_resamples: int, seed: int) -> np.ndarray:
    """How often each resample holds each image, (num_resamples, num_images)."""
    random = random_stream([check_count("seed", seed, 0), num_resamples, len(wrong)])
    counts = np.zeros((num_resamples, len(wrong)), np.float32)
    for kind in (wrong, ~wrong):
        size = int(kind.sum())
        counts[:, kind] = random.multinomial(size, np.full(size, 1 / size), num_resamples)
    return counts


def bootstrap_aurocs(scores: np.ndarray, wrong: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """AUROC of each resample, (num_resamples,), from sorted scores and cumulated counts."""
    order = np.argsort(scores, kind="stable")
    is_new = np.diff(scores[order], prepend=-np.inf) > 0
    starts = np.flatnonzero(is_new)
    size = max(1, _CELLS // len(scores))
    found = []
    for first in range(0, len(counts), size):
        part = counts[first : first + size][:, order].astype(np.float64)
        bad = np.add.reduceat(part * wrong[order], starts, axis=1)
        good = np.add.reduceat(part * ~wrong[order], starts, axis=1)
        below = np.cumsum(good, axis=1) - good / 2
        found.append((bad * below).sum(axis=1) / (bad.sum(axis=1) * good.sum(axis=1)))
    return np.concatenate(found)
