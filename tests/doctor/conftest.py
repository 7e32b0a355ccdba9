"""Tiny networks with known answers, and a small set of images with masks."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from kernel_lib.data import ImageSet
from kernel_lib.models import Classifier

CHANNELS, CLASSES = 4, 3


def pooled_network(seed=0, activation=None, side=6):
    """Convolution -> (activation) -> global average -> linear: gradients are known by hand."""
    keras.utils.set_random_seed(seed)
    inputs = x = keras.Input((side, side, 2))
    x = keras.layers.Conv2D(CHANNELS, 3, padding="same", name="conv1")(x)
    if activation:
        x = keras.layers.Activation(activation, name="act")(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    logits = keras.layers.Dense(CLASSES, name="logits")(x)
    return Classifier(keras.Model(inputs, logits), head="logits", name="pooled")


def two_layer_network(seed=0, side=8, dropout=0.0, norm=False):
    """Two convolutions, a flat head, and optionally batch normalisation and dropout."""
    keras.utils.set_random_seed(seed)
    inputs = x = keras.Input((side, side, 1))
    x = keras.layers.Conv2D(3, 3, padding="same", activation="relu", name="conv1")(x)
    if norm:
        x = keras.layers.BatchNormalization(name="norm1")(x)
    x = keras.layers.Conv2D(CHANNELS, 3, padding="same", name="conv2")(x)
    x = keras.layers.ReLU(name="relu2")(x)
    x = keras.layers.MaxPooling2D(name="pool2")(x)
    x = keras.layers.Flatten(name="flat")(x)
    x = keras.layers.Dropout(dropout, seed=seed)(x) if dropout else x
    logits = keras.layers.Dense(CLASSES, name="logits")(x)
    return Classifier(keras.Model(inputs, logits), head="logits", name="two_layer")


@pytest.fixture
def images():
    """60 images of three classes: a bright square whose size tells the class; masks for most."""
    rng = np.random.default_rng(3)
    labels = np.arange(60) % CLASSES
    pictures = rng.random((60, 8, 8, 1), np.float32) * 0.2
    masks = np.zeros((60, 8, 8), bool)
    for place, label in enumerate(labels):
        masks[place, 1 : 3 + label, 2 : 4 + label] = True
    pictures[masks] += 0.7
    masks[::7] = False  # these own no mask
    return ImageSet(pictures, labels, masks=masks)
