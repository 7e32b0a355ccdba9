"""Whether a network is invariant, by what happens to its accuracy on labelled images.

With a0 the accuracy at the identity step, a_min that at the worst single step and a_all the share
of images that are right at every step, drop = (a0 - a_min) / a0. Up to 5 % the network counts as
invariant, from 15 % on as not; between, or where the interval of the drop crosses a cut, it is
borderline. Below two times chance there is nothing to be invariant: it is not assessable. With two
or three classes twice chance asks too much; half way from chance to 1 takes its place.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from kernel_lib._checks import check_number
from kernel_lib.invariance.signals import Signals
from kernel_lib.report.uncertainty import interval

VERDICTS = ("invariant", "borderline", "not invariant", "not assessable")


@dataclass(frozen=True)
class Truth:
    """What the accuracies say.

    Attributes:
        verdict: one of `VERDICTS`.
        drop, drop_low, drop_high: relative loss of accuracy at the worst step, and its interval.
        identity_accuracy, worst_accuracy, robust_accuracy: a0, a_min, a_all.
        robust_drop: (a0 - a_all) / a0.
        worst_step: where a_min is.
        flip_rate: mean share of images whose class differs from that at the identity.
        num_images: on how many images.
        num_needed: about how many images would settle what is open, where that is known; see
            `kernel_lib.invariance.loss`.
    """

    verdict: str
    drop: float
    drop_low: float
    drop_high: float
    identity_accuracy: float
    worst_accuracy: float
    robust_accuracy: float
    robust_drop: float
    worst_step: int
    flip_rate: float
    num_images: int
    num_needed: int | None = None

    def describe(self) -> dict[str, float | str | None]:
        """As a plain dictionary."""
        return asdict(self)


def ground_truth(
    signals: Signals,
    *,
    invariant_below: float = 0.05,
    broken_above: float = 0.15,
    num_resamples: int = 1000,
    seed: int = 0,
) -> Truth:
    """Label a network by its accuracy at every step.

    This is the label that assessors learn from, a best guess. For a verdict to rely on see
    `kernel_lib.invariance.loss.shown_loss`.

    Args:
        signals: a sweep over labelled images; for training an assessor, images that its features
            do not use.
        invariant_below: largest drop of an invariant network.
        broken_above: smallest drop of one that is not.
        num_resamples: draws of the bootstrap over images.
        seed: seed of the bootstrap.
    """
    check_number("invariant_below", invariant_below, 0, 1)
    check_number("broken_above", broken_above, invariant_below, 1)
    right, h = signals.right, signals.grid.identity_index
    changed = np.delete(signals.predictions != signals.predictions[h], h, axis=0)
    accuracy = right.mean(axis=1)
    a0, a_all = float(accuracy[h]), float(right.all(axis=0).mean())
    worst = int(accuracy.argmin())
    drop = _drop(a0, float(accuracy[worst]))
    low, high = _drop_interval(right, h, num_resamples, seed)
    is_assessable = a0 > least_accuracy(signals.num_classes)
    verdict = _verdict(drop, low, high, invariant_below, broken_above)
    return Truth(
        verdict if is_assessable else "not assessable",
        drop,
        low,
        high,
        a0,
        float(accuracy[worst]),
        a_all,
        _drop(a0, a_all),
        worst,
        float(changed.mean()),
        len(signals),
    )


def least_accuracy(num_classes: int) -> float:
    """The accuracy from which a network can be judged: twice chance, with few classes less."""
    chance = 1 / num_classes
    return min(2 * chance, (1 + chance) / 2)


def _verdict(drop: float, low: float, high: float, below: float, above: float) -> str:
    if drop <= below and high <= below:
        return "invariant"
    if drop >= above and low >= above:
        return "not invariant"
    return "borderline"


def _drop(before: float, after: float) -> float:
    return (before - after) / before if before > 0 else 0.0


def _drop_interval(right: np.ndarray, h: int, num_resamples: int, seed: int) -> tuple[float, float]:
    """Interval of the drop at the worst step, found anew in each resample.

    A minimum over resampled steps lies too low, as noise always finds a lower one; the interval is
    moved back by that much (basic bootstrap of the bias).
    """
    num_images = right.shape[1]
    counts = np.random.default_rng(seed).multinomial(
        num_images, np.full(num_images, 1 / num_images), num_resamples
    )
    accuracy = counts @ right.T.astype(float) / num_images  # (resamples, steps)
    first = accuracy[:, h]
    drops = np.where(first > 0, (first - accuracy.min(axis=1)) / np.maximum(first, 1e-12), 0.0)
    seen = _drop(float(right[h].mean()), float(right.mean(axis=1).min()))
    low, high = interval(drops - max(0.0, float(drops.mean()) - seen))
    return max(0.0, float(low)), max(0.0, float(high))
