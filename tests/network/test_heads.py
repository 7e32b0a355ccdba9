"""Heads: logits against the dense layer itself, probabilities against Keras, slopes against a tape.

Every head reads features of one dense layer, so its scores are known: kernel and bias by hand.
"""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from kernel_lib.models import Classifier
from kernel_lib.network import gradients

_SHAPE = (4, 4, 3)


@pytest.fixture
def images():
    return np.random.default_rng(0).random((5, *_SHAPE), np.float32)


def headed(head, num_units=3, **dense):
    """A network whose scores z are one dense layer, and whose output is `head(z)`."""
    inputs = layers.Input(_SHAPE)
    scores = layers.Dense(num_units, name="scores", **dense)(layers.Flatten()(inputs))
    return keras.Model(inputs, head(scores))


def scores_of(model, images):
    dense = model.get_layer("scores")
    return images.reshape(len(images), -1) @ np.asarray(dense.kernel) + np.asarray(dense.bias)


def slopes_of(model, images, target, sign=1.0):
    """Gradient of one score at the images, from a tape of its own."""
    dense, pixels = model.get_layer("scores"), tf.constant(images)
    with tf.GradientTape() as tape:
        tape.watch(pixels)
        flat = tf.reshape(pixels, (len(images), -1))
        score = (tf.matmul(flat, dense.kernel) + dense.bias)[:, target] * sign
    return tape.gradient(score, pixels).numpy()


@keras.saving.register_keras_serializable("test_heads")
class Temperature(layers.Layer):
    def call(self, scores):
        return scores / 2.0


SOFTMAX_HEADS = {
    "activation layer": lambda z: layers.Activation("softmax")(z),
    "softmax layer": lambda z: layers.Softmax()(z),
    "softmax layer, axis 1": lambda z: layers.Softmax(axis=1)(z),
    "softmax operation": lambda z: ops.softmax(z),
    "lambda": lambda z: layers.Lambda(lambda x: tf.nn.softmax(x))(z),
    "lambda of keras": lambda z: layers.Lambda(lambda x: ops.softmax(x, axis=-1))(z),
    "float16, then float32": lambda z: layers.Activation("linear", dtype="float32")(
        layers.Softmax(dtype="mixed_float16")(z)
    ),
    "reshaped": lambda z: layers.Reshape((1, 1, 3))(layers.Softmax()(z)),
    "softmax of maps": lambda z: layers.Softmax()(layers.Reshape((1, 1, 3))(z)),
    "dropout behind": lambda z: layers.Dropout(0.5)(layers.Softmax()(z)),
    "two nested": lambda z: keras.Sequential(
        [layers.Input((3,)), keras.Sequential([layers.Input((3,)), layers.Softmax()])]
    )(z),
}


@pytest.mark.parametrize("name", SOFTMAX_HEADS)
def test_logits_before_any_softmax(name, images):
    model = headed(SOFTMAX_HEADS[name])
    classifier = Classifier(model)
    tolerance = 2e-3 if "float16" in name else 1e-5
    assert classifier.network.head_kind == "softmax" and not classifier.is_multi_label
    found = classifier.logits(images)
    np.testing.assert_allclose(found, scores_of(model, images), atol=tolerance)
    shares = np.asarray(model(images)).reshape(5, 3)
    np.testing.assert_allclose(classifier.probabilities(images), shares, atol=tolerance)
    slopes = gradients(classifier, images, 1)
    np.testing.assert_allclose(slopes, slopes_of(model, images, 1), atol=tolerance)


def test_a_log_softmax_is_read_like_a_softmax(images):
    model = headed(lambda z: layers.Activation("log_softmax")(z))
    classifier = Classifier(model)
    assert classifier.network.head_kind == "log_softmax"
    np.testing.assert_allclose(classifier.logits(images), scores_of(model, images), atol=1e-5)
    np.testing.assert_allclose(classifier.probabilities(images), np.exp(model(images)), atol=1e-6)


def test_temperature_belongs_to_the_logits(images):
    model = headed(lambda z: layers.Softmax()(Temperature()(z)))
    classifier = Classifier(model)
    np.testing.assert_allclose(classifier.logits(images), scores_of(model, images) / 2, atol=1e-5)
    np.testing.assert_allclose(classifier.probabilities(images), model(images), atol=1e-6)


