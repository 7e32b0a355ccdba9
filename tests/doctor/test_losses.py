"""The two losses: what they are at their extremes, by hand, and by finite differences."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from kernel_lib.doctor import channel_loss, spatial_loss
from kernel_lib.doctor.losses import strongest_wrong

rng = np.random.default_rng(0)
OWN, WRONG = rng.random((5, 4)), rng.random((5, 4))
SLOPES = rng.normal(size=(5, 3, 3, 4))


def test_channel_loss_by_hand():
    found = channel_loss([[1.0, 2.0]], [[4.0, 8.0]], [[1, 0]], [[0, 1]])
    assert float(found) == 8 + 2


def test_all_or_no_channels_leave_one_term():
    ones, zeros = np.ones((5, 4)), np.zeros((5, 4))
    assert float(channel_loss(OWN, WRONG, ones, ones)) == pytest.approx(WRONG.sum(1).mean(), 1e-6)
    assert float(channel_loss(OWN, WRONG, zeros, zeros)) == pytest.approx(OWN.sum(1).mean(), 1e-6)


def test_the_order_of_channels_does_not_matter():
    relied = [rng.integers(0, 2, (5, 4)) for _ in range(2)]
    order = [2, 0, 3, 1]
    first = channel_loss(OWN, WRONG, *relied)
    second = channel_loss(*(each[:, order] for each in (OWN, WRONG, *relied)))
    assert float(first) == pytest.approx(float(second), rel=1e-6)


def test_spatial_loss_of_nothing_everything_and_parts():
    has_mask = np.ones(5)
    zero = float(spatial_loss(SLOPES, np.zeros((5, 3, 3)), has_mask))
    whole = float(spatial_loss(SLOPES, np.ones((5, 3, 3)), has_mask))
    part = rng.random((5, 3, 3))
    split = [float(spatial_loss(SLOPES, each, has_mask)) for each in (part, 1 - part)]
    assert zero == 0
    assert whole == pytest.approx(np.abs(SLOPES).sum() / 5, rel=1e-6)
    assert sum(split) == pytest.approx(whole, rel=1e-6)
    flipped = spatial_loss(SLOPES[:, ::-1], part[:, ::-1], has_mask)
    assert float(flipped) == pytest.approx(split[0], rel=1e-6)


def test_images_without_a_mask_add_nothing():
    has_mask = np.array([1, 0, 0, 0, 1])
    found = float(spatial_loss(SLOPES, np.ones((5, 3, 3)), has_mask))
    assert found == pytest.approx(np.abs(SLOPES[[0, 4]]).sum() / 5, rel=1e-6)


def test_the_confusing_class_is_the_strongest_wrong_one():
    logits = tf.constant([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0], [-9.0, -8.0, -7.0]])
    assert strongest_wrong(logits, tf.constant([0, 2, 2])).numpy().tolist() == [1, 0, 1]
