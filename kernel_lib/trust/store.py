"""Tables of features on disk: named by their content, memory-mapped, and filled batch by batch.

A table that is not full yet lies in `NAME.part.npy`, and `NAME.rows` beside it says how many of its
rows are written. A run that was killed goes on from there; a full table is renamed to `NAME.npy`.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from kernel_lib.tasks import atomic_path, digest


class Table:
    """One table of float32 features, in memory or on disk.

    Args:
        folder: where tables lie; None keeps this one in memory.
        recipe: everything the features depend on.
        shape: (num_images, num_features).
    """

    def __init__(self, folder: str | os.PathLike[str] | None, recipe: object, shape: tuple):
        self._shape = shape
        self._path = None if folder is None else Path(folder) / f"features-{digest(recipe)}.npy"
        self._values: np.ndarray | None = self._whole()
        self.num_done = shape[0] if self._values is not None else 0
        if self._values is None:
            self._values = self._begun()

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
        self._values.flush()
        with atomic_path(self._rows_path) as temporary:
            Path(temporary).write_text(str(num_done))
        if self.is_done:
            # Another process may have made the same table in the meantime.
            if self._part_path.exists():
                os.replace(self._part_path, self._path)
            self._rows_path.unlink(missing_ok=True)
            self._values = np.load(self._path, mmap_mode="r", allow_pickle=False)

    def values(self) -> np.ndarray:
        """The table; read-only and memory-mapped where it is on disk."""
        return self._values

    @property
    def _part_path(self) -> Path:
        return self._path.with_suffix(".part.npy")

    @property
    def _rows_path(self) -> Path:
        return self._path.with_suffix(".rows")

    def _whole(self) -> np.ndarray | None:
        return None if self._path is None else _mapped(self._path, self._shape, "r")

    def _begun(self) -> np.ndarray:
        """The part that an interrupted run has written, or a new table."""
        if self._path is None:
            return np.empty(self._shape, np.float32)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        values = _mapped(self._part_path, self._shape, "r+")
        if values is not None and self._rows_path.is_file():
            text = self._rows_path.read_text().strip()
            self.num_done = min(int(text), self._shape[0]) if text.isdigit() else 0
            return values
        return np.lib.format.open_memmap(
            self._part_path, mode="w+", dtype=np.float32, shape=self._shape
        )


def _mapped(path: Path, shape: tuple, mode: str) -> np.ndarray | None:
    """The file as a memory map, or None if it is missing, cut short or of another shape."""
    try:
        values = np.load(path, mmap_mode=mode, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return values if values.shape == shape and values.dtype == np.float32 else None
