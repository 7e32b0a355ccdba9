"""Many image files as one array, or as an image set, with notes of what reading them took."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kernel_lib._progress import progress
from kernel_lib.data.arrays import from_arrays
from kernel_lib.data.image_formats import KERAS_SUFFIXES, suffix_counts
from kernel_lib.data.image_set import ImageSet
from kernel_lib.data.reading import BITS, Decoded, Reading, as_reading, decode
from kernel_lib.data.splits import balanced_subset, restricted_splits, split_numbers

_NAMED_IN_A_WARNING = 20


class SkippedFilesWarning(UserWarning):
    """Some files were left out; `files` lists them all, with the reasons where there are some."""

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
    reading: Reading,
    notes: Sequence[str] = (),
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
        reading: how files are read.
        notes: what was done to find the files.
        **described: names, as `from_arrays` takes them.
    """
    chosen = np.arange(len(files))
    if num_images is not None:
        groups = split_numbers(splits, len(files))
        chosen = balanced_subset(labels, num_images, groups=groups, seed=seed)
    images, read, said = read_with_notes([files[int(place)] for place in chosen], reading)
    chosen = chosen[read]
    return from_arrays(
        images,
        labels[chosen],
        tasks={task: column[chosen] for task, column in (tasks or {}).items()},
        splits=restricted_splits(splits, chosen),
        notes=(*notes, *said),
        **described,
    )


def read_images(paths: Sequence[Path], **reading: Any) -> tuple[np.ndarray, np.ndarray]:
    """Read image files into one array.

    Args:
        paths: the files.
        **reading: options of `Reading`, such as `size`.

    Returns:
        Images (num_read, height, width, channels), uint8, or float32 in [0, 1] where files have
        more than 8 bits a channel or are resized as Keras does; and the places of the read files in
        `paths`, int64 (num_read,).

    Raises:
        ValueError: If a file cannot be read, no file can, or files differ in size.
    """
    return read_with_notes(paths, as_reading(reading))[:2]


def read_image(path: Path, **reading: Any) -> np.ndarray:
    """Read one image file; uint8 (height, width, channels)."""
    options = as_reading(reading)
    image = _unified([decode(path, options)], options)[0]
    return image if image.dtype == np.uint8 else np.rint(image * 255).astype(np.uint8)


