"""Code lengths: how many bits it takes to send labels to someone who has the features.

Online code (Voita & Titov 2020, equation 5): labels are sent in growing blocks. The first costs
log2 K bits a label; each further block costs -log2 p of a probe fitted on all earlier blocks. A
task that is plainly written in the features is learned from few images, and its code is short. The
length depends far less on the probe's size than accuracy does.

Usable information (Xu et al. 2020): entropy of the labels less the probe's log loss on test images,
at least 0, in bits an image.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from kernel_lib._random import random_stream
from kernel_lib.trust import logistic
from kernel_lib.trust.readings import mean_bits, smoothed

PORTIONS = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.0625, 0.125, 0.25, 0.5, 1.0)


@dataclass(frozen=True)
class OnlineCode:
    """Length of an online code.

    Attributes:
        bits: length of the whole code.
        uniform_bits: length without the features, log2 K a label.
    """

    bits: float
    uniform_bits: float

    @property
    def compression(self) -> float:
        """How many times shorter the features make the code; about 1 if they say nothing."""
        return self.uniform_bits / self.bits


def online_code(
    features: np.ndarray,
    labels: np.ndarray,
    num_classes: int,
    *,
    strength: float = 0.01,
    seed: int = 0,
) -> OnlineCode:
    """Length of the online code of labels, with logistic regression as the probe.

    Args:
        features: (num_images, num_features); standardised here.
        labels: (num_images,) class ids from 0, none missing.
        num_classes: K.
        strength: penalty of the probe, see `kernel_lib.trust.logistic`.
        seed: of the order in which images are sent.

    Returns:
        An `OnlineCode`.

    Raises:
        ValueError: lengths that differ.

    Example:
        >>> colors = np.arange(1000) % 7
        >>> online_code(np.eye(7)[colors], colors, 7).compression > 5
        True
    """
    if len(features) != len(labels):
        raise ValueError(
            f"There must be one label for each row of features. Received: {len(features)} rows "
            f"and {len(labels)} labels."
        )
    order = random_stream([seed, 0xC0DE]).permutation(len(labels))
    values, labels = np.asarray(features)[order].astype(np.float32), np.asarray(labels)[order]
    ends = sorted({max(2, round(share * len(labels))) for share in PORTIONS})
    bits = ends[0] * np.log2(num_classes)
    for start, end in itertools.pairwise(ends):
        shares = _learned(values[:start], labels[:start], values[start:end], num_classes, strength)
        bits += mean_bits(np.log(shares), labels[start:end]) * (end - start)
    return OnlineCode(float(bits), float(len(labels) * np.log2(num_classes)))


def usable_information(log_loss: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Entropy of `labels` less a probe's log loss, at least 0; bits an image.

    Args:
        log_loss: bits an image, any shape.
        labels: (num_images,) class ids, -1 where missing.
    """
    return np.maximum(0, label_entropy(labels) - np.asarray(log_loss))


def label_entropy(labels: np.ndarray) -> float:
    """Entropy of class ids in bits; -1 is left out."""
    counts = np.bincount(labels[labels >= 0])
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log2(shares)).sum())


def _learned(
    known: np.ndarray, labels: np.ndarray, asked: np.ndarray, num_classes: int, strength: float
) -> np.ndarray:
    """Probabilities for `asked` by a probe fitted on what was sent; smoothed, so never zero."""
    if len(np.unique(labels)) < 2:
        shares = np.bincount(labels, minlength=num_classes) / len(labels)
        return smoothed(np.tile(shares, (len(asked), 1)), len(labels))
    mean, scale = known.mean(axis=0), known.std(axis=0)
    scale[scale < 1e-6] = 1
    model = logistic.fit((known - mean) / scale, labels, strength)
    return smoothed(logistic.probabilities(model, (asked - mean) / scale, num_classes), len(labels))
