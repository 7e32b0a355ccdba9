"""Geometric transformations as sparse matrices: one for each step, the same for all images.

Moving every pixel of every image by one map is a linear operation on pixels, so a step is one
sparse matrix (num_pixels, num_pixels) with a handful of entries a row. It is built once and
multiplied with whole batches, which is several times faster than warping image by image.

A map takes a pixel of the output to the place in the input where it comes from. Places count from
the centre (size - 1) / 2, x to the right and y downwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

RESAMPLINGS = ("smooth", "bilinear", "nearest")
_SUBSAMPLES = 3  # a pixel is the mean of 3 x 3 points: the same slight blur at every step


@dataclass(frozen=True)
class Warp:
    """One step: `pixels` (P, P) sparse float32, and how much of each pixel is filling (P,)."""

    pixels: Any
    filling: np.ndarray

    def apply(self, columns: np.ndarray, fill: np.ndarray) -> np.ndarray:
        """Warp images laid out as (num_pixels, num_images * channels); `fill` is one row of it."""
        warped = self.pixels @ columns
        outside = np.flatnonzero(self.filling)
        warped[outside] += self.filling[outside, None] * fill
        return warped


def to_columns(images: np.ndarray) -> np.ndarray:
    """(num_images, h, w, channels) -> (h * w, num_images * channels)."""
    height, width = images.shape[1:3]
    return np.ascontiguousarray(images.transpose(1, 2, 0, 3)).reshape(height * width, -1)


def from_columns(columns: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """The way back; `shape` is that of the images."""
    num_images, height, width, channels = shape
    pixels = columns.reshape(height, width, num_images, channels)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1, 3))


def warp_of(
    matrix: np.ndarray, size: tuple[int, int], *, resampling: str = "bilinear", border: str = "fill"
) -> Warp:
    """Build the sparse matrix of one step.

    Args:
        matrix: (2, 3) the map from output (x, y, 1) to input (x, y), from the centre.
        size: height and width of the images.
        resampling: "nearest", "bilinear", or "smooth" (bilinear at 3 x 3 points a pixel, averaged,
            at the identity too).
        border: what lies outside the image: "fill" (a constant), "edge" (the nearest pixel) or
            "reflect" (the image, mirrored).
    """
    from scipy.sparse import csr_array

    height, width = size
    rows, places, weights = [], [], []
    for dy, dx, share in _points(resampling):
        x, y = _sources(matrix, size, dx, dy)
        for row, column, weight in _neighbours(x, y, resampling):
            row, column, weight = _inside(row, column, weight * share, size, border)
            rows.append(np.flatnonzero(weight))
            places.append((row * width + column)[rows[-1]])
            weights.append(weight[rows[-1]])
    entries = (np.concatenate(weights), (np.concatenate(rows), np.concatenate(places)))
    pixels = csr_array(entries, shape=(height * width, height * width))
    pixels.sum_duplicates()
    filling = 1 - np.asarray(pixels.sum(axis=1)).ravel()
    filling[np.abs(filling) < 1e-9] = 0
    return Warp(pixels.astype(np.float32), filling.astype(np.float32))


def _points(resampling: str) -> list[tuple[float, float, float]]:
    """Where in a pixel it is sampled, and the weight of each point."""
    if resampling != "smooth":
        return [(0.0, 0.0, 1.0)]
    offsets = (np.arange(_SUBSAMPLES) - (_SUBSAMPLES - 1) / 2) / _SUBSAMPLES
    return [(dy, dx, 1 / _SUBSAMPLES**2) for dy in offsets for dx in offsets]


def _sources(
    matrix: np.ndarray, size: tuple[int, int], dx: float, dy: float
) -> tuple[np.ndarray, np.ndarray]:
    """Where each output pixel comes from, in input pixels (num_pixels,)."""
    height, width = size
    row, column = np.indices(size).reshape(2, -1).astype(float)
    x, y = column + dx - (width - 1) / 2, row + dy - (height - 1) / 2
    from_x = matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2] + (width - 1) / 2
    from_y = matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2] + (height - 1) / 2
    # Rounding leaves whole pixels whole, so a quarter turn or a shift by one is exact.
    return np.round(from_x, 9), np.round(from_y, 9)


def _neighbours(
    x: np.ndarray, y: np.ndarray, resampling: str
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Rows, columns and weights of the pixels that make up each place."""
    if resampling == "nearest":
        return [(np.rint(y).astype(int), np.rint(x).astype(int), np.ones_like(x))]
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    right_share, bottom_share = x - left, y - top
    return [
        (top, left, (1 - bottom_share) * (1 - right_share)),
        (top, left + 1, (1 - bottom_share) * right_share),
        (top + 1, left, bottom_share * (1 - right_share)),
        (top + 1, left + 1, bottom_share * right_share),
    ]


def _inside(
    row: np.ndarray, column: np.ndarray, weight: np.ndarray, size: tuple[int, int], border: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    height, width = size
    if border == "reflect":
        return _mirrored(row, height), _mirrored(column, width), weight
    clipped = np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)
    if border == "fill":
        is_inside = (clipped[0] == row) & (clipped[1] == column)
        weight = np.where(is_inside, weight, 0.0)
    return *clipped, weight


def _mirrored(index: np.ndarray, size: int) -> np.ndarray:
    """Mirror at the centre of the edge pixel, as often as needed."""
    if size == 1:
        return np.zeros_like(index)
    period = 2 * (size - 1)
    index = np.abs(index) % period
    return np.where(index >= size, period - index, index)


def rotation_matrix(degrees: float) -> np.ndarray:
    """Turn the picture counter-clockwise."""
    # Exact for quarter turns, which sine and cosine are not.
    quarter = degrees / 90
    if float(quarter).is_integer():
        cosine, sine = ((1, 0), (0, 1), (-1, 0), (0, -1))[int(quarter) % 4]
    else:
        cosine, sine = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0]])


def scaling_matrix(factor: float) -> np.ndarray:
    """Magnify the picture about its centre."""
    return np.array([[1 / factor, 0.0, 0.0], [0.0, 1 / factor, 0.0]])


def translation_matrix(right: float, down: float) -> np.ndarray:
    """Move the picture by so many pixels."""
    return np.array([[1.0, 0.0, -right], [0.0, 1.0, -down]])


def shear_matrix(degrees: float) -> np.ndarray:
    """Slant the picture: rows above the centre move to the right."""
    return np.array([[1.0, np.tan(np.deg2rad(degrees)), 0.0], [0.0, 1.0, 0.0]])
