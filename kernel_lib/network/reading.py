"""Read outputs and gradients at chosen places of a network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kernel_lib._checks import check_count
from kernel_lib._progress import shows_progress
from kernel_lib.models.classifier import Classifier, as_classifier
from kernel_lib.network.compiled import Tap, fitting_batch_size, in_batches


def taps(model: Any) -> list[Tap]:
    """List the places where `model` can be read, in the order it computes them.

    Layers inside nested models are named by their path, such as ``backbone/conv1``; the second
    call of a shared layer ends in ``:2``. A subclassed model shows the layers it calls.

    Args:
        model: a Keras model or a `kernel_lib.models.Classifier`.

    Returns:
        Taps with `name`, `layer` and `shape` (without the batch axis).

    Example:
        >>> [tap.name for tap in kl.network.taps(model) if tap.is_map]
    """
    return as_classifier(model).network.taps()


@shows_progress
def outputs(
    model: Any, images: np.ndarray, at: Sequence[str], *, batch_size: int | None = None
) -> dict[str, np.ndarray]:
    """Values at the taps named in `at`, from one forward pass a batch.

    Args:
        model: a Keras model or a `Classifier`.
        images: (num_images, height, width, channels) in [0, 1].
        at: tap names.
        batch_size: images in memory at once; None fits the image size and the network.

    Returns:
        Tap name -> (num_images, *shape of the tap) float32.
    """
    classifier = as_classifier(model)
    images = classifier.check_images(images)
    function = classifier.network.outputs_function(list(at))
    values = in_batches(function, _size(classifier, images, batch_size), images)
    return dict(zip(at, values[1:], strict=True))


@shows_progress
def gradients(
    model: Any,
    images: np.ndarray,
    targets: np.ndarray | Sequence[int] | int | None = None,
    at: Sequence[str] | None = None,
    *,
    batch_size: int | None = None,
) -> np.ndarray | dict[str, np.ndarray]:
    """Gradient of a class logit at the images, or at chosen taps.

    Args:
        model: a Keras model or a `Classifier`.
        images: (num_images, height, width, channels) in [0, 1].
        targets: the class of each image, one class for all, or None for the predicted class.
        at: tap names; None for the gradient at the images. All taps come from one forward and
            one backward pass a batch.
        batch_size: images in memory at once; None fits the image size and the network.

    Returns:
        (num_images, height, width, channels) float32, or tap name -> (num_images, *shape).
    """
    classifier = as_classifier(model)
    images = classifier.check_images(images)
    targets = classifier.check_targets(targets, images)
    batch_size = _size(classifier, images, batch_size)
    if at is None:
        function = classifier.network.image_gradient_function()
        return in_batches(function, batch_size, images, targets)[0]
    function = classifier.network.tap_gradients_function(list(at))
    values = in_batches(function, batch_size, images, targets)
    return dict(zip(at, values[1 + len(at) :], strict=True))


def _size(classifier: Classifier, images: np.ndarray, batch_size: int | None) -> int:
    fitting = fitting_batch_size(images.shape[1:], classifier.network)
    return check_count("batch_size", batch_size or fitting)