SIGMOID_HEADS = {
    "activation layer": lambda z: layers.Activation("sigmoid")(z),
    "sigmoid operation": lambda z: ops.sigmoid(z),
    "lambda": lambda z: layers.Lambda(lambda x: tf.sigmoid(x))(z),
    "bfloat16": lambda z: layers.Activation("sigmoid", dtype="mixed_bfloat16")(z),
}


@pytest.mark.parametrize("name", SIGMOID_HEADS)
def test_several_sigmoid_units_are_labels_of_their_own(name, images):
    model = headed(SIGMOID_HEADS[name])
    classifier = Classifier(model)
    tolerance = 3e-2 if "bfloat16" in name else 1e-5
    assert classifier.network.head_kind == "sigmoid" and classifier.is_multi_label
    assert classifier.num_classes == 3
    np.testing.assert_allclose(
        classifier.logits(images), scores_of(model, images), atol=tolerance, rtol=tolerance
    )
    shares = np.asarray(tf.cast(model(images), tf.float32))
    np.testing.assert_allclose(classifier.probabilities(images), shares, atol=tolerance)
    slopes = gradients(classifier, images, 2)
    np.testing.assert_allclose(slopes, slopes_of(model, images, 2), atol=tolerance)


ONE_UNIT_HEADS = {
    "sigmoid": lambda z: layers.Activation("sigmoid")(z),
    "linear": lambda z: z,
    "without its axis": lambda z: layers.Reshape(())(layers.Activation("sigmoid")(z)),
    "as a map": lambda z: layers.Reshape((1, 1, 1))(layers.Activation("sigmoid")(z)),
}


@pytest.mark.parametrize("name", ONE_UNIT_HEADS)
def test_one_unit_is_two_classes_of_equal_standing(name, images):
    model = headed(ONE_UNIT_HEADS[name], 1)
    classifier = Classifier(model)
    z = scores_of(model, images)
    assert classifier.num_classes == 2 and not classifier.is_multi_label
    np.testing.assert_allclose(classifier.logits(images), np.hstack([-z / 2, z / 2]), atol=1e-5)
    expected = np.hstack([tf.sigmoid(-z), tf.sigmoid(z)])
    np.testing.assert_allclose(classifier.probabilities(images), expected, atol=1e-6)
    for target, sign in ((0, -0.5), (1, 0.5)):
        slopes = gradients(classifier, images, target)
        np.testing.assert_allclose(slopes, slopes_of(model, images, 0, sign), atol=1e-6)


def test_a_softmax_over_one_unit_is_refused_and_both_cures_work():
    with pytest.raises(ValueError, match="softmax over one unit, which is 1 for every image"):
        Classifier(headed(lambda z: layers.Softmax()(z), 1))
    assert Classifier(headed(lambda z: z, 1, activation="sigmoid")).num_classes == 2
    assert Classifier(headed(lambda z: z, 2, activation="softmax")).num_classes == 2


