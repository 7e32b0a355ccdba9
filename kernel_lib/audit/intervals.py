"""Intervals that stay honest where there is little: few seeds, few images, rare events.

None of them ever has zero width. A bootstrap over three seeds or over two images is too narrow, and
over values that are all alike it has no width at all, although the next image may be otherwise.
"""

from __future__ import annotations

import numpy as np
from scipy import stats

from kernel_lib.audit.statistics import LEVEL, wilson_interval

Interval = tuple[float, float]


def unseen_share(count: int, level: float = LEVEL) -> float:
    """The largest share of cases that `count` trials may all have missed (exact binomial bound).

    Example:
        >>> round(unseen_share(100), 3)
        0.036
    """
    return 1.0 if count < 1 else float(1 - ((1 - level) / 2) ** (1 / count))


def mean_interval(
    values: np.ndarray, bounds: Interval, level: float = LEVEL
) -> tuple[float, float, float]:
    """Mean over seeds and images with an interval for other seeds and other images.

    Student's t, with the variances of the seeds' means and of the images' means added (as in the
    bootstrap of both, which errs to the safe side, Owen 2007) and Satterthwaite's degrees of
    freedom. Three seeds that differ count as three, however many images there are. With one seed
    nothing is known of other seeds: the interval is for other images only.

    Values that lie close together are no proof that others do: so many images may all have missed
    a share of `unseen_share`, and the interval reaches as far as if that share lay at the bounds.

    Args:
        values: (num_seeds, num_images); NaN where there is no value.
        bounds: between which values lie that were missed; the interval without two images.
        level: coverage.

    Returns:
        Mean (NaN without a value), low and high.
    """
    values = np.atleast_2d(np.asarray(values, np.float64))
    known = np.isfinite(values)
    values, known = values[:, known.any(axis=0)], known[:, known.any(axis=0)]
    values, known = values[known.any(axis=1)], known[known.any(axis=1)]
    if not values.size:
        return float("nan"), *bounds
    mean = float(values[known].mean())
    if values.shape[1] < 2:
        return mean, *bounds
    reach = _half_width(values, known, level)
    missed = unseen_share(values.shape[1], level)
    low = mean - max(reach, missed * (mean - bounds[0]))
    high = mean + max(reach, missed * (bounds[1] - mean))
    return mean, float(low), float(high)


def _half_width(values: np.ndarray, known: np.ndarray, level: float) -> float:
    filled = np.where(known, values, 0.0)
    means = (filled.sum(axis=0) / known.sum(axis=0), filled.sum(axis=1) / known.sum(axis=1))
    parts = [(each.var(ddof=1) / len(each), len(each) - 1) for each in means if len(each) > 1]
    variance = sum(part for part, _ in parts)
    if variance == 0:
        return 0.0
    freedom = variance**2 / sum(part**2 / degrees for part, degrees in parts)
    # Satterthwaite's degrees are estimates too: each part alone must be covered by its own.
    widths = [(variance, freedom), *parts]
    tail = (1 + level) / 2
    return max(float(stats.t.ppf(tail, degrees) * np.sqrt(part)) for part, degrees in widths)


def paired_difference_interval(
    one: np.ndarray, other: np.ndarray, level: float = LEVEL
) -> tuple[float, float, float]:
    """Difference of two shares of the same cases, with Newcombe's interval (1998, method 10).

    Args:
        one, other: (num_cases,) bool.
        level: coverage.

    Returns:
        share of `one` less share of `other`, low and high; NaN, -1 and 1 without cases.

    Example:
        >>> nothing = np.zeros(100, bool)
        >>> [round(value, 3) for value in paired_difference_interval(nothing, nothing)]
        [0.0, -0.037, 0.037]
    """
    one, other = np.asarray(one, bool), np.asarray(other, bool)
    count = len(one)
    if not count:
        return float("nan"), -1.0, 1.0
    shares = one.mean(), other.mean()
    (low_one, low_other), (high_one, high_other) = wilson_interval(
        np.array(shares), count, level=level
    )
    phi = _association(one, other)
    difference = float(shares[0] - shares[1])
    low = _joined(shares[0] - low_one, high_other - shares[1], phi)
    high = _joined(high_one - shares[0], shares[1] - low_other, phi)
    return difference, difference - low, difference + high


def _association(one: np.ndarray, other: np.ndarray) -> float:
    """Correlation of two yes/no outcomes with Newcombe's correction; 0 where one is constant."""
    both, only_one = (one & other).sum(), (one & ~other).sum()
    only_other, neither = (~one & other).sum(), (~one & ~other).sum()
    sides = (both + only_one) * (only_other + neither) * (both + only_other) * (only_one + neither)
    if sides == 0:
        return 0.0
    top = float(both * neither) - float(only_one * only_other)
    top = max(top - len(one) / 2, 0.0) if top > 0 else top
    return float(top / np.sqrt(float(sides)))


def _joined(one: float, other: float, phi: float) -> float:
    return float(np.sqrt(max(one**2 - 2 * phi * one * other + other**2, 0.0)))
