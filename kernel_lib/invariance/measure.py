"""Reduce a variance matrix to sixteen numbers.

| symbol | meaning |
|---|---|
| D | variance matrix (T, T); F the same with its diagonal and centre filled (paper) |
| h | the identity step, T // 2 |
| m | mean of D over all pairs of different steps |

Measurements: `sstv` sensitivity to the choice of images; `mean`, `s_mean` (mean of squares),
`std`; `robusterror` share of cells above 0.15; `discnty` spread along diagonals, over m; `asymm`
difference between (a, b) and (-b, -a), over m; `grad_v`, `grad_h`, `grad_d` change from cell to
cell down, across and both, away from the diagonal: mean, std and, for v and h, the mean of the
rows' or columns' own std (`wstd`); `grad_overall` = mean of the three ratios mean / spread.

`mode="paper"` follows the original code, slips included: the diagonal is filled with its
neighbours, the 3 x 3 cells around the identity are overwritten, grad_d takes differences of grad_v,
and each column c next to the identity is left out. `mode="clean"` differs thus:

* means run over pairs of different steps, without pairs on one plateau (bit-identical images);
* discontinuity leaves the diagonal out, asymmetry takes every pair once;
* gradients run between off-diagonal cells, and grad_d goes across the diagonal;
* 0 / 0, and a ratio to a spread of zero, are 0, and the matrix is flagged `degenerate`.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from kernel_lib._checks import check_choice, check_number

MEASUREMENTS = (
    "sstv",
    "mean",
    "s_mean",
    "std",
    "robusterror",
    "discnty",
    "asymm",
    "grad_overall",
    "grad_v_mean",
    "grad_v_std",
    "grad_v_wstd",
    "grad_h_mean",
    "grad_h_std",
    "grad_h_wstd",
    "grad_d_mean",
    "grad_d_std",
)
ROBUST_LIMIT = 0.15


def measure(
    matrix: np.ndarray,
    mode: str = "clean",
    *,
    plateau: np.ndarray | None = None,
    symmetric: bool = True,
    sensitivity: np.ndarray | None = None,
    threshold: float = ROBUST_LIMIT,
) -> dict[str, np.ndarray]:
    """Measure variance matrices, any number of them at once.

    Args:
        matrix: (..., T, T), see `variance_matrix`. It is not changed.
        mode: "clean" or "paper".
        plateau: for "clean", (T,) steps with the same number hold the same pixels; None if all
            differ. See `Signals.plateau`.
        symmetric: whether the grid is; else `asymm` is NaN: a grid with one side has no mirror.
        sensitivity: (...) the values of `sstv`, which need the signals; NaN if left out.
        threshold: cells above it count for `robusterror`.

    Returns:
        The names of `MEASUREMENTS` and "degenerate" -> (...) values.

    Raises:
        ValueError: NaN, a matrix that is not square, fewer than 3 steps (paper: 7).
    """
    check_choice("mode", mode, ("clean", "paper"))
    check_number("threshold", threshold, 0)
    matrix = _checked(matrix, 7 if mode == "paper" else 3)
    if mode == "paper":
        found = _paper(matrix, threshold)
    else:
        found = _clean(matrix, _plateau_bytes(plateau, matrix.shape[-1]), threshold)
    if not symmetric:
        found["asymm"] = np.full(matrix.shape[:-2], np.nan)
    found["sstv"] = (
        np.full(matrix.shape[:-2], np.nan) if sensitivity is None else np.asarray(sensitivity)
    )
    ordered = {name: found[name] for name in MEASUREMENTS}
    return ordered | {"degenerate": found["degenerate"]}


def fill(matrix: np.ndarray) -> np.ndarray:
    """The paper's filled matrix F: diagonal from its neighbours, 3 x 3 cells around the centre."""
    filled = np.array(matrix, np.float64)
    num_steps = filled.shape[-1]
    steps, h = np.arange(num_steps), num_steps // 2
    next_to = np.diagonal(filled, 1, -2, -1)  # D[a, a + 1]
    before = np.concatenate([next_to[..., :1], next_to], axis=-1)
    after = np.concatenate([next_to, next_to[..., -1:]], axis=-1)
    filled[..., steps, steps] = (before + after) / 2
    centre = (matrix[..., h + 1, h + 2] + matrix[..., h - 2, h + 1]) / 2
    filled[..., h - 1 : h + 2, h - 1 : h + 2] = centre[..., None, None]
    return filled


