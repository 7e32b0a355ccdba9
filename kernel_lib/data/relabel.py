"""An image set's labels in another order of classes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from kernel_lib.data._validation import UNLABELLED
from kernel_lib.data.classes import (
    ClassNames,
    class_name_list,
    match_names,
    only_counted,
    quoted,
    spellings,
)

if TYPE_CHECKING:
    from kernel_lib.data.image_set import ImageSet

BY_NAME = "labels brought into the given order of classes by name"


def with_classes(images: ImageSet, class_names: ClassNames, done: str = BY_NAME) -> ImageSet:
    """Return `images` with labels in the order of `class_names`; see `ImageSet.with_classes`.

    Args:
        images: any image set.
        class_names: the classes in the order wanted.
        done: what the note says was done.
    """
    wanted = class_name_list(class_names)
    if images.class_names == wanted:
        return images
    if images.class_names == UNLABELLED:
        raise ValueError("The images have no labels, so there are no classes to bring in order.")
    match = match_names(images.class_names, wanted)
    counts = np.bincount(images.labels, minlength=images.num_classes)
    if only_counted(images.class_names) and match.unknown:
        return _named(images, wanted, counts)
    strangers = [
        name
        for name, place, count in zip(images.class_names, match.places, counts, strict=True)
        if place < 0 and count
    ]
    if strangers:
        raise ValueError(_unknown_classes(images, wanted, strangers, match.places))
    notes = [f"{done}{spellings(match)}"]
    absent = sorted({*range(len(wanted))} - set(match.places[counts > 0].tolist()))
    if absent:
        notes.append(f"no image of the classes {quoted(wanted[place] for place in absent)}")
    return _relabelled(images, match.places, wanted, notes)


def labels_from_one(images: ImageSet, num_classes: int) -> bool:
    """Whether labels that only count seem to run from 1 to `num_classes`."""
    return (
        only_counted(images.class_names)
        and int(images.labels.max()) == num_classes
        and int(images.labels.min()) > 0
    )


def from_one_advice(num_classes: int) -> str:
    """What mends labels that start at 1."""
    return (
        f"Labels seem to run from 1 to {num_classes}, and class ids start at 0. Subtract 1 from "
        "them: import dataclasses; images = dataclasses.replace(images, labels=images.labels - 1, "
        "class_names=())."
    )


def _named(images: ImageSet, wanted: tuple[str, ...], counts: np.ndarray) -> ImageSet:
    """Give names to classes that only had numbers; the order is the order given."""
    if labels_from_one(images, len(wanted)):
        raise ValueError(from_one_advice(len(wanted)))
    if int(images.labels.max()) >= len(wanted):
        raise ValueError(
            f"`class_names` names {len(wanted)} classes, so labels must lie in "
            f"0..{len(wanted) - 1}. Received: labels up to {images.labels.max()}. Name all "
            "classes, or keep the images of those that are named: images = images.select("
            f"images.labels < {len(wanted)})."
        )
    places = np.arange(len(counts))
    places[places >= len(wanted)] = -1
    notes = [f"the classes 0 to {len(wanted) - 1} named in the order given"]
    absent = [
        name for place, name in enumerate(wanted) if place >= len(counts) or not counts[place]
    ]
    if absent:
        notes.append(f"no image of the classes {quoted(absent)}")
    return _relabelled(images, places, wanted, notes)


def _relabelled(
    images: ImageSet, places: np.ndarray, wanted: tuple[str, ...], notes: list[str]
) -> ImageSet:
    tasks, task_class_names = dict(images.tasks), dict(images.task_class_names)
    for task, column in images.tasks.items():
        # The label column itself, kept among the tasks, follows the labels.
        if images.task_class_names[task] == images.class_names and np.array_equal(
            column, images.labels
        ):
            tasks[task], task_class_names[task] = places[column], wanted
    return replace(
        images,
        labels=places[images.labels],
        class_names=wanted,
        tasks=tasks,
        task_class_names=task_class_names,
        notes=(*images.notes, *notes),
    )


def _unknown_classes(
    images: ImageSet, wanted: tuple[str, ...], strangers: list[str], places: np.ndarray
) -> str:
    held = np.bincount(images.labels, minlength=images.num_classes) > 0
    known = np.flatnonzero((places >= 0) & held).tolist()
    message = (
        f"The images have classes that are not among those named: {quoted(strangers)}. "
        f"Named: {quoted(wanted)}."
    )
    if not known:
        return (
            f"{message} None of the names is the same. If these are the same classes in the same "
            "order, rename them: import dataclasses; images = dataclasses.replace(images, "
            f"class_names={list(wanted)!r}[:images.num_classes])."
            if len(wanted) >= images.num_classes
            else f"{message} None of the names is the same: these images are of other classes."
        )
    return (
        f"{message} Name them too, or leave their images out: import numpy as np; "
        f"images = images.select(np.isin(images.labels, {known}))."
    )
