"""From average gradients to "this class relies on that channel", with intervals.

| symbol | meaning |
|---|---|
| A (c, k) | mean over images of class c of the gradient strength at channel k |
| V (c, k) | A scaled to [0, 1) within each class |
| M (c, k) | True where the class relies on the channel |
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from kernel_lib._checks import check_number

_GUARD = 1e-5  # the authors' guard against rows without a spread
_NUM_RESAMPLES = 200

Rule = Callable[[np.ndarray], np.ndarray]


def scaled(averages: np.ndarray) -> np.ndarray:
    """V: each row's smallest value becomes 0, and its largest nearly 1; constant rows become 0.

    Args:
        averages: A, (..., num_classes, num_channels).
    """
    averages = np.asarray(averages, np.float64)
    low = averages.min(axis=-1, keepdims=True)
    spread = averages.max(axis=-1, keepdims=True) - low
    # Relative to the row, so that the unit of the gradient does not matter.
    return (averages - low) / np.where(spread > 0, spread * (1 + _GUARD), 1)


def threshold_rule(threshold: str) -> Rule:
    """Read a threshold: "minmax:0.2" (V above 0.2), "mean" (A above its row's mean), or
    "quantile:0.8" (A above its row's quantile).

    Returns:
        A function A -> M.
    """
    name, _, number = str(threshold).partition(":")
    if name == "mean" and not number:
        return lambda averages: averages > averages.mean(axis=-1, keepdims=True)
    try:
        level = check_number("threshold", float(number), 0, 1)
    except ValueError:
        name = ""
    if name == "minmax":
        return lambda averages: scaled(averages) > level
    if name == "quantile":
        return lambda a: a > np.quantile(a, level, axis=-1, keepdims=True)
    raise ValueError(
        "`threshold` must be 'minmax:SHARE', 'quantile:SHARE' or 'mean', with a share in [0, 1], "
        f"such as 'minmax:0.2'. Received: threshold={threshold!r}."
    )


def overlap(relies: np.ndarray) -> np.ndarray:
    """Jaccard index of the channels of each two classes, (num_classes, num_classes).

    Two classes that rely on nothing at all have an overlap of 0.
    """
    relies = np.asarray(relies, float)
    both = relies @ relies.T
    either = relies.sum(axis=1)[:, None] + relies.sum(axis=1)[None, :] - both
    return np.where(either > 0, both / np.maximum(either, 1), 0.0)


def share_of_classes(
    sums: np.ndarray, counts: np.ndarray, rule: Rule, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Share of the classes that rely on each channel, with a 95 % interval over images.

    Images of each class are kept in groups; resamples draw groups with replacement.

    Args:
        sums: (num_classes, num_groups, num_channels) sums of gradient strength.
        counts: (num_classes, num_groups) images in each group.
        rule: A -> M.
        seed: seed of the resamples.

    Returns:
        Share, low and high, (num_channels,) each.
    """
    share = rule(_averages(sums, counts, np.ones(sums.shape[1]))).mean(axis=0)
    random = np.random.default_rng([seed])
    groups = sums.shape[1]
    draws = random.multinomial(groups, np.full(groups, 1 / groups), _NUM_RESAMPLES)
    resampled = np.stack([rule(_averages(sums, counts, draw)).mean(axis=0) for draw in draws])
    low, high = np.quantile(resampled, (0.025, 0.975), axis=0)
    return share, np.minimum(low, share), np.maximum(high, share)


def _averages(sums: np.ndarray, counts: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """A from weighted groups; a class whose drawn groups are empty keeps all its images."""
    drawn = counts @ weights
    total = np.einsum("cgk,g->ck", sums, weights)
    everything = sums.sum(axis=1) / np.maximum(counts.sum(axis=1), 1)[:, None]
    return np.where(drawn[:, None] > 0, total / np.maximum(drawn, 1)[:, None], everything)
