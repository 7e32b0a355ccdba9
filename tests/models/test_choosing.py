"""A model file or a name: what is said, stored or known of it reaches the classifier."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from kernel_lib.data import ImageSet
from kernel_lib.models import Classifier, load, load_or_train


@pytest.fixture(scope="module")
def pictures() -> ImageSet:
    images = np.random.default_rng(0).random((12, 8, 8, 3)).astype("float32")
    return ImageSet(images, np.arange(12) % 3, ("a", "b", "c"), "noise")


@pytest.fixture
def path(tmp_path):
    layers = [keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(3)]
    path = tmp_path / "x.keras"
    keras.Sequential(layers).save(path)
    return path


def test_what_is_stored_reaches_every_way_of_loading(path, pictures):
    right = load(path, preprocessing="bytes", class_names=["x", "y", "z"])
    right.save(path)
    loaded = load_or_train(str(path), pictures)
    np.testing.assert_array_equal(loaded.logits(pictures.images), right.logits(pictures.images))
    assert loaded.preprocessing_source == "stored"
    assert loaded.class_names == ("x", "y", "z")
    said = load_or_train(str(path), pictures, preprocessing="2,-1", class_names=["p", "q", "r"])
    assert said.preprocessing.describe() == [[2.0], [-1.0]]
    assert said.class_names == ("p", "q", "r")


def test_settings_of_a_network_with_weights(tmp_path, pictures):
    from kernel_lib.models import build

    weights = tmp_path / "small.weights.h5"
    build("small_cnn", (8, 8, 3), 3, seed=1).model.save_weights(weights)
    options = {"weights": str(weights), "num_classes": 3}
    plain = load_or_train("small_cnn", pictures, **options)
    assert plain.preprocessing_source == "said"
    assert "'small_cnn' are built for 'unit'" in plain.preprocessing_evidence
    said = load_or_train(
        "small_cnn", pictures, **options, preprocessing="bytes", class_names=["p", "q", "r"]
    )
    expected = Classifier(plain.model, preprocessing="bytes").logits(pictures.images)
    np.testing.assert_array_equal(said.logits(pictures.images), expected)
    assert said.class_names == ("p", "q", "r")
    assert plain.class_names == ("0", "1", "2")
    with pytest.raises(ValueError, match="`output` describes a model file"):
        load_or_train("small_cnn", pictures, **options, output="1")


@pytest.mark.parametrize(
    "setting",
    [
        {"preprocessing": "bytes"},
        {"class_names": ["x", "y", "z"]},
        {"input_size": 8},
        {"output": 0},
    ],
)
def test_what_a_network_to_train_cannot_have_is_said(setting, pictures):
    with pytest.raises(ValueError, match=f"`{next(iter(setting))}` describes a model file"):
        load_or_train("small_cnn", pictures, **setting)
