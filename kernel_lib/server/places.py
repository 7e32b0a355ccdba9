"""Paths: those of the browser begin at the server's root, and none may lead out of it.

`Places.resolve` is the one judge of that: it says where a path really lies, and what it returns is
what is used from then on.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

LONGEST_LINE = 1000  # characters of a message


class Places:
    """The files below the root of a Jupyter server.

    Args:
        contents: The server's contents manager. Where its files do not lie on a disk, notebooks can
            be opened, but nothing can be run and no result read.
        folders: Further folders of the machine that messages must not name.
    """

    def __init__(self, contents: Any, folders: Sequence[Path] = ()) -> None:
        root = getattr(contents, "root_dir", None)
        self.root = Path(os.path.realpath(root)) if root else None
        self.allow_hidden = bool(getattr(contents, "allow_hidden", False))
        named = {
            os.path.expanduser("~"),
            *map(str, [root or os.sep, self.root or os.sep, *folders]),
        }
        self._unnamed = sorted(filter(os.path.isabs, named - {os.sep}), key=len, reverse=True)

    @property
    def key(self) -> str:
        """A name for this root: two servers on one root share it."""
        return hashlib.sha256(str(self.root).encode()).hexdigest()[:16]

    def resolve(self, path: Path, named: str) -> Path:
        """Return where the local `path` really lies, whether or not it is there.

        Args:
            path: A path of the machine.
            named: What messages call it.

        Raises:
            ValueError: If it lies outside the root or in a hidden folder, cannot be a path, or
                files do not lie on a disk.
        """
        from kernel_lib.run.paths import check_length

        if self.root is None:
            raise ValueError("The files of this server do not lie on a disk: open the notebook.")
        check_length(named, str(path))
        real = Path(os.path.realpath(path))
        if not real.is_relative_to(self.root):
            raise ValueError(f"{named} lies outside the server's folder.")
        if not self.allow_hidden and any(
            part[0] == "." for part in real.relative_to(self.root).parts
        ):
            raise ValueError(f"{named} is hidden.")
        return real

    def local(self, path: str) -> Path:
        """Return the file or folder that the server calls `path`.

        Raises:
            ValueError: As `resolve`.
        """
        named = _short(path)
        parts = clean(path).split("/")
        if not self.allow_hidden and any(part.startswith(".") for part in parts):
            raise ValueError(f"{named} is hidden.")
        return self.resolve((self.root or Path()).joinpath(*parts), named)

    def folder(self, path: str) -> Path:
        """Return the existing folder that the server calls `path`.

        Raises:
            ValueError: As `local`, and if there is no such folder.
        """
        local = self.local(path)
        if not os.path.isdir(local):
            raise ValueError(f"There is no folder {_short(path)}.")
        return local

    def output_dir(self, value: Any, folder: Path) -> str:
        """Return the `output_dir` that means the same folder as `value`, from `folder`.

        Args:
            value: What was given: relative to `folder`, absolute, or with `~`.
            folder: A folder that `local` or `folder` returned.

        Returns:
            The path from `folder`, in which no link, no `~` and no other surprise is left.

        Raises:
            TypeError, ValueError: If it is no path, leads out of the root or to a hidden folder, or
                is a file.
        """
        from kernel_lib.run.paths import output_folder

        real = self.resolve(folder / output_folder(value), "`output_dir`")
        there = next(each for each in [real, *real.parents] if os.path.lexists(each))
        if not os.path.isdir(there):
            raise ValueError(
                f"`output_dir` leads to the file {there.name!r}. Choose a folder, or a free name."
            )
        return Path(os.path.relpath(real, folder)).as_posix()

    def path(self, local: Path) -> str:
        """Return what the server calls the file or folder `local`; empty for the root itself."""
        if self.root is None:
            raise ValueError("The files of this server do not lie on a disk.")
        relative = Path(os.path.realpath(local)).relative_to(self.root).as_posix()
        return "" if relative == "." else relative

    def line(self, error: BaseException) -> str:
        """Return what went wrong in one line that names no folder of the machine."""
        if isinstance(error, OSError):
            return self._line_of_the_system(error)
        return self.unnamed(str(error))

    def unnamed(self, text: str) -> str:
        """Return `text` in one line, without the folders of the machine in the paths it names."""
        text = " ".join(text.split())
        for folder in self._unnamed:
            text = text.replace(f"{folder}{os.sep}", "").replace(folder, Path(folder).name)
        return text if len(text) <= LONGEST_LINE else f"{text[:LONGEST_LINE]} ..."

    def _line_of_the_system(self, error: OSError) -> str:
        reason = error.strerror or type(error).__name__
        if not isinstance(error.filename, str):
            return f"{reason}."
        file = Path(error.filename)
        if not file.is_absolute():
            return f"{file}: {reason}."
        try:
            return f"{self.path(file)}: {reason}."
        except ValueError:
            return f"{file.name}: {reason}."


def clean(path: str) -> str:
    """Return `path` without slashes at its ends.

    Raises:
        ValueError: If it climbs up with `..`, or is the path of another system.
    """
    parts = path.strip("/").split("/")
    if ".." in parts or "\\" in path or "\0" in path or any(":" in part for part in parts[:1]):
        raise ValueError(f"{_short(path)} is not a path below the server's folder.")
    return "/".join(part for part in parts if part not in ("", "."))


def _short(path: str) -> str:
    return repr(path if len(path) <= 100 else f"{path[:100]}...")
