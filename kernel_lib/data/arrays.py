"""Image sets from arrays in the forms arrays usually come in."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import numpy as np

from kernel_lib.data.classes import ClassNames, class_name_list
from kernel_lib.data.image_set import ImageSet
from kernel_lib.data.splits import (
    balanced_subset,
    completed_splits,
    restricted_splits,
    split_numbers,
)


def from_arrays(
    images: np.ndarray,
    labels: np.ndarray,
    *,
    class_names: ClassNames | None = (),
    name: str = "arrays",
    tasks: Mapping[str, np.ndarray] | None = None,
    task_class_names: Mapping[str, Sequence[str]] | None = None,
    masks: np.ndarray | None = None,
    splits: Mapping[str, np.ndarray] | None = None,
    seed: int = 0,
    notes: Sequence[str] = (),
) -> ImageSet:
    """Make an image set from bytes or floats, with or without a channel axis.

    Args:
        images: uint8 in 0..255 or float in [0, 1], of the shape (num_images, height, width,
            channels), or (num_images, height, width) if they are grey.
        labels: class ids from 0, whole numbers (num_images,) or (num_images, 1).
        class_names: one name per class, in any form of `class_name_list`; "0", "1", ... when left
            out.
        name: what the set is called in reports.
        tasks: further label columns (num_images,), -1 where a label is missing.
        task_class_names: class names of each task.
        masks: bool (num_images, height, width), True on the object.
        splits: indices of "train", "calibration" and "test"; drawn 60 / 20 / 20 when left out.
        seed: seed of the splits that are drawn.
        notes: what was done or skipped while the arrays were made.

    Raises:
        ValueError: If shapes, ranges or lengths are wrong, or the labels are one-hot.
        TypeError: If an array holds the wrong kind of numbers.

    Example:
        >>> pixels = np.random.default_rng(0).integers(0, 256, (50, 8, 8), np.uint8)
        >>> from_arrays(pixels, np.arange(50) % 2, class_names=("cat", "dog")).image_shape
        (8, 8, 1)
    """
    return ImageSet(
        images=unit_images(images),
        labels=flat_labels(labels),
        class_names=_given_names(class_names),
        name=name,
        tasks=tasks or {},
        task_class_names={task: tuple(each) for task, each in (task_class_names or {}).items()},
        masks=masks,
        splits=splits or {},
        seed=seed,
        notes=tuple(notes),
    )


def from_published_splits(
    train: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray],
    *,
    class_names: Sequence[str] = (),
    name: str = "arrays",
    num_images: int | None = None,
    seed: int = 0,
) -> ImageSet:
    """Make an image set of images and labels that come parted into training and test.

    The test images stay the test split; a fifth of the training images is cut off for calibration.

    Args:
        train: images and labels to learn from, in the forms `from_arrays` takes.
        test: images and labels to test on.
        class_names: one name per class.
        name: what the set is called in reports.
        num_images: if given, keep only so many, balanced over classes and fair to the splits.
        seed: seed of the calibration split and of the images kept.
    """
    images = np.concatenate([train[0], test[0]])
    labels = np.concatenate([flat_labels(train[1]), flat_labels(test[1])])
    places = np.arange(len(labels))
    published = {"train": places[: len(train[1])], "test": places[len(train[1]) :]}
    splits = completed_splits(labels, published, seed=seed)
    if num_images is not None:
        # Before the bytes become floats, which take four times the memory.
        groups = split_numbers(splits, len(labels))
        chosen = balanced_subset(labels, num_images, groups=groups, seed=seed)
        images, labels = images[chosen], labels[chosen]
        splits = restricted_splits(splits, chosen)
    return from_arrays(images, labels, class_names=class_names, name=name, splits=splits)


def _given_names(class_names: ClassNames | None) -> tuple[str, ...]:
    """Return names as the image set checks them; lists pass, other forms are read."""
    if isinstance(class_names, (str, os.PathLike, Mapping)):
        return class_name_list(class_names)
    return () if class_names is None else tuple(class_names)


def unit_images(images: np.ndarray) -> np.ndarray:
    """Return bytes as float32 in [0, 1], floats as they are, and grey images with a channel axis.

    Raises:
        ValueError: If no byte is above 1, which would leave nothing to see.
    """
    array = np.asarray(images)
    if array.ndim == 3:
        array = array[..., None]
    if array.dtype != np.uint8:
        return array
    if array.size and array.max() == 1:
        raise ValueError(
            "`images` of the type uint8 must lie in 0..255. Received: nothing above 1. "
            "If they are black and white, use images.astype('float32')."
        )
    return np.divide(array, 255, dtype=np.float32)


def flat_labels(labels: np.ndarray) -> np.ndarray:
    """Return labels (num_images, 1) as (num_images,), others as they are."""
    array = np.asarray(labels)
    return array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array
