"""Which preprocessing a network gets, and how that is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from kernel_lib.models.input_scale import WORDS, read_scale
from kernel_lib.models.preprocessing import NAMED, Preprocessing
from kernel_lib.models.preprocessing_forms import as_preprocessing
from kernel_lib.network.whole_numbers import input_dtype

# How a preprocessing can be known, the surest first.
SOURCES = ("said", "stored", "read off the network", "measured", "assumed")


@dataclass(frozen=True)
class PreprocessingChoice:
    """A preprocessing, and how it is known.

    Attributes:
        preprocessing: what is done to images in [0, 1].
        source: one of `SOURCES`.
        evidence: one sentence for the reader.
    """

    preprocessing: Preprocessing
    source: str
    evidence: str

    def __post_init__(self) -> None:
        if self.source not in SOURCES:
            raise ValueError(
                f"The source of a preprocessing must be one of {', '.join(map(repr, SOURCES))}. "
                f"Received: {self.source!r}."
            )


def is_auto(value: Any) -> bool:
    """Whether a person left the preprocessing to the library."""
    return value is None or (isinstance(value, str) and value.strip().lower() in ("auto", ""))


def choose_preprocessing(
    value: Any, model: keras.Model, image_shape: Sequence[int | None]
) -> PreprocessingChoice:
    """Settle the preprocessing of `model`.

    Args:
        value: what was said, in any form of `as_preprocessing`; a `PreprocessingChoice`; "auto" or
            None to read it off the network, and to assume [0, 1] where nothing in it tells.
        model: a built Keras model.
        image_shape: (height, width, channels) of its images, None where free.

    Raises:
        ValueError: no known form, or a mean image of another shape than the network's images.
    """
    choice = value if isinstance(value, PreprocessingChoice) else _chosen(value, model, image_shape)
    _check_shape(choice.preprocessing, image_shape)
    if input_dtype(model).is_integer:
        whole = replace(choice.preprocessing, whole_numbers=True)
        choice = replace(choice, preprocessing=whole)
    return choice


def _chosen(
    value: Any, model: keras.Model, image_shape: Sequence[int | None]
) -> PreprocessingChoice:
    if not is_auto(value):
        found = as_preprocessing(value)
        return PreprocessingChoice(found, "said", f"The caller said {say(found)}.")
    reading = read_scale(model, image_shape)
    if reading.name is not None:
        source = "read off the network"
        return PreprocessingChoice(NAMED[reading.name], source, reading.evidence)
    evidence = f"{reading.evidence.rstrip('.')}: {WORDS[reading.default]} are assumed."
    return PreprocessingChoice(NAMED[reading.default], "assumed", evidence)


def say(preprocessing: Preprocessing) -> str:
    """Name a preprocessing in a sentence."""
    if preprocessing.layer is not None:
        return f"the layer {preprocessing.layer.name!r}"
    if preprocessing.is_image:
        return "a mean image"
    if preprocessing.name == "affine":
        scale, offset = (
            ", ".join(f"{number:.6g}" for number in part)
            for part in (preprocessing.scale, preprocessing.offset)
        )
        return f"scale {scale} and offset {offset}"
    return repr(preprocessing.name)


def _check_shape(preprocessing: Preprocessing, image_shape: Sequence[int | None]) -> None:
    """Refuse numbers that would not fit the images, or would quietly make them larger."""
    if preprocessing.layer is not None:
        return
    for part in (preprocessing.scale, preprocessing.offset):
        shape = np.shape(part)
        wanted = tuple(image_shape)[3 - len(shape) :]
        sizes = zip(shape, wanted, strict=True)
        if not all(got in (1, want) or want is None for got, want in sizes):
            wants = "x".join("?" if size is None else str(size) for size in image_shape)
            raise ValueError(
                f"`preprocessing` holds numbers for images of shape {'x'.join(map(str, shape))}, "
                f"the network takes {wants}: give one number, one a channel, or a mean image of "
                "that shape."
            )
