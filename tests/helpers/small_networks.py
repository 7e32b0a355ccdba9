"""Tiny networks and images that every test can afford."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers

from kernel_lib.data import ImageSet


def tiny_cnn(seed: int = 0, batch_norm: bool = False) -> keras.Model:
    """Two convolutions and two dense layers on 12 x 12 grey images, three classes."""
    inputs = layers.Input((12, 12, 1))
    draw = iter(range(100 * seed, 100 * seed + 100))

    def normal() -> keras.Initializer:
        return keras.initializers.RandomNormal(stddev=0.4, seed=next(draw))

    x = layers.Conv2D(4, 3, name="conv1", kernel_initializer=normal())(inputs)
    if batch_norm:
        x = layers.BatchNormalization(name="norm1")(x)
    x = layers.ReLU(name="relu1")(x)
    x = layers.Conv2D(4, 3, activation="relu", name="conv2", kernel_initializer=normal())(x)
    x = layers.MaxPooling2D(name="pool")(x)
    x = layers.Flatten(name="flat")(x)
    x = layers.Dense(8, activation="relu", name="hidden", kernel_initializer=normal())(x)
    return keras.Model(inputs, layers.Dense(3, name="scores", kernel_initializer=normal())(x))


def small_set() -> ImageSet:
    """Sixty noise images of 12 x 12 pixels with a black margin, three classes."""
    pixels = np.random.default_rng(2).random((60, 12, 12, 1), np.float32)
    pixels[:, :3] = 0  # a background, so that foreground metrics differ from the others
    return ImageSet(pixels, np.arange(60) % 3, name="noise")
