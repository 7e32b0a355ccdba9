"""Statistics that all audits share. Intervals of counts never have zero width."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy import stats

LEVEL = 0.95  # of every interval


def wilson_interval(
    share: np.ndarray | float, count: np.ndarray | int, level: float = LEVEL
) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's score interval of a share of `count` independent trials (Wilson 1927).

    Args:
        share: observed shares in [0, 1], any shape.
        count: number of trials, a shape that fits; where it is 0 the interval is [0, 1].
        level: coverage.

    Returns:
        Lower and upper ends, within [0, 1].

    Example:
        >>> low, high = wilson_interval(0.2283, 1260)
        >>> round(float(low), 4), round(float(high), 4)
        (0.206, 0.2523)
    """
    share, count = np.broadcast_arrays(np.asarray(share, np.float64), np.asarray(count, np.float64))
    known = count > 0
    share, count = np.where(known, share, 0.5), np.maximum(count, 1)
    z = stats.norm.ppf((1 + level) / 2)
    middle = share + z**2 / (2 * count)
    spread = z * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    scale = 1 + z**2 / count
    low = np.clip((middle - spread) / scale, 0, 1)
    high = np.clip((middle + spread) / scale, 0, 1)
    return np.where(known, low, 0.0), np.where(known, high, 1.0)


def holm(p_values: np.ndarray) -> np.ndarray:
    """Holm's step-down correction of p-values of any shape (Holm 1979)."""
    flat = np.asarray(p_values, np.float64).ravel()
    order = np.argsort(flat)
    stepped = flat[order] * np.arange(len(flat), 0, -1)
    corrected = np.empty_like(flat)
    corrected[order] = np.minimum(1, np.maximum.accumulate(stepped))
    return corrected.reshape(np.shape(p_values))


def exact_mcnemar(one: np.ndarray, other: np.ndarray) -> float:
    """Two-sided exact p-value that two paired yes/no outcomes are equally often yes.

    Args:
        one, other: (num_images,) bool.
    """
    one, other = np.asarray(one, bool), np.asarray(other, bool)
    only_one, only_other = int((one & ~other).sum()), int((other & ~one).sum())
    if only_one + only_other == 0:
        return 1.0
    return float(stats.binomtest(only_one, only_one + only_other).pvalue)


@lru_cache(maxsize=256)
def smallest_detectable_effect(num_images: int, power: float = 0.8) -> float:
    """The smallest share of flipped answers that so many images would show.

    The effect is one-way (answers that were right become wrong), the test McNemar's exact one, two
    sided at 5 %, which needs six one-way flips. The effect is detected with probability `power`.

    Returns:
        A share of images; 1 where no effect could be shown.

    Example:
        >>> round(smallest_detectable_effect(60), 2)
        0.13
    """
    fewest = 6  # 2 * 0.5**6 = 0.031, 2 * 0.5**5 = 0.0625
    if num_images < fewest or stats.binom.sf(fewest - 1, num_images, 1) < power:
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        enough = stats.binom.sf(fewest - 1, num_images, middle) >= power
        low, high = (low, middle) if enough else (middle, high)
    return high


def expected_calibration_error(
    confidence: np.ndarray, right: np.ndarray, num_bins: int = 15
) -> float:
    """Mean distance of confidence from accuracy over bins of equal width (Guo et al. 2017).

    Args:
        confidence: (num_images,) probability of the predicted class.
        right: (num_images,) bool.
        num_bins: bins of equal width over [0, 1]; each holds its upper end.

    Returns:
        NaN without images.
    """
    if not len(np.atleast_1d(confidence)):
        return float("nan")
    place = np.clip(np.ceil(np.asarray(confidence) * num_bins).astype(int) - 1, 0, num_bins - 1)
    gaps = np.bincount(place, np.asarray(right, np.float64) - confidence, minlength=num_bins)
    return float(np.abs(gaps).sum() / len(place))
