"""Intervals by resampling: seeds first, then images."""

from __future__ import annotations

from functools import lru_cache

import numpy as np


def bootstrap_means(values: np.ndarray, num_resamples: int = 2000, seed: int = 0) -> np.ndarray:
    """Resampled means of values observed for every seed and every image.

    Two-level bootstrap: draw seeds with replacement, draw images with replacement, take the mean.
    The same draws are used for every cell, so differences and ratios of cells are paired.

    Args:
        values: (..., num_seeds, num_images); NaN entries are left out of the means.
        num_resamples: how many resamples.
        seed: seed of the draws.

    Returns:
        (..., num_resamples) float64; NaN where a resample holds no value at all.
    """
    values = np.asarray(values, np.float64)
    num_seeds, num_images = values.shape[-2:]
    seed_counts, image_counts = _counts(num_seeds, num_images, num_resamples, seed)
    cells = values.reshape(-1, num_seeds, num_images)
    known = np.isfinite(cells)
    totals = _resampled_sum(np.where(known, cells, 0.0), seed_counts, image_counts)
    if known.all():
        return (totals / (num_seeds * num_images)).reshape(*values.shape[:-2], num_resamples)
    counts = _resampled_sum(known.astype(float), seed_counts, image_counts)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = np.where(counts > 0, totals / counts, np.nan)
    return means.reshape(*values.shape[:-2], num_resamples)


def interval(resamples: np.ndarray, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper end of the percentile interval over the last axis."""
    tail = (1 - level) / 2
    dead = np.isnan(resamples).all(axis=-1)
    filled = np.where(dead[..., None], 0.0, resamples)
    low, high = np.nanquantile(filled, (tail, 1 - tail), axis=-1)
    return np.where(dead, np.nan, low), np.where(dead, np.nan, high)


def mean_of(values: np.ndarray) -> np.ndarray:
    """Mean over seeds and images without NaN; NaN where nothing is left."""
    known = np.isfinite(values)
    count = known.sum(axis=(-2, -1))
    total = np.where(known, values, 0.0).sum(axis=(-2, -1), dtype=np.float64)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


@lru_cache(maxsize=8)
def _counts(
    num_seeds: int, num_images: int, num_resamples: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """How often each resample draws each seed (resamples, seeds) and image (resamples, images)."""
    random = np.random.default_rng(seed)
    seeds = random.multinomial(num_seeds, np.full(num_seeds, 1 / num_seeds), num_resamples)
    images = random.multinomial(num_images, np.full(num_images, 1 / num_images), num_resamples)
    return seeds.astype(float), images.astype(float)


def _resampled_sum(
    cells: np.ndarray, seed_counts: np.ndarray, image_counts: np.ndarray
) -> np.ndarray:
    """sum_sn cells[c, s, n] * seed_counts[b, s] * image_counts[b, n] for all c, b."""
    by_seed = np.einsum("csn,bn->csb", cells, image_counts, optimize=True)
    return np.einsum("csb,bs->cb", by_seed, seed_counts)
