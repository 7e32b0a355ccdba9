"""One thing in one file: a description that JSON can hold, and the arrays that belong to it.

A NumPy ``.npz`` file, so nothing in it can run. The description lies in it as UTF-8 text, under the
name "about". One file is written whole or not at all, so its parts never are of different things.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kernel_lib.tasks.arrays import write_arrays
from kernel_lib.tasks.untrusted import parsed_json, read_arrays_of, untrusted

ABOUT = "about"
_SCHEMA = 1


def write_record(
    path: str | os.PathLike[str],
    kind: str,
    about: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray],
) -> Path:
    """Write a description and arrays to an ``.npz`` file.

    Args:
        path: the file; ``.npz`` is added where it does not end so.
        kind: what is described, in words, as in "a diagnosis".
        about: the description, as JSON can hold it.
        arrays: arrays of numbers or text by name.

    Returns:
        The file.
    """
    path = Path(path)
    path = path if path.suffix == ".npz" else path.with_name(f"{path.name}.npz")
    text = json.dumps({"kernel_lib": kind, "schema": _SCHEMA, **about}, allow_nan=False)
    described = {ABOUT: np.frombuffer(text.encode(), np.uint8), **arrays}
    write_arrays(path, described, compress=True)
    return path


def read_record(
    path: str | os.PathLike[str], kind: str
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read what `write_record` wrote.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged, or holds something else.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    with untrusted(f"{path} is damaged, or no file that holds {kind}"):
        with open(path, "rb") as file:
            arrays = read_arrays_of(file)
        about = parsed_json(arrays.pop(ABOUT).tobytes())
    if not isinstance(about, dict) or about.pop("kernel_lib", None) != kind:
        raise ValueError(f"{path} does not hold {kind}.")
    schema = about.pop("schema", None)
    if schema != _SCHEMA:
        raise ValueError(f"{path} has schema {schema!r}; this version reads schema {_SCHEMA}.")
    return about, arrays
