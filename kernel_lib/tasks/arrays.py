"""Arrays in files, and arrays that are computed once for each recipe."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from kernel_lib.tasks.content import digest
from kernel_lib.tasks.files import atomic_path
from kernel_lib.tasks.untrusted import UnreadableFileError, load_arrays


def cached_arrays(
    folder: str | os.PathLike[str] | None,
    name: str,
    recipe: object,
    compute: Callable[[], Mapping[str, np.ndarray]],
) -> dict[str, np.ndarray]:
    """Return the arrays of `compute()`, read from `folder` if the same recipe was computed before.

    Args:
        folder: Where `NAME-DIGEST.npz` lies; `None` computes without a cache.
        name: Readable start of the file name.
        recipe: Everything the arrays depend on; see `digest`.
        compute: Gives the arrays, each under a name. Called only if no whole file is found.

    Returns:
        A dict of arrays. A truncated or damaged file counts as missing and is written anew.
    """
    if folder is None:
        return plain_arrays(compute())
    path = Path(folder) / f"{name}-{digest(recipe)}.npz"
    arrays = read_arrays(path)
    if arrays is None:
        arrays = plain_arrays(compute())
        write_arrays(path, arrays)
    return arrays


def write_arrays(
    path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray], *, compress: bool = False
) -> None:
    """Write arrays to a `.npz` file, whole or not at all. Equal arrays give equal bytes.

    Args:
        path: File to write.
        arrays: Arrays of numbers or text.
        compress: Whether to trade time for a smaller file.
    """
    plain = plain_arrays(arrays)
    method = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    # `np.savez` takes names as keyword arguments, so it cannot hold an array called "file".
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w", method) as archive:
        for name, array in plain.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, array, allow_pickle=False)


def read_arrays(path: str | os.PathLike[str]) -> dict[str, np.ndarray] | None:
    """Return the arrays of a `.npz` file, or `None` if it is missing, truncated or damaged."""
    try:
        return load_arrays(path)
    except UnreadableFileError:
        return None


def plain_arrays(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Give the arrays as NumPy arrays of numbers or text, which need no pickle.

    Raises:
        TypeError: An array of Python objects.
    """
    plain = {name: np.asarray(array) for name, array in arrays.items()}
    for name, array in plain.items():
        if array.dtype.hasobject:
            raise TypeError(
                f"Cached arrays hold numbers or text. Received: {name!r} of dtype {array.dtype}."
            )
    return plain
