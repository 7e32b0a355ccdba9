"""The few steps that many of the hand-written networks are made of."""

from __future__ import annotations

import math

import keras
from keras import layers

Shape = tuple[int, int, int]


def normalize(
    x: keras.KerasTensor, name: str, activation: str | None = None, momentum: float = 0.9
) -> keras.KerasTensor:
    """Batch normalisation with PyTorch's constants (Keras counts momentum the other way)."""
    x = layers.BatchNormalization(momentum=momentum, epsilon=1e-5, name=f"{name}_bn")(x)
    return layers.Activation(activation, name=f"{name}_{activation}")(x) if activation else x


def conv_bn(
    x: keras.KerasTensor,
    filters: int,
    size: int,
    name: str,
    *,
    stride: int = 1,
    groups: int = 1,
    activation: str | None = "relu",
) -> keras.KerasTensor:
    """Convolution without bias, batch normalisation and, unless it is None, an activation."""
    x = layers.Conv2D(
        filters,
        size,
        stride,
        padding="same",
        groups=groups,
        use_bias=False,
        kernel_initializer="he_normal",
        name=f"{name}_conv",
    )(x)
    return normalize(x, name, activation)


def depthwise_bn(
    x: keras.KerasTensor, size: int, name: str, *, stride: int = 1, activation: str | None = None
) -> keras.KerasTensor:
    """One filter a channel, without bias, then batch normalisation."""
    # Keras would count all channels as inputs of each filter, and start far too small.
    initializer = keras.initializers.RandomNormal(stddev=math.sqrt(2) / size)
    x = layers.DepthwiseConv2D(
        size,
        stride,
        padding="same",
        use_bias=False,
        depthwise_initializer=initializer,
        name=f"{name}_conv",
    )(x)
    return normalize(x, name, activation)


def dropped_halvings(input_shape: Shape) -> int:
    """Number of early halvings of the image that a network leaves out for small images.

    The networks were made for 224 pixels and divide the width by 32. With two halvings fewer
    below 64 pixels, and one below 128, the last feature map is still about 4x4, large enough to
    say where the network looks.
    """
    size = min(input_shape[:2])
    return 2 if size < 64 else 1 if size < 128 else 0
