"""Tables of features on disk: named by their content, memory-mapped, and filled batch by batch.

A table that is not full yet lies in `NAME.part.npy`, and `NAME.rows` beside it says how many of its
rows are written. A run that was killed goes on from there; a full table is renamed to `NAME.npy`.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Literal

import numpy as np

from kernel_lib.tasks import atomic_path, digest


class Table:
    """One table of float32 features, in memory or on disk.

    Args:
        folder: where tables lie; None keeps this one in memory.
        recipe: everything the features depend on.
        shape: (num_images, num_features).
    """

    def __init__(
        self, folder: str | os.PathLike[str] | None, recipe: object, shape: tuple[int, int]
    ):
        self._shape = shape
        self._path = None if folder is None else Path(folder) / f"features-{digest(recipe)}.npy"
        self.num_done = 0
        self._values = self._opened()

    @property
    def is_done(self) -> bool:
        """Whether every row is written."""
        return self.num_done == self._shape[0]

    def write(self, start: int, values: np.ndarray) -> None:
        """Write the rows from `start` on."""
        self._values[start : start + len(values)] = values

    def save(self, num_done: int) -> None:
        """Say that so many rows are written, and make the table whole if these are all."""
        self.num_done = num_done
        if self._path is None:
            return
        if isinstance(self._values, np.memmap):
            self._values.flush()
        rows = self._path.with_suffix(".rows")
        with atomic_path(rows) as temporary:
            Path(temporary).write_text(str(num_done))
        if self.is_done:
            part = self._path.with_suffix(".part.npy")
            # Another process may have made the same table in the meantime.
            with contextlib.suppress(FileNotFoundError):
                os.replace(part, self._path)
            rows.unlink(missing_ok=True)
            self._values = np.load(self._path, mmap_mode="r", allow_pickle=False)

    def values(self) -> np.ndarray:
        """The table; read-only and memory-mapped where it is on disk."""
        return self._values

    def _opened(self) -> np.ndarray:
        """The whole table, the part that an interrupted run has written, or a new one."""
        if self._path is None:
            return np.empty(self._shape, np.float32)
        whole = _mapped(self._path, self._shape, "r")
        if whole is not None:
            self.num_done = self._shape[0]
            return whole
        self._path.parent.mkdir(parents=True, exist_ok=True)
        part, rows = self._path.with_suffix(".part.npy"), self._path.with_suffix(".rows")
        begun = _mapped(part, self._shape, "r+")
        if begun is not None and rows.is_file():
            text = rows.read_text().strip()
            # A full part was killed just before its new name; its last row is cheap to redo.
            self.num_done = min(int(text), self._shape[0] - 1) if text.isdigit() else 0
            return begun
        return np.lib.format.open_memmap(part, mode="w+", dtype=np.float32, shape=self._shape)


def _mapped(path: Path, shape: tuple[int, int], mode: Literal["r", "r+"]) -> np.ndarray | None:
    """The file as a memory map, or None if it is missing, cut short or of another shape."""
    try:
        values = np.load(path, mmap_mode=mode, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return values if values.shape == shape and values.dtype == np.float32 else None