def window(matrix: np.ndarray, half_width: int) -> np.ndarray:
    """The part of a matrix that lies within `half_width` steps of the centre."""
    h = matrix.shape[-1] // 2
    part = slice(h - half_width, h + half_width + 1)
    return matrix[..., part, part]


# --- the two modes ------------------------------------------------------------------------------


def _paper(matrix: np.ndarray, threshold: float) -> dict[str, np.ndarray]:
    num_steps = matrix.shape[-1]
    places = _paper_places(num_steps)
    filled = fill(matrix)
    total = filled.sum(axis=(-2, -1))
    scale = total / (num_steps**2 - num_steps)
    found = {
        "mean": total / num_steps**2,
        "s_mean": np.square(filled).mean(axis=(-2, -1)),
        "std": filled.std(axis=(-2, -1)),
        "robusterror": (filled > threshold).mean(axis=(-2, -1)),
        "discnty": _ratio(_discontinuity(filled, places["diagonals"]), scale),
        "asymm": _ratio(_asymmetry(filled, places["mirrored"]), scale),
    }
    return found | _gradients(filled, places, scale)


def _clean(matrix: np.ndarray, plateau: bytes, threshold: float) -> dict[str, np.ndarray]:
    places = _clean_places(matrix.shape[-1], plateau)
    cells = places["cells"]
    mean, std = _mean_and_std(matrix, cells)
    found = {
        "mean": mean,
        "s_mean": _mean(np.square(matrix), cells),
        "std": std,
        "robusterror": _mean((matrix > threshold).astype(float), cells),
        "discnty": _ratio(_discontinuity(matrix, places["diagonals"]), mean),
        "asymm": _ratio(_asymmetry(matrix, places["mirrored"]), mean),
    }
    return found | _gradients(matrix, places, mean)


def _gradients(
    matrix: np.ndarray, places: dict[str, np.ndarray], scale: np.ndarray
) -> dict[str, np.ndarray]:
    """Statistics of the differences between neighbouring cells of the lower triangle."""
    down = matrix[..., 1:, :] - matrix[..., :-1, :]  # [a, b]: F[a + 1, b] - F[a, b]
    across = matrix[..., :, :-1] - matrix[..., :, 1:]  # [a, c - 1]: F[a, c - 1] - F[a, c]
    both = matrix[..., 1:, :-1] - matrix[..., :-1, 1:]  # [a, c - 1]: F[a + 1, c - 1] - F[a, c]
    # The paper's code reads `down` where it means `both`; its places say which is meant.
    diagonal = down if places["d"].shape == down.shape[-2:] else both
    found = {}
    for name, values in (("v", down), ("h", across), ("d", diagonal)):
        mean, std = _mean_and_std(values, places[name])
        found[f"grad_{name}_mean"], found[f"grad_{name}_std"] = mean, std
    found["grad_v_wstd"] = _mean_of_own_std(down, places["v_rows"], axis=-1)
    found["grad_h_wstd"] = _mean_of_own_std(across, places["h_columns"], axis=-2)
    spreads = [found["grad_v_wstd"], found["grad_h_wstd"], found["grad_d_std"]]
    means = [found[f"grad_{name}_mean"] for name in "vhd"]
    # A spread of rounding errors alone is none.
    spreads = [np.where(spread > 1e-12 * np.abs(scale), spread, 0.0) for spread in spreads]
    found["grad_overall"] = np.add.reduce(list(map(_ratio, means, spreads))) / 3
    found["degenerate"] = (scale == 0) | np.any([spread == 0 for spread in spreads], axis=0)
    return found


# --- which cells count --------------------------------------------------------------------------


@lru_cache(maxsize=32)
def _paper_places(num_steps: int) -> dict[str, np.ndarray]:
    h = num_steps // 2
    a, b = np.indices((num_steps - 1, num_steps))
    v = (b <= a) & (a != h) & (a != h - 1)
    row, left = np.indices((num_steps, num_steps - 1))
    c = left + 1
    h_cells = (row >= c) & (c != h) & (c != h + 1)
    first, second = np.indices((num_steps, num_steps))
    return {
        "diagonals": _diagonals(num_steps, 0, None),
        "mirrored": first + second < num_steps - 1,
        "v": v,
        "h": h_cells,
        "d": (b >= 1) & (b <= a) & (a != h),
        "v_rows": v & (a > 0),
        "h_columns": h_cells & (c < num_steps - 1),
    }


