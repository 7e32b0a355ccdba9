"""Classification sets of TensorFlow Datasets, which is an optional extra."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

import numpy as np
from PIL import Image

from kernel_lib.data._download import downloading
from kernel_lib.data.arrays import from_arrays, from_published_splits
from kernel_lib.data.image_set import ImageSet
from kernel_lib.data.reading import Size, fit


def svhn(*, num_images: int | None = None, seed: int = 0, data_dir: str | None = None) -> ImageSet:
    """Return the cropped house numbers of SVHN, images (99289, 32, 32, 3), without "extra"."""
    return load_tfds("svhn_cropped", num_images=num_images, seed=seed, data_dir=data_dir)


def stl10(*, num_images: int | None = None, seed: int = 0, data_dir: str | None = None) -> ImageSet:
    """Return the labelled photos of STL-10, images (13000, 96, 96, 3)."""
    return load_tfds("stl10", num_images=num_images, seed=seed, data_dir=data_dir)


def load_tfds(
    name: str,
    *,
    size: Size = None,
    crop: bool = False,
    num_images: int | None = None,
    data_dir: str | None = None,
    seed: int = 0,
) -> ImageSet:
    """Return a classification set of TensorFlow Datasets, downloaded once.

    The published test split stays the test split, or the validation split where there is no test
    split; calibration images are cut off the training ones. With neither, splits are drawn. Other
    splits, such as unlabelled images, are left alone.

    Args:
        name: its name there, such as "beans" or "svhn_cropped".
        size: height and width that images are resized to; needed where they differ in size.
        crop: cut the middle out before resizing, which keeps proportions, instead of squeezing.
        num_images: if given, keep at most so many, balanced over the classes.
        data_dir: where TensorFlow Datasets keeps its files; its own default when left out.
        seed: seed of the splits and of the images kept.

    Raises:
        ValueError: If TensorFlow Datasets is not installed, has no such set, or the set does not
            hold images with one class each.
        ConnectionError: If it must be downloaded and cannot be.
    """
    tfds = _tensorflow_datasets(name)
    try:
        builder = tfds.builder(name, data_dir=data_dir)
    except tfds.core.DatasetNotFoundError as error:
        raise ValueError(
            f"TensorFlow Datasets has no set {name!r}. Its catalogue lists those it has."
        ) from error
    class_names = _class_names(name, builder.info, size)
    with downloading(name, "TensorFlow Datasets"):
        builder.download_and_prepare()

    parts = {
        split: _read(tfds, builder, split, size, crop)
        for split in _used_splits(name, builder.info.splits)
    }
    if len(parts) == 2:
        train, test = parts.values()
        return from_published_splits(
            train, test, class_names=class_names, name=name, num_images=num_images, seed=seed
        )
    images = from_arrays(*parts["train"], class_names=class_names, name=name, seed=seed)
    return images if num_images is None else images.sample(num_images, seed)


def _tensorflow_datasets(name: str) -> ModuleType:
    try:
        return importlib.import_module("tensorflow_datasets")
    except ImportError as error:
        raise ValueError(
            f"{name!r} needs TensorFlow Datasets, which is not installed. "
            'Install it with: pip install "kernel-lib[tfds]".'
        ) from error


def _class_names(name: str, info: Any, size: Size) -> tuple[str, ...]:
    """Return the names of the classes, once it is sure that there are images of one shape."""
    keys = info.supervised_keys
    if not isinstance(keys, tuple) or len(keys) != 2:
        raise ValueError(f"{name!r} does not hold pairs of an image and its class.")
    inputs, targets = (info.features[key] for key in keys)
    if len(inputs.shape or ()) != 3 or not hasattr(targets, "names"):
        raise ValueError(f"{name!r} does not hold images with one class each.")
    if None in inputs.shape and size is None:
        raise ValueError(
            f"The images of {name!r} differ in size. Give the size to bring them to, as in "
            f"load('tfds:{name}', size=64)."
        )
    return tuple(targets.names)


def _used_splits(name: str, available: Any) -> list[str]:
    """Return the names of the training split and, where there is one, of the test split."""
    if "train" not in available:
        raise ValueError(f"{name!r} has no split 'train', only {', '.join(available)}.")
    tests = [split for split in ("test", "validation") if split in available]
    return ["train", *tests[:1]]


def _read(
    tfds: ModuleType, builder: Any, split: str, size: Size, crop: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return the uint8 images and int64 labels of one split."""
    pairs = tfds.as_numpy(builder.as_dataset(split=split, as_supervised=True))
    images, labels = zip(
        *((_resized(image, size, crop), label) for image, label in pairs), strict=True
    )
    return np.stack(images), np.array(labels, np.int64)


def _resized(image: np.ndarray, size: Size, crop: bool) -> np.ndarray:
    if size is None:
        return image
    grey = image.shape[-1] == 1
    resized = np.asarray(fit(Image.fromarray(image[..., 0] if grey else image), size, crop))
    return resized[..., None] if grey else resized
