"""VGG networks: 13 layers with batch normalisation, for small images."""

from __future__ import annotations

import keras
from keras import layers

from kernel_lib.models.networks.blocks import normalize


def vgg13_bn(input_shape: tuple[int, int, int], num_classes: int) -> keras.Model:
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
