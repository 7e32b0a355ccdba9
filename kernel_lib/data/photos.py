"""One photo, or a flat folder of photos, without labels."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from kernel_lib.data._validation import UNLABELLED
from kernel_lib.data.classes import ClassNames, class_name_list
from kernel_lib.data.image_files import SkippedFilesWarning, from_files
from kernel_lib.data.image_formats import (
    is_hidden,
    is_image_file,
    may_be_image,
    readable_suffixes,
    suffix_counts,
    unread_advice,
)
from kernel_lib.data.image_set import ImageSet
from kernel_lib.data.reading import as_reading


def load_photos(
    path: str | Path,
    *,
    class_names: ClassNames | None = None,
    num_images: int | None = None,
    seed: int = 0,
    **reading: Any,
) -> ImageSet:
    """Read one photo or all photos of a folder; they have no labels and are all for testing.

    Audits that need labels use the network's own predictions instead, and say so.

    Args:
        path: a photo, or a folder of photos; subfolders are not searched.
        class_names: checked and left alone, as photos without labels have no classes.
        num_images: if given, at most so many photos.
        seed: seed of the choice of photos.
        **reading: how files are read: `size`, `crop` (True when left out), `channels`, `on_error`,
            `exif`, `alpha`, `interpolation`, `bits`; see `kernel_lib.data.Reading`.

    Raises:
        FileNotFoundError: If there is nothing at `path`.
        ValueError: If the folder holds no photo, or a file cannot be read.
    """
    root = Path(path).expanduser()
    if not root.exists():
        raise FileNotFoundError(f"There is no photo and no folder {root}.")
    options = as_reading({"crop": True, **reading})
    files, notes = ([root], []) if root.is_file() else _photos_in(root)
    if class_names is not None:
        class_name_list(class_names)
        notes.append("class names left alone: photos without labels have no classes")
    none = np.array([], np.int64)
    return from_files(
        files,
        np.zeros(len(files), np.int64),
        {"train": none, "calibration": none, "test": np.arange(len(files))},
        num_images=num_images,
        seed=seed,
        reading=options,
        class_names=UNLABELLED,
        name=f"photos:{root.name}",
        notes=notes,
    )


def _photos_in(folder: Path) -> tuple[list[Path], list[str]]:
    """Return the photos of a folder, and what is left out of it."""
    inside = sorted(each for each in folder.iterdir() if not is_hidden(each))
    photos = [each for each in inside if is_image_file(each) and each.is_file()]
    folders = [each.name for each in inside if each.is_dir()]
    if not photos:
        known = ", ".join(sorted(readable_suffixes()))
        cure = f" If its folders are classes: kernel_lib.data.load('folder:{folder.as_posix()}')."
        raise ValueError(f"The folder {folder} holds no photos ({known}).{cure if folders else ''}")
    others = [each for each in inside if each not in photos and not each.is_dir()]
    unread = [each for each in others if may_be_image(each) or each.is_symlink()]
    beside = [each for each in others if each not in unread]
    notes = [f"subfolders not searched: {', '.join(folders)}"] if folders else []
    if beside:
        notes.append(f"files beside the photos left out: {suffix_counts(beside)}")
    if unread:
        said = f"files not read, {len(unread)}: {suffix_counts(unread)} ({unread_advice(unread)})"
        warnings.warn(SkippedFilesWarning(f"In {folder}: {said}.", [said]), stacklevel=3)
        notes.append(said)
    return photos, notes
