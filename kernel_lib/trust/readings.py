"""What one probe read off one set of features for one target."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

TEMPERATURES = np.geomspace(0.05, 50, 31)


@dataclass(frozen=True, eq=False)
class Reading:
    """Answers of a probe on the test images.

    Attributes:
        predictions: (num_images,) class ids for every image of the set; -1 where the image was not
            tested.
        log_loss: mean of -log2 of the probability given to the true class; bits an image.
        strength: the setting that was chosen on the calibration split.
        seconds: time for fitting.
    """

    predictions: np.ndarray
    log_loss: float
    strength: float
    seconds: float


def log_softmax(scores: np.ndarray) -> np.ndarray:
    """Logarithms of probabilities along the last axis, base e, float64."""
    scores = scores.astype(np.float64)
    scores = scores - scores.max(axis=-1, keepdims=True)
    return scores - np.log(np.exp(scores).sum(axis=-1, keepdims=True))


def mean_bits(log_probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Mean code length of the true classes, bits an image."""
    chosen = log_probabilities[np.arange(len(labels)), labels]
    return float(-chosen.mean() / np.log(2))


def best_temperature(scores: np.ndarray, labels: np.ndarray) -> float:
    """The factor that makes softmax(factor * scores) give the labels the shortest code."""
    lengths = [mean_bits(log_softmax(scores * factor), labels) for factor in TEMPERATURES]
    return float(TEMPERATURES[int(np.argmin(lengths))])


def smoothed(probabilities: np.ndarray, count: int) -> np.ndarray:
    """Mix probabilities with the uniform ones, as one pseudo-image among `count` would."""
    num_classes = probabilities.shape[-1]
    return (count * probabilities + 1 / num_classes) / (count + 1)
