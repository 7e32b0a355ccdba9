"""Networks that change themselves, or answer differently each time; and what is told of them."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from kernel_lib.models import Classifier
from kernel_lib.network import gradients

_SHAPE = (4, 4, 3)


@pytest.fixture
def images():
    return np.random.default_rng(0).random((4, *_SHAPE), np.float32)


def with_layer(layer, **call):
    inputs = layers.Input(_SHAPE)
    x = layer(layers.Conv2D(4, 3, name="conv")(inputs), **call)
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))


class MonteCarloDropout(layers.Dropout):
    def call(self, inputs):
        return super().call(inputs, training=True)


class BatchStatistics(layers.BatchNormalization):
    def call(self, inputs):
        return super().call(inputs, training=True)


@pytest.mark.parametrize(
    ("make", "call", "is_deterministic", "is_independent"),
    [
        (lambda: layers.Dropout(0.5), {}, True, True),
        # Keras' own predict says training=False too, which goes before what a call said.
        (lambda: layers.Dropout(0.5), {"training": True}, True, True),
        (lambda: layers.BatchNormalization(), {"training": True}, True, True),
        (lambda: MonteCarloDropout(0.5), {}, False, None),
        (lambda: BatchStatistics(), {}, True, False),
    ],
)
def test_what_a_prediction_depends_on(make, call, is_deterministic, is_independent, images):
    model = with_layer(make(), **call)
    before = [np.asarray(variable).copy() for variable in model.variables]
    classifier = Classifier(model)
    assert classifier.is_deterministic() is is_deterministic
    if is_independent is not None:
        assert classifier.is_batch_independent() is is_independent
    classifier.logits(images)
    facts = classifier.describe()
    assert len(facts["notes"]) == int(not (is_deterministic and is_independent))
    if is_deterministic and is_independent:
        expected = model.predict(images, verbose=0)
        np.testing.assert_allclose(classifier.logits(images), expected, atol=1e-5)
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(np.asarray(variable), value, err_msg=variable.path)


def test_state_is_put_back_when_a_prediction_fails(images, monkeypatch):
    model = with_layer(BatchStatistics())
    classifier = Classifier(model)
    before = [np.asarray(variable).copy() for variable in model.variables]

    def interrupted(function, *_):
        function(tf.constant(images))
        raise KeyboardInterrupt

    monkeypatch.setattr("kernel_lib.models.classifier.in_batches", interrupted)
    with pytest.raises(KeyboardInterrupt):
        classifier.logits(images)
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(np.asarray(variable), value)


def test_facts_are_plain_and_whole():
    classifier = Classifier(
        with_layer(layers.ReLU()), class_names=["a", "b", "c"], name="small", preprocessing="unit"
    )
    facts = classifier.describe()
    assert json.loads(json.dumps(facts))["name"] == "small"
    expected = {
        "input_shape": (4, 4, 3), "input_size": (4, 4), "input_dtype": "float32",
        "compute_dtypes": ["float32"], "preprocessing": "unit", "head": "linear",
        "head_in_words": "3 units; logits are the model's output, which has no softmax or sigmoid",
        "is_multi_label": False, "output": None, "num_classes": 3,
        "class_names": ("a", "b", "c"), "num_parameters": 4 * 28 + 3 * 17, "num_layers": 4,
        "num_taps": 4, "last_map": "re_lu", "is_deterministic": True,
        "is_batch_independent": True, "has_gradient": True, "notes": [],
    }  # fmt: skip
    facts["last_map"] = facts["last_map"].split("_lu")[0] + "_lu"  # Keras numbers it
    assert {name: facts[name] for name in expected} == expected


def test_layers_that_are_shared_are_read_at_each_call(images):
    conv = layers.Conv2D(3, 3, padding="same", name="conv")
    inputs = layers.Input(_SHAPE)
    model = keras.Model(
        inputs, layers.Dense(2, name="scores")(layers.Flatten()(conv(conv(inputs))))
    )
    found = gradients(model, images, 1, at=["conv", "conv:2"])
    first = conv(tf.constant(images))
    with tf.GradientTape() as tape:
        tape.watch(first)
        second = conv(first)
        tape.watch(second)
        score = model.get_layer("scores")(tf.reshape(second, (4, -1)))[:, 1]
    expected = tape.gradient(score, [first, second])
    np.testing.assert_allclose(found["conv"], expected[0], atol=1e-6)
    np.testing.assert_allclose(found["conv:2"], expected[1], atol=1e-6)


def test_a_saved_model_in_a_layer(images, tmp_path):
    inner = with_layer(layers.ReLU())
    logits_only, softmax = tmp_path / "logits", tmp_path / "softmax"
    inner.export(logits_only, verbose=False)
    keras.Sequential([inner, layers.Softmax()]).export(softmax, verbose=False)

    def wrapped(path):
        layer = layers.TFSMLayer(str(path), call_endpoint="serve")
        return keras.Sequential([layers.Input(_SHAPE), layer])

    classifier = Classifier(wrapped(logits_only))
    np.testing.assert_allclose(classifier.logits(images), inner(images), atol=1e-5)
    expected = gradients(inner, images, 1)
    np.testing.assert_allclose(gradients(classifier, images, 1), expected, atol=1e-5)
    with pytest.raises(ValueError, match="head='probabilities'"):
        Classifier(wrapped(softmax))
    shares = Classifier(wrapped(softmax), head="probabilities")
    np.testing.assert_allclose(
        shares.probabilities(images), tf.nn.softmax(inner(images)), atol=1e-5
    )
    (note,) = shares.describe()["notes"]
    assert "gradients are those of the log-probability" in note
