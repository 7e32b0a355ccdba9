"""Which images a model takes: what it declares, and the size that its free axes are given."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import keras

from kernel_lib._checks import check_count

Shape = tuple[int | None, int | None, int | None]

# Sizes at which a model with free axes is tried when none is named, smallest first.
TRIAL_SIZES = (32, 64, 96, 128, 224, 299)


def image_shape(model: keras.Model, input_size: Any = None) -> Shape:
    """(height, width, channels) of the images that a model takes; None where any size will do.

    Args:
        model: a built model.
        input_size: height and width, or one number for both, that free axes have.

    Raises:
        ValueError: several inputs, no images, channels first, or a size that the model refuses.
    """
    shape = _declared(model)
    _refuse_channels_first(model)
    size = checked_size(input_size)
    if size is None:
        return shape
    if not _has_inputs(model):  # a subclass: what it was built with does not bind it
        return *size, shape[2]
    wrong = [want for want, given in zip(shape, size, strict=False) if want not in (None, given)]
    if wrong:
        raise ValueError(
            f"The model {model.name!r} takes images of {_words(shape[:2])} pixels, and no others. "
            f"Received: input_size={input_size!r}. Leave `input_size` out."
        )
    return *size, shape[2]


def checked_size(input_size: Any) -> tuple[int, int] | None:
    """Height and width as whole numbers, from a pair, one number or text; None stays None.

    Text is what forms and command lines give: "96", "96,128" or "96x128".
    """
    if input_size is None:
        return None
    if isinstance(input_size, str):
        texts = re.split(r"[,x ]+", input_size.strip().strip("()[]"))
        if not all(text.isdecimal() for text in texts):
            raise ValueError(
                '`input_size` must be pixels, such as 96, or height and width, such as "96,128". '
                f"Received: input_size={input_size!r}."
            )
        numbers = [int(text) for text in texts]
        return checked_size(numbers if len(numbers) > 1 else numbers[0])
    parts = input_size if isinstance(input_size, list | tuple) else (input_size, input_size)
    if len(parts) != 2:
        raise ValueError(
            "`input_size` must be one number, or (height, width). "
            f"Received: input_size={input_size!r}."
        )
    height, width = (check_count("input_size", part) for part in parts)
    return height, width


def trial_shapes(shape: Shape) -> list[tuple[int, int, int]]:
    """Sizes at which a model of this input is tried: one where its axes are fixed."""
    sizes = TRIAL_SIZES if None in shape[:2] else TRIAL_SIZES[:1]
    return [tuple(size if axis is None else axis for axis in shape) for size in sizes]  # type: ignore[misc]


def _has_inputs(model: keras.Model) -> bool:
    try:
        return bool(model.inputs)
    except (AttributeError, ValueError):
        return False


def _declared(model: keras.Model) -> Shape:
    if _has_inputs(model):
        shapes = [tuple(each.shape) for each in keras.tree.flatten(model.inputs)]
    else:
        built = getattr(model, "_build_shapes_dict", None) or {}
        shapes = [tuple(each) for each in built.values() if isinstance(each, Sequence) and each]
        if any(isinstance(axis, Sequence | dict) for each in shapes for axis in each):
            shapes = [each for nested in shapes for each in nested]
    if len(shapes) > 1:
        raise ValueError(
            f"An image classifier takes one input. The model {model.name!r} takes {len(shapes)}. "
            "Fix the others, and audit what takes the images alone: images = keras.Input(shape); "
            "keras.Model(images, model([images, other])), where `other` is made from the images "
            "by a layer or a keras.ops function."
        )
    return _three(model, shapes[0]) if shapes else (None, None, None)


def _three(model: keras.Model, shape: tuple) -> Shape:
    if len(shape) != 4:
        cure = ""
        if len(shape) == 3:
            cure = (
                " Gray images have a channel axis of length one here: put keras.Input"
                f"({(*shape[1:], 1)}) and keras.layers.Reshape({shape[1:]}) before the model."
            )
        elif len(shape) == 2:
            cure = (
                " A model of rows of pixels can be audited with a Flatten layer before it: "
                "keras.Sequential([keras.Input((height, width, channels)), "
                "keras.layers.Flatten(), model])."
            )
        raise ValueError(
            "The model must take images of shape (num_images, height, width, channels). "
            f"The model {model.name!r} takes {shape}.{cure}"
        )
    return shape[1], shape[2], shape[3] if shape[3] is not None else 3


def _refuse_channels_first(model: keras.Model) -> None:
    layers = model._flatten_layers() if hasattr(model, "_flatten_layers") else []
    first = [each.name for each in layers if getattr(each, "data_format", "") == "channels_first"]
    if first:
        raise ValueError(
            f"The model {model.name!r} puts channels first (data_format='channels_first', in "
            f"{', '.join(map(repr, first[:3]))}); audits read maps as (height, width, channels), "
            "and TensorFlow runs channels first on GPUs alone. Turn it around, weights and all: "
            "model = kernel_lib.models.channels_last(model)."
        )


def _words(size: Sequence[int | None]) -> str:
    return "x".join("any" if length is None else str(length) for length in size)
