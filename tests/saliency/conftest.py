"""Networks and images of the saliency tests."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from small_networks import small_set, tiny_cnn


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
    return small_set()
