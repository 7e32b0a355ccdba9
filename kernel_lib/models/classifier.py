"""A trained Keras model together with how it wants its input and how to read its output."""

from __future__ import annotations

import copy
import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kernel_lib._checks import check_choice, check_count
from kernel_lib.data._validation import within_rounding
from kernel_lib.data.image_set import ImageSet
from kernel_lib.models import class_order
from kernel_lib.models.preprocessing import Preprocessing
from kernel_lib.models.preprocessing_choice import PreprocessingChoice, choose_preprocessing, say
from kernel_lib.network.compiled import CompiledNetwork, in_batches
from kernel_lib.network.head import HEADS


class Classifier:
    """An image classifier as audits see it: images in [0, 1] in, logits out.

    Args:
        model: any Keras 3 model that takes one batch of images and gives one score a class.
        preprocessing: how the model wants images that lie in [0, 1]: "auto" (as the model itself
            tells by what it does before its first weights, otherwise as they are), "unit" (as they
            are), "symmetric" (to [-1, 1]; also "tf"), "bytes" (to [0, 255]), "imagenet_caffe"
            ("caffe"), "imagenet_torch" ("torch"), a pair `(scale, offset)` of numbers or
            per-channel lists, the same as text ("2,-1", "4.4,4.5,4.4;-2.1,-2.0,-1.8"), a `.json`
            file with scale and offset, a `.npy` or `.npz` file with a mean image (and `std`), or a
            Keras layer. How it is known is in `preprocessing_source` ("said", "stored", "read off
            the network", "measured", "assumed") and, in a sentence, in `preprocessing_evidence`.
        head: "auto" finds the logits behind a softmax or sigmoid; "logits" takes the output as it
            is; "probabilities" takes log-probabilities where no softmax can be found.
        output: position or name of the output to audit, where the model has several.
        class_names: one name a class.
        name: what reports call the model.

    Raises:
        ValueError: the model does not take images, gives no class scores, or gives probabilities
            although no softmax can be found.

    The model is never changed, compiled or rebuilt.
    """

    def __init__(
        self,
        model: keras.Model,
        *,
        preprocessing: Any = "auto",
        head: str = "auto",
        output: int | str | None = None,
        class_names: Sequence[str] | None = None,
        name: str | None = None,
    ):
        if not isinstance(model, keras.Model):
            raise TypeError(
                "`model` must be a Keras model or a kernel_lib Classifier. "
                f"Received: {type(model).__name__}. Load a file with kernel_lib.models.load(path)."
            )
        if not model.built:
            raise ValueError(
                f"The model {model.name!r} has no weights yet: call it once on a batch of images."
            )
        check_choice("head", head, HEADS)
        self.model = model
        self.head = head
        self.name = name or model.name
        self.history: list[dict[str, float]] = []
        self.input_shape = _image_shape(model)
        self.preprocessing_choice = choose_preprocessing(preprocessing, model, self.input_shape)
        self.network = CompiledNetwork(
            model, self.preprocessing.apply, head, output, self.input_shape
        )
        self.num_classes = self._check_output()
        self.class_names = _class_names(class_names, self.num_classes)

    def _check_output(self) -> int:
        """Run two noise images once: shapes, finiteness and the kind of head show at once."""
        height, width, channels = (size or 32 for size in self.input_shape)
        noise = np.random.default_rng(0).random((2, height, width, channels), np.float32)
        try:
            logits = self.network.logits_function()(tf.constant(noise)).numpy()
        except (ValueError, TypeError, tf.errors.InvalidArgumentError) as error:
            raise ValueError(
                f"The model {self.name!r} cannot be run on images of shape "
                f"{(height, width, channels)}: {_first_line(error)}"
            ) from error
        if logits.ndim != 2 or logits.shape[1] < 2:
            raise ValueError(
                "An image classifier gives one score a class, shape (num_images, num_classes). "
                f"The model {self.name!r} gives shape {('num_images', *logits.shape[1:])}."
            )
        if self.head == "auto" and self.network.head_kind == "linear" and _are_shares(logits):
            raise ValueError(
                f"The model {self.name!r} gives probabilities, but no softmax can be found behind "
                "them. Audits need logits: take the softmax off the model, or pass "
                "Classifier(model, head='probabilities') to read log-probabilities instead."
            )
        return int(logits.shape[1])

    # --- preprocessing ------------------------------------------------------------------------

    @property
    def preprocessing(self) -> Preprocessing:
        """What is done to images in [0, 1] before the model sees them."""
        return self.preprocessing_choice.preprocessing

    @property
    def preprocessing_source(self) -> str:
        """How the preprocessing is known: one of `preprocessing_choice.SOURCES`."""
        return self.preprocessing_choice.source

    @property
    def preprocessing_evidence(self) -> str:
        """How the preprocessing is known, in a sentence."""
        return self.preprocessing_choice.evidence

    def with_preprocessing(
        self, value: Any, *, source: str = "said", evidence: str | None = None
    ) -> Classifier:
        """Return the same model with another preprocessing; all else stays as it is.

        Args:
            value: in any form of `Classifier`'s own argument; "auto" reads it off the network.
            source: how it is known, where `value` is not "auto".
            evidence: the same in a sentence.

        Nothing is traced before it is used, so this costs next to nothing.
        """
        choice = choose_preprocessing(value, self.model, self.input_shape)
        if choice.source == "said":
            known = (
                choice.evidence if source == "said" else f"{say(choice.preprocessing)}: {source}."
            )
            choice = replace(choice, source=source, evidence=evidence or known)
        other = copy.copy(self)
        other.preprocessing_choice = choice
        other.network = self.network.with_preprocess(choice.preprocessing.apply)
        other.history = list(self.history)
        return other

    def fed_like(self, other: Classifier) -> Classifier:
        """This network, fed as `other` is; itself where that is so already."""
        if self.preprocessing == other.preprocessing:
            return self
        return self.with_preprocessing(other.preprocessing_choice)

    def with_class_names(self, class_names: Sequence[str]) -> Classifier:
        """Return the same model with other names of its classes."""
        other = copy.copy(self)
        other.class_names = _class_names(class_names, self.num_classes)
        other.history = list(self.history)
        return other

    # --- predictions --------------------------------------------------------------------------

    def logits(self, images: np.ndarray, batch_size: int = 256) -> np.ndarray:
        """Logits (num_images, num_classes) float32 of images in [0, 1]."""
        images = self.check_images(images)
        check_count("batch_size", batch_size)
        return in_batches(self.network.logits_function(), batch_size, images)[0]

    def predict(self, images: np.ndarray, batch_size: int = 256) -> np.ndarray:
        """Predicted class of each image, (num_images,) int64."""
        return self.logits(images, batch_size).argmax(axis=1)

    def accuracy(self, images: np.ndarray, labels: np.ndarray, batch_size: int = 256) -> float:
        """Share of images whose predicted class is their label."""
        return float((self.predict(images, batch_size) == np.asarray(labels)).mean())

    # --- checks -------------------------------------------------------------------------------

    def check_images(self, images: Any) -> np.ndarray:
        """Return `images` as (num_images, height, width, channels) float32, or say what is wrong.

        Raises:
            ValueError: wrong rank or shape, an empty batch, NaN, or values outside [0, 1].
        """
        images = within_rounding(np.asarray(images, np.float32))
        expected = tuple("any" if size is None else size for size in self.input_shape)
        fits = images.ndim == 4 and all(
            want is None or want == got
            for want, got in zip(self.input_shape, images.shape[1:], strict=False)
        )
        if not fits:
            raise ValueError(
                f"The model {self.name!r} takes images of shape (num_images, "
                f"{', '.join(map(str, expected))}). Received: {images.shape}."
            )
        if len(images) == 0:
            raise ValueError("There are no images: the batch is empty.")
        check_unit_range(images)
        return images

    def check_image_set(self, images: ImageSet) -> None:
        """Refuse images of another shape, or whose classes are not this network's in its order.

        `aligned` brings the same classes into order first.
        """
        self.check_images(images.images[:1])
        class_order.check_order(images, self.class_names, self.name)

    def aligned(self, images: ImageSet) -> ImageSet:
        """Return `images` with their labels in the order of this network's classes, by name.

        Names that differ only in case, spaces, underscores or hyphens match. Images of some of the
        classes only are mapped too. Where the network or the images have numbers instead of names,
        the order is kept. What was done stands in `images.notes`; where nothing need be done, and
        for images without labels, the same set comes back.

        Raises:
            ValueError: If images are of a class that the network does not have, or numbers of
                classes differ where there are no names to go by. The message holds the cure.
        """
        return class_order.aligned(images, self.class_names, self.name)

    def check_targets(self, targets: Any, images: np.ndarray) -> np.ndarray:
        """Return one class index an image; None means each image's predicted class."""
        if targets is None:
            return self.predict(images).astype(np.int32)
        targets = np.asarray(targets)
        if not np.issubdtype(targets.dtype, np.integer):
            raise TypeError(f"Classes must be whole numbers. Received: {targets.dtype} values.")
        if targets.ndim > 1 or (targets.ndim == 1 and len(targets) != len(images)):
            raise ValueError(
                f"There must be one class for each of the {len(images)} images. "
                f"Received: an array of shape {targets.shape}."
            )
        outside = targets[(targets < 0) | (targets >= self.num_classes)]
        if outside.size:
            raise ValueError(
                f"Classes of {self.name!r} run from 0 to {self.num_classes - 1}. "
                f"Received: {int(outside.flat[0])}."
            )
        return np.broadcast_to(targets, len(images)).astype(np.int32)

    def class_names_for(self, images: Any) -> tuple[str, ...]:
        """The model's own class names, or those of the image set where it only counts its own."""
        named = getattr(images, "class_names", ())
        fits = not self.is_named and len(named) == self.num_classes
        return named if fits else self.class_names

    @property
    def is_named(self) -> bool:
        """Whether the classes have names, rather than being counted "0", "1", ..."""
        return self.class_names != _class_names(None, self.num_classes)

    # --- identity -----------------------------------------------------------------------------

    @property
    def num_parameters(self) -> int:
        """Number of weights, trained or not."""
        return int(self.model.count_params())

    @property
    def digest(self) -> str:
        """Content of the model, as it is now: layers in order, preprocessing, weight bytes.

        Names do not count: a model that was saved and loaded keeps its digest.
        """
        layers = [(*_kind(tap.layer), list(tap.shape)) for tap in self.network.taps()]
        content = hashlib.blake2b(digest_size=16)
        content.update(json.dumps([self.preprocessing.describe(), self.head, layers]).encode())
        for variable in self.model.weights:
            value = np.asarray(variable)
            content.update(f"{value.dtype}{value.shape}".encode())
            content.update(value.tobytes())
        return content.hexdigest()

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the model as ``.keras``, and beside it, in ``.keras.json``, how it wants input."""
        from kernel_lib.models.settings import write_settings
        from kernel_lib.tasks import atomic_path

        path = Path(path)
        if path.suffix != ".keras":
            raise ValueError(f"A model file must end in .keras. Received: {path.name!r}.")
        with atomic_path(path) as temporary:
            self.model.save(temporary)
        write_settings(self, path)
        return path

    def __repr__(self) -> str:
        shape = "x".join("?" if size is None else str(size) for size in self.input_shape)
        return (
            f"Classifier({self.name!r}, images {shape} {self.preprocessing.name}, "
            f"{self.num_classes} classes, {self.num_parameters:,} parameters)"
        )


def as_classifier(model: Any) -> Classifier:
    """Return `model` if it is a `Classifier`, otherwise wrap it with the default settings.

    A bare model is checked and compiled once; asked again soon, the same wrapper comes back.
    """
    if isinstance(model, Classifier):
        return model
    return _wrapped(model) if isinstance(model, keras.Model) else Classifier(model)


@lru_cache(maxsize=4)
def _wrapped(model: keras.Model) -> Classifier:
    return Classifier(model)


def check_unit_range(images: np.ndarray) -> None:
    """Refuse NaN, infinite values, and images that are not in [0, 1]."""
    low, high = float(images.min()), float(images.max())  # NaN comes through both
    if not np.isfinite(low) or not np.isfinite(high):
        raise ValueError("Images must be finite: there are NaN or infinite pixels.")
    if low < 0 or high > 1:
        hint = " They look like 0..255: divide by 255." if low >= 0 and high > 2 else ""
        raise ValueError(
            f"Pixels must lie in [0, 1]. Received: values from {low:g} to {high:g}.{hint}"
        )


def _image_shape(model: keras.Model) -> tuple[int | None, int | None, int | None]:
    try:
        inputs = model.inputs
    except (AttributeError, ValueError):
        inputs = None
    if not inputs:
        shape = getattr(model, "_build_shapes_dict", None) or {}
        known = next(iter(shape.values()), None)
        return _three(tuple(known)) if known is not None else (None, None, None)
    if len(inputs) != 1:
        raise ValueError(
            f"An image classifier takes one input. The model {model.name!r} takes {len(inputs)}."
        )
    return _three(tuple(inputs[0].shape))


def _three(shape: tuple) -> tuple[int | None, int | None, int | None]:
    if len(shape) != 4:
        raise ValueError(
            "The model must take images of shape (num_images, height, width, channels). "
            f"It takes {shape}."
        )
    return shape[1], shape[2], shape[3] if shape[3] is not None else 3


def _class_names(names: Sequence[str] | None, num_classes: int) -> tuple[str, ...]:
    if names is None:
        return tuple(str(index) for index in range(num_classes))
    if len(names) != num_classes:
        raise ValueError(
            f"The model has {num_classes} classes. Received: {len(names)} class names."
        )
    return tuple(str(name) for name in names)


def _kind(layer: keras.Operation) -> tuple[str, str]:
    """Class and activation of a layer."""
    activation = getattr(layer, "activation", None)
    return type(layer).__name__, getattr(activation, "__name__", "")


def _are_shares(values: np.ndarray) -> bool:
    return bool((values >= 0).all() and np.allclose(values.sum(axis=1), 1, atol=1e-3))


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0]


__all__ = [
    "Classifier",
    "Preprocessing",
    "PreprocessingChoice",
    "as_classifier",
    "check_unit_range",
]
