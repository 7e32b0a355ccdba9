"""Turn what a person writes for "the model" into a classifier: a file, or a network to train."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from kernel_lib.data import ImageSet
from kernel_lib.models.classifier import Classifier
from kernel_lib.models.loading import load
from kernel_lib.models.networks import build, names
from kernel_lib.models.training import train

_FILES = (".keras", ".h5", ".hdf5")


def load_or_train(
    model: str,
    images: ImageSet,
    *,
    weights: str | None = None,
    num_classes: int = 1000,
    preprocessing: str = "auto",
    epochs: int = 5,
    augment: str | Callable | None = None,
    seed: int = 0,
    cache: str | os.PathLike[str] | None = None,
    progress: bool = True,
) -> Classifier:
    """Load the model file, or build the network of that name and train it on `images`.

    Args:
        model: a path ending in .keras or .h5, or a name of `kernel_lib.models.names()`.
        images: what a named network is trained on.
        weights: for a named network, "imagenet" or a weights file: it is then built with these
            weights, at the size of the images, and not trained.
        num_classes: classes of those weights.
        preprocessing: how a loaded model wants its input, see `Classifier`.
        epochs: epochs of training, where there is training.
        augment: changes images during training, see `train`.
        seed: seed of the initial weights and of training.
        cache: folder where trained weights are kept; an interrupted training goes on from there.
        progress: show progress of training.

    Raises:
        ValueError: neither a known network nor a readable model file.
    """
    if Path(model).suffix.lower() in _FILES:
        return load(model, preprocessing=preprocessing)
    if weights is not None:
        return build(model, images.image_shape, num_classes, weights=weights, seed=seed)
    if model.lower() not in {name.lower() for name in names()}:
        raise ValueError(
            f"`model` must be a path ending in {', '.join(_FILES)}, or one of "
            f"{', '.join(names())}. Received: model={model!r}."
        )
    return train(
        model, images, epochs=epochs, augment=augment, seed=seed, cache=cache, progress=progress
    )
