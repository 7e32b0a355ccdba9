"""Average the gradient over points near an image: SmoothGrad, VarGrad and integrated gradients.

All these methods are a mean (or variance) of the same compiled gradient over points that differ
only in how they are laid out: noisy copies, steps on a path, or both. Points of many images are
packed into full batches, so the number of gradient batches is the least possible and memory is
bounded by the batch size whatever the number of points.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import tensorflow as tf

from kernel_lib._progress import is_watched, progress
from kernel_lib._random import random_stream

Gradient = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


class Points(Protocol):
    """Where to take the gradient, for each of a set of images."""

    @property
    def num_points(self) -> int:
        """Points of each image."""

    def fill(self, image_index: int, start: int, out: np.ndarray) -> None:
        """Write points ``start ... start + len(out)`` of one image into `out`.

        Called in order of `start`, from 0 on, for one image after another.
        """


@dataclass
class NoisyPoints:
    """x + e with e ~ N(0, (spread * (max x - min x))^2), `num_points` draws an image.

    Each image has a random stream of its own, so its noise does not depend on the other images of
    the batch or on the batch size.
    """

    images: np.ndarray  # (num_images, height, width, channels)
    streams: list[list[int]]  # seed words, one list an image
    spread: float
    num_points: int

    def fill(self, image_index: int, start: int, out: np.ndarray) -> None:
        """See `Points`."""
        if start == 0:
            self._random = random_stream(self.streams[image_index])
        image = self.images[image_index]
        self._random.standard_normal(out=out, dtype=np.float32)
        out *= np.float32(self.spread * (image.max() - image.min()))
        out += image


@dataclass
class PathPoints:
    """Points on the straight path from a baseline to each image (Sundararajan et al. 2017)."""

    images: np.ndarray
    baseline: np.ndarray  # (num_images, height, width, channels), or one that broadcasts to it
    shares: np.ndarray  # (num_points,) position on the path, 0 = baseline, 1 = image

    @property
    def num_points(self) -> int:
        """Steps on the path."""
        return len(self.shares)

    def fill(self, image_index: int, start: int, out: np.ndarray) -> None:
        """See `Points`."""
        shares = self.shares[start : start + len(out), None, None, None]
        baseline = np.broadcast_to(self.baseline, self.images.shape)[image_index]
        np.multiply(shares, self.images[image_index] - baseline, out=out)
        out += baseline


def path_shares(num_steps: int, rule: str) -> np.ndarray:
    """Positions on the path: "midpoint" rule, or "pair", both ends included (PAIR's code)."""
    if rule == "midpoint":
        return ((np.arange(num_steps) + 0.5) / num_steps).astype(np.float32)
    return np.linspace(0, 1, num_steps, dtype=np.float32)


def gradient_moments(
    gradient: Gradient,
    targets: np.ndarray,
    points: Points,
    shape: tuple[int, ...],
    batch_size: int,
    with_squares: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Mean of the gradient over the points of each image, and the mean of its square.

    Args:
        gradient: compiled (images, targets) -> gradients of the same shape as images.
        targets: (num_images,) class whose logit is explained.
        points: where to take the gradient.
        shape: (num_images, height, width, channels).
        batch_size: points in memory at once.
        with_squares: also return the mean square, which VarGrad needs.

    Returns:
        Two float64 arrays of `shape` (the second zero unless asked for).
    """
    total = np.zeros(shape)
    squares = np.zeros(shape)
    for owners, batch in _packed(points, shape, batch_size):
        slopes = gradient(tf.constant(batch), tf.constant(targets[owners])).numpy()
        first = np.flatnonzero(np.diff(owners, prepend=-1))  # where each image's points begin
        total[owners[first]] += np.add.reduceat(slopes, first, axis=0, dtype=np.float64)
        if with_squares:
            np.square(slopes, out=slopes)
            squares[owners[first]] += np.add.reduceat(slopes, first, axis=0, dtype=np.float64)
    return total / points.num_points, squares / points.num_points


def _packed(
    points: Points, shape: tuple[int, ...], batch_size: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (index of the image of each point, points) in full batches, images in order."""
    num_all = shape[0] * points.num_points
    owners = np.repeat(np.arange(shape[0]), points.num_points)
    starts = range(0, num_all, batch_size)
    for start in progress(starts, "Points near images", enabled=is_watched()):
        stop = min(start + batch_size, num_all)
        batch = np.empty((stop - start, *shape[1:]), np.float32)
        place = start
        while place < stop:
            image, offset = divmod(place, points.num_points)
            count = min(points.num_points - offset, stop - place)
            points.fill(image, offset, batch[place - start : place - start + count])
            place += count
        yield owners[start:stop], batch


def noisy_path_moments(
    gradient: Gradient,
    targets: np.ndarray,
    noisy: NoisyPoints,
    baseline: np.ndarray,
    shares: np.ndarray,
    batch_size: int,
) -> np.ndarray:
    """Mean over noisy copies x + e of their integrated gradients, with a fixed baseline.

    Returns:
        (num_images, height, width, channels) float64: mean of (x + e - b) * mean gradient.
    """
    shape = noisy.images.shape
    total = np.zeros(shape)
    copies = np.empty((noisy.num_points, *shape[1:]), np.float32)
    for image in range(shape[0]):
        noisy.fill(image, 0, copies)
        path = PathPoints(copies, baseline[image : image + 1], shares)
        same_target = np.full(len(copies), targets[image], np.int32)
        slopes, _ = gradient_moments(gradient, same_target, path, copies.shape, batch_size)
        total[image] = np.mean((copies - baseline[image]) * slopes, axis=0)
    return total
