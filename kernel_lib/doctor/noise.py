"""Uniform noise that belongs to an image and a place, not to a batch.

Each number is a hash of the image's own seed word, the place in the network and the position in
the map, so the same image gets the same noise in any batch and in any order.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from kernel_lib.network.compiled import Alteration

_WORD = 0xFFFFFFFF


def noise_words(images: np.ndarray, seed: int) -> np.ndarray:
    """A seed word for each image by its content, (num_images,) int64."""
    words = [zlib.crc32(image.tobytes(), seed & _WORD) for image in images]
    return np.array(words, np.int64)


def uniform_noise(words: tf.Tensor, shape: Sequence[int | tf.Tensor], salt: int) -> tf.Tensor:
    """Uniform numbers in [-1, 1).

    Args:
        words: (batch,) int64 seed words.
        shape: shape of one image's values.
        salt: another number gives independent noise.

    Returns:
        float32 (batch, *shape).
    """
    count = tf.cast(tf.reduce_prod(shape), tf.int64)
    state = words[:, None] * 0x9E3779B1 + tf.range(count)[None, :] * 0x85EBCA77 + salt
    for shift, factor in ((15, 0x2C1B3C6D), (12, 0x297A2D39), (15, 0x1B873593)):
        state = tf.bitwise.bitwise_and(state, _WORD)
        state = tf.bitwise.bitwise_xor(state, tf.bitwise.right_shift(state, shift))
        state = state * factor
    # The middle bits are mixed best; 24 of them fill a float32 exactly.
    bits = tf.bitwise.bitwise_and(tf.bitwise.right_shift(state, 7), 0xFFFFFF)
    return tf.reshape(tf.cast(bits, tf.float32) / 2.0**23 - 1, [-1, *shape])


def noise_at(places: Sequence[str], words: tf.Tensor, amplitude: float) -> Alteration:
    """Add U(-amplitude, amplitude) to the output of each of `places`."""

    def alter(name: str, layer: keras.Operation, output: tf.Tensor) -> tf.Tensor:
        if name not in places:
            return output
        shape = [size or tf.shape(output)[i] for i, size in enumerate(output.shape[1:], start=1)]
        noise = uniform_noise(words, shape, zlib.crc32(name.encode()))
        return output + amplitude * tf.cast(noise, output.dtype)

    return alter
