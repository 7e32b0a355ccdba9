"""Trust as one number, and its two halves.

A_ij is the accuracy of reading task j off a network trained for task i, A*_ij its ideal, c_j the
chance of task j, m the number of tasks. With d_ij = |A_ij - A*_ij| and weight w on the diagonal,

    T = 1 - sum_ij W_ij d_ij / sum_ij W_ij.

With w = m - 1, the default, both halves weigh the same: T = (preservation + 1 - leakage) / 2, where
preservation = 1 - mean_i d_ii and leakage = mean_(i != j) d_ij.

| mode | d_ii | d_ij |
|---|---|---|
| absolute | |A_ii - A*_ii| | |A_ij - A*_ij| (the paper) |
| hinge | the same | max(0, A_ij - A*_ij): noise below the ideal costs nothing |
| normalised | 1 - N_ii | N_ij = clip((A_ij - A*_ij) / (1 - A*_ij), 0, 1); N_ii uses c_i |
| relative | 1 - N_ii | max(0, N_ij - U_ij), U the same for an untrained network |

The absolute score is compressed: a network that leaks everything and one that learned nothing both
get 0.626 on the five tasks of the generated shapes. So always read the two halves as well.

Source: "Reducing Overlearning through Disentangled Representations by Suppressing Unknown Tasks"
(arXiv 2005.10220) for the absolute score; the other three answer its weaknesses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kernel_lib._checks import check_choice, check_number
from kernel_lib.trust.matrix import TaskMatrix, as_matrix

MODES = {
    "absolute": "Trust (absolute)",
    "hinge": "Trust (hinge)",
    "normalised": "Trust (normalised)",
    "relative": "Trust relative to an untrained network",
}


@dataclass(frozen=True)
class TrustScore:
    """A trust score and its halves.

    Attributes:
        total: the score, 1 for the ideal matrix.
        preservation: how well networks know their own task, 1 at best.
        leakage: how well they know the others, 0 at best.
        rows: the score of each row alone.
        mode, weight: how it was computed.
    """

    total: float
    preservation: float
    leakage: float
    rows: dict[str, float]
    mode: str
    weight: float

    def __float__(self) -> float:
        return self.total


def trust_score(
    matrix: Any,
    ideal: Any,
    *,
    mode: str = "absolute",
    weight: float | None = None,
    untrained: Any = None,
) -> TrustScore:
    """Hold a matrix of accuracies against its ideal.

    Args:
        matrix: a `TaskMatrix`, a DataFrame, or a square array whose rows are in the order of its
            columns. Rows may be left out, where there are names.
        ideal: the same for the ideal, see `ideal_matrix`; cells are matched by name.
        mode: "absolute", "hinge", "normalised" or "relative", see the module's table.
        weight: weight of the diagonal; None for the number of columns less one.
        untrained: for "relative", the matrix of untrained networks of the same architecture.

    Returns:
        A `TrustScore`.

    Raises:
        ValueError: tasks that do not match, an unknown mode, a missing untrained matrix.

    Example:
        >>> trust_score([[0.9, 0.5], [0.5, 0.9]], [[1, 0.5], [0.5, 1]]).total
        0.95
    """
    check_choice("mode", mode, MODES)
    matrix = as_matrix(matrix)
    ideal = as_matrix(ideal).aligned_to(matrix)
    weight = len(matrix.columns) - 1 if weight is None else check_number("weight", weight, 0)
    floor = None if untrained is None else as_matrix(untrained).aligned_to(matrix).values
    if mode == "relative" and floor is None:
        raise ValueError("mode='relative' needs `untrained`, the matrix of untrained networks.")
    errors = cell_errors(matrix.values, ideal.values, own_chance(ideal), mode, floor)
    return _score(errors, matrix, mode, float(weight))


def cell_errors(
    values: np.ndarray,
    ideal: np.ndarray,
    chance: np.ndarray,
    mode: str,
    untrained: np.ndarray | None = None,
) -> np.ndarray:
    """Distance of each cell from its ideal; see the module's table.

    Args:
        values: (..., num_rows, num_columns) accuracies; leading axes are resamples.
        ideal: (num_rows, num_columns), 1 where a network's own task is read.
        chance: (num_rows,) chance of each row's own task.
        mode: one of `MODES`.
        untrained: accuracies of an untrained network, of any shape that fits `values`.

    Returns:
        (..., num_rows, num_columns) float64.
    """
    own = ideal >= 1
    if mode in ("absolute", "hinge"):
        excess = values - ideal
        kept = np.abs(excess) if mode == "absolute" else np.maximum(0, excess)
        return np.where(own, np.abs(excess), kept)
    bottom = np.where(own, chance[:, None], ideal)
    share = normalised(values, bottom)
    leaked = share
    if mode == "relative":
        leaked = np.maximum(0, share - normalised(np.asarray(untrained), bottom))
    return np.where(own, 1 - share, leaked)


def normalised(values: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    """Place of an accuracy between its ideal or chance (0) and certainty (1)."""
    return np.clip((values - bottom) / np.maximum(1 - bottom, 1e-12), 0, 1)


def halves(errors: np.ndarray, own: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Preservation and leakage of (..., num_rows, num_columns) errors."""
    rest = ~own
    preservation = 1 - (errors * own).sum(axis=(-2, -1)) / own.sum()
    return preservation, (errors * rest).sum(axis=(-2, -1)) / rest.sum()


def total_score(errors: np.ndarray, own: np.ndarray, weight: float) -> np.ndarray:
    """1 - weighted mean of (..., num_rows, num_columns) errors."""
    weights = np.where(own, weight, 1.0)
    return 1 - (errors * weights).sum(axis=(-2, -1)) / weights.sum()


def own_chance(ideal: TaskMatrix) -> np.ndarray:
    """(num_rows,) chance of each row's own task, from the ideal's `chance` or its other rows."""
    places = [ideal.columns.index(row) for row in ideal.rows]
    if ideal.chance is not None:
        return ideal.chance[places]
    own = ideal.own
    if len(ideal.rows) == 1:
        return np.zeros(1)
    others = np.where(own, 0.0, ideal.values).sum(axis=0) / np.maximum((~own).sum(axis=0), 1)
    return others[places]


def _score(errors: np.ndarray, matrix: TaskMatrix, mode: str, weight: float) -> TrustScore:
    own = matrix.own
    preservation, leakage = halves(errors, own)
    rows = {
        name: float(total_score(errors[r : r + 1], own[r : r + 1], weight))
        for r, name in enumerate(matrix.rows)
    }
    total = float(total_score(errors, own, weight))
    return TrustScore(total, float(preservation), float(leakage), rows, mode, weight)
