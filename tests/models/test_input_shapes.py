"""What a model takes: sizes that are free, said or found; and inputs that are no images."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from kernel_lib.models import Classifier, channels_last, load
from kernel_lib.models.input_shapes import checked_size, trial_shapes
from kernel_lib.network import gradients, outputs


@keras.saving.register_keras_serializable("test_input_shapes")
class AtLeast(layers.Layer):
    """Refuses smaller images, but only when it is run."""

    def __init__(self, size, **kwargs):
        super().__init__(**kwargs)
        self.size = size

    def call(self, x):
        tf.debugging.assert_greater_equal(tf.shape(x)[1], self.size, "too small")
        return x


def free(least=1):
    """A network of any size from `least` pixels on."""
    inputs = layers.Input((None, None, 3))
    x = layers.Conv2D(4, 3, strides=2, activation="relu", name="conv0")(AtLeast(least)(inputs))
    pooled = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(3, name="scores")(pooled))


@keras.saving.register_keras_serializable("test_input_shapes")
class Patches(layers.Layer):
    """Reads its size when it is traced, as patches of transformers do."""

    def call(self, x):
        return keras.ops.reshape(x, (-1, x.shape[1] // 8, 8, x.shape[2] // 8, 8, 3))[:, 0, :, 0]

    def compute_output_shape(self, shape):
        return shape[0], 8, 8, 3


def needs_its_size():
    inputs = layers.Input((None, None, 3))
    x = Patches()(inputs)
    return keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))


# --- sizes ---------------------------------------------------------------------------------------


def test_a_size_that_is_said_holds_for_images_and_taps():
    model = free()
    classifier = Classifier(model, input_size=(12, 10))
    assert classifier.input_size == (12, 10) and classifier.input_shape == (12, 10, 3)
    assert classifier.network.tap("conv0").shape == (5, 4, 4)
    images = np.random.default_rng(0).random((2, 12, 10, 3), np.float32)
    np.testing.assert_allclose(classifier.logits(images), model(images), atol=1e-6)
    with pytest.raises(ValueError, match=r"\(num_images, 12, 10, 3\). Received: \(2, 10, 10, 3\)"):
        classifier.logits(images[:, :10])


def test_a_free_size_stays_free_and_is_tried_where_it_works():
    small, deep = Classifier(free()), Classifier(free(50))
    assert small.input_size == (32, 32) and small.input_shape == (None, None, 3)
    assert deep.input_size == (64, 64) and deep.input_shape == (None, None, 3)
    images = np.random.default_rng(0).random((2, 70, 64, 3), np.float32)
    np.testing.assert_allclose(deep.logits(images), deep.model(images), atol=1e-6)
    values = outputs(deep, images, ["conv0"])["conv0"]
    assert values.shape == (2, 34, 31, 4)
    assert gradients(deep, images, 1, at=["conv0"])["conv0"].shape == values.shape


def test_where_no_size_can_be_found_the_message_asks_for_it_and_the_cure_works():
    model = free(400)
    with pytest.raises(ValueError, match=r"\(32, 32, 3\) to \(299, 299, 3\).*input_size=224"):
        Classifier(model)
    assert Classifier(model, input_size=512).input_size == (512, 512)


def test_a_network_that_reads_its_size_when_traced_asks_for_it_and_the_cure_works():
    with pytest.raises(ValueError, match="cannot be run.*input_size=224"):
        Classifier(needs_its_size())
    assert Classifier(needs_its_size(), input_size=(16, 24)).input_shape == (16, 24, 3)


@pytest.mark.parametrize(
    ("given", "size"),
    [
        (None, None), (96, (96, 96)), ((96, 128), (96, 128)), ([96, 128], (96, 128)),
        ("96", (96, 96)), ("96,128", (96, 128)), ("(96, 128)", (96, 128)), ("96x128", (96, 128)),
        (np.int64(8), (8, 8)),
    ],
)  # fmt: skip
def test_forms_of_a_size(given, size):
    assert checked_size(given) == size


@pytest.mark.parametrize("given", [0, -3, (1, 2, 3), "big", "", "9.5", 9.5, True, (8, None)])
def test_what_is_no_size(given):
    with pytest.raises((ValueError, TypeError), match="`input_size`"):
        checked_size(given)


def test_a_size_that_the_model_does_not_take():
    model = keras.Sequential([layers.Input((8, 8, 3)), layers.Flatten(), layers.Dense(2)])
    with pytest.raises(
        ValueError, match="takes images of 8x8 pixels.*Received: input_size=.*Leave"
    ):
        Classifier(model, input_size=9)
    assert Classifier(model, input_size=8).input_size == (8, 8)


def test_fixed_axes_are_tried_once():
    assert trial_shapes((8, 9, 3)) == [(8, 9, 3)]
    assert trial_shapes((None, 9, 1))[:2] == [(32, 9, 1), (64, 9, 1)]


def test_a_subclass_is_not_bound_to_what_it_was_built_with():
    class Pooled(keras.Model):
        def __init__(self):
            super().__init__()
            self.conv, self.pool = layers.Conv2D(2, 3), layers.GlobalAveragePooling2D()
            self.scores = layers.Dense(3)

        def call(self, x):
            return self.scores(self.pool(self.conv(x)))

    model = Pooled()
    model(np.zeros((1, 8, 8, 3), np.float32))
    assert Classifier(model).input_shape == (8, 8, 3)
    assert Classifier(model, input_size=9).input_shape == (9, 9, 3)


def test_size_and_output_are_stored_beside_the_model(tmp_path):
    inputs = layers.Input((None, None, 3))
    pooled = layers.GlobalAveragePooling2D()(inputs)
    named = [layers.Dense(2, name="kind")(pooled), layers.Dense(3, name="color")(pooled)]
    model = keras.Model(inputs, named)
    classifier = Classifier(model, input_size=(9, 8), output="color", preprocessing="symmetric")
    again = load(classifier.save(tmp_path / "model.keras"))
    stored = ("input_size", "output", "head", "class_names", "name")
    assert {key: again.settings()[key] for key in stored} == {
        key: classifier.settings()[key] for key in stored
    }
    images = np.random.default_rng(0).random((2, 9, 8, 3), np.float32)
    np.testing.assert_array_equal(again.logits(images), classifier.logits(images))
    pooling = keras.Model(inputs, named[0])
    free_again = load(Classifier(pooling).save(tmp_path / "free.keras"))
    assert free_again.input_shape == (None, None, 3)


# --- inputs that are no images -------------------------------------------------------------------


def test_two_inputs_are_refused_and_the_cure_works():
    pictures, other = layers.Input((4, 4, 3)), layers.Input((2,))
    joined = layers.Concatenate()([layers.Flatten()(pictures), other])
    model = keras.Model([pictures, other], layers.Dense(3)(joined))
    with pytest.raises(ValueError, match="takes one input.*takes 2.*Fix the others"):
        Classifier(model)
    images = keras.Input((4, 4, 3))
    fixed = keras.ops.zeros_like(images)[:, 0, 0, :2]
    assert Classifier(keras.Model(images, model([images, fixed]))).num_classes == 3


def test_a_subclass_with_two_inputs_is_refused():
    class Two(keras.Model):
        def __init__(self):
            super().__init__()
            self.scores = layers.Dense(2)

        def call(self, inputs):
            first, second = inputs
            return self.scores(keras.ops.mean(first + second, axis=(1, 2)))

    model = Two()
    model([np.zeros((1, 4, 4, 3), np.float32)] * 2)
    with pytest.raises(ValueError, match="takes one input.*takes 2"):
        Classifier(model)


def test_gray_images_without_a_channel_axis_are_refused_and_the_cure_works():
    model = keras.Sequential([layers.Input((6, 5)), layers.Flatten(), layers.Dense(2)])
    with pytest.raises(ValueError, match=r"keras.Input\(\(6, 5, 1\)\).*Reshape\(\(6, 5\)\)"):
        Classifier(model)
    cured = keras.Sequential([keras.Input((6, 5, 1)), layers.Reshape((6, 5)), model])
    assert Classifier(cured).input_shape == (6, 5, 1)


def test_rows_of_pixels_are_refused_and_the_cure_works():
    model = keras.Sequential([layers.Input((48,)), layers.Dense(2)])
    with pytest.raises(ValueError, match="with a Flatten layer before it"):
        Classifier(model)
    cured = keras.Sequential([keras.Input((4, 4, 3)), layers.Flatten(), model])
    assert Classifier(cured).num_classes == 2


def test_an_input_in_a_dictionary_is_one_input():
    image = layers.Input((4, 4, 3), name="image")
    model = keras.Model({"image": image}, layers.Dense(2)(layers.Flatten()(image)))
    images = np.random.default_rng(0).random((2, 4, 4, 3), np.float32)
    found = Classifier(model).logits(images)
    np.testing.assert_allclose(found, model({"image": images}), atol=1e-6)


# --- channels first ------------------------------------------------------------------------------

_FIRST = {"data_format": "channels_first"}


def channels_first(flatten):
    inputs = layers.Input((3, 10, 8))
    x = layers.Conv2D(4, 3, activation="relu", **_FIRST)(inputs)
    x = layers.BatchNormalization(axis=1)(x)
    x = layers.Concatenate(axis=1)([layers.Conv2D(2, 3, padding="same", **_FIRST)(x), x])
    x = layers.MaxPooling2D(2, **_FIRST)(x)
    return keras.Model(inputs, layers.Dense(3, activation="softmax")(flatten(x)))


@pytest.mark.parametrize(
    "flatten",
    [layers.GlobalAveragePooling2D(**_FIRST), layers.Flatten(), layers.Flatten(**_FIRST)],
)
def test_channels_first_are_refused_and_the_cure_works(flatten):
    model = channels_first(flatten)
    before = model.get_weights()
    with pytest.raises(ValueError, match=r"channels first.*kernel_lib.models.channels_last\(model"):
        Classifier(model)
    turned = channels_last(model)  # compares both on noise
    classifier = Classifier(turned)
    assert classifier.input_shape == (10, 8, 3) and classifier.network.head_kind == "softmax"
    for old, new, kept in zip(model.get_weights(), turned.get_weights(), before, strict=True):
        np.testing.assert_array_equal(old, new)
        np.testing.assert_array_equal(old, kept)


def test_what_cannot_be_turned_is_said():
    inputs = layers.Input((3, 10, 8))
    x = layers.Reshape((30, 8))(layers.Conv2D(3, 1, **_FIRST)(inputs))
    model = keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))
    with pytest.raises(ValueError, match="cannot be turned to channels last"):
        channels_last(model)


def test_a_size_that_leaves_no_pixel_is_not_run_on_what_lies_in_memory():
    """With oneDNN a convolution of too few pixels gives one pixel of garbage, without an error."""
    strided = [layers.Conv2D(4, 3, strides=2) for _ in range(5)]  # 32, 15, 7, 3, 1 and none
    model = keras.Sequential(
        [keras.Input((None, None, 3)), *strided, layers.GlobalAveragePooling2D(), layers.Dense(3)]
    )
    assert Classifier(model).input_size == (64, 64)
