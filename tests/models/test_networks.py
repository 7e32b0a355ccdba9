"""The library's own networks: counts done by hand, layers, initial weights, clear refusals."""

from __future__ import annotations

import random

import keras
import numpy as np
import pytest

from kernel_lib.models import build, names


def dense(inputs: int, units: int) -> int:
    return (inputs + 1) * units


def conv(size: int, inputs: int, filters: int) -> int:
    return (size * size * inputs + 1) * filters


def num_trainable(model: keras.Model) -> int:
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


def resnet20_parameters() -> int:
    stages = conv(3, 3, 16) + 6 * conv(3, 16, 16)
    stages += conv(3, 16, 32) + 5 * conv(3, 32, 32) + conv(1, 16, 32)
    stages += conv(3, 32, 64) + 5 * conv(3, 64, 64) + conv(1, 32, 64)
    normalizations = 2 * (7 * 16 + 6 * 32 + 6 * 64)
    return stages + normalizations + dense(64, 10)


@pytest.mark.parametrize(
    ("name", "input_shape", "expected"),
    [
        (
            "mlp",
            (28, 28, 1),
            dense(784, 2500) + dense(2500, 1500) + dense(1500, 500) + dense(500, 10),
        ),
        (
            "cnn",
            (28, 28, 1),
            conv(5, 1, 32) + conv(5, 32, 64) + dense(7 * 7 * 64, 1024) + dense(1024, 10),
        ),
        (
            "small_cnn",
            (32, 32, 3),
            conv(3, 3, 16) + conv(3, 16, 32) + conv(3, 32, 64) + dense(1024, 64) + dense(64, 10),
        ),
        ("cnn5", (28, 28, 1), 16_118),
        ("vgg13_bn", (32, 32, 3), 9_416_010),
        ("resnet20", (32, 32, 3), resnet20_parameters()),
    ],
)
def test_trainable_parameters(name: str, input_shape: tuple, expected: int) -> None:
    assert num_trainable(build(name, input_shape, 10).model) == expected


def test_resnet20_has_the_count_of_the_keras_example() -> None:
    assert resnet20_parameters() == 273_066
    assert build("resnet20", (32, 32, 3), 10).num_parameters == 274_442


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cnn", ["hidden1", "hidden2", "fc1", "softmax_linear"]),
        ("mlp", ["hidden1", "hidden2", "hidden3", "logits"]),
    ],
)
def test_layers_with_weights_bear_the_names_of_the_paper(name: str, expected: list) -> None:
    model = build(name, (28, 28, 1), 10).model
    assert [layer.name for layer in model.layers if layer.weights] == expected


def test_cnn_starts_as_in_the_paper() -> None:
    model = build("cnn", (28, 28, 1), 10).model
    for layer in model.layers:
        if layer.weights:
            kernel, bias = map(np.asarray, layer.weights)
            assert np.all(bias == np.float32(0.1))
            assert np.abs(kernel).max() <= 0.2  # a truncated normal ends at two deviations
    # Cutting a normal at two deviations leaves 0.8796 of its deviation.
    assert np.std(model.get_layer("fc1").kernel) == pytest.approx(0.08796, rel=0.01)


def test_mlp_starts_as_in_the_paper() -> None:
    model = build("mlp", (28, 28, 1), 10).model
    for name, fan_in in (("hidden1", 784), ("hidden2", 2500), ("hidden3", 1500), ("logits", 500)):
        kernel, bias = map(np.asarray, model.get_layer(name).weights)
        assert not bias.any()
        assert kernel.std() == pytest.approx(0.8796 * 2 / np.sqrt(fan_in), rel=0.03)


def test_cnn5_maps_have_the_published_sizes() -> None:
    model = build("cnn5", (28, 28, 1), 10).model
    assert model.get_layer("conv2").output.shape[1:] == (8, 8, 16)
    assert model.get_layer("conv3").output.shape[1:] == (2, 2, 32)


