"""AlexNet in torchvision's form, and in the usual form for small images."""

from __future__ import annotations

import keras
from keras import layers

from kernel_lib.models.networks.blocks import Shape, dropped_halvings


def alexnet(input_shape: Shape, num_classes: int) -> keras.Model:
    """AlexNet (Krizhevsky 2014). From 128 pixels on it has torchvision's stem and 6x6 head.

    Below 128 pixels: 3x3 convolutions, the first of stride 2, and a head on the last map.
    """
    small = dropped_halvings(input_shape) > 0
    inputs = keras.Input(input_shape)
    x = _stem_small(inputs) if small else _stem(inputs)
    for index, filters in ((3, 384), (4, 256), (5, 256)):
        x = _conv(x, filters, 3, index)
    x = _pool(x, 5, small)
    if not small and x.shape[1:3] != (6, 6):
        x = layers.Resizing(6, 6, interpolation="nearest", name="resize")(x)
    x = layers.Flatten(name="flatten")(x)
    for index in (6, 7):
        x = layers.Dropout(0.5, name=f"fc{index}_dropout")(x)
        x = layers.Dense(4096, "relu", kernel_initializer="he_normal", name=f"fc{index}")(x)
    logits = layers.Dense(num_classes, name="logits")(x)
    return keras.Model(inputs, logits, name="alexnet")


def _stem(x: keras.KerasTensor) -> keras.KerasTensor:
    x = layers.ZeroPadding2D(2, name="pad1")(x)
    x = _pool(_conv(x, 64, 11, 1, stride=4, padding="valid"), 1, small=False)
    return _pool(_conv(x, 192, 5, 2), 2, small=False)


def _stem_small(x: keras.KerasTensor) -> keras.KerasTensor:
    x = _pool(_conv(x, 64, 3, 1, stride=2), 1, small=True)
    return _pool(_conv(x, 192, 3, 2), 2, small=True)


def _conv(
    x: keras.KerasTensor,
    filters: int,
    size: int,
    index: int,
    stride: int = 1,
    padding: str = "same",
) -> keras.KerasTensor:
    x = layers.Conv2D(
        filters, size, stride, padding=padding, kernel_initializer="he_normal", name=f"conv{index}"
    )(x)
    return layers.Activation("relu", name=f"conv{index}_relu")(x)


def _pool(x: keras.KerasTensor, index: int, small: bool) -> keras.KerasTensor:
    name = f"pool{index}"
    if small:
        return layers.MaxPooling2D(2, padding="same", name=name)(x)
    return layers.MaxPooling2D(3, 2, name=name)(x)
