"""Further readings of a variance matrix and of predictions, beyond the paper's sixteen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kernel_lib._checks import check_choice
from kernel_lib.invariance.grids import Grid
from kernel_lib.invariance.matrices import bootstrap_matrices, subsampled_matrix, variance_matrix


def sensitivity(
    signal: np.ndarray, mode: str = "clean", num_resamples: int = 100, seed: int = 2
) -> np.ndarray:
    """How much a variance matrix depends on which images were taken.

    Args:
        signal: (..., num_steps, num_images).
        mode: "paper": the sum over all cells of |D - D of a random 90 %|; "clean": the root mean
            square over cells of the bootstrap's deviation, which does not grow with the grid.
        num_resamples: of the bootstrap.
        seed: seed of the choice.

    Returns:
        (...) float64.
    """
    check_choice("mode", mode, ("clean", "paper"))
    signal = np.asarray(signal, np.float64)
    if mode == "paper":
        change = variance_matrix(signal) - subsampled_matrix(signal, seed=seed)
        return np.abs(change).sum(axis=(-2, -1))
    flat = signal.reshape(-1, *signal.shape[-2:])
    return np.array([_spread(one, num_resamples, seed) for one in flat]).reshape(signal.shape[:-2])


def _spread(signal: np.ndarray, num_resamples: int, seed: int) -> float:
    variance = bootstrap_matrices(signal, num_resamples, seed).var(axis=0)
    num_steps = len(variance)
    return float(np.sqrt(variance.sum() / (num_steps**2 - num_steps)))


def extra_measurements(matrix: np.ndarray, grid: Grid) -> dict[str, np.ndarray]:
    """Readings that refer to the identity step and to the values of the grid.

    Args:
        matrix: (..., T, T) variance matrices.
        grid: the steps.

    Returns:
        Name -> (...): `identity_area` (mean distance from the identity over the grid),
        `lipschitz` (largest change from one step to the next, for one unit of the value),
        `toeplitz_r2` (share of the matrix that depends on the difference of steps alone; 0 for a
        constant matrix) and `monotonicity` (rank correlation of the distance in steps from the
        identity with the distance in the signal; 0 where constant).
    """
    from scipy.stats import rankdata

    values = np.array(grid.values)
    h = grid.identity_index
    curve = matrix[..., h, :]  # (..., T)
    slope = np.diagonal(matrix, 1, -2, -1) / np.diff(values)
    away = np.delete(np.abs(np.arange(len(values)) - h), h)
    distances = np.delete(curve, h, axis=-1)
    return {
        "identity_area": np.trapezoid(curve, values, axis=-1) / (values[-1] - values[0]),
        "lipschitz": slope.max(axis=-1),
        "toeplitz_r2": _toeplitz_share(matrix),
        "monotonicity": _correlation(rankdata(distances, axis=-1), rankdata(away)),
    }


def _toeplitz_share(matrix: np.ndarray) -> np.ndarray:
    num_steps = matrix.shape[-1]
    rows, columns = np.triu_indices(num_steps, k=1)
    cells = matrix[..., rows, columns]
    same = np.equal.outer(columns - rows, np.arange(1, num_steps)).astype(float)  # (cells, T - 1)
    fitted = (cells @ same / same.sum(axis=0)) @ same.T
    left = np.square(cells - fitted).sum(axis=-1)
    total = np.square(cells - cells.mean(axis=-1, keepdims=True)).sum(axis=-1)
    return np.where(total > 0, 1 - left / np.where(total > 0, total, 1), 0.0)


def _correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    a, b = a - a.mean(axis=-1, keepdims=True), b - b.mean()
    length = np.sqrt(np.square(a).sum(axis=-1) * np.square(b).sum())
    return np.where(length > 0, (a @ b) / np.where(length > 0, length, 1), 0.0)


def robust_accuracy(right: np.ndarray, half_widths: Sequence[int]) -> np.ndarray:
    """Share of images that are right at every step of a central window.

    The original code accumulates from the outside in, so only its full window is right; this is
    the share over each window itself.

    Args:
        right: (num_steps, num_images) bool, an odd number of steps around the identity.
        half_widths: steps on each side of the centre; 0 is the identity alone.

    Returns:
        (num_windows,) float64, which never falls as windows shrink.
    """
    h = len(right) // 2
    return np.array([right[h - w : h + w + 1].all(axis=0).mean() for w in half_widths])
