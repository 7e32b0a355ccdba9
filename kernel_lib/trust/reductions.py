"""Make features of what a tap gives: shorter tables of numbers, computed inside the forward pass.

| reduction | features of a map (height, width, channels) |
|---|---|
| pooled | mean of each channel; where things are is lost |
| flattened | every number |
| pca:K | the K directions of most variance over the train images |
| random_projection:K | K fixed random mixtures; distances stay (Johnson & Lindenstrauss 1984) |

Outputs that are no maps are taken as they are by "pooled", and so is what has at most K numbers.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from kernel_lib._checks import check_count
from kernel_lib._random import random_stream

NAMES = ("pooled", "flattened", "pca", "random_projection")
_OVERSAMPLING, _POWER_STEPS = 10, 5
_BLOCK_FLOATS = 16_000_000


@dataclass(frozen=True)
class Reduction:
    """A parsed reduction: its name, and how many features it keeps (0: as many as there are)."""

    name: str
    num_features: int = 0

    @property
    def text(self) -> str:
        """The form it was written in."""
        return f"{self.name}:{self.num_features}" if self.num_features else self.name


def parse(text: str) -> Reduction:
    """Read "pooled", "flattened", "pca:64" or "random_projection:256".

    Raises:
        ValueError: an unknown name, or a count that is missing, not whole or below 1.
    """
    name, colon, count = str(text).partition(":")
    needs_count = name in ("pca", "random_projection")
    if name not in NAMES or bool(colon) != needs_count or (colon and not count.isdigit()):
        raise ValueError(
            "`reduction` must be 'pooled', 'flattened', 'pca:K' or 'random_projection:K', as in "
            f"'pca:64'. Received: reduction={text!r}."
        )
    return Reduction(name, check_count("reduction", int(count)) if colon else 0)


def in_graph(reduction: Reduction, tap: str, size: int, seed: int) -> Callable:
    """What is done to the values of a tap inside the forward pass; PCA is done afterwards.

    Args:
        reduction: which one.
        tap: name of the tap; each has random mixtures of its own.
        size: numbers an image has at the tap, None where free.
        seed: of the random mixtures.
    """
    if reduction.name == "pooled":
        return _pooled
    if reduction.name == "random_projection" and size > reduction.num_features:
        random = random_stream([seed, zlib.crc32(tap.encode())])
        mixtures = random.standard_normal((size, reduction.num_features), np.float32)
        held = tf.constant(mixtures / np.sqrt(reduction.num_features).astype(np.float32))
        return lambda value: tf.matmul(_flattened(value), held)
    return _flattened


def principal(features: np.ndarray, rows: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Project features on their directions of most variance, by a randomised decomposition.

    Halko, Martinsson and Tropp 2011, algorithm 4.4: power steps with orthogonalisation, in blocks
    of rows, so that memory-mapped features are never held whole.

    Args:
        features: (num_images, num_features).
        rows: indices of the images whose variance counts.
        count: number of directions.
        seed: of the first random directions.

    Returns:
        (num_images, count) float32; each direction's sign is such that its largest entry is
        positive.
    """
    width = min(count + _OVERSAMPLING, features.shape[1], len(rows))
    mean = _sum(_blocks(features, rows)) / len(rows)
    directions = random_stream([seed, 0x9CA]).standard_normal((features.shape[1], width))
    directions = np.linalg.qr(directions.astype(np.float32))[0]
    for _ in range(_POWER_STEPS):
        moved = np.zeros_like(directions)
        for block in _blocks(features, rows):
            centred = block - mean
            moved += centred.T @ (centred @ directions)
        directions = np.linalg.qr(moved)[0]
    spread = sum(
        ((block - mean) @ directions).T @ ((block - mean) @ directions)
        for block in _blocks(features, rows)
    )
    turn = np.linalg.eigh(spread)[1][:, ::-1][:, :count]
    directions = directions @ turn
    largest = np.abs(directions).argmax(axis=0)
    directions *= np.sign(directions[largest, np.arange(directions.shape[1])])
    every = np.arange(len(features))
    return np.concatenate([(block - mean) @ directions for block in _blocks(features, every)])


def _pooled(value: tf.Tensor) -> tf.Tensor:
    rank = value.shape.rank
    return tf.reduce_mean(value, axis=list(range(1, rank - 1))) if rank > 2 else value


def _flattened(value: tf.Tensor) -> tf.Tensor:
    return tf.reshape(value, (tf.shape(value)[0], -1))


def _blocks(features: np.ndarray, rows: np.ndarray) -> Iterator[np.ndarray]:
    height = max(1, _BLOCK_FLOATS // features.shape[1])
    for start in range(0, len(rows), height):
        yield np.asarray(features[rows[start : start + height]], np.float32)


def _sum(blocks: Iterator[np.ndarray]) -> np.ndarray:
    return sum(block.sum(axis=0, dtype=np.float64) for block in blocks).astype(np.float32)
