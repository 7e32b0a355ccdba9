"""Guided backpropagation (Springenberg et al. 2015) without cloning or editing the network.

Behind each ReLU stands an identity whose backward pass drops negative gradients; the ReLU's own
backward pass then drops what did not fire. Together that is the guided rule, dy * [dy > 0] *
[y > 0], and the variables are the network's own, so a change of weights is seen at once.
"""

from __future__ import annotations

from collections.abc import Callable

import keras
import tensorflow as tf

from kernel_lib.network.compiled import CompiledNetwork

_RELU_ACTIVATIONS = (keras.activations.relu, keras.activations.relu6)
_RELU_OPERATIONS = {"Relu", "Relu6"}


@tf.custom_gradient
def _keep_positive_gradient(values: tf.Tensor) -> tuple[tf.Tensor, Callable]:
    return tf.identity(values), lambda upstream: tf.maximum(upstream, 0)


def guided_gradient_function(network: CompiledNetwork) -> Callable[..., tf.Tensor]:
    """Compiled (images, targets) -> guided gradient at the images.

    Raises:
        ValueError: the network has no ReLU, or some that cannot be reached (written inside a
            layer's own code): the plain gradient would come out under a false name.
    """
    _check_relus(network)

    def alter(name: str, layer: keras.Operation, output: tf.Tensor) -> tf.Tensor:
        return _keep_positive_gradient(output) if _is_relu(layer) else output

    return network.image_gradient_function("guided", alter)


def _is_relu(layer: keras.Operation) -> bool:
    if isinstance(layer, keras.layers.ReLU):
        return not layer.negative_slope and not layer.threshold
    if isinstance(layer, keras.Layer):
        return getattr(layer, "activation", None) in _RELU_ACTIVATIONS
    return type(layer).__name__ in _RELU_OPERATIONS


def _check_relus(network: CompiledNetwork) -> None:
    reached = sum(_is_relu(tap.layer) for tap in network.taps())
    operations = network.logits_function().graph.get_operations()
    present = sum(operation.type in _RELU_OPERATIONS for operation in operations)
    if present == 0:
        raise ValueError(
            "Guided backpropagation needs ReLU activations; this network has none. "
            "Leave out the methods 'guided_backprop' and 'guided_gradcam'."
        )
    if present != reached:
        raise ValueError(
            f"Guided backpropagation can reach {reached} of the network's {present} ReLUs: the "
            "others are called inside a layer's own code. Write them as keras.layers.ReLU, or "
            "leave out the methods 'guided_backprop' and 'guided_gradcam'."
        )
