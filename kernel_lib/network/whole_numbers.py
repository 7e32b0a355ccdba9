"""Models whose input is whole numbers (uint8): read behind their cast, so that gradients exist.

A cast to whole numbers has no gradient, so every explanation of such a model would be blank. Its
first layer is therefore handed the pixels themselves, as floats, and the cast before it is passed
by. `Preprocessing` has rounded them, with a gradient that goes straight through, so predictions are
those of the model on bytes.
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
    """Pixels for a model of whole numbers, and a bypass around its casts of them.

    Args:
        pixels: what the model is to see, as floats.
        dtype: the type that its input is declared as.

    Attributes:
        pixels: rounded, for a model that casts where the bypass does not reach.
    """

    def __init__(self, pixels: tf.Tensor, dtype: tf.DType):
        self._exact = tf.cast(pixels, tf.float32)
        self.pixels = tf.clip_by_value(tf.round(self._exact), float(dtype.min), float(dtype.max))

    def __call__(self, argument: Any) -> Any:
        """The pixels as floats, where `argument` is a cast of them; else `argument` itself."""
        if tf.executing_eagerly() or not tf.is_tensor(argument):
            return argument
        source, was_whole = argument, False
        while source.op.type == "Cast":
            was_whole = was_whole or source.dtype.is_integer
            source = source.op.inputs[0]
        if not was_whole or source.name not in (self.pixels.name, self._exact.name):
            return argument
        is_float = argument.dtype.is_floating
        return tf.cast(self._exact, argument.dtype if is_float else tf.float32)
