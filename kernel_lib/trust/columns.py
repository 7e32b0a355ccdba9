"""The label columns of an image set, checked for what an audit of tasks needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from kernel_lib.data import ImageSet


@dataclass(frozen=True, eq=False)
class TaskColumn:
    """One task's labels and which images are learned from and counted on.

    Attributes:
        name: of the task.
        labels: (num_images,) int64 class ids, -1 where missing.
        class_names: of all classes, those without an image included.
        learning: indices of images that probes may learn from.
        counted: indices of images that accuracies are counted on.
    """

    name: str
    labels: np.ndarray
    class_names: tuple[str, ...]
    learning: np.ndarray
    counted: np.ndarray

    @property
    def num_classes(self) -> int:
        """Number of classes in the declared schema."""
        return len(self.class_names)


def columns_of(tasks: ImageSet | Mapping[str, np.ndarray]) -> dict[str, TaskColumn]:
    """Every label column of an image set, or of a mapping of task to labels.

    If no task of the image set has the very labels of the set, these are a column of their own,
    named "label".

    Raises:
        ValueError: fewer than two tasks, columns of different lengths, a task with one class, or
            classes that are tested but never seen in learning.
    """
    if isinstance(tasks, ImageSet):
        columns = _of_image_set(tasks)
    else:
        columns = _of_mapping(tasks)
    if len(columns) < 2:
        raise ValueError(
            "A trust audit needs at least two label columns: the task a network is trained for, "
            f"and what it should not tell. Received: {list(columns) or 'none'}. Give the others "
            "in ImageSet(tasks=...), or load a table or an npz file with several label columns."
        )
    for column in columns.values():
        check_column(column)
    return columns


def primary_task(images: ImageSet) -> str:
    """The task whose labels are the labels of the image set."""
    for name, labels in images.tasks.items():
        known = labels >= 0
        same_classes = images.task_class_names[name] == images.class_names
        if same_classes and known.any() and (labels == images.labels)[known].all():
            return name
    return "label"


def check_column(column: TaskColumn) -> None:
    """Refuse a task with one class, or with classes that no probe can have learned."""
    seen = set(np.unique(column.labels[column.learning])) - {-1}
    if len(seen) < 2:
        raise ValueError(
            f"The task {column.name!r} has {len(seen)} class among the images to learn from, so "
            "nothing can be told apart. Leave the task out, or give images of more classes."
        )
    counted = set(np.unique(column.labels[column.counted])) - {-1}
    if not counted:
        raise ValueError(f"The task {column.name!r} has no label in the test split.")
    unseen = [column.class_names[label] for label in sorted(counted - seen)]
    if unseen:
        raise ValueError(
            f"Classes of the task {column.name!r} are in the test split but absent from the train "
            f"and calibration splits: {', '.join(unseen)}. Draw the splits anew, or leave these "
            "images out."
        )


def _of_image_set(images: ImageSet) -> dict[str, TaskColumn]:
    empty = [name for name, indices in images.splits.items() if not len(indices)]
    if empty:
        raise ValueError(
            "A trust audit learns probes on the train split, sets their strength on the "
            f"calibration split and counts on the test split. Without images: {', '.join(empty)}."
        )
    learning = np.concatenate([images.splits["train"], images.splits["calibration"]])
    labels = {name: np.asarray(column) for name, column in images.tasks.items()}
    class_names = dict(images.task_class_names)
    if primary_task(images) == "label" and "label" not in labels:
        labels = {"label": images.labels, **labels}
        class_names["label"] = images.class_names
    return {
        name: TaskColumn(name, column, class_names[name], learning, images.splits["test"])
        for name, column in labels.items()
    }


def _of_mapping(tasks: Mapping[str, np.ndarray]) -> dict[str, TaskColumn]:
    labels = {str(name): np.asarray(column) for name, column in tasks.items()}
    lengths = {name: len(column) for name, column in labels.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"Label columns must be of the same length. Received: {lengths}.")
    columns = {}
    for name, column in labels.items():
        if column.ndim != 1 or column.dtype.kind not in "iu" or not len(column):
            raise ValueError(
                f"The labels of {name!r} must be whole numbers (num_images,), -1 where missing. "
                f"Received: dtype={column.dtype}, shape={column.shape}."
            )
        class_names = tuple(str(label) for label in range(int(column.max()) + 1))
        every = np.arange(len(column))
        columns[name] = TaskColumn(name, column.astype(np.int64), class_names, every, every)
    return columns
