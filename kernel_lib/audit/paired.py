"""How much of what was right is lost, with an interval that never has zero width.

The same images are judged twice, *before* and *after*. Of n images, `kept` are right both times,
`lost` before only and `gained` after only. The relative loss of accuracy is

    theta = (P(right before) - P(right after)) / P(right before) = lambda - gamma,

lambda = P(lost) / P(right before), gamma = P(gained) / P(right before). Given the images that are
right before, the lost ones are binomial with lambda; and among these and the gained ones, the
gained ones are binomial with gamma / (1 + gamma), independent of which are lost. Each gets the
exact interval of Clopper and Pearson (1934), and the two are joined by the method of variance
estimates recovery (Zou and Donner 2008),

    upper end = theta + sqrt((lambda's upper end - lambda)^2 + (gamma - gamma's lower end)^2).

With nothing gained the upper end is the exact one: of 16 images with none lost, it is 20.6 %.

Where theta is the largest of several losses, as at the worst of several steps, the upper end is the
largest upper end: it holds at whichever step is truly the worst, so nothing need be corrected. The
lower end is the largest lower end, with Bonferroni's correction, as any step may look bad by luck.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import stats

from kernel_lib.audit.statistics import LEVEL

POWER = 0.8  # probability with which so many images as are asked for would do
_MOST_IMAGES = 1_000_000


def paired_counts(before: np.ndarray, after: np.ndarray) -> tuple[Any, Any, Any]:
    """Kept, lost and gained images.

    Args:
        before, after: (..., num_images) bool, or 0 / 1; where one of them is NaN the image is left
            out.

    Returns:
        Three counts (...).
    """
    before, after = np.broadcast_arrays(np.asarray(before, float), np.asarray(after, float))
    known = np.isfinite(before) & np.isfinite(after)
    before, after = np.where(known, before, 0), np.where(known, after, 0)
    kept = (before * after).sum(axis=-1)
    return kept, before.sum(axis=-1) - kept, after.sum(axis=-1) - kept


def relative_loss(kept: Any, lost: Any, gained: Any) -> np.ndarray:
    """(right before - right after) / right before; 0 where nothing was right before."""
    kept, lost, gained = (np.asarray(each, float) for each in (kept, lost, gained))
    return np.where(kept + lost > 0, (lost - gained) / np.maximum(kept + lost, 1e-12), 0.0)


def relative_loss_interval(
    kept: Any, lost: Any, gained: Any, *, level: float = LEVEL, num_compared: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Interval of the relative loss, see the module.

    Args:
        kept, lost, gained: counts of any one shape; means over runs need not be whole numbers.
        level: coverage.
        num_compared: losses of which the largest is looked at; widens the lower end.

    Returns:
        Lower and upper end; -1 and 1 where nothing was right before.

    Example:
        >>> low, high = relative_loss_interval(16, 0, 0)
        >>> round(float(high), 3)
        0.206
    """
    kept, lost, gained = (np.asarray(each, float) for each in (kept, lost, gained))
    before = kept + lost
    known = before > 0
    before = np.where(known, before, 1.0)
    tail = (1 - level) / 2
    share, gain = lost / before, gained / before
    lost_low, lost_high = _exact(lost, before - lost, tail / num_compared, tail)
    gain_low, gain_high = _exact(gained, before, tail, tail / num_compared)
    gain_low, gain_high = (each / np.maximum(1 - each, 1e-12) for each in (gain_low, gain_high))
    low = share - gain - np.hypot(share - lost_low, gain_high - gain)
    high = share - gain + np.hypot(lost_high - share, gain - gain_low)
    return np.where(known, np.maximum(low, -1), -1.0), np.where(known, np.minimum(high, 1), 1.0)


def worst_loss_interval(
    before: np.ndarray, after: np.ndarray, level: float = LEVEL
) -> tuple[float, float]:
    """Interval of the largest of several relative losses; at least 0, the loss of no change.

    Args:
        before: (num_images,) bool.
        after: (num_steps, num_images) bool.
        level: coverage.
    """
    if not len(after):
        return 0.0, 0.0
    counts = paired_counts(before, after)
    low, high = relative_loss_interval(*counts, level=level, num_compared=len(after))
    return max(0.0, float(low.max())), max(0.0, float(high.max()))


def _exact(
    successes: np.ndarray, failures: np.ndarray, low_tail: float, high_tail: float
) -> tuple[np.ndarray, np.ndarray]:
    """Ends of Clopper and Pearson's interval of a share."""
    failures = np.maximum(failures, 0)
    low = stats.beta.ppf(low_tail, np.maximum(successes, 1e-12), failures + 1)
    high = stats.beta.ppf(1 - high_tail, successes + 1, np.maximum(failures, 1e-12))
    return np.where(successes > 0, low, 0.0), np.where(failures > 0, high, 1.0)


# --- how many images would do ----------------------------------------------------------------


def images_needed(would_do: Callable[[int], bool], least: int) -> int | None:
    """The smallest number of images that would do, rounded up to two digits.

    Args:
        would_do: whether a number of images would; once true, true of more.
        least: a number that does not do.

    Returns:
        A number, or None where a million would not do.
    """
    low, high = max(least, 1), max(2 * least, 2)
    while not would_do(high):
        if high >= _MOST_IMAGES:
            return None
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if would_do(middle) else (middle, high)
    return rounded_up(high)


def rounded_up(number: int) -> int:
    """A whole number with two digits, not below the given one.

    Example:
        >>> rounded_up(231), rounded_up(73)
        (240, 73)
    """
    step = 10 ** max(len(str(number)) - 2, 0)
    return -(-number // step) * step


def scaled_counts(
    kept: float,
    lost: float,
    gained: float,
    num_images: float,
    num_then: float,
    *,
    worse: bool = True,
) -> tuple[float, float, float]:
    """Counts to plan with: those of another number of images with the same shares.

    As many more are lost (or fewer, if not `worse`) as chance makes of it in one of five draws, so
    that the planned number does with a probability of `POWER`.
    """
    factor = num_then / num_images
    luck = stats.norm.ppf(POWER)
    spread = luck * np.sqrt((lost + gained) * factor) * (1 if worse else -1)
    before = (kept + lost) * factor
    then = float(np.clip(lost * factor + spread, 0, before))
    return before - then, then, gained * factor


def needed_words(number: int | None) -> str:
    """So many images in a sentence."""
    return "no number of images may do" if number is None else f"about {number:,} would do"
