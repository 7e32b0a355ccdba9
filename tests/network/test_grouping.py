"""Blocks: which weights belong together, in the order of the graph."""

from __future__ import annotations

import keras
import pytest
from keras import layers

from kernel_lib.network import blocks


def normalised() -> keras.Model:
    """Layers are made in another order than they are used, inside a nested model."""
    last = layers.Dense(3, name="last")
    inner = keras.Sequential(
        [
            layers.Input((6, 6, 1)),
            layers.Conv2D(2, 3, name="conv1"),
            layers.BatchNormalization(name="norm1"),
            layers.ReLU(name="relu1"),
            layers.Conv2D(2, 3, name="conv2"),
        ],
        name="trunk",
    )
    inputs = layers.Input((6, 6, 1))
    return keras.Model(inputs, last(layers.Flatten(name="flat")(inner(inputs))))


def names(model, grouping="auto"):
    return [block.name for block in blocks(model, grouping)]


def test_one_block_a_layer_in_the_order_of_use():
    assert names(normalised(), "layers") == ["trunk/conv1", "trunk/norm1", "trunk/conv2", "last"]


def test_normalisation_joins_the_layer_before_it():
    found = blocks(normalised())
    assert [block.name for block in found] == ["trunk/conv1", "trunk/conv2", "last"]
    assert len(found[0].variables) == 6 and found[0].output_tap == "trunk/norm1"


def test_every_variable_has_exactly_one_block():
    model = normalised()
    found = [id(v) for block in blocks(model) for v in block.variables]
    assert sorted(found) == sorted(id(v) for v in model.weights)


def test_taps_can_end_blocks():
    assert names(normalised(), ["trunk/relu1"]) == ["trunk/relu1", "trunk/conv2", "last"]
    assert names(normalised(), ["trunk"]) == ["trunk", "last"]


def test_a_mapping_names_blocks():
    grouped = {"head": ["last"], "body": ["trunk/conv1", "trunk/conv2"]}
    assert names(normalised(), grouped) == ["body", "head"]


@pytest.mark.parametrize(
    ("grouping", "message"),
    [
        ({"head": ["lost"]}, "unknown: .*'lost'.*trunk/conv1"),
        ({"a": ["last"], "b": ["last"]}, "named twice: .*'last'"),
        ("stages", "must be 'auto'"),
        (["nowhere"], "no tap named 'nowhere'"),
    ],
)
def test_groupings_that_cannot_be(grouping, message):
    with pytest.raises(ValueError, match=message):
        blocks(normalised(), grouping)


def test_a_composite_layer_gives_its_parts():
    class Pair(layers.Layer):
        def __init__(self):
            super().__init__(name="pair")
            self.first, self.second = layers.Dense(4, name="first"), layers.Dense(2, name="second")

        def call(self, x):
            return self.second(self.first(x))

    model = keras.Sequential([layers.Input((2, 2, 1)), layers.Flatten(), Pair()])
    assert names(model) == ["pair/first", "pair/second"]
