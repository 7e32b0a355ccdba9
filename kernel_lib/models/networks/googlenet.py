"""GoogLeNet in torchvision's form: batch normalisation, and 3x3 in place of 5x5 convolutions."""

from __future__ import annotations

import keras
from keras import layers

from kernel_lib.models.networks.blocks import Shape, conv_bn, dropped_halvings

# Filters of each inception: 1x1; 1x1 and 3x3; 1x1 and 3x3; 1x1 behind the pooling.
_INCEPTIONS = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}
_POOL_AFTER = {"3b": 3, "4e": 2}  # name -> size of the pooling


def googlenet(input_shape: Shape, num_classes: int) -> keras.Model:
    """GoogLeNet (Szegedy et al. 2014) without auxiliary heads; `inception5b` is its last map."""
    dropped = dropped_halvings(input_shape)
    inputs = keras.Input(input_shape)
    x = (
        conv_bn(inputs, 64, 3, "conv1")
        if dropped == 2
        else conv_bn(inputs, 64, 7, "conv1", stride=2)
    )
    x = x if dropped else _halve(x, 3, "pool1")
    x = conv_bn(x, 64, 1, "conv2")
    x = conv_bn(x, 192, 3, "conv3")
    x = _halve(x, 3, "pool2")
    for name, filters in _INCEPTIONS.items():
        x = _inception(x, f"inception{name}", *filters)
        if name in _POOL_AFTER:
            x = _halve(x, _POOL_AFTER[name], f"pool{name[0]}")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dropout(0.2, name="dropout")(x)
    logits = layers.Dense(num_classes, name="logits")(x)
    return keras.Model(inputs, logits, name="googlenet")


def _inception(
    x: keras.KerasTensor,
    name: str,
    direct: int,
    before_second: int,
    second: int,
    before_third: int,
    third: int,
    behind_pool: int,
) -> keras.KerasTensor:
    branches = [conv_bn(x, direct, 1, f"{name}_1")]
    before = conv_bn(x, before_second, 1, f"{name}_2_before")
    branches.append(conv_bn(before, second, 3, f"{name}_2"))
    before = conv_bn(x, before_third, 1, f"{name}_3_before")
    branches.append(conv_bn(before, third, 3, f"{name}_3"))
    pooled = layers.MaxPooling2D(3, 1, padding="same", name=f"{name}_pool")(x)
    branches.append(conv_bn(pooled, behind_pool, 1, f"{name}_4"))
    return layers.Concatenate(name=name)(branches)


def _halve(x: keras.KerasTensor, size: int, name: str) -> keras.KerasTensor:
    return layers.MaxPooling2D(size, 2, padding="same", name=name)(x)
