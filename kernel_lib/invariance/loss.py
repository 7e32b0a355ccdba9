"""The loss of accuracy as a person may rely on it: what is shown, and what is left open.

`ground_truth` labels networks of a zoo, for which the best guess will do. A verdict given to people
needs more: it says only what the whole interval of the loss bears out.

| verdict | said when |
|---|---|
| invariant | the upper end lies at or below the lower limit |
| not invariant | the lower end lies at or above the upper limit |
| borderline | the lower end lies above the lower limit: there is a loss, of whatever size |
| too few images | the interval holds the lower limit: nothing is shown |
| not assessable | the network is too near to guessing at the identity step |

The interval is that of `kernel_lib.audit.paired`: paired, exact where nothing is gained, never of
zero width, and right for the worst of many steps. With the usual limit of 5 % no network is called
invariant on fewer than 72 images that it classifies rightly.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from kernel_lib.audit.paired import (
    images_needed,
    paired_counts,
    relative_loss,
    relative_loss_interval,
    scaled_counts,
    worst_loss_interval,
)
from kernel_lib.invariance.signals import Signals
from kernel_lib.invariance.truth import Truth, ground_truth

TOO_FEW = "too few images"
_LEAST_COST = 0.005  # a loss by the rules themselves that is shown to be larger is told
_LEAST_POINTS = 0.02  # and one that is observed to be larger


@dataclass(frozen=True)
class RulesCost:
    """What the test itself costs, before anything is transformed.

    Attributes:
        untouched_accuracy: on the images as they came.
        identity_accuracy: at the identity step, under the rules of borders.
        loss, low, high: relative loss from the one to the other, and its interval.
    """

    untouched_accuracy: float
    identity_accuracy: float
    loss: float
    low: float
    high: float

    @property
    def matters(self) -> bool:
        """Whether it must be told beside a loss."""
        points = self.untouched_accuracy - self.identity_accuracy
        return self.low > _LEAST_COST or points > _LEAST_POINTS


def shown_loss(
    signals: Signals,
    *,
    invariant_below: float = 0.05,
    broken_above: float = 0.15,
    images_per_judged: float = 1.0,
    seed: int = 0,
) -> Truth:
    """Judge a network by its accuracy at every step, and say only what is shown.

    Args:
        signals: a sweep over labelled images.
        invariant_below: largest drop of an invariant network.
        broken_above: smallest drop of one that is not.
        images_per_judged: images that an audit takes for each one of these, for `num_needed`.
        seed: of `ground_truth`.

    Returns:
        A `Truth` whose interval and verdict are those of this module. Its `num_needed` says about
        how many images would settle what is open.
    """
    limits = {"invariant_below": invariant_below, "broken_above": broken_above}
    truth = ground_truth(signals, **limits, num_resamples=1, seed=seed)
    right, h = signals.right, signals.grid.identity_index
    others = np.delete(right, h, axis=0)
    low, high = worst_loss_interval(right[h], others)
    found = replace(truth, drop_low=low, drop_high=high)
    if truth.verdict == "not assessable":
        return found
    verdict = _verdict(low, high, invariant_below, broken_above)
    aim = _aim(verdict, truth.drop, high, invariant_below, broken_above)
    if aim is None:
        return replace(found, verdict=verdict)
    counts = tuple(float(each) for each in paired_counts(right[h], right[truth.worst_step]))
    needed = _needed(counts, right.shape[1], aim, truth.drop, len(others), images_per_judged)
    return replace(found, verdict=verdict, num_needed=needed)


def rules_cost(untouched: np.ndarray, identity: np.ndarray) -> RulesCost:
    """Hold what is right at the identity step against what is right without any rule.

    Args:
        untouched, identity: (num_images,) bool.
    """
    counts = paired_counts(untouched, identity)
    low, high = relative_loss_interval(*counts)
    return RulesCost(
        float(np.mean(untouched)),
        float(np.mean(identity)),
        float(relative_loss(*counts)),
        float(low),
        float(high),
    )


def _verdict(low: float, high: float, below: float, above: float) -> str:
    if high <= below:
        return "invariant"
    if low >= above:
        return "not invariant"
    return "borderline" if low > below else TOO_FEW


def _aim(verdict: str, drop: float, high: float, below: float, above: float) -> float | None:
    """The limit that more images should tell the loss from, if any."""
    if verdict == TOO_FEW:
        return below
    return above if verdict == "borderline" and high >= above and drop > below else None


def _needed(
    counts: tuple[float, ...],
    num_images: int,
    limit: float,
    drop: float,
    num_compared: int,
    images_per_judged: float,
) -> int | None:
    """About how many images would tell a loss like this from the limit."""
    if drop == limit:
        return None
    kept, lost, gained = counts

    def would_do(number: int) -> bool:
        judged = number / images_per_judged
        then = scaled_counts(kept, lost, gained, num_images, judged, worse=drop < limit)
        low, high = relative_loss_interval(*then, num_compared=num_compared)
        return bool(high <= limit) if drop < limit else bool(low > limit)

    return images_needed(would_do, int(num_images * images_per_judged))
