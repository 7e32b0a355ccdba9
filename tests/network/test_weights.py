"""Weights always come back, bit for bit."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from kernel_lib.network import restored_weights


@pytest.fixture
def model():
    return keras.Sequential(
        [
            layers.Input((4, 4, 1)),
            layers.Conv2D(2, 3),
            layers.BatchNormalization(),
            layers.Dropout(0.5, seed=1),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )


def contents(model):
    return [np.asarray(variable).tobytes() for variable in model.variables]


def spoil(model):
    for variable in model.variables:
        variable.assign(np.asarray(variable) + 1)


@pytest.mark.parametrize("end", [None, ValueError("broken"), KeyboardInterrupt()])
def test_weights_come_back_however_the_body_ends(model, end):
    before = contents(model)
    try:
        with restored_weights(model):
            spoil(model)
            assert contents(model) != before
            if end is not None:
                raise end
    except (ValueError, KeyboardInterrupt) as raised:
        assert raised is end
    assert contents(model) == before


def test_going_back_in_between(model):
    before = contents(model)
    with restored_weights(model) as trained:
        spoil(model)
        trained.restore()
        assert contents(model) == before
        kernel = model.layers[0].kernel
        assert trained.value(kernel).tobytes() == np.asarray(kernel).tobytes()
        spoil(model)
        assert trained.value(kernel).tobytes() == before[0]
