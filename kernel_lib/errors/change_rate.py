"""The label change rate of images: full, by the sequential test, or soft."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from kernel_lib._checks import check_choice
from kernel_lib.errors.mutants import MutantSet
from kernel_lib.errors.recipes import Mutant
from kernel_lib.errors.sequential import SequentialTest, SequentialVotes, ask_in_turn
from kernel_lib.errors.votes import votes
from kernel_lib.models.classifier import as_classifier

METHODS = ("full", "soft", "sequential")


def label_change_rate(
    model: Any,
    images: np.ndarray,
    mutants: MutantSet | Sequence[Mutant],
    *,
    method: str = "full",
    test: SequentialTest | None = None,
    seed: int = 0,
    batch_size: int | None = None,
    progress: bool = False,
    cache: str | os.PathLike[str] | None = None,
) -> np.ndarray | SequentialVotes:
    """How easily a prediction changes when the network is changed a little.

    Wang et al., ICSE 2019: LCR(x) = (1 / N) * number of mutants i with f_i(x) != f(x), compared
    with the network's own prediction, not with the label.

    Args:
        model: a Keras model or a `Classifier`; it is left exactly as it was.
        images: (num_images, height, width, channels) in [0, 1].
        mutants: what `kernel_lib.errors.mutants` found.
        method: "full" (all mutants), "soft" (mean probability that mutants give to other classes,
            finer than steps of 1 / N) or "sequential" (stop for each image once it is decided).
        test: for "sequential", its settings.
        seed: for "sequential", the order in which mutants are asked.
        batch_size: images in memory at once; None fits the image size.
        progress: show a progress bar.
        cache: folder where votes are kept, so that an interrupted run goes on; not used by
            "sequential".

    Returns:
        (num_images,) rates, or for "sequential" a `SequentialVotes`.

    Example:
        >>> rates = kl.errors.label_change_rate(model, images.test.images, found)
    """
    check_choice("method", method, METHODS)
    classifier = as_classifier(model)
    recipes = list(mutants)
    if method == "sequential":
        if test is None:
            raise ValueError(
                "method='sequential' needs its settings: test=SequentialTest(threshold=...). "
                "A threshold follows from right calibration images: default_threshold(rates)."
            )
        return ask_in_turn(
            classifier, recipes, images, test, seed=seed, batch_size=batch_size, progress=progress
        )
    found = votes(
        classifier, recipes, images, batch_size=batch_size, progress=progress, cache=cache
    )
    return found.rate if method == "full" else found.soft_rate
