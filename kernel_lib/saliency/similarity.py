"""How alike two explanation maps are, for many images at once.

A metric first prepares each map (ranks, local means, descriptors) and then compares two prepared
maps, so that the trained network's maps are prepared once for a whole cascade. All arithmetic is
float64. A constant map ranks nothing: its similarity is NaN, to be counted, never 0 or 1.

| metric | view | reference |
|---|---|---|
| spearman_absolute, spearman_signed | both | scipy.stats.spearmanr |
| ..._foreground | both | the same over pixels where the image is not background |
| ssim, ssim_second_moment | signed, scaled | skimage.metrics.structural_similarity |
| hog | signed / max | Pearson of skimage.feature.hog |
| cosine, top_overlap, sign_agreement | signed, absolute, signed | |
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage, stats

from kernel_lib._checks import check_choice
from kernel_lib.saliency.hog import hog_descriptors
from kernel_lib.saliency.maps import is_constant, scaled, second_moment_scaled, view_of

Prepared = Any


@dataclass(frozen=True)
class Metric:
    """A similarity of maps: prepare each side once, then compare.

    Attributes:
        name: how code and tables name it.
        title: how figures name it.
        view: the view of the maps it works on, "absolute" or "signed".
        prepare: (maps (n, h, w) float64, foreground (n, h, w) bool) -> prepared.
        compare: (prepared, prepared) -> (n,) similarities.
        needs_foreground: whether only foreground pixels count.
    """

    name: str
    title: str
    view: str
    prepare: Callable[[np.ndarray, np.ndarray | None], Prepared]
    compare: Callable[[Prepared, Prepared], np.ndarray]
    needs_foreground: bool = False


def similarity(
    a: np.ndarray, b: np.ndarray, metric: str, foreground: np.ndarray | None = None
) -> np.ndarray:
    """Similarity of each pair of maps.

    Args:
        a: raw maps (num_images, height, width[, channels]).
        b: raw maps of the same shape.
        metric: a name from `metrics()`.
        foreground: (num_images, height, width) bool, for the ``_foreground`` metrics.

    Returns:
        (num_images,) float64; NaN where a map is constant.

    Raises:
        ValueError: unknown metric, different shapes, or a missing foreground.
    """
    check_choice("metric", metric, METRICS)
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape:
        raise ValueError(f"Maps must have the same shape. Received: {a.shape} and {b.shape}.")
    chosen = METRICS[metric]
    return chosen.compare(prepare(chosen, a, foreground), prepare(chosen, b, foreground))


def prepare(metric: Metric, maps: np.ndarray, foreground: np.ndarray | None = None) -> Prepared:
    """Prepare raw maps for `metric.compare`."""
    if metric.needs_foreground and foreground is None:
        raise ValueError(
            f"`{metric.name}` needs `foreground`, an array of booleans (num_images, height, width)."
        )
    return metric.prepare(view_of(maps, metric.view), foreground)


def metrics() -> list[str]:
    """Names of all similarity metrics."""
    return list(METRICS)


# --- Spearman, HOG and cosine: unit vectors whose inner product is the similarity ----------------


def _unit(vectors: np.ndarray, dead: np.ndarray) -> np.ndarray:
    """Scale rows (n, size) to length one; dead rows become NaN."""
    length = np.sqrt(np.einsum("np,np->n", vectors, vectors))
    dead = dead | (length == 0)
    return vectors / np.where(dead, np.nan, length)[:, None]


def _inner(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.clip(np.einsum("np,np->n", a, b), -1, 1)


def _ranks(maps: np.ndarray, foreground: np.ndarray | None) -> np.ndarray:
    """Centred average ranks scaled to length one: their inner product is Spearman's rho."""
    ranks = stats.rankdata(maps.reshape(len(maps), -1), axis=1)
    return _unit(ranks - ranks.mean(axis=1, keepdims=True), is_constant(maps))


def _foreground_ranks(maps: np.ndarray, foreground: np.ndarray | None) -> np.ndarray:
    """The same over foreground pixels only; background entries are zero."""
    inside = np.asarray(foreground).reshape(len(maps), -1)
    # Background goes last, so the ranks of the foreground are the same as without it.
    flat = np.where(inside, maps.reshape(len(maps), -1), np.inf)
    ranks = np.where(inside, stats.rankdata(flat, axis=1), 0.0)
    count = inside.sum(axis=1, keepdims=True)
    mean = ranks.sum(axis=1, keepdims=True) / np.maximum(count, 1)
    dead = (count[:, 0] < 2) | ~np.isfinite(maps).all(axis=(1, 2))
    return _unit(np.where(inside, ranks - mean, 0.0), dead)


def _cosine_vectors(maps: np.ndarray, foreground: np.ndarray | None) -> np.ndarray:
    return _unit(maps.reshape(len(maps), -1), ~np.isfinite(maps).all(axis=(1, 2)))


def _hog_vectors(maps: np.ndarray, foreground: np.ndarray | None) -> np.ndarray:
    descriptors = hog_descriptors(scaled(maps))
    return _unit(descriptors - descriptors.mean(axis=1, keepdims=True), is_constant(maps))


