"""What training added: is more read off the network than off untrained ones of other seeds?

Untrained networks differ from one another, and by how much says how far an untrained network may
lie above their mean by luck. So the difference

    d = share read off the trained networks - share read off the untrained ones

is tested against two sources of chance: the images, paired as both were read on the same ones
(Agresti and Min 2005, half an image added to each of the four outcomes), and the networks. The
variance between networks is that of the untrained ones; few of them estimate it badly, so each
task's variance is drawn towards the mean over tasks, as Smyth (2004) does for genes, which adds a
degree of freedom for every task but one. The p-value is one-sided, of Student's t with Welch's and
Satterthwaite's degrees of freedom, and never below that of the exact sign test on the images.

One untrained network says nothing of how such networks differ: no p-value is given then.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special, stats

from kernel_lib.audit.statistics import LEVEL
from kernel_lib.trust.scores import normalised


@dataclass(frozen=True, eq=False)
class Added:
    """Differences in share, (I, J) each; NaN where they are not known.

    Attributes:
        value, low, high: the difference and its 95 % interval.
        p_value: one-sided, that untrained networks tell as much; not corrected.
    """

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p_value: np.ndarray

    @classmethod
    def unknown(cls, shape: tuple[int, ...]) -> Added:
        """Where no untrained network was read."""
        nothing = np.full(shape, np.nan)
        return cls(nothing, nothing, nothing, nothing)


def added(trained: np.ndarray, untrained: np.ndarray, bottom: np.ndarray) -> Added:
    """Hold trained networks against untrained ones.

    Args:
        trained: (networks, I, J, N) 1 where right, 0 where wrong, NaN where the label is missing;
            means over a network's probe seeds.
        untrained: (networks, 1, J, N) the same.
        bottom: (I, J) accuracy that counts as knowing nothing.
    """
    reach = np.maximum(1 - bottom, 1e-12)
    mean, blank = trained.mean(axis=0), untrained.mean(axis=0)
    value = normalised(np.nanmean(mean, axis=-1), bottom)
    value = value - normalised(np.nanmean(blank, axis=-1), bottom)
    of_images, sign_p = _by_images(mean - blank)
    between = _between(np.nanmean(untrained, axis=-1)[:, 0])
    if between is None:
        nothing = np.full(value.shape, np.nan)
        return Added(value, nothing, nothing, nothing)
    variance, known = between
    of_networks = variance * (1 / len(trained) + 1 / len(untrained))
    error = np.sqrt(of_images + of_networks) / reach
    freedom = (of_images + of_networks) ** 2 / np.maximum(of_networks**2 / known, 1e-18)
    p_value = np.maximum(stats.t.sf(value / error, freedom), sign_p)
    spread = stats.t.ppf((1 + LEVEL) / 2, freedom) * error
    return Added(value, np.maximum(value - spread, -1), np.minimum(value + spread, 1), p_value)


def _by_images(difference: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Variance of the mean (I, J) of paired differences (I, J, N), and p-value of their signs."""
    count = np.isfinite(difference).sum(axis=-1)
    total, squares = np.nansum(difference, axis=-1), np.nansum(difference**2, axis=-1)
    variance = (squares + 1 - total**2 / (count + 2)) / (count + 2) ** 2
    more = np.nansum(np.maximum(difference, 0), axis=-1)
    less = np.nansum(np.maximum(-difference, 0), axis=-1)
    sign_p = np.where(more > 0, special.betainc(np.maximum(more, 1e-12), less + 1, 0.5), 1.0)
    return variance, sign_p


def _between(accuracy: np.ndarray) -> tuple[np.ndarray, int] | None:
    """Variance between networks (J,) and its degrees of freedom, from (networks, J) accuracies."""
    num_networks, num_tasks = accuracy.shape
    if num_networks < 2:
        return None
    own, borrowed = num_networks - 1, num_tasks - 1
    variance = accuracy.var(axis=0, ddof=1)
    return (borrowed * variance.mean() + own * variance) / (borrowed + own), borrowed + own
