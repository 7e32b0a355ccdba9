"""What lies in a folder: images, other files, folders, links; listed once, nothing passed over."""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from kernel_lib.data.image_formats import is_hidden, is_image_file, may_be_image

# Folders that systems make by themselves.
_BY_SYSTEM = frozenset(
    {"__macosx", "@eadir", "$recycle.bin", "system volume information", "lost+found", "__pycache__"}
)


@dataclass(eq=False)
class Listing:
    """The content of a folder, as paths relative to it, sorted; without what is hidden.

    Attributes:
        images: image files that can be read.
        folders: all folders.
        unread: files that might be images and cannot be read here.
        beside: other files, such as tables and texts.
        broken: links that lead nowhere.
        outside: links, to files or folders, that are not followed: folders, and files outside.
        system: folders that systems make, such as __MACOSX.
    """

    images: list[Path] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)
    unread: list[Path] = field(default_factory=list)
    beside: list[Path] = field(default_factory=list)
    broken: list[Path] = field(default_factory=list)
    outside: list[Path] = field(default_factory=list)
    system: list[Path] = field(default_factory=list)

    def images_below(self, folder: Path) -> list[Path]:
        """Image files in `folder` and all its subfolders."""
        return [file for file in self.images if is_below(file, folder)]

    def images_in(self, folder: Path) -> list[Path]:
        """Image files directly in `folder`."""
        return [file for file in self.images if file.parent == folder]

    def folders_in(self, folder: Path) -> list[Path]:
        """Folders directly in `folder`."""
        return [each for each in self.folders if each.parent == folder and each != folder]


def list_folder(root: Path) -> Listing:
    """List all that lies below `root`. Links to folders, and out of `root`, are not followed."""
    listing, limit = Listing(), root.resolve()
    for place, folders, files in os.walk(root):
        here = Path(place).relative_to(root)
        # `os.walk` goes on only into what stays in the list.
        folders[:] = [name for name in sorted(folders) if _goes_into(listing, root, here / name)]
        for name in files:
            _sort_file(listing, root, here / name, limit)
    for kind in vars(listing).values():
        kind.sort()
    return listing


def is_below(path: Path, folder: Path) -> bool:
    """Whether a relative path lies in a relative folder."""
    return path.parts[: len(folder.parts)] == folder.parts


def same_stems(files: list[Path]) -> list[Path]:
    """Return the files that share folder and name, but for the suffix, with another."""
    groups = defaultdict(list)
    for file in files:
        groups[file.with_suffix("")].append(file)
    return [file for group in groups.values() if len(group) > 1 for file in group]


def _goes_into(listing: Listing, root: Path, folder: Path) -> bool:
    """Note a folder, and say whether to list what lies in it."""
    if folder.name.startswith("."):
        return False
    if folder.name.lower() in _BY_SYSTEM:
        listing.system.append(folder)
        return False
    if (root / folder).is_symlink():
        listing.outside.append(folder)
        return False
    listing.folders.append(folder)
    return True


def _sort_file(listing: Listing, root: Path, file: Path, limit: Path) -> None:
    if is_hidden(file):
        return
    whole = root / file
    if whole.is_symlink() and not whole.exists():
        listing.broken.append(file)
    elif whole.is_symlink() and not whole.resolve().is_relative_to(limit):
        listing.outside.append(file)
    elif is_image_file(file):
        listing.images.append(file)
    else:
        (listing.unread if may_be_image(file) else listing.beside).append(file)
