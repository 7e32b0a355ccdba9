"""Turn what a person writes for "the model" into a classifier: a file, or a network to train."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from kernel_lib.data import ImageSet
from kernel_lib.data.classes import ClassNames
from kernel_lib.models.classifier import Classifier
from kernel_lib.models.loading import as_class_names, load
from kernel_lib.models.networks import build, names
from kernel_lib.models.preprocessing_choice import is_auto
from kernel_lib.models.training import train

_FILES = (".keras", ".h5", ".hdf5")


def load_or_train(
    model: str,
    images: ImageSet,
    *,
    weights: str | None = None,
    num_classes: int = 1000,
    preprocessing: Any = "auto",
    class_names: ClassNames | None = None,
    input_size: int | Sequence[int] | None = None,
    output: int | str | None = None,
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
        preprocessing: how the model wants its input, in any form of `Classifier`; "auto": as the
            settings beside a model file say, otherwise as the network itself tells; for a named
            network, as its family does.
        class_names: one name a class, in the order of the network's outputs, or a file of them;
            see `load`.
        input_size: side of the images, or (height, width), where a model file leaves it open.
        output: position or name of the output to audit, where a model file has several.
        epochs: epochs of training, where there is training.
        augment: changes images during training, see `train`.
        seed: seed of the initial weights and of training.
        cache: folder where trained weights are kept; an interrupted training goes on from there.
        progress: show progress of training.

    Raises:
        ValueError: neither a known network nor a readable model file; or a setting that the model
            cannot have, such as the preprocessing of a network that is yet to be trained.
    """
    names_of_classes = as_class_names(class_names)
    if Path(model).suffix.lower() in _FILES:
        return load(
            model,
            preprocessing=preprocessing,
            output=output,
            class_names=names_of_classes,
            input_size=input_size,
        )
    settings: dict[str, Any] = {"input_size": input_size, "output": output}
    if weights is not None:
        _refuse(settings, model, "has one output and the size of the images")
        built = build(model, images.image_shape, num_classes, weights=weights, seed=seed)
        built = built if is_auto(preprocessing) else built.with_preprocessing(preprocessing)
        return built if names_of_classes is None else built.with_class_names(names_of_classes)
    if model.lower() not in {name.lower() for name in names()}:
        raise ValueError(
            f"`model` must be a path ending in {', '.join(_FILES)}, or one of "
            f"{', '.join(names())}. Received: model={model!r}."
        )
    settings["preprocessing"] = None if is_auto(preprocessing) else preprocessing
    settings["class_names"] = names_of_classes
    _refuse(settings, model, "is trained here on the images, in their classes, as its family is")
    return train(
        model, images, epochs=epochs, augment=augment, seed=seed, cache=cache, progress=progress
    )


def _refuse(settings: dict[str, Any], model: str, why: str) -> None:
    """Refuse settings of finished models, rather than leave them aside in silence."""
    for name, value in settings.items():
        if value is not None:
            raise ValueError(
                f"`{name}` describes a model file, and the network {model!r} {why}: leave "
                f"`{name}` out. Received: {name}={value!r}."
            )
