"""What the arrays of an `ImageSet` must look like, and what is said when they do not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from kernel_lib.data.splits import SPLIT_NAMES

UNLABELLED = ("unlabelled",)  # the one class of images that have no labels at all


def image_array(images: object) -> np.ndarray:
    """Return `images` as float32 (num_images, height, width, channels) within [0, 1]."""
    array = np.asarray(images)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"`images` must be an array of numbers. Received: dtype={array.dtype}.")
    if array.ndim != 4:
        raise ValueError(
            "`images` must have the shape (num_images, height, width, channels); grey images have "
            f"one channel, as in images[..., None]. Received: shape={array.shape}."
        )
    if 0 in array.shape:
        raise ValueError(
            f"`images` must hold at least one image of one pixel. Received: shape={array.shape}."
        )
    array = array.astype(np.float32, copy=False)
    low, high = float(array.min()), float(array.max())
    if not np.isfinite([low, high]).all():
        raise ValueError("`images` must be finite. Received: images with NaN or infinity.")
    if low < 0 or high > 1:
        raise ValueError(
            f"`images` must lie in [0, 1]. Received: values from {low:g} to {high:g}. "
            f"{_scale_advice(low, high)}"
        )
    return array


def label_array(
    name: str, labels: object, num_images: int, *, missing_allowed: bool = False
) -> np.ndarray:
    """Return `labels` as int64 (num_images,), none below 0, or below -1 where labels may miss."""
    array = np.asarray(labels)
    if array.ndim == 2 and array.shape[1] > 1:
        raise ValueError(
            f"`{name}` must be class ids, shape (num_images,). Received: shape={array.shape}. "
            "One-hot labels become class ids by labels.argmax(axis=1); several label columns go "
            "into `tasks`."
        )
    if array.shape != (num_images,):
        raise ValueError(
            f"`{name}` must hold one class id for each of the {num_images} images. "
            f"Received: shape={array.shape}."
        )
    if array.dtype.kind not in "iu":
        raise TypeError(
            f"`{name}` must be whole numbers (class ids from 0). Received: dtype={array.dtype}."
        )
    lowest = -1 if missing_allowed else 0
    if array.min() < lowest:
        raise ValueError(f"`{name}` must be at least {lowest}. Received: {array.min()}.")
    return array.astype(np.int64, copy=False)


def class_name_tuple(name: str, names: Sequence[str], labels: np.ndarray) -> tuple[str, ...]:
    """Return the class names, or "0", "1", ... when none are given, checked against `labels`."""
    highest = int(labels.max())
    names = tuple(str(each) for each in names) or tuple(str(k) for k in range(highest + 1))
    if highest >= len(names):
        raise ValueError(
            f"`{name}` names {len(names)} classes, so labels must lie in 0..{len(names) - 1}. "
            f"Received: a label of {highest}."
        )
    if len(names) < 2 and names != UNLABELLED:
        raise ValueError(
            f"`{name}` must name at least two classes. Received: {names}. If the labels hold only "
            "one class of several, give the names of all."
        )
    if len(set(names)) < len(names):
        repeated = sorted({each for each in names if names.count(each) > 1})
        raise ValueError(f"`{name}` must differ from one another. Received twice: {repeated}.")
    return names


def mask_array(masks: object, image_shape: tuple[int, ...]) -> np.ndarray:
    """Return `masks` as bool (num_images, height, width)."""
    array = np.asarray(masks)
    if array.shape != image_shape[:3]:
        raise ValueError(
            f"`masks` must have the shape (num_images, height, width) = {image_shape[:3]}. "
            f"Received: shape={array.shape}."
        )
    if array.dtype != bool:
        raise TypeError(
            f"`masks` must be bool, True on the object. Received: dtype={array.dtype}. "
            "Compare with a threshold, as in masks > 0."
        )
    return array


def split_indices(splits: Mapping[str, object], num_images: int) -> dict[str, np.ndarray]:
    """Return the three splits as disjoint int64 indices into `num_images` images."""
    unknown = sorted(set(splits) - set(SPLIT_NAMES))
    if unknown:
        raise ValueError(f"`splits` may be named {SPLIT_NAMES}. Received: {unknown}.")
    checked = {name: _indices(name, splits.get(name, ()), num_images) for name in SPLIT_NAMES}
    if np.bincount(np.concatenate(list(checked.values())), minlength=1).max() > 1:
        raise ValueError(
            "`splits` must be disjoint. Received: an image that stands twice in them, such as "
            f"number {_repeated(checked)}."
        )
    return checked


def _indices(name: str, values: object, num_images: int) -> np.ndarray:
    array = np.asarray(values)
    if array.size == 0:
        return np.zeros(0, np.int64)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise TypeError(
            f"`splits[{name!r}]` must be a list of whole numbers. "
            f"Received: dtype={array.dtype}, shape={array.shape}."
        )
    if array.min() < 0 or array.max() >= num_images:
        raise ValueError(
            f"`splits[{name!r}]` must lie in 0..{num_images - 1}. "
            f"Received: {array.min()} to {array.max()}."
        )
    return array.astype(np.int64, copy=False)


def _repeated(splits: Mapping[str, np.ndarray]) -> int:
    return int(np.bincount(np.concatenate(list(splits.values()))).argmax())


def _scale_advice(low: float, high: float) -> str:
    if low >= 0 and high <= 255:
        return "These look like bytes: divide by 255."
    if low >= -1 and high <= 1:
        return "These look like [-1, 1]: use (images + 1) / 2."
    return "If they were standardised, undo that first."
