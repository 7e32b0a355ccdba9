"""Where a path of images starts, and how a sum along it stands for an integral."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter

from kernel_lib._checks import check_choice
from kernel_lib.models.classifier import Classifier

RULES = ("right", "left", "trapezoid")
BASELINES = ("zero_input", "blur")


def baselines_of(classifier: Classifier, images: np.ndarray, baseline: Any) -> list[np.ndarray]:
    """Return the images where paths begin.

    Args:
        classifier: whose preprocessing says what its zero is.
        images: (num_images, height, width, channels) in [0, 1].
        baseline: a number (an even image of that brightness), "zero_input" (the image that
            preprocessing maps to zero), "blur" (each image, blurred), an array for all images
            (height, width, channels) or one an image (num_images, height, width, channels); or a
            list of these, over which conductance is averaged.

    Returns:
        Arrays that broadcast to `images`, one for each baseline in the list.
    """
    several = baseline if isinstance(baseline, list | tuple) else [baseline]
    if not several:
        raise ValueError("`baseline` is an empty list. Name at least one baseline.")
    return [_baseline_of(classifier, images, one) for one in several]


def _baseline_of(classifier: Classifier, images: np.ndarray, baseline: Any) -> np.ndarray:
    if isinstance(baseline, str):
        kind = check_choice("baseline", baseline, BASELINES)
        return blurred(images) if kind == "blur" else _zero_input(classifier, images)
    value = np.asarray(baseline, np.float32)
    if not np.isfinite(value).all():
        raise ValueError("`baseline` must be finite: it holds NaN or infinite values.")
    if value.ndim == 0:
        return np.full((1, *images.shape[1:]), value, np.float32)
    if value.shape not in (images.shape, images.shape[1:]):
        raise ValueError(
            f"`baseline` must be a number, {', '.join(map(repr, BASELINES))}, or an array of shape "
            f"{images.shape[1:]} or {images.shape}. Received: an array of shape {value.shape}."
        )
    return value if value.ndim == 4 else value[None]


def blurred(images: np.ndarray, width: float = 0.15) -> np.ndarray:
    """Each image, blurred with a Gaussian of `width` times its side."""
    sigma = (0, width * images.shape[1], width * images.shape[2], 0)
    return gaussian_filter(images, sigma, mode="nearest").astype(np.float32)


def _zero_input(classifier: Classifier, images: np.ndarray) -> np.ndarray:
    """Solve preprocess(x) = 0, by two probes, as preprocessing is affine in each channel."""
    apply = classifier.preprocessing.apply
    shape = (1, *images.shape[1:])
    offset = np.asarray(apply(np.zeros(shape, np.float32)), np.float64)
    scale = np.asarray(apply(np.ones(shape, np.float32)), np.float64) - offset
    if offset.shape != shape or (scale == 0).any():
        raise ValueError(
            "'zero_input' needs preprocessing by scale and offset. Give the baseline as an array."
        )
    # Some preprocessing swaps the channels; the offset then belongs to the swapped place.
    zero = (-offset / scale).astype(np.float32)
    for candidate in (zero, zero[..., ::-1]):
        if np.abs(np.asarray(apply(candidate))).max() < 1e-3 * np.abs(scale).max():
            return candidate
    raise ValueError(
        "'zero_input' needs preprocessing by scale and offset. Give the baseline as an array."
    )


def shares_of(steps: int, most_points: int) -> list[np.ndarray]:
    """Places along the path, 0 to 1, in segments of at most `most_points` that share their ends."""
    shares = np.linspace(0, 1, steps + 1, dtype=np.float64).astype(np.float32)
    stride = most_points - 1
    return [shares[start : start + stride + 1] for start in range(0, steps, stride)]
