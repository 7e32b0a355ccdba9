"""The classifier: how a model wants its input, and what is said when something does not fit."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from kernel_lib.data import ImageSet
from kernel_lib.models import Classifier, as_classifier
from kernel_lib.models.preprocessing import NAMED


def linear(size=4, channels=3, num_classes=3, **dense):
    return keras.Sequential(
        [layers.Input((size, size, channels)), layers.Flatten(), layers.Dense(num_classes, **dense)]
    )


@pytest.fixture
def images():
    return np.random.default_rng(0).random((5, 4, 4, 3), np.float32)


# --- input ---------------------------------------------------------------------------------------


def test_unit_pixels_go_in_as_they_are(images):
    model = linear()
    np.testing.assert_array_equal(Classifier(model).logits(images), model(images))


@pytest.mark.parametrize(
    ("preprocessing", "prepare"),
    [
        ("symmetric", lambda x: x * 2 - 1),
        ("bytes", lambda x: x * 255),
        ((0.5, 0.25), lambda x: x * 0.5 + 0.25),
        (([1, 2, 3], [0, 1, 2]), lambda x: x * [1, 2, 3] + [0, 1, 2]),
        (layers.Rescaling(3.0, 1.0), lambda x: 3 * x + 1),
    ],
)
def test_pixels_are_brought_to_what_the_model_wants(images, preprocessing, prepare):
    model = linear()
    found = Classifier(model, preprocessing=preprocessing).logits(images)
    np.testing.assert_allclose(found, model(prepare(images).astype("f")), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("mode", ["torch", "caffe"])
def test_imagenet_preprocessing_equals_keras(images, mode):
    expected = keras.applications.imagenet_utils.preprocess_input(images * 255, mode=mode)
    found = NAMED[f"imagenet_{mode}"].apply(keras.ops.convert_to_tensor(images))
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_a_model_that_divides_by_255_itself_gets_bytes(images):
    model = keras.Sequential(
        [layers.Input((4, 4, 3)), layers.Rescaling(1 / 255), layers.Flatten(), layers.Dense(2)]
    )
    assert Classifier(model).preprocessing.name == "bytes"
    np.testing.assert_allclose(Classifier(model).logits(images), model(images * 255), rtol=1e-5)


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.zeros((2, 5, 4, 3)), r"takes images of shape \(num_images, 4, 4, 3\). Received"),
        (np.zeros((4, 4, 3)), r"takes images of shape"),
        (np.zeros((0, 4, 4, 3)), "There are no images"),
        (np.full((1, 4, 4, 3), 200.0), "values from 200 to 200. They look like 0..255"),
        (np.full((1, 4, 4, 3), -0.5), r"must lie in \[0, 1\]"),
        (np.full((1, 4, 4, 3), np.nan), "NaN or infinite"),
        (np.full((1, 4, 4, 3), np.inf), "NaN or infinite"),
    ],
)
def test_images_that_do_not_fit(pixels, message):
    with pytest.raises(ValueError, match=message):
        Classifier(linear()).logits(pixels)


@pytest.mark.parametrize(
    ("targets", "error", "message"),
    [
        ([0, 1, 5, 0, 0], ValueError, "run from 0 to 2. Received: 5"),
        ([0, 1], ValueError, "one class for each of the 5 images"),
        (-1, ValueError, "run from 0 to 2. Received: -1"),
        (1.5, TypeError, "whole numbers"),
    ],
)
def test_classes_that_do_not_fit(images, targets, error, message):
    with pytest.raises(error, match=message):
        Classifier(linear()).check_targets(targets, images)


def test_targets_default_to_the_prediction(images):
    classifier = Classifier(linear())
    np.testing.assert_array_equal(
        classifier.check_targets(None, images), classifier.predict(images)
    )
    assert classifier.check_targets(2, images).tolist() == [2] * 5


# --- the model -----------------------------------------------------------------------------------


def custom_shares():
    """A head that gives shares without any softmax operation."""
    inputs = layers.Input((4, 4, 3))
    weights = keras.ops.exp(layers.Dense(3)(layers.Flatten()(inputs)))
    return keras.Model(inputs, weights / keras.ops.sum(weights, axis=1, keepdims=True))


def test_probabilities_without_a_softmax_are_refused_with_a_way_out(images):
    with pytest.raises(ValueError, match="no softmax can be found.*head='probabilities'"):
        Classifier(custom_shares())
    model = custom_shares()
    logits = Classifier(model, head="probabilities").logits(images)
    np.testing.assert_allclose(np.exp(logits), model(images), rtol=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: keras.Sequential([layers.Input((4, 4, 3)), layers.Conv2D(2, 3)]),
            "gives one score a class",
        ),
        (lambda: keras.Sequential([layers.Input((7,)), layers.Dense(2)]), "must take images"),
        (lambda: keras.Sequential([layers.Dense(2)]), "has no weights yet"),
    ],
)
def test_models_that_are_no_image_classifiers(make, message):
    with pytest.raises(ValueError, match=message):
        Classifier(make())


def test_a_model_with_two_inputs_is_refused():
    first, second = layers.Input((4, 4, 3)), layers.Input((4, 4, 3))
    model = keras.Model([first, second], layers.Dense(2)(layers.Flatten()(first + second)))
    with pytest.raises(ValueError, match="takes one input.*takes 2"):
        Classifier(model)


@pytest.mark.parametrize("thing", [None, "model.keras", lambda x: x])
def test_what_is_no_model(thing):
    with pytest.raises(TypeError, match="must be a Keras model"):
        as_classifier(thing)


def test_free_image_sizes(images):
    inputs = layers.Input((None, None, 3))
    pooled = layers.GlobalAveragePooling2D()(layers.Conv2D(2, 3)(inputs))
    classifier = Classifier(keras.Model(inputs, layers.Dense(2)(pooled)))
    assert classifier.input_shape == (None, None, 3)
    assert classifier.logits(images).shape == (5, 2)
    assert classifier.logits(images[:, :3]).shape == (5, 2)


def test_class_names_are_counted():
    assert Classifier(linear(), class_names=["a", "b", "c"]).class_names == ("a", "b", "c")
    with pytest.raises(ValueError, match="has 3 classes. Received: 2 class names"):
        Classifier(linear(), class_names=["a", "b"])


def test_images_name_the_classes_that_a_model_only_counts():
    pictures = np.zeros((3, 6, 6, 3), np.float32)
    named = ImageSet(pictures, np.arange(3), ("rows", "columns", "spots"), "stripes")
    assert Classifier(linear()).class_names_for(named) == ("rows", "columns", "spots")
    assert Classifier(linear()).class_names_for(pictures) == ("0", "1", "2")
    knowing = Classifier(linear(), class_names=["a", "b", "c"])
    assert knowing.class_names_for(named) == ("a", "b", "c")


def test_bad_settings():
    with pytest.raises(ValueError, match="`head` must be one of"):
        Classifier(linear(), head="softmax")
    with pytest.raises(ValueError, match="`preprocessing` must be 'auto'"):
        Classifier(linear(), preprocessing="zscore")


# --- identity ------------------------------------------------------------------------------------


def test_the_digest_follows_the_content():
    model = linear()
    classifier = Classifier(model)
    before = classifier.digest
    assert Classifier(model).digest == before
    assert Classifier(model, preprocessing="symmetric").digest != before
    kernel = model.layers[-1].kernel
    changed = np.asarray(kernel).copy()
    changed[0, 0] = np.nextafter(changed[0, 0], 1)
    kernel.assign(changed)
    assert classifier.digest != before


def test_the_digest_knows_the_architecture_but_no_names(tmp_path, images):
    plain, curved = linear(), linear(activation="relu")
    curved.set_weights(plain.get_weights())
    assert Classifier(plain).digest != Classifier(curved).digest
    plain.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert Classifier(again).digest == Classifier(plain).digest


def test_the_same_model_keeps_its_wrapper():
    model = linear()
    assert as_classifier(model) is as_classifier(model)
    classifier = Classifier(model)
    assert as_classifier(classifier) is classifier


def test_saving_keeps_how_the_model_wants_its_input(tmp_path, images):
    from kernel_lib.models import load

    classifier = Classifier(linear(), preprocessing=(2.0, -1.0), class_names=["a", "b", "c"])
    path = classifier.save(tmp_path / "model.keras")
    again = load(path)
    np.testing.assert_array_equal(again.logits(images), classifier.logits(images))
    assert again.class_names == ("a", "b", "c")
    with pytest.raises(ValueError, match=r"must end in \.keras"):
        classifier.save(tmp_path / "model.h5")


def test_accuracy_counts_right_predictions(images):
    classifier = Classifier(linear())
    predicted = classifier.predict(images)
    wrong = predicted.copy()
    wrong[:2] = (wrong[:2] + 1) % 3
    assert classifier.accuracy(images, predicted) == 1
    assert classifier.accuracy(images, wrong) == pytest.approx(0.6)
