"""Tiny networks that every saliency test can afford."""

from __future__ import annotations

import keras
import numpy as np
import pytest
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


@pytest.fixture
def model():
    return tiny_cnn()


@pytest.fixture
def normalised_model():
    model = tiny_cnn(batch_norm=True)
    norm = model.get_layer("norm1")
    norm.moving_mean.assign([0.1, 0.2, 0.3, 0.4])
    norm.moving_variance.assign([1.5, 0.5, 2.0, 0.7])
    norm.gamma.assign([1.2, 0.8, 1.1, 0.9])
    return model


@pytest.fixture
def linear_model():
    model = keras.Sequential([layers.Input((6, 6, 2)), layers.Flatten(), layers.Dense(3)])
    model.layers[-1].bias.assign([0.3, -0.2, 0.1])
    return model


@pytest.fixture
def images():
    return np.random.default_rng(1).random((6, 12, 12, 1), np.float32)


@pytest.fixture
def image_set():
    random = np.random.default_rng(2)
    pixels = random.random((60, 12, 12, 1), np.float32)
    pixels[:, :3] = 0  # a background, so that foreground metrics differ from the others
    return ImageSet(pixels, np.arange(60) % 3, name="noise")
