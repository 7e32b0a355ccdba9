"""One photo, or a flat folder of photos, without labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kernel_lib.data._validation import UNLABELLED
from kernel_lib.data.image_files import SUFFIXES, Size, from_files
from kernel_lib.data.image_set import ImageSet


def load_photos(
    path: str | Path,
    *,
    size: Size = None,
    crop: bool = True,
    channels: int = 3,
    on_error: str = "raise",
    num_images: int | None = None,
    seed: int = 0,
) -> ImageSet:
    """Read one photo or all photos of a folder; they have no labels and are all for testing.

    Audits that need labels use the network's own predictions instead, and say so.

    Args:
        path: a photo, or a folder of photos; subfolders are not searched.
        size: height and width to resize to, a number or (height, width).
        crop: cut the middle out before resizing, which keeps proportions, instead of squeezing.
        channels: 3 for colour, 1 for grey.
        on_error: "raise" at a file that cannot be read, or "skip" it with a warning that names it.
        num_images: if given, at most so many photos.
        seed: seed of the choice of photos.

    Raises:
        FileNotFoundError: If there is nothing at `path`.
        ValueError: If the folder holds no photo, or a file cannot be read.
    """
    root = Path(path)
    if not root.exists():
        raise FileNotFoundError(f"There is no photo and no folder {root}.")
    files = [root] if root.is_file() else sorted(_photos_in(root))
    if not files:
        raise ValueError(f"The folder {root} holds no photos ({', '.join(sorted(SUFFIXES))}).")
    none = np.array([], np.int64)
    return from_files(
        files,
        np.zeros(len(files), np.int64),
        {"train": none, "calibration": none, "test": np.arange(len(files))},
        num_images=num_images,
        seed=seed,
        reading={"size": size, "crop": crop, "channels": channels, "on_error": on_error},
        class_names=UNLABELLED,
        name=f"photos:{root.name}",
    )


def _photos_in(folder: Path) -> list[Path]:
    return [
        file
        for file in folder.iterdir()
        if file.suffix.lower() in SUFFIXES and file.is_file() and not file.name.startswith(".")
    ]
