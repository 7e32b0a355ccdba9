"""Image sets from a folder with one folder per class.

```
photos/cat/1.png                 or, with splits,    photos/train/cat/1.png
photos/dog/2.jpg                                     photos/test/dog/2.jpg
```
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kernel_lib._checks import check_choice
from kernel_lib.data import saving
from kernel_lib.data.classes import (
    ClassNames,
    class_name_list,
    match_names,
    only_counted,
    quoted,
    spellings,
)
from kernel_lib.data.folder_layout import LAYOUTS, Layout, layout_of
from kernel_lib.data.folder_listing import Listing, list_folder, same_stems
from kernel_lib.data.image_files import SkippedFilesWarning, from_files
from kernel_lib.data.image_formats import suffix_counts, unread_advice
from kernel_lib.data.image_set import ImageSet
from kernel_lib.data.reading import as_reading
from kernel_lib.data.splits import completed_splits


def load_folder(
    path: str | Path,
    *,
    class_names: ClassNames | None = None,
    layout: str = "auto",
    ignore: Sequence[str] | str = (),
    follow_links: bool = False,
    num_images: int | None = None,
    seed: int = 0,
    **reading: Any,
) -> ImageSet:
    """Read the images of a folder that has one folder per class.

    Class folders are searched with all their subfolders, and taken in alphabetical order, as Keras
    takes them, unless `class_names` gives another. An empty class folder is a class. Hidden files
    are passed over; links to folders, and out of `path`, are not followed unless asked for. What is
    left out or done stands in `notes`, and what a person may not expect is warned of.

    Folders named train and test (or training, testing), in any case, are taken as splits if they
    hold class folders, and so is calibration (or validation, valid, val). Other folders beside them
    are left out. Where there is none, calibration images are cut off the training ones; where only
    test is missing, the validation folder is the test split.

    Args:
        path: the folder.
        class_names: all classes of the network, in the order of its outputs: a list, a mapping
            {name: index} such as Keras' `class_indices`, or a text or JSON file; see
            `class_name_list`. Classes without a folder keep their place.
        layout: "auto", "classes" if the folders in `path` are classes, or "splits" if those named
            train, test or validation are splits and the others are left out.
        ignore: names of folders to leave out, or their paths below `path`.
        follow_links: follow links to folders, and to files out of `path`.
        num_images: if given, read at most so many, balanced over the classes.
        seed: seed of the splits that are drawn and of the images kept.
        **reading: how files are read: `size`, `crop`, `channels`, `on_error`, `exif`, `alpha`,
            `interpolation`, `bits`; see `kernel_lib.data.Reading`.

    Raises:
        ValueError: If there are not at least two classes, if a folder with images is not among
            `class_names`, if images differ in size and `size` is not given, or if a file cannot be
            read. Messages hold cures.
        FileNotFoundError: If there is no such folder.

    Example:
        load_folder("photos", class_names=["dog", "cat"], size=64, interpolation="keras")
    """
    root = Path(path).expanduser()
    if not root.is_dir():
        raise FileNotFoundError(f"There is no folder {root}.")
    check_choice("layout", layout, LAYOUTS)
    options = as_reading(reading)
    ignored = _ignored(ignore)
    if class_names is None:
        # A folder that `ImageSet.save` wrote says in which order its classes are.
        class_names = saving.classes_of_folder(root)
    wanted = None if class_names is None else class_name_list(class_names)
    listing = list_folder(root, ignored, follow_links)
    _check_ignored(ignored, listing)
    found = layout_of(listing, root, layout, wanted or ())
    places, names, notes = _classes(found, root, wanted)
    if len(names) < 2 or not found.files:
        raise ValueError(_too_few_classes(found, listing, root))
    said = _left_out(found, listing)
    if wanted is None and found.empty:
        said.append(
            f"no image in the folders {quoted(found.empty)}: each keeps its place among the "
            "classes (leave folders out with `ignore`)"
        )
    if said:
        text = f"In {root}: " + "; ".join(said) + "."
        warnings.warn(SkippedFilesWarning(text, said), stacklevel=2)
    labels = np.array([places[name] for _, name, _ in found.files])
    split_of = np.array([split for _, _, split in found.files])
    published = {split: np.flatnonzero(split_of == split) for split in np.unique(split_of)}
    return from_files(
        [root / file for file, _, _ in found.files],
        labels,
        completed_splits(labels, published, seed=seed),
        class_names=names,
        name=root.name,
        num_images=num_images,
        seed=seed,
        reading=options,
        notes=(*said, *_mentioned(found, listing), *notes),
    )


def _ignored(ignore: Sequence[str] | str) -> list[str]:
    names = ignore.split(",") if isinstance(ignore, str) else ignore
    return [name.strip().rstrip("/") for name in names if name.strip()]


def _check_ignored(ignored: Sequence[str], listing: Listing) -> None:
    known = {name for each in listing.ignored for name in (each.name, each.as_posix())}
    unknown = [name for name in ignored if name not in known]
    if unknown:
        raise ValueError(f"`ignore` names folders that are not there: {quoted(unknown)}.")


def _classes(
    found: Layout, root: Path, wanted: tuple[str, ...] | None
) -> tuple[dict[str, int], tuple[str, ...], list[str]]:
    """Return the class id of each folder name, the names of the classes, and what was done."""
    names = tuple(found.class_names)
    if wanted is None:
        places = {name: place for place, name in enumerate(names)}
        if len(names) > 10 and only_counted(sorted(names, key=lambda name: (len(name), name))):
            return places, names, [
                "folders named by numbers are in alphabetical order, as Keras reads them: '10' is "
                "class 2 (give `class_names` for another order)"
            ]  # fmt: skip
        return places, names, []
    match = match_names(names, wanted)
    strangers = [name for name in match.unknown if name not in found.empty]
    if strangers:
        raise ValueError(
            f"{root} has folders of images that `class_names` does not name: {quoted(strangers)}. "
            f"Named: {quoted(wanted)}. Name them too, or leave them out: ignore={strangers!r}."
        )
    places = dict(zip(names, match.places.tolist(), strict=True))
    held = {places[name] for _, name, _ in found.files}
    absent = [name for place, name in enumerate(wanted) if place not in held]
    notes = [f"classes in the order given by `class_names`{spellings(match)}"]
    notes += [f"no image of the classes {quoted(absent)}"] if absent else []
    notes += [f"folders without images that are no classes: {quoted(match.unknown)}"] * bool(
        match.unknown
    )
    return places, wanted, notes


def _left_out(found: Layout, listing: Listing) -> list[str]:
    """What is left out and a person may not expect to be."""
    said = []
    with_images = [
        f"{folder.as_posix()}/ ({len(images)} images)"
        for folder in found.left_out
        if (images := listing.images_below(folder))
    ]
    if with_images:
        said.append(f"left out as neither split nor class: {', '.join(with_images)}")
    for what, paths in (
        ("images beside the class folders left out", found.stray),
        ("links that lead nowhere, or no files", listing.broken),
        ("links not followed (follow_links=True follows them)", listing.outside),
    ):
        if paths:
            said.append(f"{what}, {len(paths)}: {_paths(paths)}")
    if listing.unread:
        said.append(
            f"files of a kind not known here and not read, {len(listing.unread)}: "
            f"{suffix_counts(listing.unread)} ({unread_advice(listing.unread)})"
        )
    return said


def _mentioned(found: Layout, listing: Listing) -> list[str]:
    """What was passed over or done as anyone would expect."""
    notes = []
    without = [folder for folder in found.left_out if not listing.images_below(folder)]
    without += [*listing.system, *listing.ignored]
    if without:
        notes.append(f"folders left out: {_paths(without)}")
    if listing.beside:
        notes.append(f"files beside the images left out: {suffix_counts(listing.beside)}")
    if found.merged:
        pairs = ", ".join(f"{name!r} as {other!r}" for name, other in found.merged)
        notes.append(f"class folders of different splits taken as one: {pairs}")
    twins = same_stems([file for file, _, _ in found.files])
    if twins:
        notes.append(
            f"{len(twins)} files share their name with one of another kind, and may be the same "
            f"picture twice: {_paths(twins)}"
        )
    return notes


def _paths(paths: Sequence[Path]) -> str:
    return quoted(path.as_posix() for path in paths)


def _too_few_classes(found: Layout, listing: Listing, root: Path) -> str:
    message = (
        "A folder of images must hold a folder for each class, at least two, with images in them. "
        f"Received: {root} with {quoted(found.class_names) or 'none'}."
    )
    held = sorted({name for _, name, _ in found.files})
    inner = [folder for folder in listing.folders_in(Path()) if listing.images_below(folder)]
    if not found.files and found.stray:
        return (
            f"{message} {len(found.stray)} images lie directly in it. If they have no "
            f"labels: kernel_lib.data.load('photos:{root.as_posix()}'). If a table names their "
            "classes: kernel_lib.data.load('table:labels.csv')."
        )
    deeper = len(inner) == 1 and [
        each for each in listing.folders_in(inner[0]) if listing.images_below(each)
    ]
    if deeper and len(deeper) > 1:
        return (
            f"{message} The classes seem to lie one folder deeper: "
            f"kernel_lib.data.load('folder:{(root / inner[0]).as_posix()}')."
        )
    if held:
        return (
            f"{message} If these are images of one class of several, name all: class_names=[...]."
        )
    if listing.unread:
        return (
            f"{message} Files of a kind not known here: {suffix_counts(listing.unread)} "
            f"({unread_advice(listing.unread)})."
        )
    return message
