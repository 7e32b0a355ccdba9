"""Paths among the values of a run: given from the caller's folder, needed from the notebook's."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

KIND_OF_DATA = re.compile(r"[a-z_]{2,}:")  # as in "folder:PATH"; not the drive in "C:PATH"


def relocate(name: str, value: Any, folder: Path) -> Any:
    """Return `value` with its paths, given from the caller's folder, as seen from `folder`.

    A text counts as a path if it is `output_dir`, or looks like one and exists.
    """
    if isinstance(value, list):
        return [relocate(name, item, folder) for item in value]
    if not isinstance(value, str) or not value:
        return value
    kind = KIND_OF_DATA.match(value)
    prefix = kind.group() if kind else ""
    text = value.removeprefix(prefix)
    looks_like_a_path = "." in text or os.path.basename(text) != text or prefix not in ("", "tfds:")
    path = Path(text).expanduser()
    if name != "output_dir" and not (looks_like_a_path and path.exists()):
        return value
    return prefix + (str(path) if path.is_absolute() else _relative(path, folder))


def _relative(path: Path, folder: Path) -> str:
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:  # on another drive of Windows
        return str(path.resolve())
