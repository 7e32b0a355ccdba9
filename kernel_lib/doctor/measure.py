"""What is compared before and after a treatment, on the same images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kernel_lib.audit.statistics import exact_mcnemar, expected_calibration_error
from kernel_lib.data import ImageSet
from kernel_lib.doctor.causes import swapped_backgrounds
from kernel_lib.doctor.owned import mask_owners
from kernel_lib.models.classifier import Classifier
from kernel_lib.network.compiled import in_batches

CALIBRATION_BINS = 10


@dataclass(frozen=True)
class Measured:
    """One network on the test images.

    Attributes:
        right: (num_images,) bool.
        predictions: (num_images,) classes.
        confidence: (num_images,) probability of the prediction.
        outside: (num_images,) share of the image gradient's size that lies on the background; NaN
            without a mask.
        swapped_other, swapped_same: (num_masked,) whether the decision on a held-out image changes
            on the background of an image of another class, and of its own; empty without masks.
    """

    right: np.ndarray
    predictions: np.ndarray
    confidence: np.ndarray
    outside: np.ndarray
    swapped_other: np.ndarray
    swapped_same: np.ndarray

    @property
    def accuracy(self) -> float:
        """Share of right decisions."""
        return float(self.right.mean())

    @property
    def calibration_error(self) -> float:
        """Expected calibration error over ten bins of confidence."""
        return expected_calibration_error(self.confidence, self.right, CALIBRATION_BINS)

    @property
    def background_reliance(self) -> float:
        """How much more often a foreign class's background changes the decision than a like one."""
        if not len(self.swapped_other):
            return float("nan")
        return float(self.swapped_other.mean() - self.swapped_same.mean())


def measure(
    classifier: Classifier, images: ImageSet, held_out: ImageSet, batch_size: int, seed: int = 0
) -> Measured:
    """Measure a network on labelled images, with or without masks.

    Args:
        classifier: the network.
        images: the test images.
        held_out: images from where the training images come from; backgrounds are exchanged among
            them, because a shortcut that training taught shows where it still holds.
        batch_size: images in memory at once.
        seed: seed of the exchanges.
    """
    logits = classifier.logits(images.images, batch_size)
    predictions = logits.argmax(axis=1)
    slopes = image_gradients(classifier, images, batch_size)
    swaps = [np.array([], bool)] * 2
    has_mask = mask_owners(held_out)
    if has_mask.any():
        masked = held_out.select(np.flatnonzero(has_mask))
        before = classifier.predict(masked.images, batch_size)
        swaps = [
            classifier.predict(swapped_backgrounds(masked, same, seed), batch_size) != before
            for same in (False, True)
        ]
    return Measured(
        predictions == images.labels,
        predictions,
        softmax(logits).max(axis=1),
        outside_share(slopes, images.masks),
        *swaps,
    )


def image_gradients(classifier: Classifier, images: ImageSet, batch_size: int) -> np.ndarray:
    """Size of the gradient of the true class's logit at each pixel, (n, h, w) float32."""
    function = classifier.network.image_gradient_function()

    def sizes(pictures: np.ndarray, labels: np.ndarray) -> list:
        import tensorflow as tf

        return [tf.reduce_sum(tf.abs(function(pictures, labels)), axis=-1)]

    return in_batches(sizes, batch_size, images.images, images.labels.astype(np.int32))[0]


def outside_share(slopes: np.ndarray, masks: np.ndarray | None) -> np.ndarray:
    """Share of each map that lies outside the object, (num_images,); NaN without an object.

    Args:
        slopes: (num_images, height, width), not negative.
        masks: bool (num_images, height, width), or None.
    """
    if masks is None:
        return np.full(len(slopes), np.nan)
    total = slopes.sum(axis=(1, 2), dtype=np.float64)
    outside = np.where(masks, 0, slopes).sum(axis=(1, 2), dtype=np.float64)
    known = masks.any(axis=(1, 2)) & (total > 0)
    return np.where(known, outside / np.where(total > 0, total, 1), np.nan)


def mcnemar(before: np.ndarray, after: np.ndarray) -> dict[str, float]:
    """Exact McNemar test of two networks on the same images.

    Args:
        before, after: (num_images,) whether each was right.

    Returns:
        "fixed" (wrong, then right), "broken" (right, then wrong), and the two-sided "p_value".
    """
    fixed = int((~before & after).sum())
    broken = int((before & ~after).sum())
    return {"fixed": fixed, "broken": broken, "p_value": exact_mcnemar(before, after)}


def softmax(logits: np.ndarray) -> np.ndarray:
    """Shares over the last axis, float64."""
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def stacked(measured: Sequence[Measured], name: str) -> np.ndarray:
    """One attribute of several networks, (num_networks, num_images)."""
    return np.stack([getattr(each, name) for each in measured])
