"""How one image file becomes pixels.

What a camera or an editor stores beside the pixels is honored: the EXIF orientation, palettes,
transparency. Keras' own loaders honor neither orientation nor transparency; a network that was
trained on what they gave is fed the same with `interpolation="keras"`.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from kernel_lib._checks import check_choice, check_count
from kernel_lib.data.image_formats import FORMATS
from kernel_lib.tasks.untrusted import untrusted

Size = int | tuple[int, int] | None
BITS = (8, 10, 12, 14, 16)
_MOST_PIXELS = 90_000_000  # of one file; beyond it a small file can fill the memory
_ORIENTATION = 0x0112
_GREY_MODES = ("1", "L", "LA", "La")
_ALPHAS = ("white", "black", "ignore")
_PILLOW = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "box": Image.Resampling.BOX,
}
_KERAS = "keras"
_KERAS_FORMATS = ("BMP", "GIF", "JPEG", "MPO", "PNG")  # what its loader decodes


@dataclass(frozen=True)
class Reading:
    """How image files are read.

    Args:
        size: height and width to resize to, a number or (height, width); may be left out if all
            images have the same size.
        crop: cut the middle out before resizing, which keeps proportions, instead of squeezing.
        channels: 3 for color, 1 for grey, None for grey if all files are grey and color otherwise.
        on_error: "raise" at a file that cannot be read, or "skip" it with a warning that names it.
        exif: turn images as their EXIF orientation says; True when left out, but False with
            `interpolation="keras"`.
        alpha: lay transparent parts on "white" or "black", or "ignore" transparency; "white" when
            left out, but "ignore" with `interpolation="keras"`.
        interpolation: "bilinear", "bicubic", "lanczos" and "box" average as Pillow does, without
            aliasing; "nearest" picks pixels, as `keras.utils.load_img` and `flow_from_directory`
            do; "keras" gives the very pixels of `keras.utils.image_dataset_from_directory`, whose
            bilinear resizing aliases.
        bits: how many bits the values in files of 16 bits have (8, 10, 12, 14 or 16); the smallest
            that holds the largest value of all files when left out.
    """

    size: Size = None
    crop: bool = False
    channels: int | None = 3
    on_error: str = "raise"
    exif: bool | None = None
    alpha: str | None = None
    interpolation: str = "bilinear"
    bits: int | None = None

    def __post_init__(self) -> None:
        check_choice("on_error", self.on_error, ("raise", "skip"))
        check_choice("interpolation", self.interpolation, (*_PILLOW, _KERAS))
        if self.channels not in (None, 1, 3):
            raise ValueError(
                "`channels` must be 1 (grey) or 3 (color), or None for what the files are. "
                f"Received: {self.channels!r}."
            )
        if self.alpha is not None:
            check_choice("alpha", self.alpha, _ALPHAS)
        if self.bits not in (None, *BITS):
            raise ValueError(f"`bits` must be one of {BITS}, or None. Received: {self.bits!r}.")
        _check_size(self.size)

    @property
    def as_keras(self) -> bool:
        """Whether images are resized as Keras' loader of folders does."""
        return self.interpolation == _KERAS

    @property
    def turns(self) -> bool:
        """Whether the EXIF orientation is applied."""
        return not self.as_keras if self.exif is None else self.exif

    @property
    def ground(self) -> str:
        """What transparent parts are laid on, or "ignore"."""
        return self.alpha or ("ignore" if self.as_keras else "white")

    @property
    def shape(self) -> tuple[int, int] | None:
        """(height, width) to resize to, or None."""
        return (self.size, self.size) if isinstance(self.size, int) else self.size


READING_OPTIONS = tuple(field.name for field in fields(Reading))


def as_reading(options: Mapping[str, Any]) -> Reading:
    """Return how files are read, of the options given, or say which there are."""
    unknown = sorted(set(options) - set(READING_OPTIONS))
    if unknown:
        raise TypeError(
            f"Files are read with the options {', '.join(READING_OPTIONS)}. "
            f"Received: {', '.join(unknown)}."
        )
    return Reading(**options)


