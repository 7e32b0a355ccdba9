"""Image sets from a folder with one folder per class.

```
photos/cat/1.png                 or, with splits,    photos/train/cat/1.png
photos/dog/2.jpg                                     photos/test/dog/2.jpg
```
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kernel_lib.data.image_files import SUFFIXES, Size, from_files
from kernel_lib.data.image_set import ImageSet
from kernel_lib.data.splits import SPLIT_WORDS, completed_splits


def load_folder(
    path: str | Path,
    *,
    size: Size = None,
    crop: bool = False,
    channels: int = 3,
    on_error: str = "raise",
    num_images: int | None = None,
    seed: int = 0,
) -> ImageSet:
    """Read the images of a folder that has one folder per class.

    Class folders are taken in alphabetical order and searched with all their subfolders. Hidden
    files, files that are not images, and links that lead out of `path` are passed over.

    Folders named train and test (or training, testing) are taken as splits, and so is calibration
    (or validation, valid, val). Where there is none, calibration images are cut off the training
    ones; where only test is missing, the validation folder is the test split.

    Args:
        path: the folder.
        size: height and width to resize to, a number or (height, width), without aliasing; may be
            left out if all images have the same size.
        crop: cut the middle out before resizing, which keeps proportions, instead of squeezing.
        channels: 3 for colour, 1 for grey.
        on_error: "raise" at a file that cannot be read, or "skip" it with a warning that names it.
        num_images: if given, read at most so many, balanced over the classes.
        seed: seed of the splits that are drawn and of the images kept.

    Raises:
        ValueError: If there are not at least two class folders with images, if images differ in
            size and `size` is not given, or if a file cannot be read.
        FileNotFoundError: If there is no such folder.
    """
    root = Path(path)
    if not root.is_dir():
        raise FileNotFoundError(f"There is no folder {root}.")
    found = [
        (file, class_folder.name, split)
        for split, folder in _split_folders(root)
        for class_folder in _subfolders(folder)
        for file in _image_files(class_folder, root)
    ]
    class_names, labels = np.unique([name for _, name, _ in found], return_inverse=True)
    if len(class_names) < 2:
        raise ValueError(
            "A folder of images must hold a folder for each class, at least two with images in "
            f"them. Received: {root} with {', '.join(class_names) or 'none'}."
        )
    split_of = np.array([split for _, _, split in found])
    published = {split: np.flatnonzero(split_of == split) for split in np.unique(split_of)}
    return from_files(
        [file for file, _, _ in found],
        labels,
        completed_splits(labels, published, seed=seed),
        class_names=class_names.tolist(),
        name=root.name,
        num_images=num_images,
        seed=seed,
        reading={"size": size, "crop": crop, "channels": channels, "on_error": on_error},
    )


def _split_folders(root: Path) -> list[tuple[str, Path]]:
    """Return each split and its folder; the root itself is all training where there are none."""
    folders = _subfolders(root)
    splits = [(SPLIT_WORDS.get(folder.name.lower(), ""), folder) for folder in folders]
    names = [split for split, _ in splits]
    if "train" in names and "" not in names:
        return splits
    return [("train", root)]


def _subfolders(folder: Path) -> list[Path]:
    return sorted(
        each for each in folder.iterdir() if each.is_dir() and not each.name.startswith(".")
    )


def _image_files(folder: Path, root: Path) -> list[Path]:
    """Return the image files below `folder` that truly lie below `root`, sorted."""
    limit = root.resolve()
    return sorted(
        file
        for file in folder.rglob("*")
        if file.suffix.lower() in SUFFIXES
        and not any(part.startswith(".") for part in file.relative_to(root).parts)
        and file.is_file()
        and file.resolve().is_relative_to(limit)
    )
