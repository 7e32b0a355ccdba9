"""Shifted images: attacks against closed forms and bounds, corruptions that grow."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from kernel_lib.errors import corrupt, corruptions, fgsm, pgd
from kernel_lib.models import Classifier


@pytest.fixture(scope="module")
def linear():
    inputs = keras.Input((4, 4, 1))
    outputs = layers.Dense(3, name="logits")(layers.Flatten()(inputs))
    return Classifier(keras.Model(inputs, outputs))


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).uniform(0.2, 0.8, (9, 4, 4, 1)).astype(np.float32)


def test_one_step_on_a_linear_network_has_a_closed_form(linear, images):
    labels = np.arange(9) % 3
    kernel = np.asarray(linear.model.get_layer("logits").kernel, np.float64)
    z = linear.logits(images).astype(np.float64)
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    slope = (p - np.eye(3)[labels]) @ kernel.T
    expected = images + 0.1 * np.sign(slope).reshape(images.shape)
    np.testing.assert_allclose(fgsm(linear, images, labels, 0.1), expected, atol=1e-6)


@pytest.mark.parametrize("attack", [fgsm, pgd])
def test_attacks_stay_within_their_bound_and_the_valid_range(plain, pictures, attack):
    labels = plain.predict(pictures)
    for eps in (0.02, 0.3):
        changed = attack(plain, pictures, labels, eps)
        assert np.abs(changed - pictures).max() <= eps + 1e-6
        assert changed.min() >= 0
        assert changed.max() <= 1
    np.testing.assert_array_equal(attack(plain, pictures, labels, 0.0), pictures)


def test_more_steps_hurt_more(plain, pictures):
    labels = plain.predict(pictures)

    def true_share(images):
        z = plain.logits(images)
        shares = np.exp(z - z.max(axis=1, keepdims=True))
        return (shares / shares.sum(axis=1, keepdims=True))[np.arange(len(labels)), labels].mean()

    before = true_share(pictures)
    once = true_share(fgsm(plain, pictures, labels, 0.1))
    often = true_share(pgd(plain, pictures, labels, 0.1))
    assert often <= once + 1e-6 < before


def test_saturated_images_are_attacked_too(linear, images):
    layer = linear.model.get_layer("logits")
    original = np.asarray(layer.kernel).copy()
    try:
        layer.kernel.assign(1000 * original)
        labels = linear.predict(images)
        changed = fgsm(linear, images, labels, 0.01)
        np.testing.assert_allclose(np.abs(changed - images), 0.01, atol=1e-6)
    finally:
        layer.kernel.assign(original)


@pytest.mark.parametrize("name", corruptions())
def test_corruptions_grow_with_severity_and_follow_the_seed(name):
    images = np.random.default_rng(1).random((4, 24, 24, 3)).astype(np.float32)
    sizes = [np.abs(corrupt(images, name, level) - images).mean() for level in (1, 3, 5)]
    assert 0 < sizes[0] < sizes[1] < sizes[2]
    changed = corrupt(images, name, 5, seed=2)
    assert changed.shape == images.shape
    assert changed.dtype == np.float32
    assert changed.min() >= 0
    assert changed.max() <= 1
    np.testing.assert_array_equal(changed, corrupt(images, name, 5, seed=2))


def test_unknown_shifts_are_named():
    images = np.zeros((1, 8, 8, 1))
    with pytest.raises(ValueError, match="`name` must be one of"):
        corrupt(images, "fog", 1)
    with pytest.raises(ValueError, match="`severity` must be one of"):
        corrupt(images, "blur", 6)


@pytest.mark.parametrize("name", corruptions())
def test_an_image_is_corrupted_alike_in_any_batch(name):
    images = np.random.default_rng(1).random((4, 16, 16, 3)).astype(np.float32)
    whole = corrupt(images, name, 3, seed=1)
    for index in (2, 0):
        alone = corrupt(images[index : index + 1], name, 3, seed=1)
        np.testing.assert_allclose(alone[0], whole[index], atol=1e-6)


def test_two_images_get_noise_of_their_own():
    images = np.full((2, 32, 32, 1), 0.5, np.float32)
    images[1, 0, 0] = 0.4
    first, second = corrupt(images, "gaussian_noise", 1) - images
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.1
