"""Work keyed by its content: a name for any recipe, safe writing of files, and cached arrays.

```python
from kernel_lib.tasks import cached_arrays

recipe = {"step": "mutants", "model": model.digest, "images": images.digest, "seed": 0}
arrays = cached_arrays("outputs/cache", "mutants", recipe, lambda: {"rate": slow_measure()})
```
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import zipfile
from collections.abc import Callable, Iterator, Mapping
from numbers import Integral, Real
from pathlib import Path

import numpy as np


def digest(value: object) -> str:
    """Return 32 hexadecimal characters that name the content of `value`.

    Equal contents have equal digests in every process and on every machine. Each piece is hashed
    with its type and length, so `1`, `1.0`, `True` and `"1"` differ, and so do `["ab"]` and
    `["a", "b"]`. Lists and tuples are alike, as they are in JSON.

    Args:
        value: Nested dicts (the order of keys does not matter), lists, tuples, strings, bytes,
            numbers, booleans, `None` and NumPy arrays (dtype and shape count).

    Raises:
        TypeError: For any other type; its content is not known here.
    """
    hasher = hashlib.blake2b(digest_size=16)
    _feed(hasher, value)
    return hasher.hexdigest()


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path beside `path`, and move it to `path` only if the block succeeds.

    Readers see the old file or the whole new one, never a part. If the block raises, the old file
    stays and nothing is left behind. Each writer has a temporary file of its own, so writers of
    the same path do not disturb one another: the last to finish wins.

    Args:
        path: File to write. Its folder is made if missing. The temporary name keeps the suffix,
            because many writers choose the format, or append one, by it.

    Example:
        with atomic_path("scores.npz") as temporary:
            np.savez(temporary, scores=scores)
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}-{secrets.token_hex(8)}{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


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
        return _plain_arrays(compute())
    path = Path(folder) / f"{name}-{digest(recipe)}.npz"
    arrays = read_arrays(path)
    if arrays is None:
        arrays = _plain_arrays(compute())
        write_arrays(path, arrays)
    return arrays


def write_arrays(path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays to a `.npz` file, whole or not at all.

    Args:
        path: File to write.
        arrays: Arrays of numbers or text.
    """
    plain = _plain_arrays(arrays)
    # `np.savez` takes names as keyword arguments, so it cannot hold an array called "file".
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, array in plain.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, array, allow_pickle=False)


def read_arrays(path: str | os.PathLike[str]) -> dict[str, np.ndarray] | None:
    """Return the arrays of a `.npz` file, or `None` if it is missing, truncated or damaged."""
    try:
        with open(path, "rb") as content, np.load(content, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, EOFError, ValueError, zipfile.BadZipFile):
        return None


def _plain_arrays(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    plain = {name: np.asarray(array) for name, array in arrays.items()}
    for name, array in plain.items():
        if array.dtype.hasobject:
            raise TypeError(
                f"Cached arrays hold numbers or text. Received: {name!r} of dtype {array.dtype}."
            )
    return plain


def _feed(hasher: hashlib.blake2b, value: object) -> None:
    kind, pieces = _pieces(value)
    if isinstance(pieces, bytes):
        hasher.update(f"{kind}:{len(pieces)}:".encode())
        hasher.update(pieces)
        return
    hasher.update(f"{kind}[{len(pieces)}]".encode())
    for piece in pieces:
        _feed(hasher, piece)


def _pieces(value: object) -> tuple[str, bytes | list[object]]:
    """Name the type of `value` and give its content, as bytes or as a list of smaller values."""
    match value:
        case None:
            return "none", b""
        case bool() | np.bool_():
            return "bool", str(bool(value)).encode()
        case Integral():
            return "int", str(int(value)).encode()
        case Real():
            return "float", float(value).hex().encode()
        case str():
            return "str", value.encode("utf-8", "surrogatepass")
        case bytes() | bytearray():
            return "bytes", bytes(value)
        case np.ndarray() if not value.dtype.hasobject:
            return _array_pieces(value)
        case Mapping():
            pairs = [[key, item] for key, item in value.items()]
            return "dict", sorted(pairs, key=lambda pair: digest(pair[0]))
        case list() | tuple():
            return "list", list(value)
    raise TypeError(
        "A digest needs dicts, lists, strings, bytes, numbers, booleans, None or arrays. "
        f"Received: {type(value).__name__}."
    )


def _array_pieces(array: np.ndarray) -> tuple[str, bytes]:
    dtype = array.dtype.newbyteorder("<")
    kind = f"array {dtype.str} {array.shape}"
    return kind, np.ascontiguousarray(array, dtype=dtype).tobytes()
