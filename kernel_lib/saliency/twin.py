"""The network's twin: the same architecture, trained on permuted labels until it knows them."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from kernel_lib.data import ImageSet
from kernel_lib.models.classifier import Classifier, as_classifier
from kernel_lib.network.weights import value_of
from kernel_lib.saliency.randomize import randomize

WANTED_ACCURACY = 0.95  # on the permuted training labels (Adebayo et al. 2018, section 5)


def twin_weights(
    classifier: Classifier,
    images: Any,
    twin: Any = None,
    *,
    epochs: int = 30,
    seed: int = 0,
    cache: str | os.PathLike[str] | None = None,
    progress: bool = True,
) -> list[np.ndarray]:
    """Weights of a network of the same architecture that learned permuted labels.

    Args:
        classifier: the network whose twin is wanted.
        images: an `ImageSet` with a train split.
        twin: a trained twin, or None to train one.
        epochs: most epochs of training.
        seed: seed of the permutation, the new weights and the training.
        cache: folder where the trained twin is kept.
        progress: show a progress bar while it is trained.

    Returns:
        One array for each variable of the classifier's model.

    Raises:
        ValueError: the twin's architecture differs, or it could not learn the permuted labels.
    """
    model = as_classifier(twin).model if twin is not None else None
    if model is None:
        model = _trained_twin(classifier, images, epochs, seed, cache, progress).model
    weights = [value_of(variable) for variable in model.variables]
    shapes = [value.shape for value in weights]
    if shapes != [tuple(variable.shape) for variable in classifier.model.variables]:
        raise ValueError("`twin` must have the same architecture as the model: its weights differ.")
    return weights


def permuted_labels(images: ImageSet, seed: int) -> ImageSet:
    """The same images with the training labels permuted once; all others keep theirs."""
    labels = np.array(images.labels)
    train = images.splits["train"]
    labels[train] = np.random.default_rng([seed, 0x1ABE1]).permutation(labels[train])
    return replace(images, labels=labels)


def _trained_twin(
    classifier: Classifier, images: Any, epochs: int, seed: int, cache: Any, progress: bool
) -> Classifier:
    from kernel_lib.models import train

    if not isinstance(images, ImageSet):
        raise ValueError("test='labels' needs an ImageSet with a train split, or `twin`.")
    fresh = Classifier(
        keras.models.clone_model(classifier.model),
        **classifier.settings() | {"name": f"{classifier.name} twin"},
    )
    randomize(fresh, None, seed)
    return train(
        fresh,
        permuted_labels(images, seed),
        epochs=epochs,
        seed=seed,
        min_train_accuracy=WANTED_ACCURACY,
        cache=cache,
        progress=progress,
    )