@dataclass(frozen=True, eq=False)
class Decoded:
    """The pixels of one file, and what had to be done to get them.

    Attributes:
        pixels: (height, width, channels): uint8; or float32 in [0, 1] where `peak` is 0; or float32
            as the file has them.
        peak: the largest value in a file of 16 bits whose white is not known yet; 0 otherwise.
        size: (height, width) in the file, after turning.
        is_grey: whether the file has no color.
        facts: what is true of the file: "turned", "transparent", "animated", "printed".
    """

    pixels: np.ndarray
    peak: int
    size: tuple[int, int]
    is_grey: bool
    facts: frozenset[str]


def decode(path: Path, reading: Reading) -> Decoded:
    """Read one image file.

    Raises:
        ValueError: If it cannot be read; the message names it and says why.
    """
    with untrusted(f"Cannot read the image file {path}"), warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        with _opened(path) as file:
            if file.width * file.height > _MOST_PIXELS:
                raise ValueError(f"{file.width}x{file.height} pixels, more than {_MOST_PIXELS:,}")
            return _decoded(file, path, reading)


def fit(
    image: Image.Image,
    size: Size,
    crop: bool,
    resample: Image.Resampling = Image.Resampling.BILINEAR,
) -> Image.Image:
    """Resize without aliasing to (height, width), by cutting the middle out or by squeezing."""
    if size is None:
        return image
    height, width = (size, size) if isinstance(size, int) else size
    if crop:
        return ImageOps.fit(image, (width, height), resample)
    return image.resize((width, height), resample)


def _opened(path: Path) -> Any:
    try:
        return Image.open(path, formats=_known_formats())
    except FileNotFoundError:
        raise ValueError("there is no such file") from None
    except UnidentifiedImageError as error:
        if path.suffix.lower() not in (".tif", ".tiff"):
            raise ValueError("not an image") from error
        raise ValueError(
            "not an image, or of a kind that Pillow cannot read, such as color of 16 bits"
        ) from error


def _known_formats() -> list[str]:
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _check_size(size: Size) -> None:
    if isinstance(size, int):
        check_count("size", size)
    elif size is not None:
        if not isinstance(size, Sequence) or isinstance(size, str) or len(size) != 2:
            raise ValueError(f"`size` must be a number or (height, width). Received: {size!r}.")
        check_count("size[0]", size[0])
        check_count("size[1]", size[1])


def _decoded(file: Any, path: Path, reading: Reading) -> Decoded:
    is_deep = file.mode.startswith("I") or _is_deep_color(file)  # before the pixels are loaded
    facts = _facts(file)
    is_grey = file.mode in _GREY_MODES or file.mode.startswith("I")
    channels = reading.channels or (1 if is_grey else 3)
    peak = 0
    if _keras_decodes(file, reading, channels):
        size = (file.height, file.width)
        pixels = _resized_as_keras(_decoded_as_keras(path, channels), reading) / np.float32(255)
    elif is_deep:
        planes, peak = _deep_planes(file, path, reading)
        size = (planes[0].height, planes[0].width)
        pixels = _in_channels(np.stack([_fitted(each, reading) for each in planes], -1), channels)
    else:
        upright = ImageOps.exif_transpose(file) if reading.turns else file
        size = (upright.height, upright.width)
        flat = _flatten(upright, {1: "L", 3: "RGB"}[channels], reading.ground)
        pixels = _fitted(flat, reading).reshape(*(reading.shape or size), channels)
    return Decoded(pixels, peak, size, is_grey, facts)


def _keras_decodes(file: Any, reading: Reading, channels: int) -> bool:
    """Whether the pixels wanted are those that Keras' own loader decodes."""
    if not reading.as_keras or reading.turns or reading.ground != "ignore":
        return False
    # It cannot turn these grey.
    return file.format in _KERAS_FORMATS and (channels == 3 or file.format not in ("BMP", "GIF"))


def _facts(file: Any) -> frozenset[str]:
    # A photo of many pictures (MPO) is one photo and its previews.
    animated = file.format != "MPO" and getattr(file, "n_frames", 1) > 1
    checks = {
        "turned": file.getexif().get(_ORIENTATION, 1) not in (None, 0, 1),
        "transparent": file.has_transparency_data and _shows_through(file),
        "animated": animated,
        "printed": file.mode == "CMYK",
    }
    return frozenset(fact for fact, holds in checks.items() if holds)


def _shows_through(file: Any) -> bool:
    return bool(np.asarray(file.convert("RGBA").getchannel("A")).min() < 255)


