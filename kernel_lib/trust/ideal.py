"""What the matrix of a network would be that keeps its own task and nothing else.

On the diagonal the ideal is 1. Off it, three answers:

| kind | ideal for reading task j off a network trained for task i | right when |
|---|---|---|
| uniform | 1 / K_j, K_j the number of classes (the paper) | labels are balanced and independent |
| majority | share of the commonest class of j | labels are independent |
| conditional | sum_c P(y_i = c) max_k P(y_j = k | y_i = c) | always |

The conditional ideal is what follows from the label of task i alone: labels that go together may be
read off a network that knows nothing else. On balanced independent labels the three agree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from kernel_lib._checks import check_choice
from kernel_lib.data import ImageSet
from kernel_lib.trust.columns import TaskColumn, columns_of
from kernel_lib.trust.matrix import TaskMatrix

KINDS = ("uniform", "majority", "conditional")


def ideal_matrix(
    tasks: ImageSet | Mapping[str, np.ndarray],
    kind: str = "uniform",
    *,
    rows: Sequence[str] | None = None,
) -> TaskMatrix:
    """The matrix of a network that keeps its own task and nothing else.

    Args:
        tasks: an `ImageSet` with tasks: what is common is learned from its train and calibration
            splits and counted on its test split, as a probe would; or a mapping of task to labels
            (num_images,), -1 where missing, counted as they are, with as many classes as occur.
        kind: "uniform", "majority" or "conditional", see the module's table.
        rows: tasks that networks are trained for; all of them when left out.

    Returns:
        A `TaskMatrix` with 1 on the diagonal. Its `chance` is 1 / K_j for "uniform", and the
        share of the majority class otherwise.

    Raises:
        ValueError: an unknown kind or task, labels of different lengths, or fewer than two tasks.

    Example:
        >>> labels = {"shape": np.array([0, 0, 1, 1]), "color": np.array([0, 1, 0, 1])}
        >>> ideal_matrix(labels).values.tolist()
        [[1.0, 0.5], [0.5, 1.0]]
    """
    check_choice("kind", kind, KINDS)
    columns = columns_of(tasks)
    names = tuple(columns)
    rows = names if rows is None else tuple(check_choice("rows", name, names) for name in rows)
    chance = np.array([_chance(column, kind) for column in columns.values()])
    values = np.tile(chance, (len(rows), 1))
    for r, row in enumerate(rows):
        for c, name in enumerate(names):
            if name == row:
                values[r, c] = 1.0
            elif kind == "conditional":
                values[r, c] = _conditional(columns[row], columns[name])
    return TaskMatrix(values, rows, names, chance)


def ideal_hits(images: ImageSet, kind: str, rows: Sequence[str]) -> np.ndarray | None:
    """On which test images the guesses are right that the ideal counts.

    Args:
        images: an `ImageSet` with tasks.
        kind: as in `ideal_matrix`; "uniform" counts no guesses.
        rows: tasks that networks are trained for.

    Returns:
        (num_rows, num_tasks, num_test_images) 1 where right, 0 where wrong, NaN where a label is
        missing and on the diagonal; None for "uniform".
    """
    if check_choice("kind", kind, KINDS) == "uniform":
        return None
    columns = columns_of(images)
    found = np.full((len(rows), len(columns), len(images.splits["test"])), np.nan)
    for r, row in enumerate(rows):
        for c, (name, target) in enumerate(columns.items()):
            if name == row:
                continue
            labels = target.labels[target.counted]
            if kind == "majority":
                guesses, known = np.full(len(labels), _commonest(target)), labels >= 0
            else:
                guesses = _guesses(columns[row], target)
                known = (labels >= 0) & (columns[row].labels[target.counted] >= 0)
            found[r, c] = np.where(known, guesses == labels, np.nan)
    return found


def _chance(column: TaskColumn, kind: str) -> float:
    if kind == "uniform":
        return 1 / column.num_classes
    counted = column.labels[column.counted]
    return float((counted[counted >= 0] == _commonest(column)).mean())


def _commonest(column: TaskColumn) -> int:
    learned = column.labels[column.learning]
    return int(np.bincount(learned[learned >= 0], minlength=column.num_classes).argmax())


def _conditional(primary: TaskColumn, target: TaskColumn) -> float:
    """Accuracy of guessing the target's commonest class given the primary class."""
    labels = target.labels[target.counted]
    known = (labels >= 0) & (primary.labels[target.counted] >= 0)
    return float((_guesses(primary, target) == labels)[known].mean())


def _guesses(primary: TaskColumn, target: TaskColumn) -> np.ndarray:
    """The target's commonest class given the primary class, for each counted image."""
    table = np.zeros((primary.num_classes, target.num_classes))
    known = (primary.labels >= 0) & (target.labels >= 0)
    learned = primary.learning[known[primary.learning]]
    np.add.at(table, (primary.labels[learned], target.labels[learned]), 1)
    return table.argmax(axis=1)[primary.labels[target.counted]]
