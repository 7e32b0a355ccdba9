"""Masks from elsewhere than LabelMe: folders of PNG files, and automatic ones.

Automatic masks are guesses: they say so in their source, and a person should look them over
(export them with `kernel_lib.data.export_labelme` and correct them).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from kernel_lib._checks import check_choice, check_count
from kernel_lib.data import ImageSet, MaskImport
from kernel_lib.data.image_files import read_image
from kernel_lib.data.labelme import POLARITIES
from kernel_lib.data.labelme_draw import area_average
from kernel_lib.data.labelme_import import import_files
from kernel_lib.doctor.gradients import watching
from kernel_lib.doctor.places import check_tap
from kernel_lib.models.classifier import Classifier, as_classifier
from kernel_lib.network.compiled import fitting_batch_size, in_batches

METHODS = ("saliency", "border")


def import_png_masks(
    folder: str | os.PathLike[str], images: ImageSet, *, polarity: str = "object"
) -> MaskImport:
    """Read a folder of black and white PNG masks.

    Files are matched to images as `kernel_lib.data.import_labelme` does it.

    Args:
        folder: where the files lie, with all its subfolders.
        images: the image set they belong to.
        polarity: what is white (above half), the "object" or the "background". Masks that the
            first published code of the Model Doctor wrote have a white background.

    Returns:
        The masks at the size of the images, with source "png"; problems beside their files.
    """
    check_choice("polarity", polarity, POLARITIES)
    height, width = images.image_shape[:2]

    def read(path: Path) -> tuple[np.ndarray, str]:
        white = read_image(path, channels=1)[..., 0] > 127
        mask = area_average(white, height, width) >= 0.5 - 1e-6
        mask = mask if polarity == "object" else ~mask
        if not mask.any():
            raise ValueError("the mask holds no object: is its polarity the other way round?")
        return mask, ""

    return import_files(folder, images, (".png",), read, "png")


def automatic_masks(
    model: Any,
    images: ImageSet,
    indices: np.ndarray | None = None,
    *,
    method: str = "saliency",
    tap: str | None = None,
    batch_size: int | None = None,
) -> MaskImport:
    """Guess where the object is.

    Args:
        model: a Keras model or a `Classifier`; only "saliency" looks at it.
        images: an image set.
        indices: which images; None takes the training split.
        method: "saliency": where gradient times activation of the true class is large; a network
            that is misled will mislead here too. "border": what differs in colour from the
            image's border, without a network. Both are cut by Otsu's threshold.
        tap: where saliency is read; None for the last convolution.
        batch_size: images in memory at once; None fits the image size.

    Returns:
        Masks with source "automatic"; images where nothing stands out are named in `problems`.
    """
    check_choice("method", method, METHODS)
    places = images.splits["train"] if indices is None else np.asarray(indices, np.int64)
    network = None
    if method == "saliency":
        classifier = as_classifier(model)
        classifier.check_images(images.images[:1])
        network = classifier.network
    fitting = fitting_batch_size(images.image_shape, network)
    size = check_count("batch_size", batch_size or fitting)
    masks = np.zeros((len(places), *images.image_shape[:2]), bool)
    for start in range(0, len(places), size):
        batch = places[start : start + size]
        if method == "border":
            heat = border_contrast(images.images[batch])
        else:
            heat = _saliency(classifier, images, batch, tap, size)
        masks[start : start + size] = otsu_masks(heat)
    found = masks.any(axis=(1, 2)) & ~masks.all(axis=(1, 2))
    problems = tuple((f"image {place}", "nothing stands out.") for place in places[~found])
    names = tuple(f"image {place}" for place in places[found])
    return MaskImport(places[found], masks[found], names, problems, "automatic")


def border_contrast(images: np.ndarray) -> np.ndarray:
    """Distance of each pixel's colour from the median colour of the border, (n, h, w)."""
    rim = np.concatenate(
        [images[:, 0], images[:, -1], images[:, 1:-1, 0], images[:, 1:-1, -1]], axis=1
    )
    color = np.median(rim, axis=1)
    return np.linalg.norm(images - color[:, None, None], axis=-1)


def otsu_masks(heat: np.ndarray) -> np.ndarray:
    """Cut each map where the variance between both sides is largest (Otsu 1979).

    Args:
        heat: (num_images, height, width).

    Returns:
        bool, the same shape; a constant map gives an empty mask.
    """
    flat = np.sort(heat.reshape(len(heat), -1).astype(np.float64), axis=1)
    count = flat.shape[1]
    below = np.arange(1, count)
    total = np.cumsum(flat, axis=1)
    low = total[:, :-1] / below
    high = (total[:, -1:] - total[:, :-1]) / (count - below)
    between = below * (count - below) * (high - low) ** 2
    # A cut must lie between two different values.
    between = np.where(flat[:, 1:] > flat[:, :-1], between, -1)
    cut = between.argmax(axis=1)
    rows = np.arange(len(heat))
    threshold = (flat[rows, cut] + flat[rows, cut + 1]) / 2
    is_constant = between.max(axis=1) <= 0
    return (heat > threshold[:, None, None]) & ~is_constant[:, None, None]


def _saliency(
    classifier: Classifier, images: ImageSet, places: np.ndarray, tap: str | None, batch_size: int
) -> np.ndarray:
    import tensorflow as tf

    network = classifier.network
    name = check_tap(network, tap).name

    def body(pictures: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            logits, (maps,) = network.forward(pictures, [name], watching(tape, name))
            score = tf.gather(logits, labels, axis=1, batch_dims=1)
        flow = tape.gradient(score, maps, unconnected_gradients="zero") * maps
        heat = tf.nn.relu(tf.reduce_sum(flow, axis=-1, keepdims=True))
        return tf.image.resize(heat, tf.shape(pictures)[1:3])[..., 0]

    function = network.function(
        ("mask saliency", name), body, [network.image_spec, network.target_spec]
    )
    labels = images.labels[places].astype(np.int32)
    return in_batches(function, batch_size, images.images[places], labels)[0]
