"""Tables of features on disk: named by their content, memory-mapped, and filled batch by batch.

A table that is not full yet lies in `NAME.part.npy`, and `NAME.rows` beside it says how many of its
rows are written, and their checksum. A run that was killed goes on from there; a full table is
renamed to `NAME.npy`, with its checksum in `NAME.crc`. What does not fit its checksum is made anew.
"""

from __future__ import annotations

import contextlib
import os
import zlib
from pathlib import Path
from typing import Literal

import numpy as np

from kernel_lib.tasks import atomic_path, digest
from kernel_lib.tasks.untrusted import UnreadableFileError, load_array


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
        self._checked = (0, 0)  # number of rows and their checksum
        self._values = self._opened()

    @property
    def is_done(self) -> bool:
        """Whether every row is written."""
        return self.num_done == self._shape[0]

    def write(self, start: int, values: np.ndarray) -> None:
        """Write the rows from `start` on."""
        self._values[start : start + len(values)] = values
        if start < self._checked[0]:
            self._checked = (0, 0)

    def save(self, num_done: int) -> None:
        """Say that so many rows are written, and make the table whole if these are all."""
        self.num_done = num_done
        if self._path is None:
            return
        if isinstance(self._values, np.memmap):
            self._values.flush()
        first, checksum = self._checked if self._checked[0] <= num_done else (0, 0)
        checksum = _checksum(self._values[first:num_done], checksum)
        self._checked = (num_done, checksum)
        rows = self._path.with_suffix(".rows")
        _write(rows, f"{num_done} {checksum}")
        if self.is_done:
            _write(self._path.with_suffix(".crc"), str(checksum))
            part = self._path.with_suffix(".part.npy")
            # Another process may have made the same table in the meantime.
            with contextlib.suppress(FileNotFoundError):
                os.replace(part, self._path)
            rows.unlink(missing_ok=True)
            self._values = load_array(self._path, "r")

    def values(self) -> np.ndarray:
        """The table; read-only and memory-mapped where it is on disk."""
        return self._values

    def _opened(self) -> np.ndarray:
        """The whole table, the part that an interrupted run has written, or a new one."""
        if self._path is None:
            return np.empty(self._shape, np.float32)
        whole = _mapped(self._path, self._shape, "r")
        if whole is not None and _numbers(self._path.with_suffix(".crc")) == [_checksum(whole)]:
            self.num_done = self._shape[0]
            return whole
        self._path.parent.mkdir(parents=True, exist_ok=True)
        part, rows = self._path.with_suffix(".part.npy"), self._path.with_suffix(".rows")
        begun = _mapped(part, self._shape, "r+")
        if begun is not None and rows.is_file():
            count, checksum = _numbers(rows, 2) or (0, 0)
            if count <= len(begun) and _checksum(begun[:count]) == checksum:
                # A full part was killed just before its new name; its last row is cheap to redo.
                self.num_done = min(count, self._shape[0] - 1)
            return begun
        return np.lib.format.open_memmap(part, mode="w+", dtype=np.float32, shape=self._shape)


def _mapped(path: Path, shape: tuple[int, int], mode: Literal["r", "r+"]) -> np.ndarray | None:
    """The file as a memory map, or None if it is missing, cut short or of another shape."""
    try:
        values = load_array(path, mode)
    except UnreadableFileError:
        return None
    fits = values.shape == shape and values.dtype == np.float32 and values.flags.c_contiguous
    return values if fits else None


def _checksum(values: np.ndarray, start: int = 0) -> int:
    return zlib.crc32(np.ascontiguousarray(values).data, start) if values.size else start


def _numbers(path: Path, count: int = 1) -> list[int]:
    """The numbers in a small text file; none if it is missing or holds something else."""
    try:
        words = path.read_bytes()[:100].decode("ascii").split()
        found = [int(word) for word in words if word.isdecimal()]
    except (OSError, ValueError):
        return []
    return found if len(found) == len(words) == count else []


def _write(path: Path, text: str) -> None:
    with atomic_path(path) as temporary:
        Path(temporary).write_text(text)
