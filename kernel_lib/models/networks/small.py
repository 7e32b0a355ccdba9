"""Small networks: the two of the saliency checks, the one of the invariance checks, a fast one.

| name | network | from |
|---|---|---|
| mlp | 2500, 1500, 500 units | Adebayo et al. 2018, MNIST |
| cnn | two 5x5 convolutions, 1024 units | Adebayo et al. 2018, MNIST |
| cnn5 | three convolutions, 64 units, dropout | ML4ML invariance testing, MNIST |
| small_cnn | three 3x3 convolutions, 64 units | for demonstrations at 8 to 96 pixels |
"""

from __future__ import annotations

import math

import keras
from keras import layers

Shape = tuple[int, int, int]


def mlp(input_shape: Shape, num_classes: int) -> keras.Model:
    """Dense network of Adebayo et al.: weights of deviation 2 / sqrt(fan in), biases 0."""
    inputs = keras.Input(input_shape)
    x = layers.Flatten(name="flatten")(inputs)
    for index, units in enumerate((2500, 1500, 500), start=1):
        initializer = _truncated_normal(2 / math.sqrt(x.shape[-1]))
        name = f"hidden{index}"
        x = layers.Dense(units, "relu", kernel_initializer=initializer, name=name)(x)
    initializer = _truncated_normal(2 / math.sqrt(x.shape[-1]))
    logits = layers.Dense(num_classes, kernel_initializer=initializer, name="logits")(x)
    return keras.Model(inputs, logits, name="mlp")


def cnn(input_shape: Shape, num_classes: int) -> keras.Model:
    """Convolutional network of Adebayo et al.: weights of deviation 0.1, biases 0.1."""
    inputs = x = keras.Input(input_shape)
    for index, filters in enumerate((32, 64), start=1):
        name = f"hidden{index}"
        x = layers.Conv2D(
            filters, 5, padding="same", activation="relu", name=name, **_constant_bias()
        )(x)
        x = layers.MaxPooling2D(name=f"pool{index}")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(1024, "relu", name="fc1", **_constant_bias())(x)
    logits = layers.Dense(num_classes, name="softmax_linear", **_constant_bias())(x)
    return keras.Model(inputs, logits, name="cnn")


def small_cnn(input_shape: Shape, num_classes: int) -> keras.Model:
    """A network that learns in seconds; its last feature map is a quarter of the image wide."""
    inputs = x = keras.Input(input_shape)
    for index, filters in enumerate((16, 32, 64), start=1):
        name = f"conv{index}"
        x = layers.Conv2D(
            filters, 3, padding="same", activation="relu", kernel_initializer="he_normal", name=name
        )(x)
        x = layers.MaxPooling2D(name=f"pool{index}")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(64, "relu", kernel_initializer="he_normal", name="dense1")(x)
    logits = layers.Dense(num_classes, name="logits")(x)
    return keras.Model(inputs, logits, name="small_cnn")


def cnn5(input_shape: Shape, num_classes: int) -> keras.Model:
    """Network of the invariance checks: dropout 0.25 before each activation."""
    inputs = x = keras.Input(input_shape)
    for index, (filters, size) in enumerate(((6, 5), (16, 5), (32, 3)), start=1):
        x = layers.Conv2D(filters, size, name=f"conv{index}")(x)
        x = layers.Dropout(0.25, name=f"conv{index}_dropout")(x)
        x = layers.ReLU(name=f"conv{index}_relu")(x)
        x = layers.MaxPooling2D(name=f"pool{index}")(x) if index < 3 else x
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(64, name="dense1")(x)
    x = layers.Dropout(0.25, name="dense1_dropout")(x)
    x = layers.ReLU(name="dense1_relu")(x)
    logits = layers.Dense(num_classes, name="logits")(x)
    return keras.Model(inputs, logits, name="cnn5")


def _constant_bias() -> dict[str, keras.Initializer]:
    # An initialiser of its own for each layer: one that is shared gives equal shapes equal weights.
    return {
        "kernel_initializer": _truncated_normal(0.1),
        "bias_initializer": keras.initializers.Constant(0.1),
    }


def _truncated_normal(deviation: float) -> keras.Initializer:
    return keras.initializers.TruncatedNormal(stddev=deviation)
