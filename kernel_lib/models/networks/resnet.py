"""Residual networks: ResNet-20 for small images."""

from __future__ import annotations

import keras
from keras import layers

from kernel_lib.models.networks.blocks import normalize

Shape = tuple[int, int, int]


def resnet20(input_shape: Shape, num_classes: int) -> keras.Model:
    """ResNet-20 of He et al. 2015 in the form of the Keras examples: 3 stages of 3 blocks.

    Convolutions have biases and an L2 penalty of 1e-4; the shortcut of a stage that halves the
    map is a bare 1x1 convolution.
    """
    inputs = keras.Input(input_shape)
    x = _penalized_conv(inputs, 16, 3, 1, "conv1")
    x = normalize(x, "conv1", activation="relu")
    for stage, filters in enumerate((16, 32, 64), start=1):
        for block in (1, 2, 3):
            stride = 2 if stage > 1 and block == 1 else 1
            x = _basic_block(x, filters, stride, f"stage{stage}_block{block}")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    logits = layers.Dense(num_classes, kernel_initializer="he_normal", name="logits")(x)
    return keras.Model(inputs, logits, name="resnet20")


def _basic_block(x: keras.KerasTensor, filters: int, stride: int, name: str) -> keras.KerasTensor:
    shortcut = x
    x = _penalized_conv(x, filters, 3, stride, f"{name}_conv1")
    x = normalize(x, f"{name}_conv1", activation="relu")
    x = _penalized_conv(x, filters, 3, 1, f"{name}_conv2")
    x = normalize(x, f"{name}_conv2")
    if stride > 1:
        shortcut = _penalized_conv(shortcut, filters, 1, stride, f"{name}_shortcut")
    x = layers.Add(name=f"{name}_add")([x, shortcut])
    return layers.Activation("relu", name=f"{name}_out")(x)


def _penalized_conv(
    x: keras.KerasTensor, filters: int, size: int, stride: int, name: str
) -> keras.KerasTensor:
    return layers.Conv2D(
        filters,
        size,
        stride,
        padding="same",
        kernel_initializer="he_normal",
        kernel_regularizer=keras.regularizers.L2(1e-4),
        name=name,
    )(x)