def test_vgg13_taps_have_the_published_sizes() -> None:
    model = build("vgg13_bn", (32, 32, 3), 10).model
    for name in ("conv8", "conv9"):
        assert model.get_layer(name).output.shape[1:] == (2, 2, 512)
    statistics = sum(int(np.prod(v.shape)) for v in model.non_trainable_variables)
    assert statistics == 5_888


@pytest.mark.parametrize("size", [28, 32, 64])
@pytest.mark.parametrize("channels", [1, 3])
def test_small_cnn_fits_small_images(size: int, channels: int) -> None:
    classifier = build("small_cnn", (size, size, channels), 7)
    logits = classifier.logits(np.full((2, size, size, channels), 0.5, "float32"))
    assert logits.shape == (2, 7)
    assert np.isfinite(logits).all()
    assert logits.min() < 0  # logits, not shares


@pytest.mark.parametrize("name", ["cnn", "cnn5"])
def test_the_seed_names_the_weights_and_nothing_else_does(name: str) -> None:
    first = build(name, (28, 28, 1), 10, seed=3)
    keras.layers.Dense(2)(keras.Input((3,)))  # moves the counters of layer names
    random.seed(99)
    again = build(name, (28, 28, 1), 10, seed=3)
    assert first.digest == again.digest
    assert first.digest != build(name, (28, 28, 1), 10, seed=4).digest


def test_layers_of_equal_shape_start_differently() -> None:
    model = build("resnet20", (32, 32, 3), 10).model
    one, two = (model.get_layer(f"stage1_block{block}_conv1").kernel for block in (1, 2))
    assert not np.array_equal(one, two)


def test_global_random_state_is_left_alone() -> None:
    random.seed(5)
    np.random.seed(5)  # noqa: NPY002
    expected = random.random(), np.random.random()  # noqa: NPY002
    random.seed(5)
    np.random.seed(5)  # noqa: NPY002
    build("small_cnn", (8, 8, 1), 2, seed=1)
    assert (random.random(), np.random.random()) == expected  # noqa: NPY002


def test_weights_come_from_a_file(tmp_path) -> None:
    trained = build("small_cnn", (8, 8, 1), 3, seed=1)
    path = tmp_path / "small.weights.h5"
    trained.model.save_weights(path)
    assert build("small_cnn", (8, 8, 1), 3, weights=path, seed=2).digest == trained.digest


def test_weights_that_do_not_fit_are_refused(tmp_path) -> None:
    path = tmp_path / "small.weights.h5"
    build("small_cnn", (8, 8, 1), 3).model.save_weights(path)
    with pytest.raises(ValueError, match="do not fit the network 'small_cnn' with 5 classes"):
        build("small_cnn", (8, 8, 1), 5, weights=path)
    path.write_bytes(b"no weights")
    with pytest.raises(ValueError, match="do not fit"):
        build("small_cnn", (8, 8, 1), 3, weights=path)
    with pytest.raises(FileNotFoundError, match="no weights file"):
        build("small_cnn", (8, 8, 1), 3, weights=tmp_path / "missing.weights.h5")


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="Did you mean 'small_cnn'"):
        build("smal_cnn", (28, 28, 1), 10)
    with pytest.raises(ValueError, match=r"at least 24x24 pixels. Received: input_shape=\(8, 8"):
        build("cnn5", (8, 8, 1), 10)
    with pytest.raises(ValueError, match="without the batch axis"):
        build("cnn", (None, 28, 28, 1), 10)
    with pytest.raises(TypeError, match="`input_shape` must be a whole number"):
        build("cnn", (28, 28.0, 1), 10)
    with pytest.raises(ValueError, match="`num_classes` must be at least 2"):
        build("cnn", (28, 28, 1), 1)
    with pytest.raises(ValueError, match="networks of keras.applications only"):
        build("cnn", (28, 28, 1), 10, weights="imagenet")


def test_names_are_unique() -> None:
    assert len(set(names())) == len(names())
    assert {"mlp", "cnn", "small_cnn", "cnn5", "vgg13_bn", "resnet20", "MobileNetV2"} < set(names())
