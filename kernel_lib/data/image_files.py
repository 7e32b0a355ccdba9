"""Reading image files of any kind into bytes of one shape.

What a camera or an editor stores beside the pixels is honoured: the EXIF orientation, palettes,
16-bit grey. Transparent images are laid on white.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from kernel_lib._checks import check_choice, check_count
from kernel_lib._progress import progress
from kernel_lib.data.arrays import from_arrays
from kernel_lib.data.image_set import ImageSet
from kernel_lib.data.splits import balanced_subset, restricted_splits, split_numbers

SUFFIXES = frozenset(
    {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)
_MOST_PIXELS = 90_000_000  # of one file; beyond it a small file can fill the memory
_MODES = {1: "L", 3: "RGB"}
_NAMED_IN_A_WARNING = 20

Size = int | tuple[int, int] | None


class SkippedFilesWarning(UserWarning):
    """Some image files could not be read; `files` lists them all, with the reasons."""

    def __init__(self, message: str, files: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.files = tuple(files)


def from_files(
    files: Sequence[Path],
    labels: np.ndarray,
    splits: Mapping[str, np.ndarray],
    *,
    tasks: Mapping[str, np.ndarray] | None = None,
    num_images: int | None,
    seed: int,
    reading: Mapping[str, Any],
    **described: Any,
) -> ImageSet:
    """Make an image set of files: choose the files first, then read only those.

    Args:
        files: image files (num_files,).
        labels: class ids (num_files,).
        splits: indices into `files` of the three splits.
        tasks: further label columns (num_files,), -1 where a label is missing.
        num_images: if given, at most so many, balanced over the classes.
        seed: seed of the choice.
        reading: arguments of `read_images`.
        **described: names, as `from_arrays` takes them.
    """
    chosen = np.arange(len(files))
    if num_images is not None:
        groups = split_numbers(splits, len(files))
        chosen = balanced_subset(labels, num_images, groups=groups, seed=seed)
    images, read = read_images([files[int(place)] for place in chosen], **reading)
    chosen = chosen[read]
    return from_arrays(
        images,
        labels[chosen],
        tasks={task: column[chosen] for task, column in (tasks or {}).items()},
        splits=restricted_splits(splits, chosen),
        **described,
    )


def read_images(
    paths: Sequence[Path],
    *,
    size: Size = None,
    crop: bool = False,
    channels: int = 3,
    on_error: str = "raise",
) -> tuple[np.ndarray, np.ndarray]:
    """Read image files into one array.

    Args:
        paths: the files.
        size: height and width to resize to; None if all files have the same.
        crop: cut the middle out before resizing, instead of squeezing.
        channels: 3 for colour, 1 for grey.
        on_error: "raise", or "skip" to leave out unreadable files with a warning that names them.

    Returns:
        uint8 images (num_read, height, width, channels), and the places of the read files in
        `paths`, int64 (num_read,).

    Raises:
        ValueError: If a file cannot be read, no file can, or files differ in size.
    """
    check_choice("on_error", on_error, ("raise", "skip"))
    _check_form(size, channels)
    images: list[np.ndarray] = []
    kept: list[int] = []
    problems: list[str] = []
    for place, path in enumerate(progress(paths, "Reading images")):
        try:
            images.append(read_image(path, size=size, crop=crop, channels=channels))
            kept.append(place)
        except ValueError as error:
            if on_error == "raise":
                raise
            problems.append(str(error))
    if problems:
        _warn_of_skipped(problems)
    if not images:
        raise ValueError(f"None of the {len(paths)} image files could be read.")
    _check_same_size(images, [paths[place] for place in kept])
    return np.stack(images), np.array(kept)


def read_image(
    path: Path, *, size: Size = None, crop: bool = False, channels: int = 3
) -> np.ndarray:
    """Read one image file; uint8 (height, width, channels)."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as file:
                if file.width * file.height > _MOST_PIXELS:
                    raise ValueError(
                        f"{file.width}x{file.height} pixels, more than {_MOST_PIXELS:,}"
                    )
                upright = ImageOps.exif_transpose(file)
                image = fit(_flatten(upright, _MODES[channels]), size, crop)
    # Decoders raise nearly every type of error over a damaged file.
    except Exception as error:
        reason = "not an image" if isinstance(error, UnidentifiedImageError) else str(error)
        raise ValueError(f"Cannot read the image file {path}: {reason}.") from error
    return np.asarray(image).reshape(image.height, image.width, channels)


def fit(image: Image.Image, size: Size, crop: bool) -> Image.Image:
    """Resize without aliasing to (height, width), by cutting the middle out or by squeezing."""
    if size is None:
        return image
    height, width = (size, size) if isinstance(size, int) else size
    if crop:
        return ImageOps.fit(image, (width, height), Image.Resampling.BILINEAR)
    return image.resize((width, height), Image.Resampling.BILINEAR)


def _flatten(image: Image.Image, mode: str) -> Image.Image:
    """Return the image in `mode`, "L" or "RGB", with nothing left transparent."""
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    elif image.mode in ("I", "F"):
        raise ValueError(f"pixels of the mode {image.mode!r} have no fixed white")
    if image.has_transparency_data:
        transparent = image.convert("RGBA")
        image = Image.new("RGBA", image.size, "white")
        image.alpha_composite(transparent)
    return image.convert(mode)


def _check_form(size: Size, channels: int) -> None:
    if channels not in _MODES:
        raise ValueError(f"`channels` must be 1 (grey) or 3 (colour). Received: {channels!r}.")
    if isinstance(size, int):
        check_count("size", size)
    elif size is not None:
        if len(size) != 2:
            raise ValueError(f"`size` must be a number or (height, width). Received: {size!r}.")
        check_count("size[0]", size[0])
        check_count("size[1]", size[1])


def _check_same_size(images: Sequence[np.ndarray], paths: Sequence[Path]) -> None:
    first = images[0].shape
    for image, path in zip(images, paths, strict=True):
        if image.shape != first:
            raise ValueError(
                f"Images differ in size: {paths[0].name} has {first[0]}x{first[1]} pixels and "
                f"{path.name} has {image.shape[0]}x{image.shape[1]} (height x width). Give the "
                "size to bring them to, as in size=64."
            )


def _warn_of_skipped(problems: Sequence[str]) -> None:
    shown = " ".join(problems[:_NAMED_IN_A_WARNING])
    more = len(problems) - _NAMED_IN_A_WARNING
    message = f"{len(problems)} image files were skipped. {shown}"
    message += f" And {more} more." if more > 0 else ""
    warnings.warn(SkippedFilesWarning(message, problems), stacklevel=4)
