"""Gradients at feature maps against the formulas of networks that can be done by hand."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from kernel_lib.doctor import class_gradients
from kernel_lib.models import Classifier
from kernel_lib.network import gradients

from .conftest import CLASSES, pooled_network, two_layer_network


@pytest.fixture(scope="module")
def pooled():
    return pooled_network()


@pytest.fixture(scope="module")
def pictures():
    return np.random.default_rng(0).random((5, 6, 6, 2), np.float32)


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def test_the_logit_before_pooling_gives_the_heads_weights(pooled, pictures):
    kernel = np.abs(pooled.model.get_layer("logits").kernel.numpy())  # (k, c)
    found = class_gradients(pooled, pictures, tap="conv1")
    np.testing.assert_allclose(found, np.broadcast_to(kernel.T, found.shape), atol=1e-6)


def test_log_probability_probability_and_loss_follow_from_the_softmax(pooled, pictures):
    kernel = pooled.model.get_layer("logits").kernel.numpy()
    shares = softmax(pooled.logits(pictures))
    slopes = (np.eye(CLASSES)[None] - shares[:, None]) @ kernel.T  # (n, c, k)
    for target, wanted in (
        ("log_prob", np.abs(slopes)),
        ("loss", np.abs(slopes)),
        ("prob", shares[:, :, None] * np.abs(slopes)),
    ):
        found = class_gradients(pooled, pictures, tap="conv1", target=target)
        np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_relu_keeps_what_raises_the_score(pooled, pictures):
    kernel = pooled.model.get_layer("logits").kernel.numpy()
    found = class_gradients(pooled, pictures, tap="conv1", aggregate="relu")
    wanted = np.broadcast_to(np.maximum(kernel, 0).T, found.shape)
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_batch_normalisation_and_relu_scale_by_the_active_share(pictures):
    keras.utils.set_random_seed(1)
    inputs = keras.Input((6, 6, 2))
    x = keras.layers.Conv2D(4, 3, padding="same", name="conv")(inputs)
    x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.ReLU(name="relu")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, keras.layers.Dense(3, name="logits")(x))
    norm = model.get_layer("norm")
    rng = np.random.default_rng(1)
    values = [
        rng.uniform(0.5, 2, 4),
        rng.normal(size=4),
        rng.normal(size=4) * 0.2,
        rng.uniform(0.5, 2, 4),
    ]
    norm.set_weights(values)
    classifier = Classifier(model, head="logits")
    after = keras.Model(inputs, norm.output)(pictures, training=False).numpy()
    active = (after > 0).mean(axis=(1, 2))  # (n, k)
    scale = np.abs(values[0] / np.sqrt(values[3] + norm.epsilon))
    kernel = np.abs(model.get_layer("logits").kernel.numpy())
    wanted = kernel.T[None] * (scale * active)[:, None]
    np.testing.assert_allclose(class_gradients(classifier, pictures, tap="conv"), wanted, atol=1e-6)


def test_many_classes_take_the_loop_and_agree(pictures):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6, 6, 2))
    x = keras.layers.Conv2D(4, 3, activation="relu", name="conv")(inputs)
    x = keras.layers.Flatten()(x)
    classifier = Classifier(keras.Model(inputs, keras.layers.Dense(23)(x)), head="logits")
    found = class_gradients(classifier, pictures, target="log_prob")
    assert found.shape == (5, 23, 4)
    from kernel_lib.doctor import gradients as module

    few = pytest.MonkeyPatch()
    few.setattr(module, "_MOST_UNROLLED", 100)
    fresh = Classifier(classifier.model, head="logits")
    np.testing.assert_allclose(
        class_gradients(fresh, pictures, target="log_prob"), found, atol=1e-6
    )
    few.undo()


def test_it_agrees_with_one_class_at_a_time(images):
    classifier = two_layer_network()
    pictures = images.images[:6]
    found = class_gradients(classifier, pictures, tap="conv2")
    for label in range(CLASSES):
        slopes = gradients(classifier, pictures, label, at=["conv2"])["conv2"]
        np.testing.assert_allclose(found[:, label], np.abs(slopes).sum(axis=(1, 2)), atol=1e-6)


def test_batches_do_not_matter(images):
    classifier = two_layer_network()
    one = class_gradients(classifier, images.images[:10], batch_size=10)
    other = class_gradients(classifier, images.images[:10], batch_size=3)
    np.testing.assert_allclose(one, other, atol=1e-6)


def test_wrong_names_are_answered(pooled, pictures):
    with pytest.raises(ValueError, match="no tap named 'conv9'"):
        class_gradients(pooled, pictures, tap="conv9")
    with pytest.raises(ValueError, match="no stack of feature maps"):
        class_gradients(pooled, pictures, tap="logits")
    with pytest.raises(ValueError, match="`target` must be one of"):
        class_gradients(pooled, pictures, target="score")
