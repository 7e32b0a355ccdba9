"""VGG networks: 16 layers, and 13 layers with batch normalisation for small images."""

from __future__ import annotations

import keras
from keras import layers

from kernel_lib.models.networks.blocks import Shape, normalize


def vgg13_bn(input_shape: Shape, num_classes: int) -> keras.Model:
    """VGG-13 with batch normalisation and one dense layer, as in the invariance checks.

    The convolutions `conv0` to `conv9` are read before normalisation and activation.
    """
    inputs = x = keras.Input(input_shape)
    for block, filters in enumerate((64, 128, 256, 512, 512)):
        for index in (2 * block, 2 * block + 1):
            x = layers.Conv2D(filters, 3, padding="same", name=f"conv{index}")(x)
            x = normalize(x, f"conv{index}", activation="relu")
        x = layers.MaxPooling2D(name=f"pool{block}")(x)
    x = layers.Flatten(name="flatten")(x)
    logits = layers.Dense(num_classes, name="logits")(x)
    return keras.Model(inputs, logits, name="vgg13_bn")


def vgg16(input_shape: Shape, num_classes: int) -> keras.Model:
    """VGG-16 (configuration D) as in torchvision; the dense head takes the last map as it is."""
    inputs = x = keras.Input(input_shape)
    plan = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
    for block, (filters, num_convs) in enumerate(plan, start=1):
        for index in range(1, num_convs + 1):
            name = f"block{block}_conv{index}"
            x = layers.Conv2D(
                filters, 3, padding="same", kernel_initializer="he_normal", name=name
            )(x)
            x = layers.Activation("relu", name=f"{name}_relu")(x)
        x = layers.MaxPooling2D(padding="same", name=f"block{block}_pool")(x)
    return keras.Model(inputs, _dense_head(x, num_classes), name="vgg16")


def _dense_head(x: keras.KerasTensor, num_classes: int) -> keras.KerasTensor:
    x = layers.Flatten(name="flatten")(x)
    for index in (1, 2):
        x = layers.Dense(4096, "relu", kernel_initializer="he_normal", name=f"fc{index}")(x)
        x = layers.Dropout(0.5, name=f"fc{index}_dropout")(x)
    return layers.Dense(num_classes, name="logits")(x)
