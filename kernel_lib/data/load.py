"""One call to get any image set by its name."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

from kernel_lib._checks import check_choice
from kernel_lib.data.embedded import digits, mnist5k
from kernel_lib.data.folder import load_folder
from kernel_lib.data.image_set import ImageSet
from kernel_lib.data.keras_sets import cifar10, cifar100, fashion_mnist, mnist
from kernel_lib.data.npz_file import load_npz
from kernel_lib.data.photos import load_photos
from kernel_lib.data.reading import READING_OPTIONS
from kernel_lib.data.shapes import shapes
from kernel_lib.data.table import from_table
from kernel_lib.data.tfds_sets import load_tfds, stl10, svhn


class _Source(NamedTuple):
    loader: Callable[..., ImageSet]
    description: str


_NAMED = {
    "shapes": _Source(shapes, "generated coloured shapes, five tasks, object masks; embedded"),
    "digits": _Source(digits, "1,797 handwritten digits of scikit-learn, 28x28x1; embedded"),
    "mnist5k": _Source(mnist5k, "5,000 images of MNIST, 28x28x1; embedded"),
    "mnist": _Source(mnist, "70,000 handwritten digits, 28x28x1; downloaded"),
    "fashion_mnist": _Source(fashion_mnist, "70,000 pieces of clothing, 28x28x1; downloaded"),
    "cifar10": _Source(cifar10, "60,000 photos of 10 classes, 32x32x3; downloaded"),
    "cifar100": _Source(cifar100, "60,000 photos of 100 classes, 32x32x3; downloaded"),
    "svhn": _Source(svhn, "99,289 house numbers, 32x32x3; downloaded, extra 'tfds'"),
    "stl10": _Source(stl10, "13,000 photos of 10 classes, 96x96x3; downloaded, extra 'tfds'"),
}
_PREFIXED = {
    "tfds:NAME": _Source(load_tfds, "any classification set of TensorFlow Datasets, extra 'tfds'"),
    "npz:PATH": _Source(load_npz, "a NumPy file with images and labels"),
    "folder:PATH": _Source(load_folder, "a folder with one folder of images per class"),
    "photos:PATH": _Source(load_photos, "one photo, or a folder of photos without labels"),
    "table:PATH": _Source(from_table, "a CSV file of image paths and labels, one or several"),
}


def load(name: str, *, seed: int = 0, num_images: int | None = None, **options: object) -> ImageSet:
    """Load an image set by its name.

    Args:
        name: one of `names()`, such as "shapes", "cifar10", "npz:faces.npz" or "folder:photos".
        seed: seed of everything drawn: splits, subsets, generated images.
        num_images: if given, at most so many images, balanced over the classes.
        **options: options of that image set, such as `size`; an unknown one is answered with a
            list of those it takes. All take `class_names`, the classes in the order of a network's
            outputs: labels are brought into it by name.

    Raises:
        ValueError: If the name is unknown, or the data are not what they should be.
        TypeError: If the image set has no such option.
        ConnectionError: If the data must be downloaded and cannot be.

    Example:
        >>> load("digits", num_images=100)
        ImageSet 'digits': 100 images of 28x28x1, 10 classes, train 60 / calibration 20 / test 20
    """
    loader, place = _find(name)
    known = _options_of(loader)[len(place) :]
    _check_options(name, {*known, "class_names"}, options)
    class_names = None if "class_names" in known else options.pop("class_names", None)
    if "num_images" in known:
        images = loader(*place, num_images=num_images, seed=seed, **options)
    else:
        images = loader(*place, seed=seed, **options)
        images = images if num_images is None else images.sample(num_images, seed)
    return images if class_names is None else images.with_classes(class_names)  # type: ignore[arg-type]


def names() -> dict[str, str]:
    """Return what `load` knows: each name, or form of a name, and one line about it."""
    return {name: source.description for name, source in (_NAMED | _PREFIXED).items()}


def _find(name: str) -> tuple[Callable[..., ImageSet], tuple[str, ...]]:
    """Return the loader for `name` and, for a prefixed name, what stands after the colon."""
    prefix, colon, place = str(name).partition(":")
    for pattern, source in _PREFIXED.items():
        if colon and place and pattern.startswith(f"{prefix}:"):
            return source.loader, (os.path.expanduser(place),)
    check_choice("name", name, names())
    return _NAMED[name].loader, ()


def _options_of(loader: Callable[..., ImageSet]) -> list[str]:
    """Names of the arguments of a loader; those of reading files are written out."""
    names: list[str] = []
    for name, parameter in inspect.signature(loader).parameters.items():
        names += READING_OPTIONS if parameter.kind is parameter.VAR_KEYWORD else [name]
    return names


def _check_options(name: str, known: Collection[str], options: Mapping[str, object]) -> None:
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise TypeError(
            f"{name!r} takes the options {', '.join(sorted({*known, 'num_images'}))}. "
            f"Received: {', '.join(unknown)}."
        )
