"""Each of the thirteen networks trains a step and is diagnosed, grey and colour, at two sizes.

Other sizes are built in `tests/models/test_zoo.py`; these are the smallest the networks declare.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from kernel_lib.data import ImageSet
from kernel_lib.doctor import Samples, diagnose
from kernel_lib.doctor.places import CONVOLUTIONS
from kernel_lib.models import Classifier, build

# Name -> the place that is treated and its channels: the last convolution, or the last join.
TAPS = {
    "alexnet": ("conv5", 256),
    "vgg16": ("block5_conv3", 512),
    "resnet50": ("conv5_block3_3_conv", 2048),
    "wide_resnet50": ("conv5_block3_3_conv", 2048),
    "resnext50": ("conv5_block3_3_conv", 2048),
    "densenet121": ("conv5_block16_concat", 1024),
    "efficientnet_v2": ("top_conv", 1280),
    "googlenet": ("inception5b", 1024),
    "mobilenet_v2": ("Conv_1", 1280),
    "inception_v3": ("mixed10", 2048),
    "shufflenet_v2": ("conv5_conv", 1024),
    "squeezenet": ("fire9", 512),
    "mnasnet": ("conv_last_conv", 1280),
}
# Their backward pass through all convolutions takes half a minute to be compiled.
DEEPEST = ("densenet121", "efficientnet_v2", "inception_v3", "resnext50")


@pytest.fixture(autouse=True)
def freed() -> Iterator[None]:
    """Let go of each network, some of which weigh half a gigabyte, before the next is built."""
    yield
    gc.collect()


def test_the_docs_name_the_place_that_is_treated() -> None:
    text = (Path(__file__).parents[2] / "docs" / "doctor.md").read_text(encoding="utf-8")
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("| `")]
    told = {cells[0].strip(" `"): cells[3].strip() for cells in rows if len(cells) == 4}
    for name, (tap, channels) in TAPS.items():
        assert told[name] == f"`{tap}`, {channels}"


@pytest.mark.slow
@pytest.mark.parametrize(("size", "channels"), [(28, 1), (32, 3)])
@pytest.mark.parametrize("name", TAPS)
def test_every_network_is_diagnosed_and_trained(name: str, size: int, channels: int) -> None:
    classifier = build(name, (size, size, channels), 2)
    images = np.random.default_rng(0).random((4, size, size, channels), np.float32)
    assert_diagnosed(classifier, images, TAPS[name], size == 28 and name not in DEEPEST)
    assert_trained(classifier, images)


def assert_diagnosed(
    classifier: Classifier, images: np.ndarray, wanted: tuple[str, int], every_layer: bool
) -> None:
    data = ImageSet(images, np.arange(4) % 2)
    found = diagnose(
        classifier, data, layers="all" if every_layer else "last", samples=all_of(4), progress=False
    )
    tap, num_channels = wanted
    assert found.tap == tap
    assert found.averages[tap].shape == (2, num_channels)
    assert min(found.energy.shape[1:]) >= (1 if classifier.name == "vgg16" else 2)
    # The same gradients, summed over places first or over channels first.
    sums = found.energy.sum(axis=(1, 2)), found.averages[tap].sum(axis=1)
    np.testing.assert_allclose(*sums, rtol=1e-5)
    assert sums[0].max() > 0
    if every_layer:
        convolutions = [each for each in classifier.model.layers if isinstance(each, CONVOLUTIONS)]
        assert set(found.layers) == {each.name for each in convolutions} | {tap}
        assert all(np.isfinite(average).all() for average in found.averages.values())


def assert_trained(classifier: Classifier, images: np.ndarray) -> None:
    """One step by hand, uncompiled: the gradient reaches every weight and moves the network."""
    weights = [variable.value for variable in classifier.model.trainable_variables]
    with tf.GradientTape() as tape:
        logits = classifier.model(classifier.preprocessing.apply(images), training=True)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(np.arange(4) % 2, logits)
        loss = tf.reduce_mean(losses)
    slopes = tape.gradient(loss, weights)
    assert all(slope is not None and np.isfinite(slope).all() for slope in slopes)
    before = [weight.numpy() for weight in weights]
    keras.optimizers.Adam(1e-3).apply_gradients(
        zip(slopes, classifier.model.trainable_variables, strict=True)
    )
    moved = [np.any(old != new.numpy()) for old, new in zip(before, weights, strict=True)]
    assert np.mean(moved) > 0.95  # a dead ReLU may keep a weight of an untrained network


def all_of(count: int) -> Samples:
    """Images as samples of two classes, whatever the untrained network says of them."""
    table = pd.DataFrame({"kind": "high", "index": np.arange(0, count)})
    table = table.loc[[*range(0, count, 2), *range(1, count, 2)]]  # class by class
    counts = pd.DataFrame({"class": ["0", "1"], "high": [count // 2] * 2})
    return Samples(table, counts, (), {"min_confidence": 0, "split": "all"})
