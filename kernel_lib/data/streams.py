"""Data sets that give images one by one or batch by batch, read into arrays without hanging."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from kernel_lib.data._validation import channels_come_first

_MOST_IMAGES = 100_000  # read of a data set that may never end
_MOST_BYTES = 4 * 2**30  # of pixels as they come
_INFINITE, _UNKNOWN = -1, -2  # as tf.data has them
_IMAGE_KEYS = ("image", "images", "x")
_LABEL_KEYS = ("label", "labels", "y")


def gathered(
    stream: Any, num_images: int | None, seed: int
) -> tuple[np.ndarray, np.ndarray | None, list[str]]:
    """Read a data set through, or the part of it that is wanted.

    Args:
        stream: a tf.data.Dataset, a sequence, a data loader or an iterator of pairs of images, one
            or a batch, and labels; or of images alone.
        num_images: at most so many: drawn evenly where the end is known, the first otherwise.
        seed: seed of the draw.

    Returns:
        Pixels (num_read, ...), labels (num_read, ...) or None, and what was done.

    Raises:
        ValueError: If it does not end, is empty, is too large, or images differ in shape.
    """
    ends = _ends(stream)
    if ends is False and num_images is None:
        raise ValueError(
            "The data set never ends. Say how many images to read: "
            "images = kernel_lib.data.as_images(images, num_images=1000)."
        )
    keeper = _Keeper(num_images, seed, evenly=ends is True)
    for element in _elements(stream):
        for image, label in _examples(element):
            keeper.add(image, label)
        if keeper.is_full:
            break
        if num_images is None:
            _check_room(keeper, ends is True)
    if not keeper.images:
        raise ValueError("The data set holds no images. An iterator can be read only once.")
    return _stacked(keeper, stream)


class _Keeper:
    """The examples kept so far: all, the first, or an even draw of those that went by."""

    def __init__(self, most: int | None, seed: int, evenly: bool):
        self.most, self.evenly = most, evenly
        self.images: list[np.ndarray] = []
        self.labels: list[Any] = []
        self.seen = 0
        self.size = 0
        self._rng = np.random.default_rng([seed])

    def add(self, image: np.ndarray, label: Any) -> None:
        self.seen += 1
        if self.most is None or len(self.images) < self.most:
            self.images.append(image)
            self.labels.append(label)
            self.size += image.nbytes
        elif self.evenly:
            # Each that went by is kept with the same chance (reservoir sampling, algorithm R).
            place = int(self._rng.integers(self.seen))
            if place < self.most:
                self.images[place], self.labels[place] = image, label

    @property
    def is_full(self) -> bool:
        return self.most is not None and not self.evenly and len(self.images) >= self.most

    @property
    def notes(self) -> list[str]:
        if self.most is None or (self.seen <= len(self.images) and self.evenly):
            return []
        if self.evenly:
            return [f"{len(self.images)} of {self.seen} images of the data set drawn evenly"]
        return [f"the first {len(self.images)} images of a data set without a known end"]


def _ends(stream: Any) -> bool | None:
    """Whether a stream ends: None if that is not known."""
    if hasattr(stream, "element_spec"):
        cardinality = int(stream.cardinality())
        return {_INFINITE: False, _UNKNOWN: None}.get(cardinality, True)
    try:
        len(stream)
    except (TypeError, NotImplementedError):
        return None
    return True


def _elements(stream: Any) -> Iterator[Any]:
    if hasattr(stream, "as_numpy_iterator"):
        return iter(stream.as_numpy_iterator())
    # By index where that is possible: a sequence of Keras or PyTorch need not stop by itself.
    if _has_places(stream):
        return (stream[place] for place in range(len(stream)))
    return iter(stream)


def _has_places(stream: Any) -> bool:
    return hasattr(stream, "__getitem__") and hasattr(stream, "__len__")


def _read_through(stream: Any) -> str:
    """The elements of `images` as one writes them; a sequence need not stop by itself."""
    if _has_places(stream) and not isinstance(stream, (list, tuple)):
        return "(images[k] for k in range(len(images)))"
    return "images"


def _examples(element: Any) -> Iterator[tuple[np.ndarray, Any]]:
    """Return the images and labels of an element, which is one example or a batch."""
    image, label = _parted(element)
    if isinstance(label, Mapping):
        first = next(iter(label))
        raise ValueError(
            f"The data set gives several labels: {', '.join(map(str, label))}. Choose those the "
            f"network was trained on: images = images.map(lambda x, y: (x, y[{first!r}]))."
        )
    image = np.asarray(image)
    labels = None if label is None else np.asarray(label)
    if image.ndim == 4 or (
        image.ndim == 3 and labels is not None and labels.ndim and len(labels) == len(image)
        and image.shape[-1] not in (1, 3, 4)
    ):  # fmt: skip
        images = image if image.ndim == 4 else image[..., None]
        yield from ((each, None if labels is None else labels[k]) for k, each in enumerate(images))
        return
    if image.ndim not in (2, 3):
        raise ValueError(
            "A data set must give images (height, width, channels), or batches of them, and "
            f"labels. Received: an element with an image of the shape {image.shape}."
        )
    yield (image if image.ndim == 3 else image[..., None]), labels


def _parted(element: Any) -> tuple[Any, Any]:
    if isinstance(element, Mapping):
        image = next((element[key] for key in _IMAGE_KEYS if key in element), None)
        if image is None:
            raise ValueError(
                "The elements of a data set must hold 'image' and 'label'. "
                f"Received: {', '.join(map(str, element))}."
            )
        return image, next((element[key] for key in _LABEL_KEYS if key in element), None)
    if isinstance(element, (tuple, list)):
        if len(element) in (2, 3):  # the third is a weight
            return element[0], element[1]
        raise ValueError(
            "The elements of a data set must be pairs of images and labels. "
            f"Received: {len(element)} parts."
        )
    return element, None


def _check_room(keeper: _Keeper, ends: bool) -> None:
    if keeper.size > _MOST_BYTES or (not ends and len(keeper.images) > _MOST_IMAGES):
        raise ValueError(
            f"The data set is too large, or does not end: {len(keeper.images):,} images with "
            f"{keeper.size / 2**30:.1f} GiB so far. Say how many to read: "
            "images = kernel_lib.data.as_images(images, num_images=1000)."
        )


def _stacked(keeper: _Keeper, stream: Any) -> tuple[np.ndarray, np.ndarray | None, list[str]]:
    shapes = {image.shape for image in keeper.images}
    if len(shapes) > 1:
        small, large = min(shapes), max(shapes)
        raise ValueError(
            f"The images of the data set differ in shape: {small} and {large}, for instance. "
            "Bring them to one, as in images = images.map(lambda x, y: (tf.image.resize(x, "
            "(64, 64)), y)), before they are put into batches."
        )
    pixels, notes = np.stack(keeper.images), keeper.notes
    if channels_come_first(pixels.shape):
        raise ValueError(
            f"The images of the data set have the shape {pixels.shape[1:]}, which looks like "
            "channels first, as PyTorch has it. Move them: images = kernel_lib.data.as_images("
            f"[(np.moveaxis(np.asarray(x), -3, -1), y) for x, y in {_read_through(stream)}])."
        )
    if pixels.dtype.kind == "f" and pixels.min() >= 0 and 2 < pixels.max() <= 255:
        if not _is_from_directory(stream):
            raise ValueError(
                f"The images of the data set must lie in [0, 1]. Received: values up to "
                f"{pixels.max():g}, which look like bytes. Divide them: images = "
                "kernel_lib.data.as_images([(np.asarray(x) / 255, y) for x, y in "
                f"{_read_through(stream)}])."
            )
        pixels = pixels.astype(np.float32) / 255
        notes.append("pixels 0 to 255, as image_dataset_from_directory gives them, divided by 255")
    labels = None if keeper.labels[0] is None else np.stack(keeper.labels)
    return pixels, labels, notes


def _is_from_directory(stream: Any) -> bool:
    """Whether this is what Keras' `image_dataset_from_directory` made, and nothing changed since.

    It puts the names of classes and files on its data set, which any later step takes off.
    """
    return hasattr(stream, "file_paths") and hasattr(stream, "class_names")
