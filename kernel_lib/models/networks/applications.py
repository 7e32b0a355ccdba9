"""The networks of keras.applications, with linear logits and at any image size they allow."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable

import keras
from keras import layers

IMAGENET_CLASSES = 1000


def preprocessing_for(name: str, usual: str, channels: int) -> str:
    """The `usual` preprocessing of a family, or [-1, 1] where that is made for colour images."""
    colour_only = usual.startswith("imagenet") or _can_skip_preprocessing(name)
    return "symmetric" if colour_only and channels != 3 else usual


def application(
    name: str, input_shape: tuple[int, int, int], num_classes: int, *, pretrained: bool
) -> keras.Model:
    """Build `keras.applications.<name>` with linear logits.

    Args:
        name: Name in `keras.applications`.
        input_shape: (height, width, channels).
        num_classes: Number of logits.
        pretrained: Download ImageNet weights: of the whole network for 1000 classes, otherwise of
            the part below the head.
    """
    try:
        if pretrained and num_classes != IMAGENET_CLASSES:
            return _on_pretrained(name, input_shape, num_classes)
        return _maker(name)(
            weights="imagenet" if pretrained else None,
            input_shape=input_shape,
            classes=num_classes,
            classifier_activation=None,
            **_options(name, input_shape[-1]),
        )
    except Exception as error:
        if "URL fetch failure" not in str(error):
            raise
        raise ConnectionError(
            f"The ImageNet weights of {name} could not be downloaded. Pass weights=None, or "
            f"download the file elsewhere and pass its path. {str(error).splitlines()[0]}"
        ) from error


def _on_pretrained(name: str, input_shape: tuple[int, int, int], num_classes: int) -> keras.Model:
    with warnings.catch_warnings():
        # Convolutions learnt at 224 pixels serve at any size: that is the purpose here.
        warnings.filterwarnings("ignore", message="`input_shape` is undefined or non-square")
        trunk = _maker(name)(
            include_top=False, weights="imagenet", input_shape=input_shape, pooling="avg"
        )
    logits = layers.Dense(num_classes, name="logits")(trunk.output)
    return keras.Model(trunk.inputs, logits, name=trunk.name)


def _options(name: str, channels: int) -> dict[str, bool]:
    # Some networks start by subtracting the mean colour, which has three channels.
    skip = channels != 3 and _can_skip_preprocessing(name)
    return {"include_preprocessing": False} if skip else {}


def _can_skip_preprocessing(name: str) -> bool:
    return "include_preprocessing" in inspect.signature(_maker(name)).parameters


def _maker(name: str) -> Callable[..., keras.Model]:
    return getattr(keras.applications, name)
