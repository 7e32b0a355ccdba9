"""Where a network is diagnosed and treated: its convolutions, and the last map worth reading."""

from __future__ import annotations

import keras

from kernel_lib.network.compiled import CompiledNetwork, Tap

CONVOLUTIONS = (
    keras.layers.Conv2D,
    keras.layers.DepthwiseConv2D,
    keras.layers.SeparableConv2D,
    keras.layers.Conv2DTranspose,
)
_HEADS = (keras.layers.Dense,)


def convolutions(network: CompiledNetwork) -> list[Tap]:
    """Every convolution, in the order the network computes them.

    Raises:
        ValueError: the network has none.
    """
    found = [tap for tap in network.taps() if tap.is_map and isinstance(tap.layer, CONVOLUTIONS)]
    if not found:
        raise ValueError(
            "The network has no convolution, so it has no feature maps to diagnose. "
            "Use a convolutional network, such as 'small_cnn'."
        )
    return found


def default_tap(network: CompiledNetwork) -> str:
    """The place that is treated when none is named.

    The last convolution before the head whose map has more than one pixel; where the network ends
    in a concatenation of branches, the concatenation, because a convolution is only a part of it.
    A last convolution with no dense layer after it holds the class scores and is passed over.

    Raises:
        ValueError: there is no convolution, or no map has more than one pixel.
    """
    convolutions(network)  # says that there is none
    taps = network.taps()
    last = max((i for i, tap in enumerate(taps) if isinstance(tap.layer, _HEADS)), default=None)
    if last is None:  # class scores come from a convolution: leave it and what follows out
        last = max(i for i, tap in enumerate(taps) if isinstance(tap.layer, CONVOLUTIONS))
    before = [tap for tap in taps[:last] if _has_many_pixels(tap)]
    candidates = [tap for tap in before if isinstance(tap.layer, CONVOLUTIONS)]
    joined = [tap for tap in before if isinstance(tap.layer, keras.layers.Concatenate)]
    if not candidates:
        raise ValueError(
            "No convolution of this network has a map of more than one pixel at this image size: "
            "nothing can be said about places. Use larger images, or name a `tap`."
        )
    is_part = joined and before.index(joined[-1]) > before.index(candidates[-1])
    return joined[-1].name if is_part else candidates[-1].name


def check_tap(network: CompiledNetwork, name: str | None) -> Tap:
    """The tap of that name, or the default one; it must be a stack of maps."""
    tap = network.tap(default_tap(network) if name is None else name)
    if not tap.is_map:
        raise ValueError(
            f"The tap {tap.name!r} is no stack of feature maps: its shape is {tap.shape}. "
            f"Choose a convolution, such as {convolutions(network)[-1].name!r}."
        )
    return tap


def map_size(tap: Tap, image_shape: tuple[int, int, int], network: CompiledNetwork) -> tuple:
    """Height and width of a tap's maps for images of one shape."""
    import numpy as np
    import tensorflow as tf

    height, width, _ = tap.shape
    if height is not None and width is not None:
        return height, width
    blank = tf.constant(np.zeros((1, *image_shape), np.float32))
    return tuple(network.outputs_function([tap.name])(blank)[1].shape[1:3])


def _has_many_pixels(tap: Tap) -> bool:
    return tap.is_map and (tap.shape[0] is None or tap.shape[0] * (tap.shape[1] or 2) > 1)