@lru_cache(maxsize=128)
def _clean_places(num_steps: int, plateau: bytes) -> dict[str, np.ndarray]:
    group = np.frombuffer(plateau, np.int64)
    cells = group[:, None] != group[None]
    row, column = np.indices((num_steps, num_steps))
    below = (row > column) & cells
    moves = group[1:] != group[:-1]  # whether pixels change from a step to the next
    v = below[1:] & below[:-1] & moves[:, None]
    h = below[:, :-1] & below[:, 1:] & moves[None]
    d = below[1:, :-1] & below[:-1, 1:] & moves[:, None] & moves[None]
    return {
        "cells": cells,
        "diagonals": _diagonals(num_steps, 1, cells),
        "mirrored": (row < column) & cells & cells[::-1, ::-1].T,
        "v": v,
        "h": h,
        "d": d,
        "v_rows": v & (v.sum(axis=1, keepdims=True) >= 2),
        "h_columns": h & (h.sum(axis=0, keepdims=True) >= 2),
    }


def _diagonals(num_steps: int, first: int, cells: np.ndarray | None) -> np.ndarray:
    """(T, T) whether the cell i of diagonal k counts, for k = first .. T - 2."""
    k, i = np.indices((num_steps, num_steps))
    counts = (k >= first) & (k <= num_steps - 2) & (i + k < num_steps)
    if cells is not None:
        counts &= cells[i, (i + k) % num_steps]
    return counts


def _plateau_bytes(plateau: np.ndarray | None, num_steps: int) -> bytes:
    group = np.arange(num_steps) if plateau is None else np.asarray(plateau)
    if group.shape != (num_steps,):
        raise ValueError(
            f"`plateau` must hold one number a step, shape ({num_steps},). Received: {group.shape}."
        )
    return group.astype(np.int64).tobytes()


# --- sums over cells ----------------------------------------------------------------------------


def _discontinuity(matrix: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Sum over diagonals k of (T - k) / T times the spread along the diagonal."""
    num_steps = matrix.shape[-1]
    k, i = np.indices((num_steps, num_steps))
    skewed = matrix[..., i, (i + k) % num_steps]  # [k, i]: the cell (i, i + k)
    spread = _own_std(skewed, counts, axis=-1)
    return spread @ ((num_steps - np.arange(num_steps)) / num_steps)


def _asymmetry(matrix: np.ndarray, counts: np.ndarray) -> np.ndarray:
    mirrored = np.swapaxes(matrix[..., ::-1, ::-1], -1, -2)  # [a, b]: D[T - 1 - b, T - 1 - a]
    return _mean(np.abs(matrix - mirrored), counts)


def _mean(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    return np.where(counts, values, 0).sum(axis=(-2, -1)) / max(1, counts.sum())


def _mean_and_std(values: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mean = _mean(values, counts)
    return mean, np.sqrt(_mean(np.square(values - mean[..., None, None]), counts))


def _own_std(values: np.ndarray, counts: np.ndarray, axis: int) -> np.ndarray:
    """Standard deviation of each row or column over the cells that count; 0 where none does."""
    number = np.maximum(counts.sum(axis=axis, keepdims=True), 1)
    mean = np.where(counts, values, 0).sum(axis=axis, keepdims=True) / number
    squares = np.where(counts, np.square(values - mean), 0).sum(axis=axis, keepdims=True)
    return np.sqrt((squares / number).squeeze(axis))


def _mean_of_own_std(values: np.ndarray, counts: np.ndarray, axis: int) -> np.ndarray:
    known = counts.any(axis=axis)
    return _own_std(values, counts, axis)[..., known].sum(axis=-1) / max(1, known.sum())


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """above / below, and 0 where below is 0."""
    return np.divide(above, below, out=np.zeros_like(above), where=below != 0)


def _checked(matrix: np.ndarray, least: int) -> np.ndarray:
    matrix = np.asarray(matrix, np.float64)
    if matrix.ndim < 2 or matrix.shape[-1] != matrix.shape[-2] or matrix.shape[-1] < least:
        raise ValueError(
            f"`matrix` must have shape (..., num_steps, num_steps) with at least {least} steps. "
            f"Received: {matrix.shape}."
        )
    if not np.isfinite(matrix).all():
        raise ValueError("The matrix holds NaN or infinite values: it cannot be measured.")
    return matrix