# Probabilities without a softmax or sigmoid operation -> (head that cures, units).
BY_HAND = {
    "softmax by hand": (
        lambda z: ops.exp(z) / ops.sum(ops.exp(z), axis=1, keepdims=True),
        "probabilities",
        3,
    ),
    "clipped softmax": (lambda z: ops.clip(ops.softmax(z), 1e-7, 1.0), "probabilities", 3),
    "mean of two softmaxes": (
        lambda z: (ops.softmax(z) + ops.softmax(layers.Dense(3)(z))) / 2.0,
        "probabilities",
        3,
    ),
    "clipped sigmoid": (lambda z: ops.clip(ops.sigmoid(z), 1e-7, 1.0), "probabilities", 1),
    "sigmoid by hand": (lambda z: 1.0 / (1.0 + ops.exp(-z)), "probabilities", 1),
    "sigmoids by hand": (lambda z: 1.0 / (1.0 + ops.exp(-z)), "multi_label_probabilities", 3),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_probabilities_by_hand_are_refused_and_the_cure_works(name, images):
    head, cure, num_units = BY_HAND[name]
    model = headed(head, num_units)
    with pytest.raises(ValueError, match=f"head='{cure}'"):
        Classifier(model)
    classifier = Classifier(model, head=cure)
    shares = np.asarray(model(images))
    shares = np.hstack([1 - shares, shares]) if num_units == 1 else shares
    np.testing.assert_allclose(classifier.probabilities(images), shares, atol=1e-5)
    assert classifier.is_multi_label == cure.startswith("multi")
    assert np.abs(gradients(classifier, images, 1)).max() > 1e-4


@pytest.mark.parametrize("num_units", [1, 3])
def test_linear_scores_that_happen_to_lie_between_0_and_1_are_no_probabilities(num_units, images):
    model = headed(lambda z: z, num_units)
    dense = model.get_layer("scores")
    dense.set_weights([np.asarray(dense.kernel) * 1e-3, np.full(num_units, 0.4)])
    assert Classifier(model).network.head_kind == "linear"


def test_a_softmax_over_the_batch_is_no_head():
    model = headed(lambda z: layers.Lambda(lambda x: tf.nn.softmax(x, axis=0))(z))
    with pytest.raises(ValueError, match="values between 0 and 1 whatever it is shown"):
        Classifier(model)


def test_softmaxes_over_parts_of_the_output_are_no_head():
    model = headed(lambda z: layers.Reshape((6,))(layers.Softmax()(layers.Reshape((2, 3))(z))), 6)
    with pytest.raises(ValueError, match="values between 0 and 1 whatever it is shown"):
        Classifier(model)


def test_a_softmax_of_a_softmax_is_read_as_it_is_and_said(images):
    model = headed(lambda z: layers.Softmax()(layers.Softmax()(z)))
    classifier = Classifier(model)
    np.testing.assert_allclose(classifier.probabilities(images), model(images), atol=1e-6)
    (note,) = classifier.describe()["notes"]
    assert "applied to values that are probabilities already" in note
    assert Classifier(headed(lambda z: layers.Softmax()(z))).describe()["notes"] == []


def test_linear_scores_of_several_labels_can_be_said(images):
    model = headed(lambda z: z)
    classifier = Classifier(model, head="multi_label")
    assert classifier.is_multi_label
    np.testing.assert_allclose(classifier.probabilities(images), tf.sigmoid(model(images)))


# --- several outputs -----------------------------------------------------------------------------


def two_heads(as_dict=False):
    inputs = layers.Input(_SHAPE)
    flat = layers.Flatten()(inputs)
    kind = layers.Dense(2, activation="softmax", name="kind")(flat)
    color = layers.Dense(3, activation="sigmoid", name="color")(flat)
    return keras.Model(inputs, {"kind": kind, "color": color} if as_dict else [kind, color])


@pytest.mark.parametrize("as_dict", [False, True])
def test_outputs_by_name_and_by_position(as_dict, images):
    model = two_heads(as_dict)
    with pytest.raises(ValueError, match="several outputs.*output=.*'kind'.*'color'"):
        Classifier(model)
    by_name = Classifier(model, output="color")
    position = list(model.output).index("color") if as_dict else 1
    np.testing.assert_array_equal(
        by_name.logits(images), Classifier(model, output=position).logits(images)
    )
    answers = model(images)
    answer = answers["color"] if as_dict else answers[1]
    np.testing.assert_allclose(by_name.probabilities(images), answer, atol=1e-6)
    assert by_name.is_multi_label and Classifier(model, output="kind").num_classes == 2
    with pytest.raises(ValueError, match=r"Known: 0 .*Received: output='size'"):
        Classifier(model, output="size")


@pytest.mark.parametrize("wrap", [lambda x: [x], lambda x: {"scores": x}])
def test_the_only_output_needs_no_name(wrap, images):
    inputs = layers.Input(_SHAPE)
    output = layers.Dense(3, name="scores")(layers.Flatten()(inputs))
    model = keras.Model(inputs, wrap(output))
    for chosen in (None, "scores", 0):
        assert Classifier(model, output=chosen).num_classes == 3
    with pytest.raises(ValueError, match="one output.*Received: output='other'"):
        Classifier(model, output="other")


@pytest.mark.parametrize(
    ("make", "cure"),
    [
        (
            lambda: keras.Sequential([layers.Input(_SHAPE), layers.Conv2D(3, 3)]),
            lambda model: keras.Sequential([model, layers.GlobalAveragePooling2D()]),
        ),
    ],
)
def test_maps_of_scores_are_refused_and_the_cure_works(make, cure):
    model = make()
    with pytest.raises(ValueError, match=r"one score a class.*GlobalAveragePooling2D\(\)\]\)"):
        Classifier(model)
    assert Classifier(cure(model)).num_classes == 3


def test_boxes_are_no_class_scores():
    model = headed(lambda z: layers.Reshape((2, 6))(z), 12)
    with pytest.raises(ValueError, match=r"one score a class.*gives shape \('num_images', 2, 6\)"):
        Classifier(model)
