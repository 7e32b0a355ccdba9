"""One door for images: whatever people hold them in becomes an image set, or they hear why not."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from kernel_lib.data._validation import UNLABELLED
from kernel_lib.data.arrays import flat_labels, from_arrays, from_published_splits
from kernel_lib.data.classes import ClassNames, class_name_list
from kernel_lib.data.folder_listing import list_folder
from kernel_lib.data.image_formats import is_image_file
from kernel_lib.data.image_set import ImageSet
from kernel_lib.data.labels import all_names, as_class_ids
from kernel_lib.data.load import load, names
from kernel_lib.data.streams import gathered

ACCEPTED = (
    "an ImageSet; the name of a set, such as 'mnist5k' or 'folder:photos'; the path of a folder, a "
    "photo, an .npz or a .csv file; an array of images (num_images, height, width, channels); a "
    "pair (images, labels); ((x_train, y_train), (x_test, y_test)); a mapping with 'images' and "
    "'labels'; a tf.data.Dataset, a data loader, or a list of pairs (image, label)"
)
_IMAGE_KEYS = ("images", "image", "x")
_LABEL_KEYS = ("labels", "label", "y")


def as_images(
    value: Any,
    labels: Any = None,
    *,
    class_names: ClassNames | None = None,
    num_images: int | None = None,
    seed: int = 0,
    **options: Any,
) -> ImageSet:
    """Return an image set of whatever holds images.

    Bytes are divided by 255, one-hot labels become class ids, names as labels become class ids in
    alphabetical order, and grey images get a channel axis; `notes` says so. Images without labels
    have the one class "unlabelled" and are all for testing.

    Args:
        value: one of:
            an `ImageSet`;
            a name that `load` knows, or a path of a folder, a photo, an .npz or a .csv file;
            an array of images, float in [0, 1] or uint8, channels last;
            a pair (images, labels), Keras' ((x_train, y_train), (x_test, y_test)), or a mapping
            with "images" and "labels";
            a `tf.data.Dataset`, a Keras `PyDataset`, a PyTorch data set or data loader, a list or
            an iterator of pairs of an image, or a batch of images, and its label. What Keras'
            `image_dataset_from_directory` makes is known by its names, and divided by 255.
        labels: the labels of an array of images.
        class_names: all classes in the order of the network's outputs; see `class_name_list`.
        num_images: at most so many images: balanced over the classes where all lie in memory or in
            files; drawn evenly from a stream that ends; the first of one that may not.
        seed: seed of everything drawn.
        **options: of the loader, for names and paths, such as `size`.

    Raises:
        TypeError: If `value` is none of these.
        ValueError: If pixels, labels or shapes are not what they should be, or a stream does not
            end. Messages hold cures.

    Example:
        >>> pixels = np.random.default_rng(0).integers(0, 256, (50, 8, 8, 3), np.uint8)
        >>> as_images((pixels, np.eye(2)[np.arange(50) % 2])).notes
        ('bytes divided by 255', 'one-hot labels turned into class ids')
    """
    if labels is not None:
        value = (value, labels)
    if isinstance(value, (str, os.PathLike)):
        return _from_place(value, class_names, num_images, seed, options)
    if options:
        raise TypeError(
            f"{', '.join(options)}: only names and paths take options of loading. "
            f"Received: {type(value).__name__}."
        )
    if isinstance(value, ImageSet):
        images = value
    elif _is_published(value):
        images = _from_published(value, seed)
    else:
        images = _from_arrays(*_arrays_of(value, num_images, seed), class_names, seed)
    if class_names is not None and images.class_names != UNLABELLED:
        images = images.with_classes(class_names)
    return images if num_images is None else images.sample(num_images, seed)


def _from_place(
    place: str | os.PathLike[str],
    class_names: ClassNames | None,
    num_images: int | None,
    seed: int,
    options: dict[str, Any],
) -> ImageSet:
    given = {} if class_names is None else {"class_names": class_names}
    name = _name_of(place)
    return load(name, seed=seed, num_images=num_images, **given, **options)


def _name_of(place: str | os.PathLike[str]) -> str:
    """Return the name by which `load` knows a name or a path."""
    text = os.fspath(place)
    prefix = text.partition(":")[0]
    prefixes = {each.partition(":")[0] for each in names() if ":" in each}
    known = text in names() or (":" in text and prefix in prefixes)
    path = Path(text).expanduser()
    if isinstance(place, str) and (known or not (path.exists() or path.suffix or path.parts[1:])):
        return text  # an unknown name is answered with the known ones
    if path.is_dir():
        listing = list_folder(path)
        flat = listing.images_in(Path()) and len(listing.images_in(Path())) == len(listing.images)
        return f"photos:{path}" if flat else f"folder:{path}"
    kinds = {".npz": "npz", ".csv": "table"}
    kind = kinds.get(path.suffix.lower()) or ("photos" if is_image_file(path) else None)
    if not path.exists():
        raise FileNotFoundError(f"There is no file and no folder {path}.")
    if kind is None:
        raise ValueError(
            f"{path.name} is no folder, photo, .npz or .csv file. Unpack an archive first, and "
            "load an array yourself: kernel_lib.data.as_images((images, labels))."
        )
    return f"{kind}:{path}"


def _arrays_of(value: Any, num_images: int | None, seed: int) -> tuple[Any, Any, list[str], Any]:
    """Return pixels, labels (None where there are none), notes, and the names of the classes."""
    if _is_frame(value):
        raise TypeError(
            "A table of image files is loaded with the folder its paths are relative to: images = "
            "kernel_lib.data.from_table(frame, images_root, size=64). Received: DataFrame."
        )
    if isinstance(value, Mapping):
        pixels = next((value[key] for key in _IMAGE_KEYS if key in value), None)
        if pixels is None:
            raise ValueError(
                "A mapping must hold 'images' and 'labels'; splits go in as ((x_train, y_train), "
                f"(x_test, y_test)). Received: {', '.join(map(str, value)) or 'nothing'}."
            )
        found = next((value[key] for key in _LABEL_KEYS if key in value), None)
        return _array(pixels), found, [], value.get("class_names")
    if _is_pair(value):
        said = ["weights of images left out"] if len(value) == 3 else []
        return _array(value[0]), value[1], said, None
    if hasattr(value, "__array__") and not hasattr(value, "element_spec"):
        return _array(value), None, [], None
    if _is_picture(value):
        return np.asarray(value)[None], None, [], None
    if _is_list_of_images(value):
        return _stacked([np.asarray(each) for each in value]), None, [], None
    if isinstance(value, (list, tuple)) and value and isinstance(value[0], (str, os.PathLike)):
        raise TypeError(
            "A list of paths is loaded as a table: import pandas; images = "
            "kernel_lib.data.from_table(pandas.DataFrame({'path': paths, 'label': labels}), "
            "size=64). Received: a list of paths."
        )
    if isinstance(value, (bytes, bytearray, set)) or not _can_be_read_through(value):
        raise TypeError(f"`images` must be {ACCEPTED}. Received: {type(value).__name__}.")
    return *gathered(value, num_images, seed), _names_of(value)


def _from_arrays(
    pixels: Any,
    labels: Any,
    notes: list[str],
    own_names: Any,
    class_names: ClassNames | None,
    seed: int,
) -> ImageSet:
    pixels, said = _checked_pixels(pixels)
    if labels is None:
        none = np.array([], np.int64)
        if class_names is not None:
            class_name_list(class_names)
            said.append("class names left alone: images without labels have no classes")
        return from_arrays(
            pixels,
            np.zeros(len(pixels), np.int64),
            class_names=UNLABELLED,
            name="images",
            splits={"train": none, "calibration": none, "test": np.arange(len(pixels))},
            notes=(*notes, *said),
        )
    ids, found_names, of_labels = as_class_ids(labels, len(pixels))
    wanted = None if class_names is None else class_name_list(class_names)
    return from_arrays(
        pixels,
        ids,
        class_names=all_names(ids, own_names or found_names, wanted),
        name="images",
        seed=seed,
        notes=[*notes, *said, *of_labels],
    )


def _checked_pixels(pixels: Any) -> tuple[np.ndarray, list[str]]:
    """Return pixels as `from_arrays` takes them, and what is done to them."""
    array, notes = np.asarray(pixels), []
    if array.ndim == 3 and array.shape[-1] in (1, 3, 4):
        raise ValueError(
            "`images` must have the shape (num_images, height, width, channels). Received: "
            f"shape={array.shape}, which looks like a single image: images = images[None]."
        )
    if array.ndim == 3:
        notes.append("grey images given a channel axis")
    if array.dtype == np.uint8:
        notes.insert(0, "bytes divided by 255")
    return array, notes


def _from_published(value: Any, seed: int) -> ImageSet:
    """Make an image set of ((x_train, y_train), (x_test, y_test))."""
    arrays = [_checked_pixels(_array(pixels)) for pixels, _ in value]
    labels = np.concatenate([flat_labels(np.asarray(each)) for _, each in value])
    ids, found, of_labels = as_class_ids(labels, sum(len(each) for each, _ in arrays))
    first = len(arrays[0][0])
    images = from_published_splits(
        (arrays[0][0], ids[:first]), (arrays[1][0], ids[first:]), class_names=found or (), seed=seed
    )
    return replace(images, notes=(*images.notes, *arrays[0][1], *of_labels))


def _array(value: Any) -> np.ndarray:
    """Return an array of whatever is one, be it on another device."""
    try:
        return np.asarray(value)
    except (RuntimeError, TypeError) as error:
        raise TypeError(
            f"`images` cannot be read as an array: {error}. A PyTorch tensor becomes one by "
            "images = images.detach().cpu().numpy()."
        ) from error


def _shape(value: Any) -> tuple[int, ...] | None:
    """Shape of an array, or of lists of numbers; None for anything else."""
    if hasattr(value, "shape"):
        return tuple(value.shape)
    if isinstance(value, (list, tuple)):
        try:
            array = np.asarray(value)
        except (ValueError, TypeError, RuntimeError):
            return None
        # Objects are labels, such as None beside numbers, or else things that are no arrays.
        is_known = array.dtype.kind in "fiubUS" or array.ndim == 1
        return array.shape if is_known else None
    return None


def _is_pair(value: Any) -> bool:
    """Whether this is (images, labels): many images and as many labels, and perhaps weights."""
    if not isinstance(value, (tuple, list)) or len(value) not in (2, 3):
        return False
    pixels, *others = map(_shape, value)
    if pixels is None or len(pixels) not in (3, 4):
        return False
    if value[1] is None:
        return True
    if len(value) == 3 and others[1] != (pixels[0],):
        return False
    labels = others[0]
    if labels is None or len(labels) not in (1, 2):
        return False
    return labels[0] == pixels[0] or len(pixels) == 4


def _is_published(value: Any) -> bool:
    """Whether this is ((x_train, y_train), (x_test, y_test)); a list would be one of batches."""
    return isinstance(value, tuple) and len(value) == 2 and all(_is_pair(each) for each in value)


def _is_picture(value: Any) -> bool:
    """Whether this is one image as Pillow holds it."""
    pillow = sys.modules.get("PIL.Image")
    return pillow is not None and isinstance(value, pillow.Image)


def _stacked(arrays: list[np.ndarray]) -> np.ndarray:
    """Return arrays of images of one shape as one."""
    shapes = [array.shape for array in arrays]
    if len(set(shapes)) == 1:
        return np.stack(arrays)
    if min(map(len, shapes)) < 2:
        raise ValueError(
            "Images and labels go in as a pair (images, labels): images (num_images, height, "
            "width, channels), labels (num_images,). "
            f"Received: arrays of the shapes {', '.join(map(str, shapes[:3]))}."
        )
    raise ValueError(
        f"The images differ in shape: {shapes[0]} and {min(set(shapes) - {shapes[0]})}, for "
        "instance. Bring them to one: import tensorflow as tf; images = [np.asarray("
        "tf.image.resize(each, (64, 64))) for each in images]."
    )


def _is_frame(value: Any) -> bool:
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(value, pandas.DataFrame)


def _is_list_of_images(value: Any) -> bool:
    """Whether this is a list of images alone, as arrays or as Pillow holds them."""
    if not isinstance(value, (list, tuple)) or not value:
        return False
    if isinstance(value[0], (tuple, list, Mapping)):
        shape = _shape(value)
        return shape is not None and len(shape) >= 3
    return hasattr(value[0], "__array__") or hasattr(value[0], "__array_interface__")


def _can_be_read_through(value: Any) -> bool:
    return isinstance(value, Iterable) or (
        hasattr(value, "__getitem__") and hasattr(value, "__len__")
    )


def _names_of(value: Any) -> Any:
    """Return the names of the classes where a data set knows them, as Keras' and PyTorch's do."""
    if not any(hasattr(value, each) for each in ("class_names", "class_indices", "classes")):
        value = getattr(value, "dataset", value)  # of a data loader
    for attribute in ("class_names", "class_indices", "classes"):
        found = getattr(value, attribute, None)
        if isinstance(found, Mapping) or (
            isinstance(found, (list, tuple)) and all(isinstance(each, str) for each in found)
        ):
            return class_name_list(found)
    return None
