"""Change a network's weights in place, and always put them back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np


class Snapshot:
    """The values of every variable of a model at one moment.

    Args:
        model: a Keras model or a `kernel_lib.models.Classifier`.
    """

    def __init__(self, model: Any):
        self._variables = list(getattr(model, "model", model).variables)
        self._values = [value_of(variable) for variable in self._variables]

    def restore(self) -> None:
        """Put every variable back, bit for bit."""
        for variable, value in zip(self._variables, self._values, strict=True):
            variable.assign(value)

    def value(self, variable: keras.Variable) -> np.ndarray:
        """The saved value of one variable."""
        position = next(i for i, known in enumerate(self._variables) if known is variable)
        return self._values[position]


def value_of(variable: keras.Variable) -> np.ndarray:
    """A copy of a variable's value that later changes of the variable do not reach."""
    return np.asarray(variable).copy()


@contextmanager
def restored_weights(model: Any) -> Iterator[Snapshot]:
    """Leave with every variable of `model` bit for bit as it was on entering.

    Holds also when the body raises or is interrupted. Costs one copy of the weights.

    Args:
        model: a Keras model or a `kernel_lib.models.Classifier`.

    Yields:
        The snapshot, whose `restore()` goes back to the start in between.

    Example:
        >>> with restored_weights(model):
        ...     randomize(model, ["fc1"], seed=0)
        ...     # read the changed network here
    """
    snapshot = Snapshot(model)
    try:
        yield snapshot
    finally:
        snapshot.restore()
