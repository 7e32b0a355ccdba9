"""MnasNet 1.0 in torchvision's form, without squeeze and excitation."""

from __future__ import annotations

import keras
from keras import layers

from kernel_lib.models.networks.blocks import Shape, conv_bn, depthwise_bn, dropped_halvings

# Size of the kernel, stride, expansion, channels and number of blocks of each stack.
_STACKS = (
    (3, 2, 3, 24, 3),
    (5, 2, 3, 40, 3),
    (5, 2, 6, 80, 3),
    (3, 1, 6, 96, 2),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)


def mnasnet(input_shape: Shape, num_classes: int) -> keras.Model:
    """MnasNet (Tan et al. 2018): inverted residual blocks with 3x3 and 5x5 kernels."""
    dropped = dropped_halvings(input_shape)
    inputs = keras.Input(input_shape)
    x = conv_bn(inputs, 32, 3, "conv1", stride=1 if dropped else 2)
    x = depthwise_bn(x, 3, "conv2_depthwise", activation="relu")
    x = conv_bn(x, 16, 1, "conv2", activation=None)
    for stack, (size, stride, expansion, channels, num_blocks) in enumerate(_STACKS, start=1):
        for block in range(1, num_blocks + 1):
            halves = stride == 2 and block == 1 and not (stack == 1 and dropped == 2)
            name = f"stack{stack}_block{block}"
            x = _inverted_residual(x, size, 2 if halves else 1, expansion, channels, name)
    x = conv_bn(x, 1280, 1, "conv_last")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dropout(0.2, name="dropout")(x)
    logits = layers.Dense(num_classes, name="logits")(x)
    return keras.Model(inputs, logits, name="mnasnet")


def _inverted_residual(
    x: keras.KerasTensor, size: int, stride: int, expansion: int, channels: int, name: str
) -> keras.KerasTensor:
    shortcut = x
    x = conv_bn(x, expansion * x.shape[-1], 1, f"{name}_expand")
    x = depthwise_bn(x, size, f"{name}_depthwise", stride=stride, activation="relu")
    x = conv_bn(x, channels, 1, f"{name}_project", activation=None)
    if stride == 1 and shortcut.shape[-1] == channels:
        x = layers.Add(name=f"{name}_add")([shortcut, x])
    return x
