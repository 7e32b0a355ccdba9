"""What a network changes in itself when it is run, and whether it answers the same twice.

A network at inference should change nothing and depend on nothing but the image. Some do all the
same: dropout or batch normalisation with ``training=True`` written into the model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

_TOLERANCE = 1e-4  # of the largest logit: far above what the order of sums in threads can do


def assigned_variables(model: keras.Model, function: Any) -> list[keras.Variable]:
    """Variables of `model` that a concrete function writes to: state of random numbers, means."""
    graph = function.graph
    written = {
        source.name
        for operation in graph.get_operations()
        if operation.type.startswith("Assign")
        for source in operation.inputs[:1]
    }
    handles = {id(outside) for outside, inside in graph.captures if inside.name in written}
    return [each for each in model.variables if id(_handle(each)) in handles]


@contextmanager
def held(variables: Sequence[keras.Variable]) -> Iterator[None]:
    """Leave with these variables as they were."""
    values = [np.asarray(variable).copy() for variable in variables]
    try:
        yield
    finally:
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)


def differs(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two sets of logits differ by more than arithmetic."""
    scale = max(float(np.abs(one).max()), 1e-6)
    return not np.allclose(one, other, rtol=0, atol=_TOLERANCE * scale, equal_nan=True)


def _handle(variable: keras.Variable) -> Any:
    return getattr(variable.value, "handle", None)
