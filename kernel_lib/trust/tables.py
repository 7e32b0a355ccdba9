"""Matrices in CSV files, in the published layout: a column `task`, then one column a task."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np

from kernel_lib.tasks import atomic_path
from kernel_lib.tasks.untrusted import check_table, csv_rows, untrusted
from kernel_lib.trust.matrix import TaskMatrix


def read_matrix(path: str | os.PathLike[str], *, partial: bool = False) -> TaskMatrix:
    """Read a matrix from a CSV file; rows and columns are matched by name, so their order is free.

    Args:
        path: a file whose first column is `task`, the task trained for, and whose other columns
            are the tasks that were read.
        partial: accept a file that has rows for some of the tasks only.

    Returns:
        A `TaskMatrix` in the order of the file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: no `task` column, no rows, missing rows, an empty or non-numeric cell.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    with (
        untrusted(f"{path} cannot be read as a CSV file in UTF-8"),
        open(check_table(path), newline="", encoding="utf-8-sig") as file,
    ):
        lines = [line for line in csv_rows(file) if any(cell.strip() for cell in line)]
    header = [cell.strip() for cell in lines[0]] if lines else []
    if not header or header[0] != "task":
        raise ValueError(
            f"{path} must start with a header: task, then the tasks that were read. "
            f"Received: {', '.join(header) or 'an empty file'}."
        )
    if len(lines) == 1:
        raise ValueError(
            f"{path} holds a header but no rows: the program that wrote it did not finish."
        )
    rows = [line[0].strip() for line in lines[1:]]
    values = np.array([_numbers(path, header, line) for line in lines[1:]])
    missing = [name for name in header[1:] if name not in rows]
    if missing and not partial:
        raise ValueError(
            f"{path} has no row for {', '.join(missing)}. Add them, or pass partial=True to score "
            "the rows there are."
        )
    try:
        return TaskMatrix(values, tuple(rows), tuple(header[1:]))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def write_matrix(matrix: TaskMatrix, path: str | os.PathLike[str]) -> Path:
    """Write a matrix in the layout that `read_matrix` takes, whole or not at all."""
    with atomic_path(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["task", *matrix.columns])
        for name, values in zip(matrix.rows, matrix.values, strict=True):
            writer.writerow([name, *(repr(float(value)) for value in values)])
    return Path(path)


def _numbers(path: Path, header: list[str], line: list[str]) -> list[float]:
    row = line[0].strip()
    if len(line) != len(header):
        raise ValueError(
            f"{path}: the row {row!r} has {len(line) - 1} values for {len(header) - 1} columns."
        )
    numbers = []
    for column, cell in zip(header[1:], line[1:], strict=True):
        try:
            numbers.append(float(cell))
        except ValueError:
            raise ValueError(
                f"{path}: the cell at row {row!r}, column {column!r} is not a number. "
                f"Received: {cell.strip()!r}."
            ) from None
    return numbers
