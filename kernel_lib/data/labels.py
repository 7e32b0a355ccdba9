"""Labels in the forms they come in, as class ids."""

from __future__ import annotations

from typing import Any

import numpy as np

from kernel_lib.data._validation import MOST_CLASSES
from kernel_lib.data.arrays import flat_labels
from kernel_lib.data.classes import match_names, only_counted

ONE_HOT = "one-hot labels turned into class ids"


def as_class_ids(
    labels: Any, num_images: int
) -> tuple[np.ndarray, tuple[str, ...] | None, list[str]]:
    """Return class ids, the names of the classes if the labels are names, and what was done.

    Args:
        labels: class ids of any whole numbers, be they floats or bools; one-hot rows, smoothed or
            not; or names, which get ids in alphabetical order.
        num_images: number of images.

    Raises:
        ValueError: If there is not one label an image, or rows name several classes.
    """
    array = np.asarray(labels)
    if array.dtype == object and array.size:  # numbers or words that are kept as objects
        array = np.asarray(array.tolist())
    array = flat_labels(array)
    if array.ndim not in (1, 2) or len(array) != num_images:
        raise ValueError(
            f"There must be a label for each of the {num_images} images. "
            f"Received: labels of the shape {array.shape}."
        )
    if array.ndim == 2:
        if not is_one_hot(array):
            raise ValueError(
                f"Labels of the shape {array.shape} must be one-hot: one class in each row. If "
                "an image can be of several classes, each column is a task: images = "
                "kernel_lib.data.from_arrays(x, y[:, 0].astype(int), tasks={'first': "
                "y[:, 0].astype(int), 'second': y[:, 1].astype(int)})."
            )
        return array.argmax(axis=1), counted(array.shape[1]), [ONE_HOT]
    if array.dtype.kind in "USO":
        return _from_names(array)
    if array.dtype.kind == "b":
        return array.astype(np.int64), None, ["labels False and True turned into classes 0 and 1"]
    if array.dtype.kind == "f":
        _check_whole(array)
        return array.astype(np.int64), None, []
    return array, None, []


def all_names(
    ids: np.ndarray, found: tuple[str, ...] | None, wanted: tuple[str, ...] | None
) -> tuple[str, ...]:
    """Return names for the classes of labels, those of wanted classes without an image included.

    So labels of one class are a set too, where a person names the others.
    """
    if wanted is None or len(ids) == 0:
        return found or ()
    if found is None:
        highest = int(ids.max())
        return counted(max(highest + 1, 2)) if 0 <= highest < MOST_CLASSES else ()
    if len(found) > 1 or only_counted(found):
        return found
    taken = set(match_names(found, wanted).places.tolist())
    return (*found, *(name for place, name in enumerate(wanted) if place not in taken))


def counted(number: int) -> tuple[str, ...]:
    """Names of classes that only have numbers: the columns say how many there are."""
    return tuple(map(str, range(number)))


def is_one_hot(rows: np.ndarray) -> bool:
    """Whether each row is highest in one column and equal in all others, as in all rows."""
    if rows.dtype.kind not in "fiub":
        return False
    ordered = np.sort(rows.astype(float), axis=1)
    high, rest = ordered[:, -1], ordered[:, :-1]
    return bool(np.ptp(high) < 1e-6 and np.ptp(rest) < 1e-6 and high.min() > rest.max() + 1e-6)


def _from_names(array: np.ndarray) -> tuple[np.ndarray, tuple[str, ...], list[str]]:
    words = [each.decode() if isinstance(each, bytes) else each for each in array.tolist()]
    if not all(isinstance(each, str) for each in words):
        raise ValueError(
            "Labels must be whole numbers or names. Received: "
            f"{next(type(each).__name__ for each in words if not isinstance(each, str))}."
        )
    found, ids = np.unique(words, return_inverse=True)
    names = found.tolist()
    if all(name.isdecimal() for name in names):
        order = sorted(range(len(names)), key=lambda place: (int(names[place]), names[place]))
        return np.argsort(order)[ids], tuple(names[place] for place in order), [
            "labels that are numbers as text turned into class ids, in the order of numbers"
        ]  # fmt: skip
    return ids, tuple(names), [
        "labels that are names turned into class ids, in alphabetical order"
    ]  # fmt: skip


def _check_whole(array: np.ndarray) -> None:
    if not np.isfinite(array).all() or (array % 1 != 0).any():
        raise ValueError(
            "Labels must be whole numbers, a class for each image. Received: fractions, NaN or "
            "infinity. Values that are measured are no classes."
        )
