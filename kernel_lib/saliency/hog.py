"""Histograms of oriented gradients (Dalal and Triggs 2005) of many grey maps at once.

Equal to ``skimage.feature.hog`` map by map, with 9 orientations over 180 degrees, blocks of 3 x 3
cells and L2-Hys normalisation. Cells are 16 x 16 pixels as published; below 48 pixels three such
cells do not fit, so cells of 4 x 4 pixels are used.
"""

from __future__ import annotations

import numpy as np

ORIENTATIONS, BLOCK_CELLS, CLIP, EPSILON = 9, 3, 0.2, 1e-5


def cell_size(height: int, width: int) -> int:
    """Pixels along a cell: 16, or 4 where fewer than three cells of 16 fit."""
    return 16 if min(height, width) >= 16 * BLOCK_CELLS else 4


def hog_descriptors(maps: np.ndarray) -> np.ndarray:
    """Descriptors of maps (num_images, height, width): (num_images, length) float64."""
    num_images, height, width = maps.shape
    cell = cell_size(height, width)
    if min(height, width) < cell * BLOCK_CELLS:
        raise ValueError(
            f"HOG needs maps of at least {cell * BLOCK_CELLS} x {cell * BLOCK_CELLS} pixels. "
            f"Received: {height} x {width}."
        )
    blocks = np.lib.stride_tricks.sliding_window_view(
        _cell_histograms(maps, cell), (BLOCK_CELLS, BLOCK_CELLS), axis=(1, 2)
    )  # (n, rows, columns, orientation, 3, 3)
    blocks = blocks.transpose(0, 1, 2, 4, 5, 3).reshape(num_images, -1, BLOCK_CELLS**2 * 9)
    return _clipped(blocks).reshape(num_images, -1)


def _cell_histograms(maps: np.ndarray, cell: int) -> np.ndarray:
    """Mean gradient magnitude by orientation in each cell: (n, rows, columns, 9)."""
    num_images, height, width = maps.shape
    vertical, horizontal = np.zeros_like(maps), np.zeros_like(maps)
    vertical[:, 1:-1] = maps[:, 2:] - maps[:, :-2]
    horizontal[:, :, 1:-1] = maps[:, :, 2:] - maps[:, :, :-2]
    magnitude = np.hypot(vertical, horizontal)
    angle = np.rad2deg(np.arctan2(vertical, horizontal)) % 180
    orientation = np.floor(angle / (180 / ORIENTATIONS)).astype(np.intp)  # 9 for exactly 180

    rows, columns = height // cell, width // cell
    inside = np.s_[:, : rows * cell, : columns * cell]
    row, column = np.arange(rows * cell) // cell, np.arange(columns * cell) // cell
    place = (row[:, None] * columns + column[None, :]) * (ORIENTATIONS + 1)
    image = np.arange(num_images)[:, None, None] * rows * columns * (ORIENTATIONS + 1)
    counts = np.bincount(
        (image + place + orientation[inside]).ravel(),
        weights=magnitude[inside].ravel(),
        minlength=num_images * rows * columns * (ORIENTATIONS + 1),
    )
    return counts.reshape(num_images, rows, columns, -1)[..., :ORIENTATIONS] / cell**2


def _clipped(blocks: np.ndarray) -> np.ndarray:
    """L2-Hys: scale to length one, clip at 0.2, scale again."""
    for limit in (CLIP, np.inf):
        blocks = blocks / np.sqrt((blocks**2).sum(axis=-1, keepdims=True) + EPSILON**2)
        blocks = np.minimum(blocks, limit)
    return blocks
