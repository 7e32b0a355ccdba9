"""The Model Doctor's networks: published counts, last maps, small and grey images."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import keras
import numpy as np
import pytest

from kernel_lib.models import Classifier, build, load
from kernel_lib.models.fitting import Fit
from kernel_lib.models.networks import (
    adapted,
    alexnet,
    googlenet,
    mnasnet,
    resnet,
    shufflenet,
    squeezenet,
    vgg,
)
from kernel_lib.models.networks.blocks import conv_bn
from kernel_lib.models.networks.registry import find_builder, in_fresh_names

# Name -> builder, trainable parameters that torchvision publishes for 224 pixels, colour and ten
# classes (without auxiliary heads), and inputs of the head: a further class adds that many and one.
ZOO = {
    "alexnet": (alexnet.alexnet, 57_044_810, 4096),
    "vgg16": (vgg.vgg16, 134_301_514, 4096),
    "resnet50": (resnet.resnet50, 23_528_522, 2048),
    "wide_resnet50": (resnet.wide_resnet50, 66_854_730, 2048),
    "resnext50": (resnet.resnext50, 23_000_394, 2048),
    "densenet121": (adapted.densenet121, 6_964_106, 1024),
    "efficientnet_v2": (adapted.efficientnet_v2, 20_190_298, 1280),
    "googlenet": (googlenet.googlenet, 5_610_154, 1024),
    "mobilenet_v2": (adapted.mobilenet_v2, 2_236_682, 1280),
    "inception_v3": (adapted.inception_v3, 21_806_058, 2048),
    "shufflenet_v2": (shufflenet.shufflenet_v2, 1_263_854, 1024),
    "squeezenet": (squeezenet.squeezenet, 740_554, 512),
    "mnasnet": (mnasnet.mnasnet, 3_115_122, 1280),
}

# Parameters of networks whose stem is another below 64 pixels, at 32 pixels and in colour: a 3x3
# stem in place of 7x7 saves 40 * 3 * 64 weights; AlexNet's and VGG's heads are smaller.
SMALL = {
    "alexnet": 23_272_266,
    "vgg16": 33_638_218,
    "resnet50": 23_528_522 - 7_680,
    "wide_resnet50": 66_854_730 - 7_680,
    "resnext50": 23_000_394 - 7_680,
    "densenet121": 6_964_106 - 7_680,
    "googlenet": 5_610_154 - 7_680,
    "squeezenet": 740_554 - 40 * 3 * 96,
}


# Hand-written networks that take seconds to be compiled.
DEEP = ["alexnet", "googlenet", "mnasnet", "resnet50", "shufflenet_v2"]


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    """Keras would make up for the weights that outlines lack, gigabytes, at its next chance."""
    yield
    keras.utils.clear_session()


def outline(name: str, input_shape: tuple[int, int, int], num_classes: int = 10) -> keras.Model:
    """Build a network without giving its weights memory: shapes are all that is looked at."""
    with keras.StatelessScope(initialize_variables=False):
        return ZOO[name][0](input_shape, num_classes)


def num_trainable(model: keras.Model) -> int:
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


def last_map(model: keras.Model) -> tuple[int, int, int]:
    """Shape of the last feature map that a convolution or a join of branches gives."""
    kinds = keras.layers.Conv2D | keras.layers.Concatenate | keras.layers.Add
    maps = [layer.output.shape[1:] for layer in model.layers if isinstance(layer, kinds)]
    return [shape for shape in maps if len(shape) == 3][-1]


@pytest.mark.parametrize("name", ZOO)
def test_published_parameters(name: str) -> None:
    assert num_trainable(outline(name, (224, 224, 3))) == ZOO[name][1]


@pytest.mark.parametrize("name", ["alexnet", "vgg16", "googlenet", "squeezenet", "mnasnet"])
def test_a_further_class_adds_a_row_to_the_head(name: str) -> None:
    model = outline(name, (224, 224, 3), num_classes=13)
    assert num_trainable(model) == ZOO[name][1] + 3 * (ZOO[name][2] + 1)


@pytest.mark.parametrize("name", SMALL)
def test_small_images_have_a_small_stem(name: str) -> None:
    model = outline(name, (32, 32, 3))
    assert num_trainable(model) == SMALL[name]
    assert model.output_shape == (None, 10)


@pytest.mark.parametrize(
    ("name", "at_28", "at_96"),
    [
        ("alexnet", 4, 12),  # three poolings and a stride: as the convolution sees it, before one
        ("vgg16", 2, 6),
        ("resnet50", 4, 6),
        ("googlenet", 4, 6),
        ("shufflenet_v2", 4, 6),
        ("squeezenet", 4, 12),
        ("mnasnet", 4, 6),
        ("mobilenet_v2", 4, 6),
    ],
)
def test_the_last_map_of_small_images_can_be_looked_at(name: str, at_28: int, at_96: int) -> None:
    grey = outline(name, (28, 28, 1))
    assert grey.input_shape == (None, 28, 28, 1)
    assert last_map(grey)[:2] == (at_28, at_28)
    assert last_map(outline(name, (96, 96, 3)))[:2] == (at_96, at_96)


def test_inception_enlarges_small_images_inside() -> None:
    model = outline("inception_v3", (32, 32, 3))
    assert num_trainable(model) == ZOO["inception_v3"][1]
    assert model.get_layer("resize").output.shape[1:] == (139, 139, 3)
    assert model.get_layer("mixed10").output.shape[1:] == (3, 3, 2048)


@pytest.mark.slow
@pytest.mark.parametrize(("size", "channels"), [(28, 3), (96, 1)])  # others: tests/doctor
@pytest.mark.parametrize("name", ZOO)
def test_every_network_builds_at_every_size(name: str, size: int, channels: int) -> None:
    model = outline(name, (size, size, channels))
    assert model.output_shape == (None, 10)
    assert min(last_map(model)[:2]) >= (2 if name == "vgg16" else 3)


def test_the_docs_name_every_network_and_its_parameters() -> None:
    """The table of docs/doctor.md against the code; tests/doctor compares its last column."""
    text = (Path(__file__).parents[2] / "docs" / "doctor.md").read_text(encoding="utf-8")
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("| `")]
    told = {cells[0].strip(" `"): cells[2].strip().replace(",", "") for cells in rows}
    networks = {name: told[name] for name in told if name in ZOO}
    assert networks == {name: str(count) for name, (_, count, _) in ZOO.items()}


def test_the_names_of_layers_do_not_depend_on_what_was_built_before() -> None:
    maker = partial(outline, "mobilenet_v2", (28, 28, 1))
    first, second = (in_fresh_names(maker) for _ in range(2))
    assert [layer.name for layer in first.layers] == [layer.name for layer in second.layers]


def test_the_name_alone_tells_ours_from_that_of_keras() -> None:
    ours, theirs = (find_builder(name, (32, 32, 3), 10) for name in ("vgg16", "VGG16"))
    assert ours[1] == "symmetric"
    assert theirs[1] == "imagenet_caffe"


def test_channels_are_shuffled_like_cards() -> None:
    inputs = keras.Input((1, 1, 6))
    halves = keras.ops.split(inputs, 2, axis=-1)
    model = keras.Model(inputs, shufflenet._shuffled(halves, "block"))
    shuffled = model(np.arange(6, dtype="float32").reshape(1, 1, 1, 6))
    np.testing.assert_array_equal(np.ravel(shuffled), [0, 3, 1, 4, 2, 5])


@pytest.mark.parametrize(
    "name", ["squeezenet", *(pytest.param(name, marks=pytest.mark.slow) for name in DEEP)]
)
def test_hand_written_networks_run_train_and_survive_a_file(name: str, tmp_path) -> None:
    images = np.random.default_rng(0).random((8, 28, 28, 1), "float32")
    classifier = build(name, (28, 28, 1), 4)
    before = [weight.value.numpy().copy() for weight in classifier.model.trainable_weights]
    fit = Fit(classifier, images, np.arange(8) % 4, batch_size=8, learning_rate=1e-3, seed=0)
    fit.run(fit.order())
    for weight, old in zip(classifier.model.trainable_weights, before, strict=True):
        assert not np.array_equal(weight.value.numpy(), old), weight.path
    loaded = load(classifier.save(tmp_path / "model.keras"))
    np.testing.assert_allclose(
        loaded.logits(images), classifier.logits(images), rtol=1e-5, atol=1e-6
    )


def test_grouped_convolutions_are_trained() -> None:
    """Only ResNeXt has them, and it takes minutes to compile: here is one alone."""
    inputs = keras.Input((8, 8, 4))
    x = keras.layers.GlobalAveragePooling2D()(conv_bn(inputs, 8, 3, "grouped", groups=4))
    classifier = Classifier(keras.Model(inputs, keras.layers.Dense(2)(x)))
    before = classifier.model.get_layer("grouped_conv").kernel.value.numpy().copy()
    assert before.shape == (3, 3, 1, 8)
    images = np.random.default_rng(0).random((8, 8, 8, 4), "float32")
    fit = Fit(classifier, images, np.arange(8) % 2, batch_size=8, learning_rate=1e-3, seed=0)
    fit.run(fit.order())
    after = classifier.model.get_layer("grouped_conv").kernel.value.numpy()
    assert (np.abs(after - before) > 1e-5).mean() > 0.9


@pytest.mark.parametrize("name", ["mnasnet", "shufflenet_v2"])
def test_signals_keep_their_size_through_depthwise_convolutions(name: str) -> None:
    """One filter of size k on unit noise, with weights of variance 2 / k^2, doubles the power."""
    model = outline(name, (28, 28, 1))
    for layer in model.layers:
        if isinstance(layer, keras.layers.DepthwiseConv2D):
            deviation = layer.depthwise_initializer.stddev
            assert deviation**2 * np.prod(layer.kernel_size) == pytest.approx(2)


def test_images_that_are_too_small_are_refused() -> None:
    with pytest.raises(ValueError, match="'resnet50' needs images of at least 28x28"):
        build("resnet50", (16, 16, 3), 10)


def test_a_layer_that_keras_renamed_is_noticed() -> None:
    inputs = keras.Input((4, 4, 1))
    model = keras.Model(inputs, keras.layers.ReLU(name="relu")(inputs))
    with pytest.raises(ValueError, match="has no layers named {'gelu'}"):
        adapted._changed(model, {"gelu": {}}, "changed", inputs)
