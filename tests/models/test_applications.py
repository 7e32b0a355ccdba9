"""Networks of keras.applications: all are known, preprocessing is theirs, weights load."""

from __future__ import annotations

import importlib
import inspect
import urllib.error

import keras
import numpy as np
import pytest
from keras.src.utils import file_utils

from kernel_lib.models import build, names
from kernel_lib.models.networks.applications import application, preprocessing_for
from kernel_lib.models.networks.registry import _APPLICATIONS
from kernel_lib.models.preprocessing import NAMED

MODULES = {
    "ConvNeXt": "convnext",
    "DenseNet": "densenet",
    "EfficientNetB": "efficientnet",
    "EfficientNetV2": "efficientnet_v2",
    "InceptionV3": "inception_v3",
    "InceptionResNetV2": "inception_resnet_v2",
    "MobileNetV3": "mobilenet_v3",
    "MobileNetV2": "mobilenet_v2",
    "MobileNet": "mobilenet",
    "NASNet": "nasnet",
    "ResNet50V2": "resnet_v2",
    "ResNet101V2": "resnet_v2",
    "ResNet152V2": "resnet_v2",
    "ResNet": "resnet",
    "VGG16": "vgg16",
    "VGG19": "vgg19",
    "Xception": "xception",
}


def test_every_network_of_keras_is_known() -> None:
    makers = [name for name, value in vars(keras.applications).items() if inspect.isfunction(value)]
    assert sorted(makers) == sorted(_APPLICATIONS)
    assert set(makers) < set(names())


@pytest.mark.parametrize("name", sorted(_APPLICATIONS))
def test_preprocessing_is_that_of_the_family(name: str) -> None:
    module = next(MODULES[start] for start in MODULES if name.startswith(start))
    preprocess = importlib.import_module(f"keras.applications.{module}").preprocess_input
    images = np.random.default_rng(0).random((2, 3, 3, 3)).astype("float32")
    ours = NAMED[preprocessing_for(name, _APPLICATIONS[name], channels=3)].apply(images)
    np.testing.assert_allclose(ours, preprocess(images * 255), rtol=1e-5, atol=1e-4)


def test_a_network_in_any_case_has_linear_logits_and_the_size_asked_for() -> None:
    classifier = build("mobilenetv2", (48, 32, 3), 10)
    assert classifier.name == "MobileNetV2"
    assert classifier.input_shape == (48, 32, 3)
    assert classifier.preprocessing.name == "symmetric"
    assert classifier.model.layers[-1].activation is keras.activations.linear
    trainable = sum(int(np.prod(v.shape)) for v in classifier.model.trainable_weights)
    assert trainable == 2_236_682


@pytest.mark.parametrize(
    ("name", "scales_inside"), [("EfficientNetB0", True), ("EfficientNetV2B0", False)]
)
def test_grey_images_are_taken(name: str, scales_inside: bool) -> None:
    model = application(name, (32, 32, 1), 3, pretrained=False)
    assert model.input_shape == (None, 32, 32, 1)
    assert model.output_shape == (None, 3)
    rescaling = [layer for layer in model.layers if isinstance(layer, keras.layers.Rescaling)]
    assert bool(rescaling) == scales_inside
    assert preprocessing_for(name, _APPLICATIONS[name], 1) == (
        "bytes" if scales_inside else "symmetric"
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("VGG16", "symmetric"),
        ("DenseNet121", "symmetric"),
        ("ConvNeXtTiny", "symmetric"),
        ("EfficientNetB0", "bytes"),
        ("Xception", "symmetric"),
    ],
)
def test_grey_images_are_not_given_a_mean_colour(name: str, expected: str) -> None:
    assert preprocessing_for(name, _APPLICATIONS[name], channels=1) == expected


def test_images_below_the_least_size_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 75x75"):
        build("InceptionV3", (32, 32, 3), 10)


def test_a_file_with_a_background_class_loads(tmp_path) -> None:
    path = tmp_path / "mobilenet_v2.weights.h5"
    published = keras.applications.MobileNetV2(
        weights=None, classes=1001, input_shape=(32, 32, 3), classifier_activation=None
    )
    published.save_weights(path)
    classifier = build("MobileNetV2", (32, 32, 3), 1001, weights=path)
    assert classifier.num_classes == 1001
    for ours, theirs in zip(classifier.model.weights, published.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    with pytest.raises(ValueError, match="do not fit the network .* with 1000 classes"):
        build("MobileNetV2", (32, 32, 3), 1000, weights=path)


def instead_of_the_network(monkeypatch, folder, download) -> None:
    """Let Keras fetch files with `download` and keep them in `folder`."""
    monkeypatch.setattr(file_utils, "urlretrieve", download)
    monkeypatch.setattr(file_utils.config, "keras_home", lambda: str(folder))


def test_pretrained_weights_go_below_a_new_head(tmp_path, monkeypatch) -> None:
    published = keras.applications.MobileNet(
        weights=None, include_top=False, input_shape=(32, 32, 3)
    )

    served = tmp_path / "served.h5"
    published.save(served)

    def download(url: str, path: str, *_: object) -> None:
        assert url.endswith("mobilenet_1_0_224_tf_no_top.h5")
        served.rename(path)

    instead_of_the_network(monkeypatch, tmp_path, download)
    model = build("MobileNet", (32, 32, 3), 4, weights="imagenet").model
    assert model.output_shape == (None, 4)
    for ours, theirs in zip(model.weights, published.weights, strict=False):
        np.testing.assert_array_equal(ours, theirs)
    assert [weight.shape for weight in model.weights[len(published.weights) :]] == [(1024, 4), (4,)]


def test_without_a_network_the_message_is_one_clear_line(tmp_path, monkeypatch) -> None:
    def refuse(url: str, *_: object) -> None:
        raise urllib.error.URLError("Name or service not known")

    instead_of_the_network(monkeypatch, tmp_path, refuse)
    with pytest.raises(ConnectionError, match="could not be downloaded") as caught:
        build("MobileNet", (224, 224, 3), 1000, weights="imagenet")
    assert "\n" not in str(caught.value)
    assert "weights=None" in str(caught.value)
