"""Causal checks: take the blamed channels away, and exchange backgrounds, and see what changes.

A gradient says what a score would do; only an intervention says what a decision does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kernel_lib._checks import check_count
from kernel_lib._progress import is_watched
from kernel_lib._progress import progress as progress_bar
from kernel_lib.data import ImageSet
from kernel_lib.data.labelme_draw import area_average
from kernel_lib.doctor.gradients import watching
from kernel_lib.doctor.losses import strongest_wrong
from kernel_lib.doctor.owned import mask_owners, masks_or_empty
from kernel_lib.models.classifier import Classifier
from kernel_lib.network.compiled import in_batches


def contributions(
    classifier: Classifier, images: ImageSet, tap: str, batch_size: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What each channel does to an image's margin, altogether and from the background.

    The margin is the logit of the strongest wrong class less that of the true class; a channel's
    share in it is the sum over places of gradient times activation (first order).

    Args:
        classifier: the network.
        images: images; those with an empty mask have no background.
        tap: where channels are read.
        batch_size: images in memory at once.

    Returns:
        push (num_images, num_channels), towards the wrong class where positive; from_background
        (num_images, num_channels), the size of what the background alone contributes; and
        is_wrong (num_images,).
    """
    function = _contributions_function(classifier, tap)

    size = _tap_size(classifier, images, tap)
    owned = mask_owners(images)[:, None, None]
    background = ((1 - area_average(masks_or_empty(images), *size)) * owned).astype(np.float32)
    labels = images.labels.astype(np.int32)
    push, outside, margin = in_batches(function, batch_size, images.images, labels, background)
    return push, outside, margin > 0


def _contributions_function(classifier: Classifier, tap: str) -> Callable[..., list[tf.Tensor]]:
    network = classifier.network

    def body(images: tf.Tensor, labels: tf.Tensor, background: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            logits, (maps,) = network.forward(images, [tap], watching(tape, tap))
            wrong = strongest_wrong(logits, labels)
            chosen = [tf.gather(logits, each, axis=1, batch_dims=1) for each in (wrong, labels)]
            margin = chosen[0] - chosen[1]
        flow = tf.cast(tape.gradient(margin, maps, unconnected_gradients="zero") * maps, tf.float32)
        outside = tf.einsum("nhwk,nhw->nk", flow, background)
        return [tf.reduce_sum(flow, axis=(1, 2)), tf.abs(outside), margin]

    spec = tf.TensorSpec((None, None, None), tf.float32)
    signature = [network.image_spec, network.target_spec, spec]
    return network.function(("contributions", tap), body, signature)


def _tap_size(classifier: Classifier, images: ImageSet, tap: str) -> tuple[int, int]:
    from kernel_lib.doctor.places import map_size

    network = classifier.network
    return map_size(network.tap(tap), images.image_shape, network)


def channel_means(
    classifier: Classifier, images: np.ndarray, tap: str, batch_size: int
) -> np.ndarray:
    """Mean activation of each channel over images and places, (num_channels,) float32."""

    def body(pictures: tf.Tensor) -> tf.Tensor:
        _, (maps,) = classifier.network.forward(pictures, [tap])
        return tf.reduce_mean(maps, axis=(1, 2))

    function = classifier.network.function(
        ("channel means", tap), body, [classifier.network.image_spec]
    )
    return in_batches(function, batch_size, images)[0].mean(axis=0, dtype=np.float64)


def predict_without(
    classifier: Classifier,
    images: np.ndarray,
    tap: str,
    channels: np.ndarray,
    fill: np.ndarray,
    batch_size: int,
) -> np.ndarray:
    """Predictions with some channels held at a constant.

    Args:
        classifier: the network; its weights are not touched.
        images: (num_images, height, width, channels) in [0, 1].
        tap: where.
        channels: numbers of the channels that are held.
        fill: (num_channels,) the value each is held at.
        batch_size: images in memory at once.

    Returns:
        Predicted classes (num_images,).
    """
    keep = np.ones(len(fill), np.float32)
    keep[channels] = 0
    function = _without_function(classifier, tap)
    held = tf.constant(keep), tf.constant(fill, tf.float32)
    logits = in_batches(lambda batch: function(batch, *held), batch_size, images)[0]
    return logits.argmax(axis=1)


def _without_function(classifier: Classifier, tap: str) -> Callable[..., tf.Tensor]:
    network = classifier.network

    def body(images: tf.Tensor, keep: tf.Tensor, fill: tf.Tensor) -> tf.Tensor:
        def alter(name: str, layer: keras.Operation, output: tf.Tensor) -> tf.Tensor:
            if name != tap:
                return output
            kept, filled = tf.cast(keep, output.dtype), tf.cast(fill, output.dtype)
            return output * kept + filled * (1 - kept)

        return network.forward(images, alter=alter)[0]

    vector = tf.TensorSpec((None,), tf.float32)
    return network.function(("without", tap), body, [network.image_spec, vector, vector])


def ablation(
    classifier: Classifier,
    images: ImageSet,
    tap: str,
    blamed: np.ndarray,
    fill: np.ndarray,
    *,
    num_random: int = 10,
    seed: int = 0,
    batch_size: int = 128,
) -> dict[str, Any]:
    """Accuracy without the blamed channels, and without as many others drawn at random.

    Args:
        blamed: numbers of the blamed channels.
        num_random: random sets, the control.

    Returns:
        "accuracy_before", "accuracy_blamed", "accuracy_random" (num_random,), "predictions"
        before and without the blamed channels.
    """
    check_count("num_random", num_random)
    random = np.random.default_rng([seed, 5])
    others = np.setdiff1d(np.arange(len(fill)), blamed)
    count = min(len(blamed), len(others))

    def without(channels: np.ndarray) -> np.ndarray:
        return predict_without(classifier, images.images, tap, channels, fill, batch_size)

    before, after = without(np.array([], int)), without(blamed)
    draws = range(num_random if count else 0)
    control = [
        (without(random.choice(others, count, replace=False)) == images.labels).mean()
        for _ in progress_bar(draws, "Random channels", enabled=is_watched())
    ]
    return {
        "accuracy_before": float((before == images.labels).mean()),
        "accuracy_blamed": float((after == images.labels).mean()),
        "accuracy_random": np.array(control),
        "predictions": (before, after),
    }


def swapped_backgrounds(images: ImageSet, same_class: bool, seed: int = 0) -> np.ndarray:
    """Each object on the background of another image, of its own class or of another.

    Where the other image's object was, its mean background colour fills in.

    Args:
        images: images with masks.
        same_class: whether the background comes from an image of the same class, the control, or
            of another class.
        seed: seed of the partners.

    Returns:
        Images (num_images, height, width, channels) in [0, 1].
    """
    partner = _partners(images.labels, same_class, np.random.default_rng([seed, int(same_class)]))
    inside = masks_or_empty(images)[..., None]
    outside = ~inside
    total = (images.images * outside).sum(axis=(1, 2), dtype=np.float64)
    colors = total / np.maximum(outside.sum(axis=(1, 2)), 1)
    filled = np.where(outside, images.images, colors[:, None, None].astype(np.float32))
    return np.where(inside, images.images, filled[partner])


def _partners(labels: np.ndarray, same_class: bool, random: np.random.Generator) -> np.ndarray:
    """Another image for each; where its class has only one image, itself."""
    everything = np.arange(len(labels))
    partner = everything.copy()
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        if same_class:
            order = random.permutation(own)
            partner[order] = np.roll(order, 1)
        else:
            others = everything[labels != label]
            partner[own] = random.choice(others, len(own)) if len(others) else own
    return partner
