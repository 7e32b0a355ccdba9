"""Other images than those the thresholds were chosen on: corrupted, and attacked.

Corruptions have severities 1 to 5. Attacks climb the cross-entropy of the true class y, stay
within `eps` in every pixel, and keep pixels in [0, 1]. They take the sign of the slope g of
logsumexp over j != y of z_j, minus z_y: that of the cross-entropy divided by 1 - p_y, so the sign
is the same, and confident images do not lose it to rounding.

    FGSM  x' = clip(x + eps * sign(g))                    Goodfellow et al. 2015
    PGD   x' <- clip(x' + step * sign(g)) within eps      Madry et al. 2018
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf
from scipy.ndimage import gaussian_filter

from kernel_lib._checks import check_choice, check_count, check_number
from kernel_lib._random import random_stream
from kernel_lib.models.classifier import Classifier
from kernel_lib.network.compiled import fitting_batch_size, in_batches

Streams = Sequence[np.random.Generator]  # one for each image

SEVERITIES = (1, 2, 3, 4, 5)
_NOISE = (0.04, 0.08, 0.12, 0.18, 0.26)
_IMPULSE = (0.01, 0.03, 0.06, 0.11, 0.17)
_BLUR = (0.02, 0.03, 0.045, 0.06, 0.08)  # of the shorter side
_CONTRAST = (0.75, 0.55, 0.4, 0.3, 0.2)
_BRIGHTNESS = (0.1, 0.2, 0.3, 0.4, 0.5)
_PIXELS = (0.8, 0.65, 0.5, 0.4, 0.3)  # share of the side that is left


def corruptions() -> tuple[str, ...]:
    """Names of the corruptions."""
    return tuple(_CORRUPTIONS)


def corrupt(images: np.ndarray, name: str, severity: int, seed: int = 0) -> np.ndarray:
    """Corrupt images as the world does.

    Args:
        images: (num_images, height, width, channels) in [0, 1].
        name: a name of `corruptions()`.
        severity: 1 (mild) to 5 (severe).
        seed: seed of noise, which belongs to the image: it is the same in any batch and order.

    Returns:
        Images of the same shape, float32 in [0, 1].
    """
    function = _CORRUPTIONS[check_choice("name", name, _CORRUPTIONS)]
    check_choice("severity", str(severity), map(str, SEVERITIES))
    images = np.ascontiguousarray(images, np.float32)
    words = [check_count("seed", seed, 0), severity]
    streams = [random_stream([*words, zlib.crc32(image.tobytes())]) for image in images]
    changed = function(images, severity - 1, streams)
    return np.clip(changed, 0, 1).astype(np.float32)


def _gaussian_noise(images: np.ndarray, level: int, streams: Streams) -> np.ndarray:
    noise = np.empty_like(images)
    for place, stream in zip(noise, streams, strict=True):
        stream.standard_normal(dtype=np.float32, out=place)
    return images + np.float32(_NOISE[level]) * noise


def _impulse_noise(images: np.ndarray, level: int, streams: Streams) -> np.ndarray:
    draw = np.empty((*images.shape[:3], 1), np.float32)
    for place, stream in zip(draw, streams, strict=True):
        stream.random(dtype=np.float32, out=place)
    share = _IMPULSE[level]
    return np.where(draw < share / 2, 0, np.where(draw < share, 1, images))


def _blur(images: np.ndarray, level: int, streams: Streams) -> np.ndarray:
    width = _BLUR[level] * min(images.shape[1:3])
    return gaussian_filter(images, (0, width, width, 0), mode="nearest")


def _contrast(images: np.ndarray, level: int, streams: Streams) -> np.ndarray:
    mean = images.mean(axis=(1, 2), keepdims=True)
    return mean + _CONTRAST[level] * (images - mean)


def _brightness(images: np.ndarray, level: int, streams: Streams) -> np.ndarray:
    return images + _BRIGHTNESS[level]


def _pixelate(images: np.ndarray, level: int, streams: Streams) -> np.ndarray:
    height, width = images.shape[1:3]
    rows, columns = (
        np.minimum((np.arange(side) * share).astype(int) / share + 0.5 / share, side - 1)
        for side, share in ((height, _PIXELS[level]), (width, _PIXELS[level]))
    )
    return images[:, rows.astype(int)][:, :, columns.astype(int)]


_CORRUPTIONS: dict[str, Callable[[np.ndarray, int, Streams], np.ndarray]] = {
    "gaussian_noise": _gaussian_noise,
    "impulse_noise": _impulse_noise,
    "blur": _blur,
    "contrast": _contrast,
    "brightness": _brightness,
    "pixelate": _pixelate,
}


def fgsm(
    classifier: Classifier,
    images: np.ndarray,
    labels: np.ndarray,
    eps: float,
    batch_size: int | None = None,
) -> np.ndarray:
    """One step of `eps` against the true class; images (num_images, height, width, channels)."""
    return pgd(classifier, images, labels, eps, num_steps=1, step=eps, batch_size=batch_size)


def pgd(
    classifier: Classifier,
    images: np.ndarray,
    labels: np.ndarray,
    eps: float,
    num_steps: int = 10,
    step: float | None = None,
    batch_size: int | None = None,
) -> np.ndarray:
    """Steps against the true class that stay within `eps` of the image, from the image itself.

    Args:
        classifier: the network under attack.
        images: (num_images, height, width, channels) in [0, 1].
        labels: (num_images,) true classes.
        eps: largest change of any pixel, in [0, 1].
        num_steps: steps taken.
        step: size of a step; None for 2.5 * eps / num_steps.
        batch_size: images in memory at once; None fits the image size.
    """
    check_number("eps", eps, 0, 1)
    check_count("num_steps", num_steps)
    images = classifier.check_images(images)
    labels = classifier.check_targets(labels, images)
    length = 2.5 * eps / num_steps if step is None else check_number("step", step, 0)
    function = _attack_step(classifier)
    bound, move = tf.constant(eps, tf.float32), tf.constant(length, tf.float32)

    def attack(start: tf.Tensor, classes: tf.Tensor) -> tf.Tensor:
        now = start
        for _ in range(num_steps):
            now = function(now, start, classes, move, bound)
        return now

    size = batch_size or fitting_batch_size(images.shape[1:], classifier.network)
    return in_batches(attack, size, images, labels)[0]


def _attack_step(classifier: Classifier) -> Callable[..., tf.Tensor]:
    network = classifier.network

    def body(
        now: tf.Tensor, start: tf.Tensor, labels: tf.Tensor, step: tf.Tensor, eps: tf.Tensor
    ) -> tf.Tensor:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(now)
            logits, _ = network.forward(now)
            own = tf.one_hot(labels, logits.shape[-1], on_value=True, off_value=False)
            others = tf.where(own, tf.constant(-np.inf, tf.float32), logits)
            true = tf.gather(logits, labels, axis=1, batch_dims=1)
            loss = tf.reduce_logsumexp(others, axis=1) - true
        moved = now + step * tf.sign(tape.gradient(loss, now, unconnected_gradients="zero"))
        moved = tf.clip_by_value(moved, start - eps, start + eps)
        return tf.clip_by_value(moved, 0.0, 1.0)

    number = tf.TensorSpec((), tf.float32)
    image = network.image_spec
    signature = [image, image, network.target_spec, number, number]
    return network.function("attack step", body, signature)
