"""ShuffleNet V2 x1.0 in torchvision's form."""

from __future__ import annotations

import keras
from keras import layers, ops

from kernel_lib.models.networks.blocks import Shape, conv_bn, depthwise_bn, dropped_halvings


def shufflenet_v2(input_shape: Shape, num_classes: int) -> keras.Model:
    """ShuffleNet V2 (Ma et al. 2018): half of the channels pass by, then both halves mix."""
    dropped = dropped_halvings(input_shape)
    inputs = keras.Input(input_shape)
    x = conv_bn(inputs, 24, 3, "conv1", stride=1 if dropped == 2 else 2)
    x = x if dropped else layers.MaxPooling2D(3, 2, padding="same", name="pool1")(x)
    for stage, (channels, num_blocks) in enumerate(((116, 4), (232, 8), (464, 4)), start=2):
        x = _halving_block(x, channels // 2, f"stage{stage}_block1")
        for block in range(2, num_blocks + 1):
            x = _block(x, channels // 2, f"stage{stage}_block{block}")
    x = conv_bn(x, 1024, 1, "conv5")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    logits = layers.Dense(num_classes, name="logits")(x)
    return keras.Model(inputs, logits, name="shufflenet_v2")


def _block(x: keras.KerasTensor, channels: int, name: str) -> keras.KerasTensor:
    passing, worked = ops.split(x, 2, axis=-1)
    return _shuffled([passing, _worked(worked, channels, 1, name)], name)


def _halving_block(x: keras.KerasTensor, channels: int, name: str) -> keras.KerasTensor:
    passing = depthwise_bn(x, 3, f"{name}_pass_depthwise", stride=2)
    passing = conv_bn(passing, channels, 1, f"{name}_pass")
    return _shuffled([passing, _worked(x, channels, 2, name)], name)


def _worked(x: keras.KerasTensor, channels: int, stride: int, name: str) -> keras.KerasTensor:
    x = conv_bn(x, channels, 1, f"{name}_1")
    x = depthwise_bn(x, 3, f"{name}_2_depthwise", stride=stride)
    return conv_bn(x, channels, 1, f"{name}_3")


def _shuffled(halves: list[keras.KerasTensor], name: str) -> keras.KerasTensor:
    """Join two halves so that their channels alternate."""
    x = layers.Concatenate(name=f"{name}_concat")(halves)
    height, width, channels = x.shape[1:]
    x = layers.Reshape((height, width, 2, channels // 2), name=f"{name}_split")(x)
    x = layers.Permute((1, 2, 4, 3), name=f"{name}_shuffle")(x)
    return layers.Reshape((height, width, channels), name=f"{name}_out")(x)
