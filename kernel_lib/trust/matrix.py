"""A matrix of tasks: how well each task can be read off networks trained for each other task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class TaskMatrix:
    """Accuracies by name: a row for each task trained for, a column for each task read.

    Attributes:
        values: (num_rows, num_columns) float64; accuracies in [0, 1].
        rows: the tasks that networks were trained for. Some may be left out.
        columns: the tasks that were read.
        chance: (num_columns,) accuracy without looking at the image, or None where not known.

    Raises:
        ValueError: names and shape do not fit, a name stands twice, a row has no column of its
            name, or a value is not in [0, 1].

    Example:
        >>> matrix = TaskMatrix([[1.0, 0.6], [0.3, 0.9]], ("shape", "color"), ("shape", "color"))
        >>> matrix.value("shape", "color")
        0.6
    """

    values: np.ndarray
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    chance: np.ndarray | None = None

    def __post_init__(self) -> None:
        values = np.asarray(self.values, np.float64)
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "rows", tuple(str(name) for name in self.rows))
        object.__setattr__(self, "columns", tuple(str(name) for name in self.columns))
        if values.shape != (len(self.rows), len(self.columns)):
            raise ValueError(
                f"`values` must have a row for each of the {len(self.rows)} rows and a column for "
                f"each of the {len(self.columns)} columns. Received: shape={values.shape}."
            )
        if not len(self.rows) or len(self.columns) < 2:
            raise ValueError(
                "A task matrix needs at least one row and two columns. "
                f"Received: rows={self.rows}, columns={self.columns}."
            )
        self._check_names()
        if not np.isfinite(values).all() or values.min() < 0 or values.max() > 1:
            raise ValueError(
                "A task matrix holds accuracies in [0, 1]. "
                f"Received: values from {values.min():g} to {values.max():g}."
            )
        if self.chance is not None:
            chance = np.asarray(self.chance, np.float64)
            if chance.shape != (len(self.columns),):
                raise ValueError(
                    f"`chance` must hold one number for each of the {len(self.columns)} columns. "
                    f"Received: shape={chance.shape}."
                )
            object.__setattr__(self, "chance", chance)

    def _check_names(self) -> None:
        for kind, names in (("rows", self.rows), ("columns", self.columns)):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"`{kind}` must differ from one another. Received twice: {twice}.")
        missing = [name for name in self.rows if name not in self.columns]
        if missing:
            raise ValueError(
                f"Every row needs a column of its own task. There is none for {missing}; "
                f"the columns are {list(self.columns)}."
            )

    @property
    def own(self) -> np.ndarray:
        """(num_rows, num_columns) bool, True where a network's own task is read."""
        return np.array(self.rows)[:, None] == np.array(self.columns)[None, :]

    def value(self, row: str, column: str) -> float:
        """One cell, by name."""
        return float(self.values[self.rows.index(row), self.columns.index(column)])

    def aligned_to(self, other: TaskMatrix) -> TaskMatrix:
        """The same cells in the order of another matrix.

        Raises:
            ValueError: a row or a column of the other matrix is missing here.
        """
        missing_rows = [name for name in other.rows if name not in self.rows]
        missing_columns = [name for name in other.columns if name not in self.columns]
        if missing_rows or missing_columns:
            raise ValueError(
                "The matrices do not hold the same tasks. "
                f"Missing rows: {missing_rows or 'none'}; missing columns: "
                f"{missing_columns or 'none'}."
            )
        rows = [self.rows.index(name) for name in other.rows]
        columns = [self.columns.index(name) for name in other.columns]
        chance = None if self.chance is None else self.chance[columns]
        return TaskMatrix(self.values[np.ix_(rows, columns)], other.rows, other.columns, chance)

    def to_frame(self) -> pd.DataFrame:
        """The matrix as a DataFrame, rows and columns named."""
        import pandas as pd

        index = pd.Index(self.rows, name="task")
        return pd.DataFrame(self.values, index=index, columns=list(self.columns))

    def _repr_html_(self) -> str:
        return self.to_frame().round(4).to_html()

    def __repr__(self) -> str:
        return f"TaskMatrix(rows {', '.join(self.rows)}; columns {', '.join(self.columns)})"


def as_matrix(matrix: Any) -> TaskMatrix:
    """Take a matrix in any form; a bare array must be square, its rows in the order of its columns.

    Raises:
        ValueError: a bare array is not square, or the values are no accuracies.
    """
    if isinstance(matrix, TaskMatrix):
        return matrix
    if hasattr(matrix, "index") and hasattr(matrix, "columns"):
        return TaskMatrix(matrix.to_numpy(), tuple(matrix.index), tuple(matrix.columns))
    values = np.asarray(matrix, np.float64)
    if values.ndim != 2 or values.shape[0] != values.shape[1]:
        raise ValueError(
            "A matrix without names must be square, with rows in the order of the columns. "
            f"Received: shape={values.shape}. Give rows and columns names with TaskMatrix."
        )
    names = tuple(f"task{index}" for index in range(len(values)))
    return TaskMatrix(values, names, names)
