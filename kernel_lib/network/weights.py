"""Change a network's weights in place, and always put them back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np


@contextmanager
def restored_weights(model: Any) -> Iterator[None]:
    """Leave with every variable of `model` bit for bit as it was on entering.

    Holds also when the body raises or is interrupted. Costs one copy of the weights.

    Args:
        model: a Keras model or a `kernel_lib.models.Classifier`.

    Example:
        >>> with restored_weights(model):
        ...     randomize(model, ["fc1"], seed=0)
        ...     # read the changed network here
    """
    variables = variables_of(model)
    saved = [np.array(variable) for variable in variables]
    try:
        yield
    finally:
        for variable, value in zip(variables, saved, strict=True):
            variable.assign(value)


def variables_of(model: Any) -> list[keras.Variable]:
    """Every variable of a model: weights, moving statistics, states of random layers."""
    return list(getattr(model, "model", model).variables)
