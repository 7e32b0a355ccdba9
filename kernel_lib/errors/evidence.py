"""Everything scores may look at, gathered once for a set of images."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
import tensorflow as tf

from kernel_lib.errors.conductance import conductance
from kernel_lib.errors.dropout import dropout_probabilities
from kernel_lib.errors.graph import default_taps, penultimate_tap
from kernel_lib.errors.recipes import Mutant
from kernel_lib.errors.votes import Votes, checked_logits, probabilities, votes
from kernel_lib.models.classifier import Classifier
from kernel_lib.network.compiled import fitting_batch_size, in_batches


@dataclass(frozen=True)
class Evidence:
    """What is known about some predictions, without their labels.

    Attributes:
        logits: (num_images, num_classes).
        features: (num_images, num_features) what the last layer reads, maps averaged.
        conductance: tap -> (num_images, channels), in the order of the network.
        gap: (num_images,) relative completeness gap of the conductances.
        votes: what the mutants said, if there are any.
        dropout: (num_images, num_classes) mean probabilities under dropout, if there is any.
    """

    logits: np.ndarray
    features: np.ndarray
    conductance: dict[str, np.ndarray] = field(default_factory=dict)
    gap: np.ndarray = field(default_factory=lambda: np.zeros(0))
    votes: Votes | None = None
    dropout: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.logits)

    @property
    def predicted(self) -> np.ndarray:
        """Predicted class, (num_images,)."""
        return self.logits.argmax(axis=1)

    @property
    def probabilities(self) -> np.ndarray:
        """Softmax of the logits, (num_images, num_classes) float64."""
        return probabilities(self.logits)

    def select(self, rows: np.ndarray) -> Evidence:
        """The evidence of some of the images."""
        changes: dict[str, Any] = {}
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, np.ndarray) and len(value):
                changes[each.name] = value[rows]
        changes["conductance"] = {tap: v[rows] for tap, v in self.conductance.items()}
        if self.votes is not None:
            changes["votes"] = Votes(
                self.votes.base[rows],
                self.votes.predictions[:, rows],
                self.votes.doubt[:, rows],
            )
        return replace(self, **changes)


@dataclass(frozen=True)
class Reading:
    """How evidence is gathered.

    Args:
        layers: taps of conductance; None for the output of each block or activation; an empty
            list for none.
        steps: steps of the path.
        rule: "trapezoid", "right" or "left".
        baseline: where paths begin, see `conductance`.
        reduce: "sum" or "mean" over the positions of a map.
        target: see `conductance`.
        dropout_passes: sub-networks for Monte Carlo dropout; 0 for none.
        seed: seed of dropout.
        batch_size: images, or points of paths, in memory at once; None fits the image size.
        progress: show progress bars.
        cache: folder where the votes of mutants are kept.
    """

    layers: Sequence[str] | None = None
    steps: int = 10
    rule: str = "trapezoid"
    baseline: Any = "zero_input"
    reduce: str = "sum"
    target: str = "predicted"
    dropout_passes: int = 20
    seed: int = 0
    batch_size: int | None = None
    progress: bool = False
    cache: str | os.PathLike[str] | None = None

    def taps(self, classifier: Classifier) -> list[str]:
        """The taps of conductance, the last one last."""
        return default_taps(classifier) if self.layers is None else list(self.layers)

    def gather(
        self,
        classifier: Classifier,
        images: np.ndarray,
        mutants: Sequence[Mutant] = (),
        known_votes: Votes | None = None,
    ) -> Evidence:
        """Gather all evidence about `images`.

        Args:
            classifier: the network.
            images: (num_images, height, width, channels) in [0, 1].
            mutants: recipes to ask; none leaves the votes out.
            known_votes: the mutants' votes on these images, if they were asked before.
        """
        images = classifier.check_images(images)
        size = self.batch_size or fitting_batch_size(images.shape[1:], classifier.network)
        logits = checked_logits(classifier, images, size)
        if known_votes is None and len(mutants):
            known_votes = votes(
                classifier,
                mutants,
                images,
                logits=logits,
                batch_size=self.batch_size,
                progress=self.progress,
                cache=self.cache,
            )
        conductances, gap = self._conductances(classifier, images)
        return Evidence(
            logits,
            penultimate_features(classifier, images, size),
            conductances,
            gap,
            known_votes,
            dropout_probabilities(classifier, images, self.dropout_passes, self.seed, size)
            if self.dropout_passes
            else None,
        )

    def _conductances(
        self, classifier: Classifier, images: np.ndarray
    ) -> tuple[dict[str, np.ndarray], np.ndarray]:
        taps = self.taps(classifier)
        if not taps:
            return {}, np.full(len(images), np.nan)
        found = conductance(
            classifier,
            images,
            taps,
            self.target,
            self.baseline,
            self.steps,
            self.rule,
            reduce=self.reduce,
            batch_size=None if self.batch_size is None else max(2, self.batch_size),
            progress=self.progress,
        )
        return found.values, found.relative_gap()


def penultimate_features(
    classifier: Classifier, images: np.ndarray, batch_size: int = 128
) -> np.ndarray:
    """What the last layer reads, (num_images, num_features) float32; maps are averaged."""
    tap = penultimate_tap(classifier)
    function = classifier.network.outputs_function([tap])

    def averaged(batch: tf.Tensor) -> tf.Tensor:
        values = function(batch)[1]
        return tf.reduce_mean(values, axis=list(range(1, values.shape.rank - 1)))

    return in_batches(averaged, batch_size, images)[0]
