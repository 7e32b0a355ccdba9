"""Cuts and affine tails, read off the graph."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from kernel_lib.errors.graph import default_taps, penultimate_tap, places
from kernel_lib.models import Classifier, build


def test_the_inner_branch_of_a_residual_block_is_no_cut(residual):
    found = places(residual)
    cuts = [name for name, place in found.items() if place.is_cut]
    assert cuts == [
        "stem", "stem_bn", "stem_relu", "a_add", "a_out", "b_add", "b_out", "pool", "logits"
    ]  # fmt: skip


def test_only_what_no_nonlinearity_follows_has_an_affine_tail(residual, plain):
    affine = [name for name, place in places(residual).items() if place.has_affine_tail]
    assert affine == ["b_out", "pool", "logits"]
    affine = [name for name, place in places(plain).items() if place.has_affine_tail]
    assert affine == ["dense1", "logits"]


def test_parents_follow_edges(residual):
    found = places(residual)
    assert found["a_bn"].parents == ("a_conv",)
    assert set(found["a_add"].parents) == {"stem_relu", "a_bn"}


def test_default_taps_are_block_outputs_or_activations(residual, plain):
    assert default_taps(residual) == ["a_out", "b_out"]
    assert default_taps(plain) == ["conv1", "conv2", "dense1"]


def test_resnet20_is_read_at_its_nine_blocks_and_pooling_comes_last():
    resnet = build("resnet20", (8, 8, 3), 4)
    blocks = [f"stage{stage}_block{block}_out" for stage in (1, 2, 3) for block in (1, 2, 3)]
    assert default_taps(resnet) == blocks
    assert penultimate_tap(resnet) == "pool"
    assert places(resnet)[blocks[-1]].has_affine_tail
    assert not places(resnet)[blocks[-2]].has_affine_tail


@pytest.mark.slow
def test_inception_is_read_at_its_eleven_mixed_blocks():
    inception = build("InceptionV3", (75, 75, 3), 5)
    assert default_taps(inception) == [f"mixed{index}" for index in range(11)]
    assert [place.tap.shape[-1] for place in map(places(inception).get, default_taps(inception))] \
        == [256, 288, 288, *[768] * 5, 1280, 2048, 2048]  # fmt: skip


def test_the_penultimate_layer_feeds_the_last_kernel(plain, residual):
    assert penultimate_tap(plain) == "dense1"
    assert penultimate_tap(residual) == "pool"


def test_a_product_of_two_branches_is_not_affine():
    inputs = keras.Input((4, 4, 1))
    x = layers.Conv2D(2, 3, name="conv")(inputs)
    squared = layers.Multiply(name="square")([x, x])
    outputs = layers.Dense(2, name="logits")(layers.Flatten()(squared))
    found = places(Classifier(keras.Model(inputs, outputs)))
    assert found["conv"].is_cut
    assert not found["conv"].has_affine_tail
    assert found["square"].has_affine_tail


def test_a_softmax_head_does_not_hide_the_affine_tail():
    inputs = keras.Input((4, 4, 1))
    x = layers.Flatten(name="flatten")(inputs)
    x = layers.Dense(5, activation="tanh", name="hidden")(x)
    outputs = layers.Dense(3, activation="softmax", name="softmax")(x)
    classifier = Classifier(keras.Model(inputs, outputs))
    found = places(classifier)
    assert found["hidden"].has_affine_tail
    assert found["softmax"].is_logits
    assert default_taps(classifier) == ["hidden"]


def test_a_nested_model_is_seen_through():
    inner_inputs = keras.Input((4, 4, 1))
    inner = keras.Model(
        inner_inputs, layers.Conv2D(2, 3, activation="relu", name="conv")(inner_inputs), name="body"
    )
    inputs = keras.Input((4, 4, 1))
    outputs = layers.Dense(2, name="logits")(layers.Flatten(name="flatten")(inner(inputs)))
    found = places(Classifier(keras.Model(inputs, outputs)))
    assert found["body/conv"].is_cut
    assert found["body/conv"].has_affine_tail


def test_a_network_without_anything_before_its_last_layer_says_so():
    inputs = keras.Input((4, 4, 1))
    model = keras.Model(inputs, layers.Conv2D(2, 4, name="only")(inputs))
    flat = keras.Sequential([keras.Input((4, 4, 1)), model, layers.Reshape((2,))])
    with pytest.raises(ValueError, match="no layer before"):
        penultimate_tap(Classifier(flat))
    assert np.isfinite(flat(np.zeros((1, 4, 4, 1)))).all()
