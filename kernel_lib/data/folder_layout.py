"""Which folders are splits, which are classes, and which are neither."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kernel_lib.data.classes import plain_form, quoted
from kernel_lib.data.folder_listing import Listing
from kernel_lib.data.splits import SPLIT_WORDS

LAYOUTS = ("auto", "classes", "splits")
# Folders that stand beside classes and are none.
_NO_CLASSES = frozenset(
    {
        "annotation", "annotations", "predict", "prediction", "predictions", "unlabeled",
        "unlabelled",
    }
)  # fmt: skip
_IMAGES = frozenset({"images", "image", "imgs", "img", "jpegimages", "pictures", "photos"})
_ANSWERS = frozenset(
    {
        "labels", "label", "masks", "mask", "annotations", "annotation", "annots", "gt",
        "groundtruth", "ground_truth", "bboxes", "segmentations", "segmentationclass",
    }
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Layout:
    """The classes of a folder of images.

    Attributes:
        files: image files, relative to the folder, with the name of the class and the split.
        class_names: all classes, those of empty folders included, in alphabetical order.
        left_out: folders that are neither splits nor classes.
        stray: image files that lie beside the class folders.
        merged: spellings of a class in different splits that were taken as one.
    """

    files: list[tuple[Path, str, str]]
    class_names: list[str]
    left_out: list[Path]
    stray: list[Path]
    merged: list[tuple[str, str]]

    @property
    def empty(self) -> list[str]:
        """Classes without an image."""
        held = {name for _, name, _ in self.files}
        return [name for name in self.class_names if name not in held]


def layout_of(listing: Listing, root: Path, layout: str, are_classes: Sequence[str]) -> Layout:
    """Find the class folders.

    Args:
        listing: what lies in the folder.
        root: the folder, for messages.
        layout: one of `LAYOUTS`.
        are_classes: names that a person says are classes, whatever they look like.

    Raises:
        ValueError: If it cannot be told whether folders are splits or classes, or if they hold no
            classes but, say, images and masks. The message holds a cure.
    """
    top = listing.folders_in(Path())
    splits = _splits(listing, root, top, layout)
    bases = splits or [("train", Path())]
    folders: list[tuple[Path, str]] = []
    left_out = [each for each in top if splits and each not in [folder for _, folder in splits]]
    stray = list(listing.images_in(Path()))
    for split, base in bases:
        inside = listing.folders_in(base)
        _check_no_answers(root / base, inside, are_classes)
        for each in inside:
            is_class = each.name in are_classes or each.name.lower() not in _NO_CLASSES
            folders.extend([(each, split)] if is_class else [])
            left_out.extend([] if is_class else [each])
        stray += listing.images_in(base) if base != Path() else []
    names = _one_spelling([each for each, split in folders if split == "train"], folders)
    below = defaultdict(list)
    for file in listing.images:
        for depth in (1, 2):
            below[Path(*file.parts[:depth])].append(file)
    files = [
        (file, names[folder.name], split) for folder, split in folders for file in below[folder]
    ]
    merged = [(name, other) for name, other in names.items() if name != other]
    return Layout(files, sorted(set(names.values())), left_out, stray, merged)


def _splits(
    listing: Listing, root: Path, top: Sequence[Path], layout: str
) -> list[tuple[str, Path]]:
    """Return each split and its folder, or nothing where the folders are classes."""
    if layout == "classes":
        return []
    words = [folder for folder in top if folder.name.lower() in SPLIT_WORDS]
    holding = Counter(file.parts[0] for file in listing.images if len(file.parts) > 1)
    deeper = Counter(file.parts[0] for file in listing.images if len(file.parts) > 2)
    splits = [folder for folder in words if deeper[folder.name]]
    others = [
        folder
        for folder in top
        if holding[folder.name] and folder not in words and folder.name.lower() not in _NO_CLASSES
    ]
    kinds = {SPLIT_WORDS[folder.name.lower()] for folder in splits}
    flat = [folder for folder in words if holding[folder.name] and folder not in splits]
    if not splits:
        if layout == "splits" or (flat and not others):
            _refuse_flat(root, flat)
        return []
    if layout == "auto" and others and len(kinds) < 2:
        raise ValueError(
            f"It cannot be told whether {_named(splits)} of {root} is a split or a class, as there "
            f"is {_named(others)} beside it. Say so: layout='classes' if all are classes, or "
            "layout='splits' to leave the others out."
        )
    return [(SPLIT_WORDS[folder.name.lower()], folder) for folder in splits]


def _refuse_flat(root: Path, flat: Sequence[Path]) -> None:
    where = _named(flat) if flat else "no folder named train, test or validation"
    raise ValueError(
        f"The splits of {root} must hold a folder for each class. Received: {where}, without "
        "class folders. If a table names the class of each file, load that: "
        "kernel_lib.data.load('table:labels.csv'). If these folders are classes: layout='classes'."
    )


def _check_no_answers(base: Path, folders: Sequence[Path], are_classes: Sequence[str]) -> None:
    names = {folder.name.lower() for folder in folders}
    if not (names & _IMAGES and names & _ANSWERS and names <= _IMAGES | _ANSWERS):
        return
    if {folder.name for folder in folders} <= set(are_classes):
        return
    raise ValueError(
        f"{base} holds {_named(folders)}, as sets for detection or segmentation do, and no "
        "folder for each class. If a table names the class of each file, load that: "
        "kernel_lib.data.load('table:labels.csv'). If these are classes, name them: "
        f"class_names={sorted(folder.name for folder in folders)}."
    )


def _one_spelling(
    learned: Sequence[Path], folders: Sequence[tuple[Path, str]]
) -> Mapping[str, str]:
    """Return the class of each folder's name: other spellings in other splits are the same.

    Args:
        learned: class folders of the training split, whose spelling is taken.
        folders: all class folders, and their splits.
    """
    groups = defaultdict(list)
    for folder in [*learned, *(folder for folder, _ in folders if folder not in learned)]:
        groups[plain_form(folder.name)].append(folder)
    names = {}
    for group in groups.values():
        apart = len({folder.parent for folder in group}) == len(group)
        for folder in group:
            names[folder.name] = group[0].name if apart else folder.name
    return names


def _named(folders: Sequence[Path]) -> str:
    return quoted(f"{folder.name}/" for folder in folders)
