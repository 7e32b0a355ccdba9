"""Pictures inside and beside LabelMe files, opened with care.

A path in an annotation is only ever followed to a file below the annotation's own folder, and no
picture is unpacked before its header shows that it is small enough.
"""

from __future__ import annotations

import base64
import binascii
import io
import warnings
from collections.abc import Mapping
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np
from PIL import Image

from kernel_lib.tasks.untrusted import untrusted

_MOST_PIXELS = 90_000_000
_LONGEST_SIDE = 65_535  # a JPEG has no longer one; drawing takes time for each row


def annotated_size(content: Mapping[str, Any], folder: Path | None, name: str) -> tuple[int, int]:
    """Height and width of the annotated image: as stated, else as its picture has them.

    Raises:
        ValueError: neither says the size, or the two contradict each other.
    """
    stated = _stated_size(content, name)
    data = content.get("imageData")
    actual = _size(embedded_picture(data, name)) if data else None
    if stated is None and actual is None:
        actual = _size(linked_picture(str(content.get("imagePath") or ""), folder, name))
    if stated is not None and actual is not None and stated != actual:
        raise ValueError(
            f"{name} says its image has {stated[1]}x{stated[0]} pixels (width x height), but the "
            f"image in it has {actual[1]}x{actual[0]}."
        )
    return stated or actual  # type: ignore[return-value]


def embedded_picture(data: Any, name: str) -> Image.Image:
    """Open, but not yet unpack, an image file that is written in base64.

    Raises:
        ValueError: no base64, no image, or too large an image.
    """
    if not isinstance(data, str):
        raise ValueError(f"{name}: the picture inside must be text in base64.")
    try:
        content = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"{name}: the picture inside is no base64.") from error
    return _opened(io.BytesIO(content), f"{name}: the picture inside")


def linked_picture(image_path: str, folder: Path | None, name: str) -> Image.Image:
    """Open the picture that an annotation names, if it lies below the annotation's folder.

    Raises:
        ValueError: no path is given, it is absolute, leads out of the folder, or holds no image.
    """
    if not image_path or folder is None:
        raise ValueError(f"{name} says neither the size of its image nor where the image is.")
    # Windows paths are read everywhere: they have drive letters and may have backslashes.
    windows = PureWindowsPath(image_path)
    if windows.drive or windows.root:
        raise ValueError(
            f"{name} names its image by an absolute path, which is not followed: {image_path!r}."
        )
    target = folder.joinpath(*windows.parts)
    try:
        is_inside = target.resolve().is_relative_to(folder.resolve())
        is_there = is_inside and target.is_file()
    except (OSError, ValueError) as error:  # a zero byte, or a name no disk can hold
        raise ValueError(f"{name} names its image by no path: {image_path!r:.80}.") from error
    if not is_inside:
        raise ValueError(
            f"{name} names an image outside its folder, which is not followed: {image_path!r}."
        )
    if not is_there:
        raise ValueError(f"{name} names an image that is not there: {image_path!r}.")
    return _opened(target, f"{name}: the image {image_path!r}")


def decoded_mask(data: Any, name: str) -> np.ndarray:
    """Unpack a mask picture; bool (height, width), True where it is not 0."""
    picture = embedded_picture(data, name)
    with untrusted(f"{name}: the mask cannot be unpacked"), picture:
        pixels = np.asarray(picture)
    return np.asarray(pixels.reshape(*pixels.shape[:2], -1).any(axis=-1))


def _opened(source: Any, name: str) -> Image.Image:
    with untrusted(f"{name} is no image that can be read"), warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        picture = Image.open(source)
    width, height = picture.size
    if width * height > _MOST_PIXELS or max(width, height) > _LONGEST_SIDE:
        raise ValueError(
            f"{name} would unpack to {width}x{height} pixels, more than {_MOST_PIXELS:,}, or "
            f"{_LONGEST_SIDE:,} on a side."
        )
    return picture


def _stated_size(content: Mapping[str, Any], name: str) -> tuple[int, int] | None:
    sizes = content.get("imageHeight"), content.get("imageWidth")
    if None in sizes:
        return None
    if not all(_is_side(size) for size in sizes):
        raise ValueError(
            f"{name}: `imageHeight` and `imageWidth` must be whole numbers of at least 1, and no "
            f"more than {_LONGEST_SIDE:,}. Received: {sizes[0]!r:.40} and {sizes[1]!r:.40}."
        )
    return int(sizes[0]), int(sizes[1])  # type: ignore[arg-type]


def _is_side(size: Any) -> bool:
    """Whether a number can be the side of an image; infinity and NaN cannot."""
    return isinstance(size, int | float) and 1 <= size <= _LONGEST_SIDE and size == int(size)


def _size(picture: Image.Image) -> tuple[int, int]:
    with picture:
        return picture.height, picture.width
