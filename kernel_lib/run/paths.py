"""Paths among the values of a run: given from the caller's folder, needed from the notebook's."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

KIND_OF_DATA = re.compile(r"[a-z_]{2,}:")  # as in "folder:PATH"; not the drive in "C:PATH"
LONGEST_NAME = 255  # bytes of one name, on every usual file system
LONGEST_PATH = 4000  # bytes; Linux takes 4096, and files are written below


def relocate(name: str, value: Any, folder: Path) -> Any:
    """Return `value` with its paths, given from the caller's folder, as seen from `folder`.

    A text counts as a path if it is `output_dir`, or looks like one and exists.

    Raises:
        TypeError, ValueError: If `output_dir` cannot be a folder.
    """
    if name == "output_dir":
        path = output_folder(value)
        return str(path) if path.is_absolute() else _relative(path, folder)
    if isinstance(value, list):
        return [relocate(name, item, folder) for item in value]
    if not isinstance(value, str) or not value:
        return value
    kind = KIND_OF_DATA.match(value)
    prefix = kind.group() if kind else ""
    text = os.path.expanduser(value.removeprefix(prefix))
    looks_like_a_path = "." in text or os.path.basename(text) != text or prefix not in ("", "tfds:")
    path = Path(text)
    if not (looks_like_a_path and os.path.exists(path)):  # a name, or too long or odd for a path
        return value
    return prefix + (str(path) if path.is_absolute() else _relative(path, folder))


def output_folder(value: Any, name: str = "output_dir") -> Path:
    """Return the path that the parameter `name` means, with `~` as the person's home folder.

    Raises:
        TypeError: If it is not text.
        ValueError: If it is empty, names an unknown account, or is too long.
    """
    if not isinstance(value, str):
        raise TypeError(f"`{name}` must be text (str). Received: {name}={value!r}.")
    if not value.strip() or "\0" in value:
        raise ValueError(
            f'Set `{name}` to a folder, or to "." for the folder you are in. '
            f"Received: {name}={value!r}."
        )
    text = os.path.expanduser(value)
    if text.startswith("~"):
        account = text.split("/")[0]
        raise ValueError(
            f"`{name}` begins with {account}, but there is no such account. "
            f"Write ./{account} if a folder has this name."
        )
    check_length(f"`{name}`", text)
    return Path(text)


def check_length(what: str, path: str) -> None:
    """Refuse a path that no file system takes.

    Raises:
        ValueError: If the path, or a name in it, is too long.
    """
    longest = max(len(os.fsencode(part)) for part in path.split("/"))
    if longest > LONGEST_NAME or len(os.fsencode(path)) > LONGEST_PATH:
        raise ValueError(
            f"{what} is too long: names may have {LONGEST_NAME} bytes, paths {LONGEST_PATH}."
        )


def _relative(path: Path, folder: Path) -> str:
    # From a folder that is reached through a link, `..` leads to where it really lies.
    place = os.path.join(os.path.realpath(path.parent), path.name)
    try:
        return Path(os.path.relpath(place, os.path.realpath(folder))).as_posix()
    except ValueError:  # on another drive of Windows
        return str(path.resolve())
