"""Turn a network that puts channels first into one that puts them last."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

_TOLERANCE = 1e-4


def channels_last(model: keras.Model) -> keras.Model:
    """Return the same network, with the same weights, for images with channels last.

    Kernels of Keras layers are laid out alike in both orders, so weights stay as they are. Both
    networks are compared on noise before the new one is returned.

    Args:
        model: a Functional or Sequential model of Keras layers with data_format="channels_first".

    Returns:
        A new model that takes (num_images, height, width, channels); `model` is left as it was.

    Raises:
        ValueError: the model cannot be turned around: it has layers whose meaning depends on the
            order of axes in a way that is not known here, or the two do not agree.

    Example:
        >>> classifier = Classifier(kernel_lib.models.channels_last(model))
    """
    inputs = getattr(model, "inputs", None)
    if not inputs or len(inputs) != 1 or len(inputs[0].shape) != 4:
        raise ValueError(_refusal(model, "it must be Functional or Sequential, with one input"))
    _, channels, height, width = inputs[0].shape
    try:
        turned = keras.models.clone_model(
            keras.Model(model.inputs, model.outputs),
            input_tensors=[keras.Input((height, width, channels), dtype=inputs[0].dtype)],
            clone_function=_turned,
        )
        outputs = turned.outputs[0] if len(turned.outputs) == 1 else turned.outputs
        turned = keras.Model(turned.inputs[0], outputs, name=model.name)
        turned.set_weights(model.get_weights())
    except (ValueError, TypeError, NotImplementedError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError(_refusal(model, reason)) from error
    _compare(model, turned, (height or 32, width or 32, channels))
    return turned


def _turned(layer: keras.Operation) -> keras.Operation:
    if isinstance(layer, keras.Model):
        has_maps = len(layer.inputs[0].shape) == 4
        return channels_last(layer) if has_maps else keras.models.clone_model(layer)
    if not isinstance(layer, keras.Layer):
        return layer
    config = layer.get_config()
    is_flatten = isinstance(layer, keras.layers.Flatten)
    if is_flatten and _reads_maps(layer) and layer.data_format != "channels_first":
        # It flattens (channels, height, width): the dense layer behind it knows that order.
        return keras.Sequential([keras.layers.Permute((3, 1, 2)), keras.layers.Flatten()])
    if "data_format" in config:
        config["data_format"] = "channels_last"
    if config.get("axis") in (1, [1], (1,)) and _reads_maps(layer):
        config["axis"] = -1
    return type(layer).from_config(config)


def _reads_maps(layer: keras.Layer) -> bool:
    inputs = layer.input[0] if isinstance(layer.input, list) else layer.input
    return len(inputs.shape) == 4


def _compare(model: keras.Model, turned: keras.Model, shape: tuple[int, int, int]) -> None:
    """Run both on noise; XLA runs channels first also where TensorFlow's own kernels do not."""
    noise = np.random.default_rng(0).random((2, *shape), np.float32)
    given = np.moveaxis(noise, -1, 1)
    compiled = tf.function(lambda x: model(x, training=False), jit_compile=True, autograph=False)
    try:
        expected = keras.tree.flatten(compiled(tf.constant(given)))
        found = keras.tree.flatten(turned(noise, training=False))
    except (ValueError, TypeError, tf.errors.OpError) as error:
        reason = f"it cannot be run to compare ({str(error).strip().splitlines()[0]})"
        raise ValueError(_refusal(model, reason)) from error
    pairs: list[tuple[Any, Any]] = list(zip(expected, found, strict=True))
    for one, other in pairs:
        one, other = np.asarray(one, np.float64), np.asarray(other, np.float64)
        if one.shape != other.shape or not np.allclose(one, other, atol=_TOLERANCE):
            raise ValueError(_refusal(model, "the result does not agree with it"))


def _refusal(model: keras.Model, reason: str) -> str:
    return (
        f"The model {model.name!r} cannot be turned to channels last: {reason}. Build it again "
        "with data_format='channels_last', and load the weights into it: the kernels are the same."
    )