# --- SSIM ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class StructuralSimilarity:
    """Structural similarity (Wang et al. 2004) of maps scaled to [-1, 1].

    Attributes:
        window: "gaussian" (sigma 1.5, 11 x 11) or an odd width of a uniform window.
        sample_covariance: divide variances by N - 1 instead of N.
        data_range: the L of the formula; 2 for maps in [-1, 1].
        scaling: "maximum" divides each map by its largest magnitude; "stretch" brings its
            smallest value to 0 and its largest to 1 (the published code); "second_moment" divides
            it by its root mean square (Binder et al. 2023).
    """

    window: str | int = "gaussian"
    sample_covariance: bool = False
    data_range: float = 2.0
    scaling: str = "maximum"

    def prepare(self, maps: np.ndarray, foreground: np.ndarray | None = None) -> tuple:
        """Maps, their local means and their local second moments."""
        maps = np.where(is_constant(maps)[:, None, None], np.nan, _SCALINGS[self.scaling](maps))
        return maps, self._local_mean(maps), self._local_mean(maps * maps)

    def compare(self, a: tuple, b: tuple) -> np.ndarray:
        """Mean structural similarity of each pair, (n,)."""
        (map_a, mean_a, square_a), (map_b, mean_b, square_b) = a, b
        size = 11 if self.window == "gaussian" else int(self.window)
        norm = size**2 / (size**2 - 1) if self.sample_covariance else 1.0
        variance_a = norm * (square_a - mean_a**2)
        variance_b = norm * (square_b - mean_b**2)
        covariance = norm * (self._local_mean(map_a * map_b) - mean_a * mean_b)
        c1, c2 = (0.01 * self.data_range) ** 2, (0.03 * self.data_range) ** 2
        score = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
        score /= (mean_a**2 + mean_b**2 + c1) * (variance_a + variance_b + c2)
        border = (size - 1) // 2  # pixels whose window leaves the map do not count
        return score[:, border:-border, border:-border].mean(axis=(1, 2))

    def _local_mean(self, maps: np.ndarray) -> np.ndarray:
        if self.window == "gaussian":
            return ndimage.gaussian_filter(maps, (0, 1.5, 1.5), truncate=3.5)
        return ndimage.uniform_filter(maps, (0, int(self.window), int(self.window)))


def _stretched(maps: np.ndarray) -> np.ndarray:
    low, high = maps.min(axis=(1, 2), keepdims=True), maps.max(axis=(1, 2), keepdims=True)
    return (maps - low) / np.where(high > low, high - low, 1)


_SCALINGS = {
    "maximum": scaled,
    "stretch": _stretched,
    "second_moment": second_moment_scaled,
}

# "repo": what the published code computes; "paper": what the paper's text says.
SSIM_PRESETS = {
    "default": StructuralSimilarity(),
    "repo": StructuralSimilarity(sample_covariance=True, scaling="stretch"),
    "paper": StructuralSimilarity(window=5, sample_covariance=True),
    "second_moment": StructuralSimilarity(scaling="second_moment"),
}

# --- overlap and sign ----------------------------------------------------------------------------


def _top_tenth(maps: np.ndarray, foreground: np.ndarray | None) -> np.ndarray:
    """Mark the largest tenth of each map (ties broken by position); NaN rows for dead maps."""
    flat = maps.reshape(len(maps), -1)
    count = max(1, flat.shape[1] // 10)
    largest = np.argsort(-flat, axis=1, kind="stable")[:, :count]
    marks = np.zeros_like(flat)
    np.put_along_axis(marks, largest, 1.0 / np.sqrt(count), axis=1)
    return np.where(is_constant(maps)[:, None], np.nan, marks)


def _signs(maps: np.ndarray, foreground: np.ndarray | None) -> np.ndarray:
    signs = np.sign(maps.reshape(len(maps), -1))
    return np.where(is_constant(maps)[:, None], np.nan, signs)


def _same_sign(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Share of pixels with the same sign among those where either map is not zero."""
    counted = (a != 0) | (b != 0)
    dead = np.isnan(a).any(axis=1) | np.isnan(b).any(axis=1)
    share = ((a == b) & counted).sum(axis=1) / np.maximum(counted.sum(axis=1), 1)
    return np.where(dead, np.nan, share)


_SSIM, _SSIM_MOMENT = SSIM_PRESETS["default"], SSIM_PRESETS["second_moment"]

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("spearman_absolute", "Spearman, absolute", "absolute", _ranks, _inner),
        Metric("spearman_signed", "Spearman, signed", "signed", _ranks, _inner),
        Metric(
            "spearman_absolute_foreground",
            "Spearman, absolute, foreground",
            "absolute",
            _foreground_ranks,
            _inner,
            needs_foreground=True,
        ),
        Metric(
            "spearman_signed_foreground",
            "Spearman, signed, foreground",
            "signed",
            _foreground_ranks,
            _inner,
            needs_foreground=True,
        ),
        Metric("ssim", "SSIM", "signed", _SSIM.prepare, _SSIM.compare),
        Metric(
            "ssim_second_moment",
            "SSIM, second moment",
            "signed",
            _SSIM_MOMENT.prepare,
            _SSIM_MOMENT.compare,
        ),
        Metric("hog", "HOG, Pearson", "signed", _hog_vectors, _inner),
        Metric("cosine", "Cosine", "signed", _cosine_vectors, _inner),
        Metric("top_overlap", "Overlap of the top tenth", "absolute", _top_tenth, _inner),
        Metric("sign_agreement", "Same sign", "signed", _signs, _same_sign),
    )
}

DEFAULT_METRICS = (
    "spearman_absolute_foreground",
    "spearman_signed_foreground",
    "spearman_absolute",
    "spearman_signed",
    "ssim",
    "hog",
)
