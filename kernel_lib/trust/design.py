"""What a probe is given: features of all images, which of them to learn from, and targets.

Features may lie in a memory-mapped file far larger than memory. Everything here reads them in
blocks, so what is held at once grows with the number of images or of features, never with both.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

BLOCK_FLOATS = 16_000_000  # floats of features in memory at once, 64 MB


@dataclass(frozen=True, eq=False)
class Target:
    """Labels to be read off features.

    Attributes:
        labels: (num_images,) class ids, -1 where missing.
        num_classes: classes of the declared schema.
    """

    labels: np.ndarray
    num_classes: int


@dataclass(frozen=True, eq=False)
class Design:
    """Features and the images probes learn on, are tuned on, and are tested on.

    Attributes:
        features: (num_images, num_features) float32, possibly memory-mapped.
        train, calibration, test: indices of images.
    """

    features: np.ndarray
    train: np.ndarray
    calibration: np.ndarray
    test: np.ndarray

    @property
    def learning(self) -> np.ndarray:
        """Indices of the images that the final probe learns from: train, then calibration."""
        return np.concatenate([self.train, self.calibration])

    @property
    def used(self) -> np.ndarray:
        """Indices of all images, in the order train, calibration, test."""
        return np.concatenate([self.train, self.calibration, self.test])

    @property
    def num_features(self) -> int:
        """Length of one image's features."""
        return self.features.shape[1]

    @property
    def is_wide(self) -> bool:
        """Whether there are more features than images: products of images are then smaller."""
        return self.num_features > len(self.used)

    def known(self, labels: np.ndarray) -> Design:
        """The design without images whose label is missing."""
        kept = {
            name: getattr(self, name)[labels[getattr(self, name)] >= 0]
            for name in ("train", "calibration", "test")
        }
        return replace(self, **kept)

    @cached_property
    def statistics(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and scale of each feature over the train images; the scale of a constant is 1."""
        total = np.zeros(self.num_features)
        squares = np.zeros(self.num_features)
        for rows in self._row_blocks(self.train):
            block = self.features[rows].astype(np.float64)
            if not np.isfinite(block).all():
                raise ValueError("The features hold NaN or infinite values.")
            total += block.sum(axis=0)
            squares += (block**2).sum(axis=0)
        mean = total / len(self.train)
        variance = np.maximum(squares / len(self.train) - mean**2, 0)
        # Below rounding of the squares, what is left of a variance is noise.
        is_constant = variance <= 1e-10 * (mean**2 + 1e-30)
        scale = np.where(is_constant, 1.0, np.sqrt(variance))
        return mean.astype(np.float32), scale.astype(np.float32)

    def standardized(self, rows: np.ndarray, columns: slice = slice(None)) -> np.ndarray:
        """Features of some images with mean 0 and deviation 1 over the train images; float32."""
        mean, scale = self.statistics
        values = self.features[rows, columns].astype(np.float32, copy=False)  # rows copy already
        values -= mean[columns]
        values /= scale[columns]
        if not np.isfinite(values).all():
            raise ValueError("The features hold NaN or infinite values.")
        return values

    @cached_property
    def gram(self) -> np.ndarray:
        """Products of the standardised features of all used images, (num_used, num_used)."""
        product = np.zeros((len(self.used), len(self.used)), np.float32)
        width = max(1, BLOCK_FLOATS // len(self.used))
        for start in range(0, self.num_features, width):
            block = self.standardized(self.used, slice(start, start + width))
            product += block @ block.T
        return product

    def _row_blocks(self, rows: np.ndarray) -> Iterator[np.ndarray]:
        # Float64 copies are twice the size, and there are two of them.
        height = max(1, BLOCK_FLOATS // (4 * self.num_features))
        for start in range(0, len(rows), height):
            yield rows[start : start + height]


def design_of(features: np.ndarray, splits: dict[str, np.ndarray]) -> Design:
    """Check features and splits, and put them together.

    Raises:
        ValueError: features that are no table, or hold NaN.
    """
    if features.ndim != 2 or not features.shape[1]:
        raise ValueError(
            "`features` must have the shape (num_images, num_features). "
            f"Received: shape={features.shape}."
        )
    highest = max(int(indices.max()) for indices in splits.values())
    if highest >= len(features):
        raise ValueError(
            f"There must be one row of features for each image. Received: {len(features)} rows "
            f"for at least {highest + 1} images."
        )
    return Design(features, splits["train"], splits["calibration"], splits["test"])
