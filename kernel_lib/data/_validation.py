"""What the arrays of an `ImageSet` must look like, and what is said when they do not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from kernel_lib.data.splits import SPLIT_NAMES

MOST_CLASSES = 100_000  # beyond it, labels without names are ids of something else
ROUNDING = 1e-3  # as far beyond [0, 1] as arithmetic on images goes
UNLABELLED = ("unlabelled",)  # the one class of images that have no labels at all


def image_array(images: object) -> np.ndarray:
    """Return `images` as float32 (num_images, height, width, channels) within [0, 1].

    Values that lie outside by at most 0.001, as rounding leaves them, are clipped.
    """
    return clipped_images(images)[0]


def clipped_images(images: object) -> tuple[np.ndarray, list[str]]:
    """Return what `image_array` does, and a note if values were clipped."""
    array = np.asarray(images)
    if array.dtype.kind not in "fiub" and array.dtype.name != "bfloat16":
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
    if channels_come_first(array.shape):
        raise ValueError(
            "`images` must have the shape (num_images, height, width, channels), with the "
            f"channels last. Received: shape={array.shape}, which looks like channels first, as "
            "PyTorch has it. Move them: images = np.moveaxis(images, 1, -1)."
        )
    whole = array.dtype.kind in "iu"
    array = array.astype(np.float32, copy=False)
    low, high = float(array.min()), float(array.max())
    if not np.isfinite([low, high]).all():
        raise ValueError("`images` must be finite. Received: images with NaN or infinity.")
    if low >= 0 and high <= 1:
        return array, []
    if low >= -ROUNDING and high <= 1 + ROUNDING:
        note = f"pixels from {low:.6g} to {high:.6g} clipped to [0, 1]"
        return within_rounding(array), [note]
    raise ValueError(
        f"`images` must lie in [0, 1]. Received: values from {low:g} to {high:g}. "
        f"{_scale_advice(low, high, whole)}"
    )


def within_rounding(images: np.ndarray) -> np.ndarray:
    """Return float images with values that are outside [0, 1] by rounding only clipped."""
    if images.size == 0:
        return images
    low, high = float(images.min()), float(images.max())
    outside = low < 0 or high > 1
    if outside and low >= -ROUNDING and high <= 1 + ROUNDING:
        return np.clip(images, 0, 1)
    return images


def channels_come_first(shape: Sequence[int]) -> bool:
    """Whether (num_images, ?, ?, ?) is (num_images, channels, height, width) by its numbers."""
    # Images a pixel high with five or more channels are not found in practice.
    return shape[1] in (1, 3, 4) and shape[2] > 4 and shape[3] > 4


def note_tuple(notes: object) -> tuple[str, ...]:
    """Return notes, each once, in order."""
    if isinstance(notes, str):
        notes = (notes,)
    return tuple(dict.fromkeys(str(note) for note in notes))  # type: ignore[attr-defined]


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
        cure = (
            " Labels -1 and 1 become class ids by labels = (labels + 1) // 2."
            if set(np.unique(array)) == {-1, 1}
            else ""
        )
        raise ValueError(f"`{name}` must be at least {lowest}. Received: {array.min()}.{cure}")
    return array.astype(np.int64, copy=False)


def class_name_tuple(name: str, names: Sequence[str], labels: np.ndarray) -> tuple[str, ...]:
    """Return the class names, or "0", "1", ... when none are given, checked against `labels`."""
    if isinstance(names, str):
        raise TypeError(
            f"`{name}` must be a list of names, as in ['cat', 'dog']. Received: {names!r}."
        )
    highest = int(labels.max())
    if len(names) == 0 and highest >= MOST_CLASSES:
        raise ValueError(
            f"`{_labels_of(name)}` run to {highest} in {len(labels)} images: they look like ids, "
            "not class numbers. Number the classes from 0: labels = np.unique(labels, "
            "return_inverse=True)[1]."
        )
    names = tuple(str(each) for each in names) or tuple(str(k) for k in range(highest + 1))
    if highest >= len(names):
        raise ValueError(
            f"`{name}` names {len(names)} classes, so labels must lie in 0..{len(names) - 1}. "
            f"Received: a label of {highest}.{_from_one(labels, len(names))}"
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


def _from_one(labels: np.ndarray, num_classes: int) -> str:
    known = labels[labels >= 0]
    if known.min() == 1 and known.max() == num_classes:
        return " They seem to start at 1, and class ids start at 0: labels = labels - 1."
    return ""


def _labels_of(name: str) -> str:
    """The argument that `name` names the classes of."""
    return name.replace("task_class_names", "tasks").replace("class_names", "labels")


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


def _scale_advice(low: float, high: float, whole: bool) -> str:
    if -1.1 <= low < 0 and high <= 1.1:
        return "These look like [-1, 1]: images = (images + 1) / 2."
    if low < 0:
        return "If they were standardised, undo that first."
    if high <= 2:
        return "If they come from a computation, clip them: images = np.clip(images, 0, 1)."
    if high <= 255:
        return "These look like bytes: divide by 255: images = images / 255."
    bits = next((bits for bits in (10, 12, 14, 16) if high < 2**bits), None)
    if whole and bits:
        return (
            f"These look like numbers of {bits} bits: divide by {2**bits - 1}: "
            f"images = images / {2**bits - 1}."
        )
    return "Divide them by the value of white."
