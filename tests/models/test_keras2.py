"""Files as Keras 2 wrote them: the same weights, a configuration with words of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from keras import layers

from kernel_lib.models import load


def model_of_today() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            layers.Conv2D(6, 3, strides=2, activation="relu"),
            layers.DepthwiseConv2D(3, padding="same"),
            layers.BatchNormalization(),
            layers.ReLU(max_value=6.0),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, activation="softmax"),
        ]
    )


def as_keras_2(path: Path, change: Any) -> None:
    """Write `model_config` as Keras 2.13 does, with initializers in their plain form."""
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        for layer in config["config"]["layers"]:
            _plainly(layer)
            change(layer)
        file.attrs["model_config"] = json.dumps(config)
        file.attrs["keras_version"] = "2.13.1"


def _plainly(layer: dict[str, Any]) -> None:
    for name in ("module", "registered_name", "build_config"):
        layer.pop(name, None)
    settings = layer["config"]
    if "batch_shape" in settings:
        settings["batch_input_shape"] = settings.pop("batch_shape")
    settings["dtype"] = "float32"
    for name, value in settings.items():
        if isinstance(value, dict) and "class_name" in value:
            settings[name] = {"class_name": value["class_name"], "config": value["config"]}


@pytest.fixture
def written(tmp_path):
    model = model_of_today()
    path = tmp_path / "old.h5"
    model.save(path)
    return model, path


def test_groups_of_a_depthwise_convolution_are_passed_over(written):
    model, path = written

    def groups(layer: dict[str, Any]) -> None:
        if layer["class_name"] == "DepthwiseConv2D":
            layer["config"]["groups"] = 1

    as_keras_2(path, groups)
    with pytest.raises(Exception, match="groups"):  # Keras itself does not read it
        keras.saving.load_model(path, compile=False)
    classifier = load(path)
    pixels = np.random.default_rng(0).random((4, 16, 16, 3), np.float32)
    logits = classifier.logits(pixels)
    expected = np.log(model.predict(pixels, verbose=0))
    np.testing.assert_allclose(np.diff(logits), np.diff(expected), atol=1e-5)
    assert type(classifier.model.layers[1]) is layers.DepthwiseConv2D
    again = classifier.save(path.with_suffix(".keras"))
    np.testing.assert_array_equal(load(again).logits(pixels), logits)


def test_functions_in_the_graph_of_keras_2_are_refused_with_what_helps(written):
    _, path = written

    def function(layer: dict[str, Any]) -> None:
        if layer["class_name"] == "ReLU":
            layer["class_name"] = "TFOpLambda"

    as_keras_2(path, function)
    with pytest.raises(ValueError, match=r"written by Keras 2.*preprocessing='symmetric'"):
        load(path)
