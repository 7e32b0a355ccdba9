"""What mutants say about images, and how often they change the label."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from kernel_lib._checks import check_count
from kernel_lib._progress import progress as progress_bar
from kernel_lib.errors.recipes import Mutant
from kernel_lib.errors.runner import MutantRunner
from kernel_lib.models.classifier import Classifier
from kernel_lib.network.compiled import forward_batch_size
from kernel_lib.network.weights import restored_weights
from kernel_lib.tasks import cached_arrays, digest

SHARD = 20  # mutants that are asked together, and whose votes are kept in one file


@dataclass(frozen=True)
class Votes:
    """Predictions of some mutants.

    Attributes:
        base: (num_images,) class that the network itself predicts.
        predictions: (num_mutants, num_images) class that each mutant predicts.
        doubt: (num_mutants, num_images) float32, the probability that each mutant gives to all
            other classes than the network's own.
    """

    base: np.ndarray
    predictions: np.ndarray
    doubt: np.ndarray

    @property
    def rate(self) -> np.ndarray:
        """Label change rate: share of mutants that predict another class, (num_images,)."""
        return (self.predictions != self.base).mean(axis=0)

    @property
    def soft_rate(self) -> np.ndarray:
        """Mean probability that mutants give to other classes, (num_images,)."""
        return self.doubt.mean(axis=0, dtype=np.float64)

    def select(self, mutants: Sequence[int] | np.ndarray) -> Votes:
        """The votes of some of the mutants."""
        return Votes(self.base, self.predictions[mutants], self.doubt[mutants])

    @staticmethod
    def joined(parts: Sequence[Votes]) -> Votes:
        """The votes of several groups of mutants on the same images."""
        return Votes(
            parts[0].base,
            np.concatenate([part.predictions for part in parts]),
            np.concatenate([part.doubt for part in parts]),
        )


def votes(
    classifier: Classifier,
    mutants: Sequence[Mutant],
    images: np.ndarray,
    *,
    logits: np.ndarray | None = None,
    batch_size: int | None = None,
    progress: bool = False,
    cache: str | os.PathLike[str] | None = None,
) -> Votes:
    """Ask every mutant about every image.

    Args:
        classifier: the network; whatever happens, its weights are put back.
        mutants: recipes.
        images: (num_images, height, width, channels) in [0, 1].
        logits: (num_images, num_classes) of the network itself, where they are known.
        batch_size: images in memory at once; None fits the image size.
        progress: show a progress bar.
        cache: folder where votes are kept in small groups, so that an interrupted run goes on
            from the votes it has.

    Raises:
        ValueError: no mutants, or logits that are not finite.
    """
    mutants = list(mutants)
    if not mutants:
        raise ValueError("There are no mutants to ask. Draw some with kernel_lib.errors.mutants.")
    images = classifier.check_images(images)
    fitting = forward_batch_size(images.shape[1:], classifier.network)
    size = check_count("batch_size", batch_size or fitting)
    logits = checked_logits(classifier, images, size) if logits is None else logits
    at_once = SHARD if cache is not None or progress else len(mutants)
    shards = [mutants[first : first + at_once] for first in range(0, len(mutants), at_once)]
    origin = {}
    if cache is not None:
        origin = {"model": classifier.digest, "images": digest(images)}
    found: list[Votes] = []
    for shard in progress_bar(shards, "Mutants", enabled=progress and len(shards) > 1):
        recipe = origin and origin | {"mutants": [mutant.describe() for mutant in shard]}
        ask = partial(_ask, classifier, shard, images, logits, size)
        arrays = cached_arrays(cache, "votes", recipe, ask)
        found.append(Votes(logits.argmax(axis=1), arrays["predictions"], arrays["doubt"]))
    return Votes.joined(found)


def checked_logits(classifier: Classifier, images: np.ndarray, batch_size: int) -> np.ndarray:
    """The network's own logits, refused if they are not finite."""
    logits = classifier.logits(images, batch_size)
    if not np.isfinite(logits).all():
        raise ValueError(f"{classifier.name!r} gives logits that are not finite: NaN or infinite.")
    return logits


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Softmax over the last axis, in float64."""
    shifted = np.asarray(logits, np.float64)
    shifted = np.exp(shifted - shifted.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def _ask(
    classifier: Classifier,
    mutants: Sequence[Mutant],
    images: np.ndarray,
    logits: np.ndarray,
    batch_size: int,
) -> dict[str, np.ndarray]:
    base = logits.argmax(axis=1)
    predictions = np.empty((len(mutants), len(images)), np.int32)
    doubt = np.empty((len(mutants), len(images)), np.float32)
    with restored_weights(classifier) as snapshot:
        runner = MutantRunner(classifier, mutants, snapshot, batch_size)
        for part in runner.groups(images):
            rows = np.arange(len(base[part]))
            for indices, changed in runner.run_all(images[part]):
                predictions[indices, part] = changed.argmax(axis=-1)
                doubt[indices, part] = 1 - probabilities(changed)[:, rows, base[part]]
    return {"predictions": predictions, "doubt": doubt}
