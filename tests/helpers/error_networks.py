"""Tiny networks whose conductances and mutants are known by hand."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers

from kernel_lib.models import Classifier


def with_weights(model: keras.Model, seed: int = 0, scale: float = 0.5) -> keras.Model:
    """Random weights and biases everywhere, normalisation statistics included."""
    random = np.random.default_rng(seed)
    for variable in model.variables:
        if not variable.dtype.startswith("float"):
            continue
        value = random.normal(0, scale, variable.shape)
        positive = "variance" in variable.path or "gamma" in variable.path
        variable.assign(np.abs(value) + 0.5 if positive else value)
    return model


def plain_network(num_classes: int = 3, seed: int = 0) -> Classifier:
    """Convolution, pooling, convolution, dense, logits on 8x8x1 images."""
    inputs = keras.Input((8, 8, 1))
    x = layers.Conv2D(4, 3, padding="same", activation="relu", name="conv1")(inputs)
    x = layers.MaxPooling2D(name="pool1")(x)
    x = layers.Conv2D(6, 3, activation="relu", name="conv2")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(8, activation="relu", name="dense1")(x)
    outputs = layers.Dense(num_classes, name="logits")(x)
    return Classifier(with_weights(keras.Model(inputs, outputs, name="plain"), seed))


def residual_network(num_classes: int = 3, seed: int = 0) -> Classifier:
    """Two residual blocks with batch normalisation, global pooling, logits."""
    inputs = keras.Input((8, 8, 1))
    x = layers.Conv2D(4, 3, padding="same", name="stem")(inputs)
    x = layers.BatchNormalization(name="stem_bn")(x)
    x = layers.ReLU(name="stem_relu")(x)
    for block in ("a", "b"):
        y = layers.Conv2D(4, 3, padding="same", name=f"{block}_conv")(x)
        y = layers.BatchNormalization(name=f"{block}_bn")(y)
        x = layers.Add(name=f"{block}_add")([x, y])
        x = layers.ReLU(name=f"{block}_out")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    outputs = layers.Dense(num_classes, name="logits")(x)
    return Classifier(with_weights(keras.Model(inputs, outputs, name="residual"), seed))


def centred(classifier: Classifier, images: np.ndarray) -> Classifier:
    """Shift the last bias so that no class wins everywhere."""
    bias = classifier.model.layers[-1].bias
    bias.assign(np.asarray(bias) - classifier.logits(images).mean(axis=0))
    return classifier
