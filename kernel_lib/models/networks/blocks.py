"""The few steps that many of the hand-written networks are made of."""

from __future__ import annotations

import keras
from keras import layers


def normalize(x: keras.KerasTensor, name: str, activation: str | None = None) -> keras.KerasTensor:
    """Batch normalisation with PyTorch's constants (Keras counts momentum the other way)."""
    x = layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}_bn")(x)
    return layers.Activation(activation, name=f"{name}_{activation}")(x) if activation else x
