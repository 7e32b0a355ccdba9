"""Images of four brightnesses, and networks that tell them apart exactly, at any scale.

A pixel mean m is nearest to the center c_k of class k where 2 c_k m - c_k ** 2 is largest, which is
linear in m: one dense layer behind a global average is a perfect classifier, worked out by hand.
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np

from kernel_lib.data import ImageSet

CENTERS = np.array([0.2, 0.4, 0.6, 0.8])
NAMES = ("darkest", "dark", "light", "lightest")


def brightness_images(
    num_images: int = 200, *, channels: int = 1, noise: float = 0.1, seed: int = 0
) -> ImageSet:
    """Noisy images of 8 x 8 pixels whose class is their brightness."""
    random = np.random.default_rng(seed)
    labels = np.arange(num_images) % 4
    pixels = CENTERS[labels][:, None, None, None] + noise * (
        random.random((num_images, 8, 8, channels)) - 0.5
    )
    return ImageSet(pixels.astype(np.float32), labels, NAMES, name="brightness")


def brightness_network(
    scale: float = 1.0,
    offset: float = 0.0,
    *,
    channels: int = 1,
    order: Sequence[int] = (0, 1, 2, 3),
    sharpness: float = 40.0,
) -> keras.Model:
    """A network for pixels times `scale` plus `offset`; output k says the class `order[k]`."""
    model = keras.Sequential(
        [
            keras.Input((8, 8, channels)),
            keras.layers.Conv2D(1, 1, name="mean_of_channels"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(4, name="scores"),
        ]
    )
    centers = CENTERS[list(order)] * scale + offset
    factor = sharpness / scale**2
    model.layers[0].set_weights([np.full((1, 1, channels, 1), 1 / channels), np.zeros(1)])
    model.layers[2].set_weights([2 * centers[None] * factor, -(centers**2) * factor])
    return model
