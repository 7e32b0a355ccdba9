"""Draw mutants from a seed and keep those that still know their trade."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kernel_lib._checks import check_count, check_number
from kernel_lib._progress import progress as progress_bar
from kernel_lib.errors.recipes import Mutant, Recipe
from kernel_lib.errors.units import mutable_layers
from kernel_lib.errors.votes import SHARD, Votes, checked_logits, votes
from kernel_lib.models.classifier import Classifier, as_classifier
from kernel_lib.network.compiled import forward_batch_size


@dataclass(frozen=True)
class MutantSet:
    """Mutants that were accepted, and how hard that was.

    Attributes:
        mutants: the recipes.
        accuracy: (num_mutants,) accuracy of each on the images it was accepted on.
        original_accuracy: accuracy of the network itself there.
        num_attempts: how many were drawn.
        votes: what the accepted mutants said about these images.
    """

    mutants: tuple[Mutant, ...]
    accuracy: np.ndarray
    original_accuracy: float
    num_attempts: int
    votes: Votes

    def __len__(self) -> int:
        return len(self.mutants)

    def __iter__(self) -> Iterator[Mutant]:
        return iter(self.mutants)

    @property
    def acceptance_rate(self) -> float:
        """Share of the drawn mutants that were accepted."""
        return len(self.mutants) / self.num_attempts

    def describe(self) -> dict[str, Any]:
        """Recipes and acceptance as JSON can hold them."""
        return {
            "mutants": [mutant.describe() for mutant in self.mutants],
            "accuracy": self.accuracy.tolist(),
            "original_accuracy": self.original_accuracy,
            "num_attempts": self.num_attempts,
        }


def mutants(
    model: Any,
    images: np.ndarray,
    labels: np.ndarray,
    *,
    operator: str = "nai",
    gamma: float = 0.01,
    num_mutants: int = 100,
    layers: str | Sequence[str] | None = None,
    unit: str = "filters",
    strength: float = 1.0,
    accept_ratio: float = 0.9,
    max_attempts: int | None = None,
    seed: int = 0,
    batch_size: int | None = None,
    progress: bool = False,
    cache: str | os.PathLike[str] | None = None,
) -> MutantSet:
    """Draw mutants until `num_mutants` of them keep most of the network's accuracy.

    Each attempt has random streams of its own, so the same seed gives the same mutants whatever
    the batch size, and a longer set begins with the shorter one.

    Args:
        model: a Keras model or a `Classifier`; it is left exactly as it was.
        images: (num_images, height, width, channels) in [0, 1], which acceptance is decided on:
            calibration images, never those that results are reported on.
        labels: (num_images,) their classes.
        operator: "nai", "nai_preact", "gf", "gf_additive", "ws", "neb" or "ns"; see
            `kernel_lib.errors.recipes`.
        gamma: share of the filters (or weights) of the chosen layers that a mutant changes.
        num_mutants: how many to find.
        layers: tap names, "conv", "dense" or "all"; None for all convolutions.
        unit: "filters" or "weights".
        strength: for "gf_additive", the size of the noise.
        accept_ratio: keep a mutant whose accuracy is more than this share of the network's own.
        max_attempts: most draws; None for ten times `num_mutants`.
        seed: seed of the draws.
        batch_size: images in memory at once; None fits the image size.
        progress: show a progress bar.
        cache: folder where votes are kept, so that an interrupted search goes on.

    Raises:
        ValueError: a gamma that touches nothing, or that spoils so many mutants that the attempts
            run out; a network that predicts one class for everything.

    Example:
        >>> held_out = images.calibration
        >>> found = kl.errors.mutants(model, held_out.images, held_out.labels, num_mutants=50)
        >>> found.acceptance_rate
    """
    classifier = as_classifier(model)
    images, labels = classifier.check_images(images), np.asarray(labels)
    if labels.shape != (len(images),):
        raise ValueError(
            f"There must be one label for each of the {len(images)} images. "
            f"Received: labels of shape {labels.shape}."
        )
    check_count("num_mutants", num_mutants)
    check_number("accept_ratio", accept_ratio, 0, 1)
    recipe = Recipe(operator, gamma, unit, strength)
    chosen = mutable_layers(classifier, layers)
    cap = 10 * num_mutants if max_attempts is None else check_count("max_attempts", max_attempts)
    size = batch_size or forward_batch_size(images.shape[1:], classifier.network)
    logits = checked_logits(classifier, images, check_count("batch_size", size))
    original = _checked_accuracy(classifier, logits.argmax(axis=1), labels)
    at_once = min(SHARD, num_mutants)
    kept: list[Mutant] = []
    said: list[Votes] = []
    accuracies: list[float] = []
    attempts = 0
    for first in progress_bar(range(0, cap, at_once), "Accepting mutants", enabled=progress):
        count = min(at_once, cap - first)
        drawn = [recipe.draw(chosen, seed, first + i) for i in range(count)]
        found = votes(classifier, drawn, images, logits=logits, batch_size=size, cache=cache)
        right = (found.predictions == labels).mean(axis=1)
        for index in np.flatnonzero(right > accept_ratio * original):
            if len(kept) < num_mutants:
                kept.append(drawn[index])
                said.append(found.select([int(index)]))
                accuracies.append(float(right[index]))
                attempts = first + int(index) + 1
        if len(kept) == num_mutants:
            everything = Votes.joined(said)
            return MutantSet(tuple(kept), np.array(accuracies), original, attempts, everything)
    raise ValueError(
        f"Only {len(kept)} of {cap} mutants keep more than {accept_ratio:g} of the accuracy "
        f"{original:.3f}; {num_mutants} were asked for. Use a smaller gamma, a smaller "
        f"accept_ratio or a larger max_attempts. Received: operator={operator!r}, gamma={gamma}."
    )


def _checked_accuracy(classifier: Classifier, predicted: np.ndarray, labels: np.ndarray) -> float:
    if len(predicted) > 1 and len(np.unique(predicted)) == 1:
        name = classifier.class_names[int(predicted[0])]
        raise ValueError(
            f"{classifier.name!r} predicts one class, {name!r}, for all {len(labels)} images: its "
            "label change rate would be vacuous, 0 whatever is changed. Train the network, or "
            "check the preprocessing of its images."
        )
    return float((predicted == labels).mean())
