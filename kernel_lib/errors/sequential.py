"""Wald's sequential test on label changes: stop asking mutants once the answer is clear.

Wang et al., Adversarial Sample Detection for Deep Neural Networks through Model Mutation Testing
(ICSE 2019), in the form of log-likelihood ratios and tested after every mutant (the published code
tests only after a change of label, with the ratio from before it).

| symbol | meaning |
|---|---|
| t | threshold of the label change rate |
| p0, p1 | t (1 - r) for right, t (1 + r) for suspect images; r is `ratio` |
| z of n | label changes among the mutants asked so far |
| L | z ln(p1 / p0) + (n - z) ln((1 - p1) / (1 - p0)) |

An image is suspect once L >= ln((1 - beta) / alpha), and accepted once L <= ln(beta / (1 - alpha)).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from kernel_lib._checks import check_count, check_number
from kernel_lib._progress import progress as progress_bar
from kernel_lib._random import random_stream
from kernel_lib.errors.recipes import Mutant
from kernel_lib.errors.runner import MutantRunner
from kernel_lib.errors.votes import Votes, checked_logits, probabilities
from kernel_lib.models.classifier import Classifier
from kernel_lib.network.compiled import forward_batch_size
from kernel_lib.network.weights import restored_weights

SUSPECT, OPEN, ACCEPTED = 1, 0, -1


@dataclass(frozen=True)
class SequentialTest:
    """The test's settings.

    The defaults spend mutants where they help a ranking. Most images never change their label;
    a large `beta` lets these go early. Suspects are few and their order among one another counts,
    so a tiny `alpha` asks many about each. They were chosen among 48 on calibration images of
    three networks and two operators: the best AUROC for fewer than half of the mutants.

    Args:
        threshold: label change rate above which an image is suspect.
        ratio: half width of the indifferent zone, as a share of the threshold.
        alpha: chance to suspect an image whose rate is p0.
        beta: chance to accept an image whose rate is p1.
    """

    threshold: float
    ratio: float = 0.6
    alpha: float = 1e-6
    beta: float = 0.1

    def __post_init__(self) -> None:
        for name in ("threshold", "ratio", "alpha", "beta"):
            check_number(name, getattr(self, name), 0, 1)
        inside = self.threshold > 0 and self.threshold * (1 + self.ratio) < 1 and self.ratio > 0
        if not inside or not 0 < self.alpha < 0.5 or not 0 < self.beta < 0.5:
            raise ValueError(
                "The sequential test needs 0 < threshold, threshold * (1 + ratio) < 1, 0 < ratio, "
                f"and alpha and beta in (0, 0.5). Received: {self}."
            )

    @property
    def up(self) -> float:
        """What a change of the label adds to L."""
        return float(np.log((1 + self.ratio) / (1 - self.ratio))) if self.ratio < 1 else np.inf

    @property
    def down(self) -> float:
        """What an unchanged label adds to L; negative."""
        low, high = self.threshold * (1 - self.ratio), self.threshold * (1 + self.ratio)
        return float(np.log((1 - high) / (1 - low)))

    @property
    def bounds(self) -> tuple[float, float]:
        """L at which an image is accepted, and at which it is suspect."""
        low = float(np.log(self.beta / (1 - self.alpha)))
        return low, float(np.log((1 - self.beta) / self.alpha))

    def decide(self, changes: np.ndarray, asked: np.ndarray) -> np.ndarray:
        """SUSPECT, ACCEPTED or OPEN for each image, from its changes among the mutants asked."""
        changes, asked = np.asarray(changes), np.asarray(asked)
        log_ratio = changes * self.up + (asked - changes) * self.down
        low, high = self.bounds
        return np.where(log_ratio >= high, SUSPECT, np.where(log_ratio <= low, ACCEPTED, OPEN))


def default_threshold(rates: np.ndarray) -> float:
    """mean + 2.58 deviation / sqrt(n) of the label change rates of right images.

    The upper end of the 99 % interval of their mean.

    Raises:
        ValueError: no right image changes its label under any mutant.
    """
    rates = np.asarray(rates, np.float64)
    threshold = float(rates.mean() + 2.58 * rates.std(ddof=0) / np.sqrt(len(rates)))
    if threshold == 0:
        raise ValueError(
            "No mutant changes the label of any right image, so there is no rate to compare with. "
            "Use a larger gamma."
        )
    return threshold


@dataclass(frozen=True)
class SequentialVotes:
    """What the sequential test found.

    Attributes:
        changes: (num_images,) label changes seen.
        asked: (num_images,) mutants asked before the decision.
        decision: (num_images,) SUSPECT (1), ACCEPTED (-1) or OPEN (0) when mutants ran out.
        doubt: (num_images,) mean probability that the mutants asked give to other classes.
        test: the settings.
    """

    changes: np.ndarray
    asked: np.ndarray
    decision: np.ndarray
    doubt: np.ndarray
    test: SequentialTest

    @property
    def rate(self) -> np.ndarray:
        """Estimated label change rate.

        The share of changes among the mutants asked, drawn towards the threshold as if two more
        had been asked, so that a few early answers do not outrank many.
        """
        return (self.changes + 2 * self.test.threshold) / (self.asked + 2)

    @property
    def suspicion(self) -> np.ndarray:
        """Mean of `rate` and `doubt`.

        Few mutants leave many images with equal rates; their doubt, which costs nothing more,
        keeps those in order.
        """
        return (self.rate + self.doubt) / 2

    @property
    def is_suspect(self) -> np.ndarray:
        """The decision; images still open are held against the threshold as they stand."""
        above = self.changes > self.test.threshold * self.asked
        return np.where(self.decision == OPEN, above, self.decision == SUSPECT)


def shuffled_order(num_mutants: int, seed: int) -> np.ndarray:
    """The order in which mutants are asked."""
    return random_stream([check_count("seed", seed, 0), num_mutants]).permutation(num_mutants)


def from_votes(said: Votes, test: SequentialTest, order: np.ndarray) -> SequentialVotes:
    """Replay the test on a full table of votes.

    Args:
        said: votes of all mutants on all images.
        test: the settings.
        order: (num_mutants,) order of asking.
    """
    changed = said.predictions[order] != said.base
    counts = np.cumsum(changed, axis=0)  # (num_mutants, num_images)
    asked = np.arange(1, len(order) + 1)[:, None]
    decisions = test.decide(counts, asked)
    decided = decisions != OPEN
    last = np.where(decided.any(axis=0), decided.argmax(axis=0), len(order) - 1)
    columns = np.arange(len(said.base))
    doubt = np.cumsum(said.doubt[order], axis=0, dtype=np.float64)[last, columns] / (last + 1)
    return SequentialVotes(counts[last, columns], last + 1, decisions[last, columns], doubt, test)


def ask_in_turn(
    classifier: Classifier,
    mutants: Sequence[Mutant],
    images: np.ndarray,
    test: SequentialTest,
    *,
    seed: int = 0,
    batch_size: int | None = None,
    progress: bool = False,
) -> SequentialVotes:
    """Ask one mutant after another, each about the images that are still undecided.

    Args:
        classifier: the network; its weights are put back whatever happens.
        mutants: recipes.
        images: (num_images, height, width, channels) in [0, 1].
        test: the settings.
        seed: seed of the order of the mutants.
        batch_size: images in memory at once; None fits the image size.
        progress: show a progress bar.
    """
    images = classifier.check_images(images)
    fitting = forward_batch_size(images.shape[1:], classifier.network)
    size = check_count("batch_size", batch_size or fitting)
    base = checked_logits(classifier, images, size).argmax(axis=1)
    order = shuffled_order(len(mutants), seed)
    parts = []
    with restored_weights(classifier) as snapshot:
        runner = MutantRunner(classifier, mutants, snapshot, size)
        groups = list(runner.groups(images))
        for part in progress_bar(groups, "Sequential test", enabled=progress):
            parts.append(_ask_group(runner, images[part], base[part], test, order))
    changes, asked, decision, doubt = map(np.concatenate, zip(*parts, strict=True))
    return SequentialVotes(changes, asked, decision, doubt, test)


def _ask_group(
    runner: MutantRunner,
    images: np.ndarray,
    base: np.ndarray,
    test: SequentialTest,
    order: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    shared: dict[str, Any] = runner.activations(images)
    undecided = np.arange(len(images))
    changes = np.zeros(len(images), np.int64)
    asked = np.zeros(len(images), np.int64)
    decision = np.zeros(len(images), np.int64)
    doubt = np.zeros(len(images))
    for index in order:
        logits, own = runner.run_one(int(index), shared), base[undecided]
        changes[undecided] += logits.argmax(axis=1) != own
        doubt[undecided] += 1 - probabilities(logits)[np.arange(len(own)), own]
        asked[undecided] += 1
        now = test.decide(changes[undecided], asked[undecided])
        decision[undecided] = now
        stays = np.flatnonzero(now == OPEN)
        if not len(stays):
            break
        if len(stays) < len(undecided):
            shared = {tap: tf.gather(values, stays) for tap, values in shared.items()}
            undecided = undecided[stays]
    return changes, asked, decision, doubt / np.maximum(asked, 1)
