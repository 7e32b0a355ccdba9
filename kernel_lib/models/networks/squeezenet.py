"""SqueezeNet 1.0 in torchvision's form."""

from __future__ import annotations

import keras
from keras import layers

from kernel_lib.models.networks.blocks import Shape, dropped_halvings

# Squeezed channels, channels of each half of the expansion, and whether a pooling follows.
_FIRES = (
    (16, 64, False),
    (16, 64, False),
    (32, 128, True),
    (32, 128, False),
    (48, 192, False),
    (48, 192, False),
    (64, 256, True),
    (64, 256, False),
)


def squeezenet(input_shape: Shape, num_classes: int) -> keras.Model:
    """SqueezeNet (Iandola et al. 2016): a convolution gives the classes, its mean the logits.

    As published, the class maps pass a ReLU, so no logit is below zero.
    """
    dropped = dropped_halvings(input_shape)
    inputs = keras.Input(input_shape)
    small = {"kernel_size": 3, "padding": "same"}
    stem = small if dropped == 2 else {"kernel_size": 7, "strides": 2}
    x = _conv(inputs, 96, "conv1", **stem)
    x = x if dropped == 1 else _halve(x, "pool1")
    for index, (squeezed, expanded, pooled) in enumerate(_FIRES, start=2):
        x = _fire(x, squeezed, expanded, f"fire{index}")
        x = _halve(x, f"pool{index}") if pooled else x
    x = layers.Dropout(0.5, name="dropout")(x)
    x = _conv(x, num_classes, "classes", kernel_size=1)
    logits = layers.GlobalAveragePooling2D(name="logits")(x)
    return keras.Model(inputs, logits, name="squeezenet")


def _fire(x: keras.KerasTensor, squeezed: int, expanded: int, name: str) -> keras.KerasTensor:
    x = _conv(x, squeezed, f"{name}_squeeze", kernel_size=1)
    one = _conv(x, expanded, f"{name}_expand1", kernel_size=1)
    three = _conv(x, expanded, f"{name}_expand3", kernel_size=3, padding="same")
    return layers.Concatenate(name=name)([one, three])


def _conv(x: keras.KerasTensor, filters: int, name: str, **options: object) -> keras.KerasTensor:
    x = layers.Conv2D(filters, kernel_initializer="he_normal", name=name, **options)(x)
    return layers.Activation("relu", name=f"{name}_relu")(x)


def _halve(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    return layers.MaxPooling2D(3, 2, padding="same", name=name)(x)
