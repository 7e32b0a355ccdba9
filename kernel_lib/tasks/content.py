"""A name for the content of any recipe."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from numbers import Integral, Real

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
            keys = sorted(value, key=digest)
            return "dict", [[key, value[key]] for key in keys]
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
