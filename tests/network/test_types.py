"""Types of numbers: half, double and whole-number networks against Keras and their own tape."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from kernel_lib.models import Classifier
from kernel_lib.network import gradients, outputs

_SHAPE = (8, 8, 3)


@pytest.fixture
def images():
    return np.random.default_rng(0).random((4, *_SHAPE), np.float32)


def convolutional(policy, head_policy="float32", before=None, dtype="float32"):
    inputs = layers.Input(_SHAPE, dtype=dtype)
    x = inputs if before is None else before(inputs)
    x = layers.Conv2D(4, 3, activation="relu", name="conv", dtype=policy)(x)
    x = layers.BatchNormalization(name="norm", dtype=policy)(x)
    x = layers.Flatten(name="flat", dtype=policy)(x)
    x = layers.Dense(3, name="scores", dtype=policy)(x)
    return keras.Model(inputs, layers.Softmax(dtype=head_policy)(x))


def taped(model, images, target, scale=1.0):
    """Logits, values and slopes from calls of the layers one by one, in their own types."""
    pixels = tf.constant(images)
    with tf.GradientTape() as tape:
        tape.watch(pixels)
        conv = model.get_layer("conv")(pixels * scale)
        tape.watch(conv)
        rest = model.get_layer("flat")(model.get_layer("norm")(conv, training=False))
        logits = tf.cast(model.get_layer("scores")(rest), tf.float32)
        score = logits[:, target]
    slopes = tape.gradient(score, [pixels, conv])
    return [tf.cast(each, tf.float32).numpy() for each in (logits, conv, *slopes)]


POLICIES = {  # how far arithmetic in another order may be off
    "float32": 1e-5,
    "mixed_float16": 5e-3,
    "float16": 5e-3,
    "mixed_bfloat16": 5e-2,
    "float64": 1e-5,
}


@pytest.mark.parametrize("head_policy", ["float32", "same"])
@pytest.mark.parametrize("policy", POLICIES)
def test_whatever_a_network_computes_in_its_answers_are_float32(policy, head_policy, images):
    head = policy if head_policy == "same" else head_policy
    model = convolutional(policy, head)
    classifier = Classifier(model)
    assert classifier.network.head_kind == "softmax"
    logits, conv, slope, conv_slope = taped(model, images, 1)
    found = {
        "logits": (classifier.logits(images), logits),
        "values": (outputs(classifier, images, ["conv"])["conv"], conv),
        "slopes": (gradients(classifier, images, 1), slope),
        "slopes at the tap": (gradients(classifier, images, 1, at=["conv"])["conv"], conv_slope),
        "probabilities": (
            classifier.probabilities(images),
            np.asarray(tf.cast(model(images), tf.float32)),
        ),
    }
    for name, (value, expected) in found.items():
        assert value.dtype == np.float32, name
        size = np.abs(expected).max()
        assert size > 0
        np.testing.assert_allclose(value / size, expected / size, atol=POLICIES[policy])


@pytest.mark.parametrize("policy", ["mixed_float16", "float64"])
def test_an_alteration_sees_float32_and_the_network_its_own_type(policy, images):
    classifier = Classifier(convolutional(policy, policy))
    seen = {}

    def doubled(name, layer, output):
        seen[name] = output.dtype
        return output * 2.0 if name == "scores" else output

    function = classifier.network.function(
        "doubled",
        lambda x: classifier.network.forward(x, alter=doubled)[0],
        [classifier.network.image_spec],
    )
    found = function(tf.constant(images))
    np.testing.assert_allclose(found, 2 * classifier.logits(images), rtol=1e-2, atol=1e-3)
    assert set(seen.values()) == {tf.float32}


# --- whole numbers -------------------------------------------------------------------------------


def _nested(inputs):
    inner = layers.Input(_SHAPE, dtype="uint8")
    return keras.Model(inner, layers.Rescaling(1 / 255)(inner))(inputs)


BEFORE = {
    "rescaling": lambda x: layers.Rescaling(1 / 255)(x),
    "cast": lambda x: keras.ops.cast(x, "float32") / 255.0,
    "nested": _nested,
}


@pytest.mark.parametrize(
    ("before", "dtype"),
    [("rescaling", "uint8"), ("cast", "uint8"), ("nested", "uint8"), ("rescaling", "int32")],
)
def test_gradients_go_through_a_cast_to_whole_numbers(before, dtype, images):
    model = convolutional("float32", before=BEFORE[before], dtype=dtype)
    classifier = Classifier(model, preprocessing="bytes")
    pixels = np.round(images * 255)
    images = (pixels / 255).astype(np.float32)
    np.testing.assert_allclose(
        classifier.probabilities(images), model(pixels.astype(dtype)), atol=1e-6
    )
    _, _, slope, _ = taped(model, pixels / 255, 1)
    found = gradients(classifier, images, 1)
    np.testing.assert_allclose(found, slope, atol=1e-5 * np.abs(slope).max())
    facts = classifier.describe()
    assert facts["has_gradient"] and facts["input_dtype"] == dtype
    assert any("pixels are rounded to whole numbers" in note for note in facts["notes"])


def test_pixels_are_rounded_not_cut_off():
    model = convolutional("float32", before=BEFORE["rescaling"], dtype="uint8")
    classifier = Classifier(model, preprocessing="bytes")
    numbers = np.arange(192, dtype=np.uint8).reshape(1, *_SHAPE)
    images = numbers / np.float32(255)  # times 255 again, many are a little below
    np.testing.assert_allclose(classifier.probabilities(images), model(numbers), atol=1e-6)


@keras.saving.register_keras_serializable("test_types")
class Rounded(layers.Layer):
    def call(self, pixels):
        return tf.cast(tf.cast(pixels * 255.0, tf.uint8), tf.float32) / 255.0


def test_a_cast_inside_a_layers_code_is_said_and_the_cure_works(images):
    model = convolutional("float32", before=lambda x: Rounded()(x))
    classifier = Classifier(model)
    assert classifier.logits(images).shape == (4, 3)
    assert not classifier.network.has_gradient
    with pytest.raises(ValueError, match=r"no gradient at the image.*dtype='uint8'"):
        gradients(classifier, images)
    assert any("no gradient" in note for note in classifier.describe()["notes"])
    cured = convolutional("float32", before=BEFORE["rescaling"], dtype="uint8")
    assert np.abs(gradients(Classifier(cured, preprocessing="bytes"), images)).max() > 0
