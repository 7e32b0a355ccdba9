"""Whether the network's outputs stand in another order than the labels.

A folder is read alphabetically; the network may have been trained on another order. Then its
confusion matrix is nearly a permutation. The best matching of outputs to labels is found on one
half of the images (linear assignment) and must prove itself on the other half.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from kernel_lib.audit.standing import standing_of
from kernel_lib.audit.statistics import exact_mcnemar

SIGNIFICANCE = 0.001
LEAST_GAIN = 0.1  # accuracy that another order must gain
_MOSTLY = 0.5  # matched accuracy from which the order alone explains what is wrong


@dataclass(frozen=True)
class ClassOrder:
    """Another order of classes that fits the answers better.

    Attributes:
        label_of: (num_classes,) the label that each output stands for.
        accuracy, matched_accuracy: as labelled, and with outputs matched to labels, on images that
            the matching did not see.
        num_images: how many those are.
        p_value: exact, paired.
        shift: k if every output stands for the label k places on, else None.
    """

    label_of: tuple[int, ...]
    accuracy: float
    matched_accuracy: float
    num_images: int
    p_value: float
    shift: int | None

    @property
    def is_near_permutation(self) -> bool:
        """Whether most answers are right in this order, so that it explains the errors."""
        return self.matched_accuracy >= _MOSTLY

    def names(self, class_names: Sequence[str]) -> list[str]:
        """The names of the classes in the order of the network's outputs."""
        return [class_names[label] for label in self.label_of]


def find_class_order(
    predicted: np.ndarray, labels: np.ndarray, num_classes: int, seed: int = 0
) -> ClassOrder | None:
    """The order of classes that the answers fit, if it is decisively another than the labels'.

    Args:
        predicted: (num_images,) outputs of the network.
        labels: (num_images,) labels, in the order under test.
        num_classes: outputs of the network.
        seed: of the halves.
    """
    return _matched(predicted, labels, num_classes, seed) or _shifted(
        predicted, labels, num_classes
    )


def _shifted(predicted: np.ndarray, labels: np.ndarray, num_classes: int) -> ClassOrder | None:
    """An off-by-one needs no fitting, so few images of each of many classes can show it."""
    for shift in (-1, 1):
        label_of = (np.arange(num_classes) + shift) % num_classes
        found = _compared(label_of, predicted, labels, shift)
        if found is not None and found.is_near_permutation:
            return found
    return None


def _matched(
    predicted: np.ndarray, labels: np.ndarray, num_classes: int, seed: int
) -> ClassOrder | None:
    order = np.random.default_rng([seed, len(labels)]).permutation(len(labels))
    fit, held = order[::2], order[1::2]
    if not len(held):
        return None
    confusion = np.zeros((num_classes, num_classes))
    np.add.at(confusion, (predicted[fit], labels[fit]), 1)
    confusion += 1e-6 * np.eye(num_classes)  # a class that says nothing stays where it is
    _, label_of = linear_sum_assignment(confusion, maximize=True)
    if np.array_equal(label_of, np.arange(num_classes)):
        return None
    shifts = (label_of - np.arange(num_classes) + 1) % num_classes - 1
    shift = int(shifts[0]) if np.ptp(shifts) == 0 and abs(shifts[0]) == 1 else None
    return _compared(label_of, predicted[held], labels[held], shift)


def _compared(
    label_of: np.ndarray, predicted: np.ndarray, labels: np.ndarray, shift: int | None
) -> ClassOrder | None:
    as_given, matched = predicted == labels, label_of[predicted] == labels
    p_value = exact_mcnemar(as_given, matched)
    gain = float(matched.mean() - as_given.mean())
    if p_value >= SIGNIFICANCE or gain < LEAST_GAIN:
        return None
    if standing_of(label_of[predicted], labels, len(label_of)).is_guessing:
        return None  # such as one answer for all images, which now is the most common class
    return ClassOrder(
        tuple(int(each) for each in label_of),
        float(as_given.mean()),
        float(matched.mean()),
        len(labels),
        p_value,
        shift,
    )
