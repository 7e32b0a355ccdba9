"""Names of taps: the same at every trace, for every wrapper, and after saving and loading."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from kernel_lib.models import Classifier
from kernel_lib.network import gradients, outputs


@keras.saving.register_keras_serializable("test_names")
class Residual(layers.Layer):
    """Makes operations anew at each call, and layers without names."""

    def __init__(self, filters, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.first = layers.Conv2D(filters, 3)
        self.second = keras.Sequential([layers.Conv2D(filters, 1), layers.ReLU()])

    def call(self, x):
        padded = ops.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]])
        again = ops.pad(self.first(padded), [[0, 0], [0, 0], [0, 0], [0, 0]])
        return self.second(again) + x

    def get_config(self):
        return super().get_config() | {"filters": self.filters}


@keras.saving.register_keras_serializable("test_names")
class Subclassed(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.blocks = [Residual(3), Residual(3)]
        self.pool = layers.GlobalAveragePooling2D()
        self.scores = layers.Dense(2)

    def call(self, x):
        for block in self.blocks:
            x = block(x)
        return self.scores(self.pool(x))


def padded():
    inputs = layers.Input((8, 8, 3))
    x = layers.ZeroPadding2D(1, name="frame")(inputs)
    x = Residual(3)(layers.Conv2D(3, 3)(x))
    x = ops.relu(x) + 0.5
    return keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)))


def subclassed():
    model = Subclassed()
    model(np.zeros((1, 8, 8, 3), np.float32))
    return model


def names(model):
    return [tap.name for tap in Classifier(model).network.taps()]


def fresh_trace(classifier):
    """Names that one more trace of the network gives."""
    found = []

    def note(name, layer, output):
        found.append(name)
        return output

    network = classifier.network
    tf.function(lambda x: network.forward(x, alter=note)[0]).get_concrete_function(
        network.image_spec
    )
    return found


@pytest.mark.parametrize("make", [padded, subclassed])
def test_names_are_the_same_at_every_trace_and_for_every_wrapper(make):
    model = make()
    first = Classifier(model)
    known = [tap.name for tap in first.network.taps()]
    assert len(set(known)) == len(known)
    assert fresh_trace(first) == fresh_trace(first) == known == names(model)


def test_operations_made_at_a_call_are_named_by_class_and_order():
    known = names(padded())
    assert "frame/pad" in known
    inside = [name.split("/", 1)[1] for name in known if name.startswith("residual")
              and "/" in name]  # fmt: skip
    assert inside == [
        "pad", "conv2d", "pad:2", "sequential/conv2d", "sequential/re_lu", "sequential",
    ]  # fmt: skip


def test_a_subclass_that_names_nothing_has_the_same_names_each_time_it_is_made():
    one, other = names(subclassed()), names(subclassed())
    assert one == other
    assert one[-3:] == ["residual_1", "global_average_pooling2d", "dense"]


@pytest.mark.parametrize("make", [padded, subclassed])
def test_names_are_the_same_after_saving_and_loading(make, tmp_path):
    model = make()
    known = names(model)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert names(again) == known


@pytest.mark.parametrize("make", [padded, subclassed])
def test_every_tap_can_be_read(make):
    model = make()
    classifier = Classifier(model)
    images = np.random.default_rng(0).random((2, 8, 8, 3), np.float32)
    known = [tap.name for tap in classifier.network.taps()]
    values = outputs(classifier, images, known)
    slopes = gradients(classifier, images, 1, at=known)
    for tap in classifier.network.taps():
        assert values[tap.name].shape == slopes[tap.name].shape == (2, *tap.shape)


@pytest.mark.parametrize("application", ["MobileNet", "MobileNetV2"])
def test_mobile_networks_can_be_read_where_they_pad(application):
    model = getattr(keras.applications, application)(
        input_shape=(32, 32, 3), alpha=0.35 if application == "MobileNetV2" else 0.25,
        weights=None, classes=4,
    )  # fmt: skip
    classifier = Classifier(model)
    pads = [tap.name for tap in classifier.network.taps() if "pad" in tap.name]
    assert any(name.endswith("/pad") for name in pads)
    images = np.zeros((1, 32, 32, 3), np.float32)
    assert set(outputs(classifier, images, pads)) == set(pads)
