"""Transformations of pixel values: (images, value) -> images, both in [0, 1].

The random ones (noise, occlusion) draw one field for each image, named by a seed and the image's
own bytes, and scale it with the value. So neighbouring steps differ only by the value, and neither
order nor batch size matters.
"""

from __future__ import annotations

import io
import zlib

import numpy as np

from kernel_lib._random import random_stream

_GREY = np.array([0.299, 0.587, 0.114], np.float32)
# Luma and two colour axes; a turn in the plane of the two turns the hue.
_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])


def brightness(images: np.ndarray, factor: float) -> np.ndarray:
    """Multiply pixels, and clip."""
    return np.clip(images * np.float32(factor), 0, 1)


def contrast(images: np.ndarray, factor: float) -> np.ndarray:
    """Stretch pixels about the image's mean, and clip."""
    if factor == 1:
        return images.copy()
    mean = images.mean(axis=(1, 2, 3), keepdims=True)
    return np.clip(mean + np.float32(factor) * (images - mean), 0, 1)


def gamma(images: np.ndarray, exponent: float) -> np.ndarray:
    """Raise pixels to a power."""
    return images ** np.float32(exponent)


def saturation(images: np.ndarray, factor: float) -> np.ndarray:
    """Stretch colours about grey, and clip."""
    _check_colour("saturation", images)
    if factor == 1:
        return images.copy()
    grey = (images @ _GREY)[..., None]
    return np.clip(grey + np.float32(factor) * (images - grey), 0, 1)


def hue(images: np.ndarray, degrees: float) -> np.ndarray:
    """Turn colours about the grey axis, and clip."""
    _check_colour("hue", images)
    if degrees == 0:
        return images.copy()
    cosine, sine = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    turn = np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]])
    matrix = (np.linalg.inv(_YIQ) @ turn @ _YIQ).astype(np.float32)
    return np.clip(images @ matrix.T, 0, 1)


def blur(images: np.ndarray, deviation: float) -> np.ndarray:
    """Blur with a Gaussian of that many pixels."""
    if deviation == 0:
        return images.copy()
    from scipy.ndimage import gaussian_filter

    return gaussian_filter(images, (0, deviation, deviation, 0), mode="nearest")


def noise(images: np.ndarray, deviation: float, seed: int = 0) -> np.ndarray:
    """Add Gaussian noise, and clip; each image keeps its noise and only its size grows."""
    if deviation == 0:
        return images.copy()
    field = np.stack(
        [stream.standard_normal(images.shape[1:], np.float32) for stream in _streams(images, seed)]
    )
    return np.clip(images + np.float32(deviation) * field, 0, 1)


def occlusion(images: np.ndarray, side: float, seed: int = 0) -> np.ndarray:
    """Cover a grey square of that share of the image's side, at a place of each image's own."""
    covered = images.copy()
    height, width = images.shape[1:3]
    tall, wide = round(side * height), round(side * width)
    for image, stream in zip(covered, _streams(images, seed), strict=True):
        across, down = stream.random(2)
        # The centre stays while the square grows, so a smaller square lies inside a larger one.
        top = round(down * (height - 1) - (tall - 1) / 2)
        left = round(across * (width - 1) - (wide - 1) / 2)
        image[max(top, 0) : max(top + tall, 0), max(left, 0) : max(left + wide, 0)] = 0.5
    return covered


def jpeg(images: np.ndarray, strength: float) -> np.ndarray:
    """Store as JPEG of quality 100 - strength, and read again; 0 leaves the image alone."""
    if strength == 0:
        return images.copy()
    from PIL import Image

    stored = np.empty_like(images)
    for index, levels in enumerate(np.rint(images * 255).astype(np.uint8)):
        content = io.BytesIO()
        picture = Image.fromarray(levels[..., 0] if levels.shape[-1] == 1 else levels)
        picture.save(content, "JPEG", quality=round(100 - strength))
        read = np.asarray(Image.open(content), np.float32) / 255
        stored[index] = read.reshape(levels.shape)
    return stored


def _streams(images: np.ndarray, seed: int) -> list[np.random.Generator]:
    return [
        random_stream([seed, zlib.crc32(np.ascontiguousarray(image).tobytes())]) for image in images
    ]


def _check_colour(name: str, images: np.ndarray) -> None:
    if images.shape[-1] != 3:
        raise ValueError(
            f"The transformation {name!r} needs colour images, (num_images, height, width, 3). "
            f"Received: {images.shape}."
        )
