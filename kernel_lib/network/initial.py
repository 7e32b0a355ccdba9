"""First weights: what a layer's own initialiser draws, with a random stream that is given."""

from __future__ import annotations

import keras
import numpy as np


def initializer_of(
    layer: keras.Layer, variable: keras.Variable
) -> keras.initializers.Initializer | None:
    """The initialiser of one variable of a layer.

    A trained variable of a custom layer that keeps no initialiser has Keras's defaults: Glorot's
    uniform for a kernel, zeros for a vector. What is measured rather than trained and has none
    (such as the statistics of a `Normalization` layer) has None.
    """
    name = variable.name
    for candidate in (f"{name}_initializer", f"{name.removesuffix('_kernel')}_initializer"):
        if isinstance(getattr(layer, candidate, None), keras.initializers.Initializer):
            return getattr(layer, candidate)
    if not variable.trainable:
        return None
    is_kernel = len(variable.shape) > 1
    return keras.initializers.GlorotUniform() if is_kernel else keras.initializers.Zeros()


def first_value(
    layer: keras.Layer, variable: keras.Variable, stream: np.random.Generator
) -> np.ndarray:
    """What the variable's own initialiser gives, with a seed from `stream`.

    Where there is none, the value stays as it is.
    """
    initializer = initializer_of(layer, variable)
    if initializer is None:
        return np.asarray(variable).copy()
    settings = initializer.get_config()
    if "seed" in settings:
        settings["seed"] = int(stream.integers(2**31 - 1))
        initializer = type(initializer).from_config(settings)
    return np.asarray(initializer(tuple(variable.shape), dtype=variable.dtype))