def _flatten(image: Image.Image, mode: str, ground: str) -> Image.Image:
    """Return the image in `mode`, "L" or "RGB", with nothing left transparent."""
    if image.mode == "F":
        raise ValueError(
            "pixels of the mode 'F' have no fixed white. Save them as PNG, or read them yourself "
            "and divide by white: kernel_lib.data.from_arrays(pixels / white, labels)"
        )
    if image.has_transparency_data:
        transparent = image.convert("RGBA")
        if ground == "ignore":
            return transparent.convert("RGB").convert(mode)
        image = Image.new("RGBA", image.size, ground)
        image.alpha_composite(transparent)
    return image.convert(mode)


def _fitted(image: Image.Image, reading: Reading) -> np.ndarray:
    """Return the image in the size wanted; bytes as uint8, or in [0, 1] where Keras resizes."""
    if not reading.as_keras:
        return np.asarray(fit(image, reading.size, reading.crop, _PILLOW[reading.interpolation]))
    pixels = np.asarray(image)
    resized = _resized_as_keras(pixels.reshape(image.height, image.width, -1), reading)
    resized = resized / np.float32(255) if pixels.dtype == np.uint8 else resized
    return resized[..., 0] if pixels.ndim == 2 else resized


def _is_deep_color(file: Any) -> bool:
    """Whether a file has 16 bits a channel of which Pillow would keep 8."""
    return bool(file.tile) and str(file.tile[0][3]).endswith(";16B") and file.mode != "I;16"


def _deep_planes(file: Any, path: Path, reading: Reading) -> tuple[list[Image.Image], int]:
    """Return one float image for each channel, and the largest value, or 0 if it is in [0, 1]."""
    if file.mode.startswith("I"):
        values = np.asarray(file).astype(np.int64)[..., None]
    else:
        import tensorflow as tf

        values = tf.io.decode_png(path.read_bytes(), dtype=tf.uint16).numpy().astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        raise ValueError(
            f"whole numbers from {values.min()} to {values.max()} have no fixed white. Save them "
            "as PNG of 16 bits, or read them yourself and divide by white: "
            "kernel_lib.data.from_arrays(pixels / white, labels)"
        )
    peak = int(values.max())
    floats: np.ndarray = values.astype(np.float32)
    if values.shape[-1] in (2, 4):  # the last is how opaque a pixel is
        floats, share = floats[..., :-1] / 65535, floats[..., -1:] / 65535
        if reading.ground != "ignore":
            floats = floats * share + (reading.ground == "white") * (1 - share)
        peak = 0
    elif file.format == "PPM":  # Pillow has brought its own white to 65535
        floats, peak = floats / 65535, 0
    return [_upright(plane, file, reading) for plane in np.moveaxis(floats, -1, 0)], peak


def _upright(plane: np.ndarray, file: Any, reading: Reading) -> Image.Image:
    image = Image.fromarray(np.ascontiguousarray(plane, np.float32))
    if not reading.turns:
        return image
    image.info["exif"] = file.getexif().tobytes()
    return ImageOps.exif_transpose(image)


def _in_channels(pixels: np.ndarray, channels: int) -> np.ndarray:
    """Return float pixels (height, width, any) with 1 or 3 channels."""
    if pixels.shape[-1] == channels:
        return pixels
    if channels == 3:
        return pixels.repeat(3, axis=-1)
    return (pixels @ np.array([0.299, 0.587, 0.114], np.float32))[..., None]


def _decoded_as_keras(path: Path, channels: int) -> np.ndarray:
    import tensorflow as tf

    decoded = tf.io.decode_image(path.read_bytes(), channels, expand_animations=False)
    return decoded.numpy()


def _resized_as_keras(pixels: np.ndarray, reading: Reading) -> np.ndarray:
    """Return pixels (height, width, channels) as float32 in the size wanted, resized as Keras."""
    if reading.shape is None:
        return pixels.astype(np.float32)
    import keras
    import tensorflow as tf

    if reading.crop:
        resized = keras.preprocessing.image.smart_resize(tf.constant(pixels), reading.shape)
    else:
        resized = tf.image.resize(pixels, reading.shape, method="bilinear")
    return np.asarray(resized, np.float32)
