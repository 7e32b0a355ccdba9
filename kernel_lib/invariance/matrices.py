"""Variance matrices: how much a signal differs between any two steps of a transformation.

With s[i, n] the signal of image n at step i, D[i, j] = sqrt(mean_n (s[i, n] - s[j, n])^2).
"""

from __future__ import annotations

import numpy as np

from kernel_lib._checks import check_choice, check_count
from kernel_lib.invariance.signals import Signals

RELATIONS = ("rms", "correlation", "cosine")
_CHUNK_NUMBERS = 4_000_000  # differences in memory at once
_CANCELLED = 1e-5  # squared distances below this share of the largest are taken again, directly


def variance_matrix(signal: np.ndarray, relation: str = "rms") -> np.ndarray:
    """Compare every step of a signal with every other.

    Args:
        signal: (..., num_steps, num_images), for instance all signals of all networks at once.
        relation: "rms" (root mean square difference, the one that is measured), "correlation"
            (Pearson's, 1 on the diagonal) or "cosine" (cosine distance); the last two are 0 where
            a step is constant, or all zero.

    Returns:
        (..., num_steps, num_steps) float64, symmetric.

    Raises:
        ValueError: NaN, fewer than two images, or an unknown relation.
    """
    check_choice("relation", relation, RELATIONS)
    signal = _checked(signal)
    if relation == "rms":
        return _rms(signal)
    if relation == "correlation":
        signal = signal - signal.mean(axis=-1, keepdims=True)
    length = np.linalg.norm(signal, axis=-1, keepdims=True)
    unit = np.divide(signal, length, out=np.zeros_like(signal), where=length > 0)
    likeness = np.clip(unit @ np.swapaxes(unit, -1, -2), -1, 1)
    if relation == "correlation":
        return likeness
    known = (length > 0) & np.swapaxes(length > 0, -1, -2)
    return _with_zero_diagonal(np.where(known, 1 - likeness, 0.0))


def _checked(signal: np.ndarray) -> np.ndarray:
    signal = np.asarray(signal, np.float64)
    if signal.ndim < 2 or signal.shape[-1] < 2:
        raise ValueError(
            "A variance matrix needs a signal of shape (..., num_steps, num_images) with at least "
            f"2 images. Received: {signal.shape}."
        )
    if not np.isfinite(signal).all():
        raise ValueError("The signal holds NaN or infinite values: it cannot be compared.")
    return signal


def _rms(signal: np.ndarray) -> np.ndarray:
    # Differences between steps do not change when each image's own mean is taken away, and the
    # products then are as small as the differences allow.
    centred = signal - signal.mean(axis=-2, keepdims=True)
    products = centred @ np.swapaxes(centred, -1, -2) / signal.shape[-1]
    power = np.diagonal(products, axis1=-2, axis2=-1)
    squares = power[..., :, None] + power[..., None, :] - 2 * products
    squares = _with_zero_diagonal(np.maximum(squares, 0))
    _replace_cancelled(squares, centred)
    return np.sqrt((squares + np.swapaxes(squares, -1, -2)) / 2)


def _replace_cancelled(squares: np.ndarray, centred: np.ndarray) -> None:
    """Take small squared distances again from the differences themselves, in place."""
    largest = squares.max(axis=(-2, -1), keepdims=True)
    lower = np.tri(squares.shape[-1], k=-1, dtype=bool)
    *where, rows, columns = np.nonzero((squares < _CANCELLED * largest) & lower)
    size = max(1, _CHUNK_NUMBERS // centred.shape[-1])
    for start in range(0, len(rows), size):
        part = slice(start, start + size)
        lead = tuple(axis[part] for axis in where)
        i, j = rows[part], columns[part]
        direct = np.square(centred[*lead, i] - centred[*lead, j]).mean(axis=-1)
        squares[*lead, i, j] = squares[*lead, j, i] = direct


def _with_zero_diagonal(matrix: np.ndarray) -> np.ndarray:
    steps = np.arange(matrix.shape[-1])
    matrix[..., steps, steps] = 0
    return matrix


def flip_matrix(predictions: np.ndarray) -> np.ndarray:
    """Share of images whose predicted class differs between two steps.

    Args:
        predictions: (num_steps, num_images) classes.

    Returns:
        (num_steps, num_steps) float64.
    """
    total = np.zeros((len(predictions), len(predictions)))
    size = max(1, _CHUNK_NUMBERS // len(predictions) ** 2)
    for start in range(0, predictions.shape[1], size):
        part = predictions[:, start : start + size]
        total += (part[:, None] != part[None]).sum(axis=-1)
    return total / predictions.shape[1]


def bootstrap_matrices(signal: np.ndarray, num_resamples: int = 200, seed: int = 0) -> np.ndarray:
    """Variance matrices of images drawn again with replacement.

    A resample only weighs the images anew, so squared differences are computed once.

    Args:
        signal: (num_steps, num_images).
        num_resamples: how many.
        seed: seed of the draws.

    Returns:
        (num_resamples, num_steps, num_steps).
    """
    signal = _checked(signal)
    num_images = signal.shape[1]
    random = np.random.default_rng(seed)
    counts = random.multinomial(num_images, np.full(num_images, 1 / num_images), num_resamples)
    return np.sqrt(_weighted_squares(signal, counts / num_images))


def _weighted_squares(signal: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """sum_n w[b, n] (s[i, n] - s[j, n])^2 as (num_weights, num_steps, num_steps)."""
    num_steps, num_images = signal.shape
    rows, columns = np.triu_indices(num_steps, k=1)
    total = np.zeros((len(weights), len(rows)))
    size = max(1, _CHUNK_NUMBERS // max(1, len(rows)))
    for start in range(0, num_images, size):
        part = signal[:, start : start + size]
        total += weights[:, start : start + size] @ np.square(part[rows] - part[columns]).T
    squares = np.zeros((len(weights), num_steps, num_steps))
    squares[:, rows, columns] = squares[:, columns, rows] = total
    return squares


def subsampled_matrix(signal: np.ndarray, share: float = 0.9, seed: int = 2) -> np.ndarray:
    """Variance matrices (..., T, T) of a random part of the images, drawn without replacement."""
    num_images = signal.shape[-1]
    size = max(2, int(share * num_images))
    check_count("num_images", size, 2)
    chosen = np.sort(np.random.default_rng(seed).permutation(num_images)[:size])
    return variance_matrix(np.asarray(signal)[..., chosen])


def matrices_of(signals: Signals, names: tuple[str, ...] | None = None) -> np.ndarray:
    """Variance matrices (num_signals, T, T) of all signals, or of those named."""
    if names is None:
        return variance_matrix(signals.values)
    return variance_matrix(np.stack([signals.signal(name) for name in names]))
