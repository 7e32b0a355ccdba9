"""Paths: those of the browser begin at the server's root, and none may lead out of it."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any


class Places:
    """The files below the root of a Jupyter server.

    Args:
        contents: The server's contents manager. Where its files do not lie on a disk, notebooks can
            be opened, but nothing can be run and no result read.
    """

    def __init__(self, contents: Any) -> None:
        root = getattr(contents, "root_dir", None)
        self.root = Path(os.path.realpath(root)) if root else None
        self.allow_hidden = bool(getattr(contents, "allow_hidden", False))

    @property
    def key(self) -> str:
        """A name for this root: two servers on one root share it."""
        return hashlib.sha256(str(self.root).encode()).hexdigest()[:16]

    def local(self, path: str) -> Path:
        """Return the file or folder that the server calls `path`.

        Raises:
            ValueError: If it lies outside the root, is hidden, or files do not lie on a disk.
        """
        if self.root is None:
            raise ValueError("The files of this server do not lie on a disk: open the notebook.")
        parts = clean(path).split("/")
        if not self.allow_hidden and any(part.startswith(".") for part in parts if part):
            raise ValueError(f"{path!r} is hidden.")
        local = Path(os.path.realpath(self.root.joinpath(*parts)))
        if not local.is_relative_to(self.root):
            raise ValueError(f"{path!r} lies outside the server's folder.")
        return local

    def folder(self, path: str) -> Path:
        """Return the existing folder that the server calls `path`.

        Raises:
            ValueError: As `local`, and if there is no such folder.
        """
        local = self.local(path)
        if not local.is_dir():
            raise ValueError(f"There is no folder {path!r}.")
        return local

    def path(self, local: Path) -> str:
        """Return what the server calls the file or folder `local`; empty for the root itself."""
        if self.root is None:
            raise ValueError("The files of this server do not lie on a disk.")
        relative = Path(os.path.realpath(local)).relative_to(self.root).as_posix()
        return "" if relative == "." else relative


def clean(path: str) -> str:
    """Return `path` without slashes at its ends.

    Raises:
        ValueError: If it climbs up with `..`, or is the path of another system.
    """
    parts = path.strip("/").split("/")
    if ".." in parts or "\\" in path or "\0" in path or any(":" in part for part in parts[:1]):
        raise ValueError(f"{path!r} is not a path below the server's folder.")
    return "/".join(part for part in parts if part not in ("", "."))
