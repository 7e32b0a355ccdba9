"""Controls no training has touched: the same network with its first weights, and raw pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kernel_lib._random import random_stream
from kernel_lib.models.classifier import Classifier
from kernel_lib.network.grouping import blocks
from kernel_lib.network.initial import first_value
from kernel_lib.network.weights import restored_weights
from kernel_lib.trust.extraction import features

PIXELS_SIDE = 16


def untrained_features(
    classifier: Classifier, images: Any, taps: Sequence[str], seeds: Sequence[int], **options: Any
) -> list[dict[str, np.ndarray]]:
    """Features of networks of the same architecture with weights as its initialisers draw them.

    Args:
        classifier: its weights are changed in place, and put back whatever happens.
        images: an `ImageSet`.
        taps: names of taps.
        seeds: one network for each.
        **options: of `features`.

    Returns:
        Tap -> features, one mapping a seed.
    """
    found = []
    with restored_weights(classifier):
        for seed in seeds:
            initialize(classifier, seed)
            found.append(features(classifier, images, taps, **options))
    return found


def initialize(classifier: Classifier, seed: int) -> None:
    """Draw all weights anew, in place, each from its own layer's initialiser and its own stream."""
    places = {id(variable): place for place, variable in enumerate(classifier.model.variables)}
    for block in blocks(classifier, "layers"):
        for layer, variables in block.layers:
            for variable in variables:
                stream = random_stream([seed, 0x1417, places[id(variable)]])
                variable.assign(first_value(layer, variable, stream))


def pixel_features(images: np.ndarray, side: int = PIXELS_SIDE) -> np.ndarray:
    """Images shrunk to `side` pixels by averaging, (num_images, side * side * channels).

    Args:
        images: (num_images, height, width, channels).
        side: height and width; smaller images stay as they are.
    """
    for axis in (1, 2):
        images = _averaged(images, axis, side)
    return images.reshape(len(images), -1).astype(np.float32)


def _averaged(images: np.ndarray, axis: int, side: int) -> np.ndarray:
    """Means over `side` runs of pixels along an axis, as equal in length as can be."""
    length = images.shape[axis]
    if length <= side:
        return images
    edges = np.linspace(0, length, side + 1).round().astype(int)
    sums = np.add.reduceat(images, edges[:-1], axis=axis)
    shape = [1] * images.ndim
    shape[axis] = side
    return sums / np.diff(edges).astype(np.float32).reshape(shape)
