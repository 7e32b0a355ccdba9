"""Residual networks: ResNet-20 for small images, and torchvision's networks of 50 layers.

The networks of 50 layers are one: they differ in the width and in the number of groups of the 3x3
convolution of each block.
"""

from __future__ import annotations

import keras
from keras import layers

from kernel_lib.models.networks.blocks import Shape, conv_bn, dropped_halvings, normalize


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


def resnet50(input_shape: Shape, num_classes: int) -> keras.Model:
    """ResNet-50 of torchvision: the 3x3 convolution of a block has the stride."""
    return _fifty_layers("resnet50", input_shape, num_classes, width=1, groups=1)


def wide_resnet50(input_shape: Shape, num_classes: int) -> keras.Model:
    """Wide ResNet-50-2: twice as many channels in the middle of each block."""
    return _fifty_layers("wide_resnet50", input_shape, num_classes, width=2, groups=1)


def resnext50(input_shape: Shape, num_classes: int) -> keras.Model:
    """ResNeXt-50 32x4d: the 3x3 convolutions work in 32 groups."""
    return _fifty_layers("resnext50", input_shape, num_classes, width=2, groups=32)


def _fifty_layers(
    name: str, input_shape: Shape, num_classes: int, *, width: int, groups: int
) -> keras.Model:
    inputs = keras.Input(input_shape)
    x = _stem(inputs, dropped_halvings(input_shape))
    for stage, num_blocks in enumerate((3, 4, 6, 3), start=2):
        filters = 64 * 2 ** (stage - 2)
        for block in range(1, num_blocks + 1):
            stride = 2 if stage > 2 and block == 1 else 1
            block_name = f"conv{stage}_block{block}"
            x = _bottleneck(x, filters, stride, block_name, width=width, groups=groups)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    logits = layers.Dense(num_classes, name="logits")(x)
    return keras.Model(inputs, logits, name=name)


def _stem(x: keras.KerasTensor, dropped: int) -> keras.KerasTensor:
    if dropped == 2:
        return conv_bn(x, 64, 3, "conv1")
    x = conv_bn(x, 64, 7, "conv1", stride=2)
    return x if dropped else layers.MaxPooling2D(3, 2, padding="same", name="pool1")(x)


def _bottleneck(
    x: keras.KerasTensor, filters: int, stride: int, name: str, *, width: int, groups: int
) -> keras.KerasTensor:
    shortcut = x
    if name.endswith("block1"):
        shortcut = conv_bn(x, 4 * filters, 1, f"{name}_0", stride=stride, activation=None)
    x = conv_bn(x, width * filters, 1, f"{name}_1")
    x = conv_bn(x, width * filters, 3, f"{name}_2", stride=stride, groups=groups)
    x = conv_bn(x, 4 * filters, 1, f"{name}_3", activation=None)
    x = layers.Add(name=f"{name}_add")([x, shortcut])
    return layers.Activation("relu", name=f"{name}_out")(x)


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
