"""Where networks of different endings are treated."""

from __future__ import annotations

import keras
import pytest

from kernel_lib.doctor.places import check_tap, convolutions, default_tap
from kernel_lib.models import Classifier, build

from .conftest import pooled_network


def network(ending):
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, padding="same", name="first")(inputs)
    if ending == "branches":
        left = keras.layers.Conv2D(4, 1, name="left")(x)
        right = keras.layers.Conv2D(4, 1, name="right")(x)
        x = keras.layers.Concatenate(name="both")([left, right])
    if ending == "small":
        x = keras.layers.GlobalAveragePooling2D(keepdims=True)(x)
        x = keras.layers.Conv2D(6, 1, name="one_pixel")(x)
    if ending == "scores":
        x = keras.layers.Conv2D(3, 1, name="scores")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    if ending != "scores":
        x = keras.layers.Dense(3)(x)
    return Classifier(keras.Model(inputs, x), head="logits").network


@pytest.mark.parametrize(
    ("ending", "tap"),
    [("plain", "first"), ("branches", "both"), ("small", "first"), ("scores", "first")],
)
def test_the_default_tap(ending, tap):
    assert default_tap(network(ending)) == tap


def test_a_network_whose_classifier_is_a_convolution_ends_before_it():
    squeezenet = build("squeezenet", (32, 32, 3), 10).network
    tap = check_tap(squeezenet, None)
    assert tap.name == "fire9"
    assert tap.shape == (4, 4, 512)


def test_every_convolution_is_found_in_order():
    names = [tap.name for tap in convolutions(network("branches"))]
    assert names == ["first", "left", "right"]


def test_what_is_no_map_is_refused():
    with pytest.raises(ValueError, match="Choose a convolution, such as 'conv1'"):
        check_tap(pooled_network().network, "logits")


def test_maps_of_one_pixel_are_not_enough():
    inputs = keras.Input((3, 3, 1))
    x = keras.layers.Flatten()(keras.layers.Conv2D(4, 3, name="conv")(inputs))
    classifier = Classifier(keras.Model(inputs, keras.layers.Dense(2)(x)), head="logits")
    with pytest.raises(ValueError, match="map of more than one pixel"):
        default_tap(classifier.network)
