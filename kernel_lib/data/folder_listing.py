"""What lies in a folder: images, other files, folders, links; listed once, nothing passed over."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection
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
        broken: links that lead nowhere, and what else is no file.
        outside: links that are not followed: to folders, and to files outside.
        system: folders that systems make, such as __MACOSX.
        ignored: folders that a person wants left out.
    """

    images: list[Path] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)
    unread: list[Path] = field(default_factory=list)
    beside: list[Path] = field(default_factory=list)
    broken: list[Path] = field(default_factory=list)
    outside: list[Path] = field(default_factory=list)
    system: list[Path] = field(default_factory=list)
    ignored: list[Path] = field(default_factory=list)

    def images_below(self, folder: Path) -> list[Path]:
        """Image files in `folder` and all its subfolders."""
        return [file for file in self.images if is_below(file, folder)]

    def images_in(self, folder: Path) -> list[Path]:
        """Image files directly in `folder`."""
        return [file for file in self.images if file.parent == folder]

    def folders_in(self, folder: Path) -> list[Path]:
        """Folders directly in `folder`."""
        return [each for each in self.folders if each.parent == folder and each != folder]


def list_folder(root: Path, ignore: Collection[str] = (), follow_links: bool = False) -> Listing:
    """List all that lies below `root`.

    Args:
        root: the folder.
        ignore: names of folders, or their paths below `root`, that are not gone into.
        follow_links: follow links to folders, and to files outside of `root`.

    Raises:
        OSError: If a folder cannot be opened; it is not passed over.
    """
    listing, limit = Listing(), root.resolve()
    known = {limit}  # so that links in a circle end
    for place, folders, files in os.walk(root, onerror=_refuse, followlinks=follow_links):
        here = Path(place).relative_to(root)
        # `os.walk` goes on only into what stays in the list.
        kept = [name for name in sorted(folders) if not is_hidden(Path(name))]
        kept = [name for name in kept if _goes_into(listing, here / name, ignore)]
        folders[:] = [
            name for name in kept if _follows(listing, root, here / name, known, follow_links)
        ]
        for name in files:
            _sort_file(listing, root, here / name, None if follow_links else limit)
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


def _refuse(error: OSError) -> None:
    raise error


def _goes_into(listing: Listing, folder: Path, ignore: Collection[str]) -> bool:
    """Whether to list what lies in a folder, by its name."""
    if folder.name.lower() in _BY_SYSTEM:
        listing.system.append(folder)
    elif folder.name in ignore or folder.as_posix() in ignore:
        listing.ignored.append(folder)
    else:
        return True
    return False


def _follows(
    listing: Listing, root: Path, folder: Path, known: set[Path], follow_links: bool
) -> bool:
    """Whether to list what lies in a folder, which may be a link; note the folder."""
    if (root / folder).is_symlink():
        target = (root / folder).resolve()
        if not follow_links or target in known:
            listing.outside.append(folder)
            return False
        known.add(target)
    elif follow_links:
        known.add((root / folder).resolve())
    listing.folders.append(folder)
    return True


def _sort_file(listing: Listing, root: Path, file: Path, limit: Path | None) -> None:
    if is_hidden(file):
        return
    whole = root / file
    is_outside = (
        limit is not None and whole.is_symlink() and not whole.resolve().is_relative_to(limit)
    )
    if not whole.is_file():
        listing.broken.append(file)
    elif is_outside:
        listing.outside.append(file)
    elif is_image_file(file):
        listing.images.append(file)
    else:
        (listing.unread if may_be_image(file) else listing.beside).append(file)
