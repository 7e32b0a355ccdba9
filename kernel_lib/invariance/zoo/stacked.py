"""Many small networks of one shape as one: weights stacked, convolutions grouped.

A step of a small network costs mostly the calls, not the sums. Stacked along the channels of
grouped convolutions, eight networks cost hardly more calls than one. Networks that are no plain
chain of layers are run one by one through Keras itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kernel_lib.models.classifier import Classifier
from kernel_lib.network.weights import value_of

_CHAIN = (
    keras.layers.InputLayer,
    keras.layers.Conv2D,
    keras.layers.Dropout,
    keras.layers.ReLU,
    keras.layers.Activation,
    keras.layers.MaxPooling2D,
    keras.layers.Flatten,
    keras.layers.Dense,
)


def can_stack(model: keras.Model) -> bool:
    """Whether `StackedNetworks` can hold networks of this shape."""
    layers = getattr(model, "layers", [])
    return bool(layers) and _is_chain(layers) and all(map(_is_plain, layers))


def _is_chain(layers: Sequence[keras.Layer]) -> bool:
    previous = layers[0]
    for layer in layers[1:]:
        if len(layer._inbound_nodes) != 1 or layer.input is not previous.output:
            return False
        previous = layer
    return True


def _is_plain(layer: keras.Layer) -> bool:
    if type(layer) not in _CHAIN:
        return False
    if isinstance(layer, keras.layers.Conv2D):
        plain = layer.groups == 1 and set(layer.dilation_rate) == {1}
        return plain and layer.data_format == "channels_last" and _activation(layer) is not None
    if isinstance(layer, keras.layers.ReLU):
        return layer.max_value is None and not layer.negative_slope and not layer.threshold
    if isinstance(layer, keras.layers.Dense | keras.layers.Activation):
        return _activation(layer) is not None
    return True


def _activation(layer: keras.Layer) -> Any:
    known = {"linear": tf.identity, "relu": tf.nn.relu}
    return known.get(getattr(layer.activation, "__name__", ""))


class StackedNetworks:
    """K networks of one chain of layers.

    Args:
        classifier: gives the layers and the preprocessing.
        weights: for each network the values of the model's trainable variables.
    """

    def __init__(self, classifier: Classifier, weights: Sequence[Sequence[np.ndarray]]):
        self.count = len(weights)
        self._preprocess = classifier.preprocessing.apply
        self._layers = classifier.model.layers
        self.weights = [tf.Variable(np.stack(values)) for values in zip(*weights, strict=True)]
        variables = [variable.path for variable in classifier.model.trainable_variables]
        self._by_path = dict(zip(variables, self.weights, strict=True))
        self._grouped = grouped_gradients_work()

    def per_model(self, values: tf.Tensor, weight: tf.Variable) -> tf.Tensor:
        """(K,) values in a shape that meets a stacked weight."""
        return tf.reshape(values, [-1] + [1] * (weight.shape.rank - 1))

    def logits(self, images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """(K, B, h, w, c) images in [0, 1] -> (K, B, num_classes) logits while training."""
        x = _to_channels(self._preprocess(images))  # (B, h, w, K * c)
        for position, layer in enumerate(self._layers):
            x = self._step(layer, x, seed + position)
        return x

    def _step(self, layer: keras.Layer, x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        if isinstance(layer, keras.layers.Conv2D):
            return self._convolved(layer, x)
        if isinstance(layer, keras.layers.Dense):
            x = tf.matmul(x, self._by_path[layer.kernel.path])
            if layer.use_bias:
                x += self._by_path[layer.bias.path][:, None]
            return _activation(layer)(x)
        if isinstance(layer, keras.layers.Dropout):
            return tf.nn.experimental.stateless_dropout(x, layer.rate, seed) if layer.rate else x
        if isinstance(layer, keras.layers.ReLU):
            return tf.nn.relu(x)
        if isinstance(layer, keras.layers.Activation):
            return _activation(layer)(x)
        if isinstance(layer, keras.layers.MaxPooling2D):
            padding = layer.padding.upper()
            return tf.nn.max_pool2d(x, layer.pool_size, layer.strides, padding)
        if isinstance(layer, keras.layers.Flatten):
            return self._flat(x)
        return x  # the input layer

    def _convolved(self, layer: keras.layers.Conv2D, x: tf.Tensor) -> tf.Tensor:
        kernel = self._by_path[layer.kernel.path]  # (K, kh, kw, c, f)
        padding = layer.padding.upper()
        if self._grouped:
            columns = tf.transpose(kernel, (1, 2, 3, 0, 4))
            columns = tf.reshape(columns, (*columns.shape[:3], -1))
            x = tf.nn.conv2d(x, columns, layer.strides, padding)
        else:
            parts = zip(tf.split(x, self.count, -1), tf.unstack(kernel), strict=True)
            x = tf.concat([tf.nn.conv2d(a, k, layer.strides, padding) for a, k in parts], -1)
        if layer.use_bias:
            x += tf.reshape(self._by_path[layer.bias.path], (-1,))
        return _activation(layer)(x)

    def _flat(self, x: tf.Tensor) -> tf.Tensor:
        height, width, channels = x.shape[1:]
        x = tf.reshape(x, (-1, height, width, self.count, channels // self.count))
        x = tf.transpose(x, (3, 0, 1, 2, 4))
        return tf.reshape(x, (self.count, -1, height * width * (channels // self.count)))

    def values(self) -> list[list[np.ndarray]]:
        """For each network the values of its trainable variables."""
        stacked = [weight.numpy() for weight in self.weights]
        return [[value[k] for value in stacked] for k in range(self.count)]


class SingleNetwork:
    """One network of any kind, with the same interface; its model is trained in place."""

    count = 1

    def __init__(self, classifier: Classifier, weights: Sequence[Sequence[np.ndarray]]):
        self._classifier = classifier
        variables = classifier.model.trainable_variables
        for variable, value in zip(variables, weights[0], strict=True):
            variable.assign(value)
        self.weights = [variable.value for variable in variables]

    def per_model(self, values: tf.Tensor, weight: tf.Variable) -> tf.Tensor:
        """The only value."""
        return values[0]

    def logits(self, images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """(1, B, h, w, c) images in [0, 1] -> (1, B, num_classes) logits while training."""
        pixels = self._classifier.preprocessing.apply(images[0])
        return self._classifier.model(pixels, training=True)[None]

    def values(self) -> list[list[np.ndarray]]:
        """For its one network the values of its trainable variables."""
        return [[value_of(variable) for variable in self._classifier.model.trainable_variables]]


def _to_channels(images: tf.Tensor) -> tf.Tensor:
    """(K, B, h, w, c) -> (B, h, w, K * c)."""
    count, _, height, width, channels = images.shape
    return tf.reshape(tf.transpose(images, (1, 2, 3, 0, 4)), (-1, height, width, count * channels))


@lru_cache(maxsize=1)
def grouped_gradients_work() -> bool:
    """Whether this machine's TensorFlow has gradients of grouped convolutions.

    Without oneDNN it has none on CPU; then each group gets a convolution of its own.
    """
    try:
        images, kernel = tf.ones((1, 2, 2, 2)), tf.ones((1, 1, 1, 2))
        with tf.GradientTape() as tape:
            tape.watch([images, kernel])
            total = tf.reduce_sum(tf.nn.conv2d(images, kernel, 1, "VALID"))
        tape.gradient(total, [images, kernel])
    except tf.errors.OpError:
        return False
    return True
