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
    matrix: np.ndarray,
    size: tuple[int, int],
    *,
    resampling: str = "bilinear",
    border: str = "fill",
    inside: np.ndarray | None = None,
) -> Warp:
    """Build the sparse matrix of one step.

    Args:
        matrix: (2, 3) the map from output (x, y, 1) to input (x, y), from the centre.
        size: height and width of the images.
        resampling: "nearest", "bilinear", or "smooth" (bilinear at 3 x 3 points a pixel, averaged,
            at the identity too).
        border: what lies outside the image: "fill" (a constant), "edge" (the nearest pixel) or
            "reflect" (the image, mirrored).
        inside: (height, width) False where a pixel is filling alone; None masks nothing.
    """
    from scipy.sparse import csr_array

    height, width = size
    points, share = _points(resampling)
    x, y = _sources(matrix, size, points)
    row, column, weight = _inside(*_neighbours(x, y, resampling), size, border)
    if inside is not None:
        weight = weight * inside.ravel()
    to = np.broadcast_to(np.arange(height * width, dtype=np.int32), weight.shape)
    counts = weight > 0
    places = (row * width + column)[counts].astype(np.int32)
    entries = (share * weight[counts], (to[counts], places))
    pixels = csr_array(entries, shape=(height * width, height * width))
    pixels.sum_duplicates()
    filling = 1 - np.asarray(pixels.sum(axis=1)).ravel()
    filling[np.abs(filling) < 1e-9] = 0
    return Warp(pixels.astype(np.float32), filling.astype(np.float32))


def _points(resampling: str) -> tuple[np.ndarray, float]:
    """Where in a pixel it is sampled, as (num_points, 2) offsets down and right; their weight."""
    if resampling != "smooth":
        return np.zeros((1, 2)), 1.0
    offsets = (np.arange(_SUBSAMPLES) - (_SUBSAMPLES - 1) / 2) / _SUBSAMPLES
    return np.array([(dy, dx) for dy in offsets for dx in offsets]), 1 / _SUBSAMPLES**2


def _sources(
    matrix: np.ndarray, size: tuple[int, int], points: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Where each point of each output pixel comes from, x and y (num_points, num_pixels)."""
    middle_y, middle_x = (size[0] - 1) / 2, (size[1] - 1) / 2
    row, column = np.indices(size).reshape(2, 1, -1)
    x, y = column + points[:, 1:] - middle_x, row + points[:, :1] - middle_y
    from_x = matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2] + middle_x
    from_y = matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2] + middle_y
    # Rounding leaves whole pixels whole, so a quarter turn or a shift by one is exact.
    return np.round(from_x, 9), np.round(from_y, 9)


def _neighbours(
    x: np.ndarray, y: np.ndarray, resampling: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, columns and weights (num_neighbours, ...) of the pixels that make up each place."""
    if resampling == "nearest":
        return np.rint(y)[None].astype(int), np.rint(x)[None].astype(int), np.ones_like(x)[None]
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    right_share, bottom_share = x - left, y - top
    left_share, top_share = 1 - right_share, 1 - bottom_share
    return (
        np.stack([top, top, top + 1, top + 1]),
        np.stack([left, left + 1, left, left + 1]),
        np.stack(
            [
                top_share * left_share,
                top_share * right_share,
                bottom_share * left_share,
                bottom_share * right_share,
            ]
        ),
    )


def _inside(
    row: np.ndarray, column: np.ndarray, weight: np.ndarray, size: tuple[int, int], border: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bring what lies outside in, or give it no weight."""
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