def read_with_notes(
    paths: Sequence[Path], reading: Reading
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Do what `read_images` does, and say what it took: turned files, transparency, sizes, ..."""
    decoded: list[Decoded] = []
    kept: list[int] = []
    problems: list[str] = []
    for place, path in enumerate(progress(paths, "Reading images")):
        try:
            decoded.append(decode(path, reading))
            kept.append(place)
        except ValueError as error:
            if reading.on_error == "raise":
                raise ValueError(f"{error} on_error='skip' leaves such files out.") from error
            problems.append(str(error))
    if problems:
        _warn_of_unreadable(problems)
    if not decoded:
        raise ValueError(f"None of the {len(paths)} image files could be read.")
    _check_same_size(decoded, [paths[place] for place in kept])
    notes = [] if not problems else [f"{_files(len(problems))} skipped: {_some(problems)}"]
    notes += _notes(decoded, reading)
    strange = [paths[k] for k in kept if paths[k].suffix.lower() not in KERAS_SUFFIXES]
    if reading.as_keras and strange:
        notes.append(
            f"kinds that Keras' loader of folders passes over, read here: {suffix_counts(strange)}"
        )
    return np.stack(_unified(decoded, reading)), np.array(kept), notes


def _unified(decoded: Sequence[Decoded], reading: Reading) -> list[np.ndarray]:
    """Return the pixels of all files in one type and with one number of channels."""
    channels = reading.channels or (1 if all(each.is_grey for each in decoded) else 3)
    arrays = [each.pixels for each in decoded]
    if any(array.dtype != np.uint8 for array in arrays):
        white = 2 ** _bits(decoded, reading) - 1
        arrays = [_unit(each, white) for each in decoded]
    return [
        array if array.shape[-1] == channels else array.repeat(channels, axis=-1)
        for array in arrays
    ]


def _unit(each: Decoded, white: int) -> np.ndarray:
    """Return pixels as float32 in [0, 1]."""
    scale = 255 if each.pixels.dtype == np.uint8 else white if each.peak else 1
    # Some ways of resizing reach beyond the values they are given.
    return np.clip(each.pixels.astype(np.float32) / scale, 0, 1)


def _bits(decoded: Sequence[Decoded], reading: Reading) -> int:
    """Return how many bits the values in files of 16 bits have."""
    peak = max(each.peak for each in decoded)
    if reading.bits is None:
        return next(bits for bits in BITS if peak < 2**bits)
    if peak >= 2**reading.bits:
        raise ValueError(
            f"`bits` is {reading.bits}, but files of 16 bits hold values up to {peak}. Leave it "
            "out, or give more."
        )
    return reading.bits


def _notes(decoded: Sequence[Decoded], reading: Reading) -> list[str]:
    facts = Counter(fact for each in decoded for fact in each.facts)
    sizes = [each.size for each in decoded]
    grey = sum(each.is_grey for each in decoded)
    notes = []
    if facts["turned"]:
        done = "applied to" if reading.turns else "not applied to"
        notes.append(f"EXIF orientation {done} {_files(facts['turned'])}")
    if facts["transparent"]:
        done = "ignored" if reading.ground == "ignore" else f"laid on {reading.ground}"
        notes.append(f"transparent parts of {_files(facts['transparent'])} {done}")
    if facts["animated"]:
        notes.append(f"only the first picture read of {_files(facts['animated'])} with several")
    if facts["printed"]:
        notes.append(f"{_files(facts['printed'])} in the colors of print (CMYK) turned into RGB")
    deep = [each.peak for each in decoded if each.peak]
    if deep:
        bits = _bits(decoded, reading)
        notes.append(
            f"{_files(len(deep))} of 16 bits a channel with values up to {max(deep)} taken as "
            f"{bits} bits: {2**bits - 1} is white" + ("" if reading.bits else " (option `bits`)")
        )
    if reading.channels == 1 and grey < len(decoded):
        notes.append(f"{_files(len(decoded) - grey)} in color turned grey")
    elif reading.channels != 1 and 0 < grey < len(decoded):
        notes.append(f"{_files(grey)} in grey read as color")
    if reading.shape and any(size != reading.shape for size in sizes):
        notes.append(_resizing(sizes, reading))
    return notes


def _resizing(sizes: Sequence[tuple[int, int]], reading: Reading) -> str:
    smallest, largest = min(sizes, key=np.prod), max(sizes, key=np.prod)
    assert reading.shape is not None
    span = _by(smallest) if smallest == largest else f"{_by(smallest)} to {_by(largest)}"
    changed = sum(size != reading.shape for size in sizes)
    how = "as Keras' loader of folders resizes" if reading.as_keras else reading.interpolation
    cut = ", the middle cut out" if reading.crop else ""
    return f"{_files(changed)} resized from {span} to {_by(reading.shape)} pixels ({how}{cut})"


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def _files(number: int) -> str:
    return f"{number} file{'s' if number != 1 else ''}"


def _check_same_size(decoded: Sequence[Decoded], paths: Sequence[Path]) -> None:
    first = decoded[0].pixels.shape[:2]
    for each, path in zip(decoded, paths, strict=True):
        size = each.pixels.shape[:2]
        if size != first:
            raise ValueError(
                f"Images differ in size: {paths[0].name} has {_by(first)} pixels and "
                f"{path.name} has {_by(size)} (height x width). Give the "
                "size to bring them to, as in size=64."
            )


def _some(texts: Sequence[str]) -> str:
    shown = " ".join(texts[:_NAMED_IN_A_WARNING])
    more = len(texts) - _NAMED_IN_A_WARNING
    return f"{shown} And {more} more." if more > 0 else shown


def _warn_of_unreadable(problems: Sequence[str]) -> None:
    message = f"{len(problems)} image files were skipped. {_some(problems)}"
    warnings.warn(SkippedFilesWarning(message, problems), stacklevel=4)
