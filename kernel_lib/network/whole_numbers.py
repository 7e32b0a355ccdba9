"""Models whose input is whole numbers (uint8): rounded pixels in, gradients all the same.

A cast to whole numbers has no gradient, so every explanation of such a model would be blank. Pixels
are therefore rounded first, as a file of bytes would hold them, and the model's own cast, which
changes nothing any more, is passed by: its first layer gets the same numbers as floats, and the
gradient goes straight through the rounding. Predictions are those of the model on bytes.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


def input_dtype(model: keras.Model) -> tf.DType:
    """Type that the model's input is declared as; float32 where it declares none."""
    try:
        declared = keras.tree.flatten(model.inputs)[0].dtype
    except (AttributeError, ValueError, IndexError, TypeError):
        return tf.float32
    return tf.as_dtype(declared)


class WholePixels:
    """Rounded pixels, and a bypass around casts of them to whole numbers.

    Args:
        pixels: what the model is fed, as floats.
        dtype: the type that its input is declared as.
    """

    def __init__(self, pixels: tf.Tensor, dtype: tf.DType):
        low, high = (float(limit) for limit in (dtype.min, dtype.max))
        self.pixels = _rounded(tf.cast(pixels, tf.float32), low, high)

    def __call__(self, argument: Any) -> Any:
        """The pixels as floats, where `argument` is a cast of them; else `argument` itself."""
        if tf.executing_eagerly() or not tf.is_tensor(argument):
            return argument
        source, was_whole = argument, False
        while source.op.type == "Cast":
            was_whole = was_whole or source.dtype.is_integer
            source = source.op.inputs[0]
        if not was_whole or source.name != self.pixels.name:
            return argument
        is_float = argument.dtype.is_floating
        return tf.cast(self.pixels, argument.dtype if is_float else tf.float32)


def _rounded(pixels: tf.Tensor, low: float, high: float) -> tf.Tensor:
    @tf.custom_gradient
    def straight(values: tf.Tensor) -> tuple[tf.Tensor, Any]:
        return tf.clip_by_value(tf.round(values), low, high), lambda upstream: upstream

    return straight(pixels)
