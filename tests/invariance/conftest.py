"""Tiny networks whose answers are known, and signals made by hand."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from kernel_lib.data import ImageSet
from kernel_lib.invariance.grids import Grid, even_grid
from kernel_lib.invariance.signals import Signals
from kernel_lib.models import Classifier


def distances(signal: np.ndarray) -> np.ndarray:
    """D[i, j] = |s_i - s_j| of one image."""
    return np.abs(signal[:, None] - signal[None])


def hand_signals(
    values: np.ndarray, predictions: np.ndarray, labels: np.ndarray | None, grid: Grid | None = None
) -> Signals:
    """A confidence (T, N) with predictions (T, N)."""
    num_steps = len(predictions)
    grid = grid or even_grid(-(num_steps // 2), num_steps // 2, num_steps, 0)
    stacked = np.asarray(values, np.float32)[None]
    return Signals(("confidence",), stacked, predictions, grid, labels, None, 4)


@pytest.fixture(scope="session")
def pictures() -> np.ndarray:
    return np.random.default_rng(0).random((20, 12, 12, 1), np.float32)


@pytest.fixture(scope="session")
def small_network() -> Classifier:
    """Two convolutions and a linear head, weights from a fixed seed."""
    keras.utils.set_random_seed(7)
    layers = keras.layers
    inputs = keras.Input((12, 12, 1))
    x = layers.Conv2D(3, 3, name="conv1")(inputs)
    x = layers.ReLU()(x)
    x = layers.Conv2D(4, 3, name="conv2")(x)
    x = layers.ReLU()(x)
    x = layers.Flatten()(x)
    outputs = layers.Dense(4, name="logits")(x)
    return Classifier(keras.Model(inputs, outputs, name="small"), head="logits")


@pytest.fixture(scope="session")
def labelled(pictures: np.ndarray) -> ImageSet:
    return ImageSet(pictures, np.arange(20) % 4, ("a", "b", "c", "d"), name="noise")
