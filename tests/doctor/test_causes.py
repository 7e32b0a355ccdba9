"""Interventions: ablation and exchanged backgrounds against networks that are read by hand."""

from __future__ import annotations

import numpy as np
import pytest

from kernel_lib.doctor.causes import (
    ablation,
    channel_means,
    contributions,
    predict_without,
    swapped_backgrounds,
)
from kernel_lib.doctor.shortcut import plant_shortcut

from .conftest import CHANNELS, pooled_network, two_layer_network


def test_contributions_add_up_to_the_margin_without_the_bias(images):
    classifier = pooled_network(side=6)
    from kernel_lib.data import ImageSet

    rng = np.random.default_rng(0)
    masks = np.zeros((9, 6, 6), bool)
    masks[:, 2:4] = True
    data = ImageSet(rng.random((9, 6, 6, 2), np.float32), np.arange(9) % 3, masks=masks)
    push, outside, wrong = contributions(classifier, data, "conv1", 4)
    logits = classifier.logits(data.images)
    own = logits[np.arange(9), data.labels]
    others = np.where(np.eye(3, dtype=bool)[data.labels], -np.inf, logits)
    bias = classifier.model.get_layer("logits").bias.numpy()
    margin = (others - 0).max(axis=1) - own
    gap = bias[others.argmax(axis=1)] - bias[data.labels]
    np.testing.assert_allclose(push.sum(axis=1), margin - gap, atol=1e-5)
    assert wrong.tolist() == (margin > 0).tolist()
    kernel = classifier.model.get_layer("logits").kernel.numpy()
    from kernel_lib.network import outputs

    maps = outputs(classifier, data.images, ["conv1"])["conv1"]
    slope = (kernel[:, others.argmax(axis=1)] - kernel[:, data.labels]).T / 36
    background = np.where(masks[..., None], 0, maps).sum(axis=(1, 2))
    np.testing.assert_allclose(outside, np.abs(background * slope), atol=1e-5)


def test_holding_no_channel_changes_nothing_and_all_makes_all_images_alike(images):
    classifier = two_layer_network()
    fill = channel_means(classifier, images.images, "conv2", 16)
    same = predict_without(classifier, images.images, "conv2", np.array([], int), fill, 16)
    np.testing.assert_array_equal(same, classifier.predict(images.images))
    alike = predict_without(classifier, images.images, "conv2", np.arange(CHANNELS), fill, 16)
    assert len(set(alike.tolist())) == 1


def test_ablation_draws_its_controls_from_the_other_channels(images):
    classifier = two_layer_network()
    fill = channel_means(classifier, images.images, "conv2", 16)
    found = ablation(classifier, images, "conv2", np.array([1]), fill, num_random=4, batch_size=16)
    assert found["accuracy_random"].shape == (4,)
    assert found["accuracy_before"] == pytest.approx(
        classifier.accuracy(images.images, images.labels)
    )
    again = ablation(classifier, images, "conv2", np.array([1]), fill, num_random=4, batch_size=5)
    np.testing.assert_array_equal(found["accuracy_random"], again["accuracy_random"])


@pytest.mark.parametrize("same_class", [True, False])
def test_objects_stay_and_backgrounds_come_from_the_right_class(images, same_class):
    owned = images.select(np.flatnonzero(images.masks.any(axis=(1, 2))))
    swapped = swapped_backgrounds(owned, same_class)
    np.testing.assert_array_equal(swapped[owned.masks], owned.images[owned.masks])
    outside = ~owned.masks
    classes = []
    for place in range(len(owned)):
        shared = outside[place] & outside  # (num_images, height, width)
        equal = (swapped[place] == owned.images).all(axis=-1)
        shares = (equal & shared).sum(axis=(1, 2)) / shared.sum(axis=(1, 2))
        partner = int(np.argmax(shares))
        assert shares[partner] == 1
        assert partner != place
        classes.append(owned.labels[partner] == owned.labels[place])
    assert all(classes) if same_class else not any(classes)


def test_a_planted_shortcut_holds_in_training_and_not_in_the_test(images):
    planted = plant_shortcut(images, 1.0)
    number = planted.tasks["background"]
    for split in ("train", "calibration"):
        chosen = planted.splits[split]
        assert (number[chosen] == planted.labels[chosen]).all()
    test = planted.splits["test"]
    assert (number[test] != planted.labels[test]).any()
    np.testing.assert_array_equal(planted.images[planted.masks], images.images[images.masks])
    bare = ~images.masks.any(axis=(1, 2))
    np.testing.assert_array_equal(planted.images[bare], images.images[bare])
    # In one channel too, each class has a level of its own.
    outside = planted.images[..., 0].astype(float).min(axis=(1, 2))[~bare & (number == 0)]
    brighter = planted.images[~bare & (number == 2)][:, 0, 0, 0]
    assert brighter.min() > outside.max() + 0.3
    with pytest.raises(ValueError, match="masks say"):
        from dataclasses import replace

        plant_shortcut(replace(images, masks=None))
