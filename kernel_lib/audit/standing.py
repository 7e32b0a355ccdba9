"""How well a network does its own task on the images that an audit rests on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kernel_lib.audit.statistics import wilson_interval


@dataclass(frozen=True)
class Standing:
    """Accuracy with its interval, beside what guessing gives.

    Attributes:
        num_right, num_images: counts.
        low, high: 95 % Wilson interval of the accuracy.
        chance: accuracy of answers that do not depend on the image: one in K classes, or, where it
            is more, the agreement that answers with the network's own preferences have with the
            labels by chance (the expected agreement of Cohen's kappa). A network that always says
            the same class has no more than that, however common the class is.
        largest_class: share of the most common label, the accuracy of always saying it.
        num_classes: classes the network knows.
    """

    num_right: int
    num_images: int
    low: float
    high: float
    chance: float
    largest_class: float
    num_classes: int

    @property
    def accuracy(self) -> float:
        """Share of images whose predicted class is their label."""
        return self.num_right / self.num_images

    @property
    def is_guessing(self) -> bool:
        """Whether the accuracy cannot be told from that of guessing."""
        return self.low <= self.chance

    def describe(self) -> dict[str, Any]:
        """As plain data, with the accuracy."""
        return {
            "accuracy": self.accuracy,
            "low": self.low,
            "high": self.high,
            "num_right": self.num_right,
            "num_images": self.num_images,
            "chance": self.chance,
            "largest_class": self.largest_class,
        }

    def __str__(self) -> str:
        return (
            f"right on {self.accuracy:.1%} [{self.low:.1%}, {self.high:.1%}] of "
            f"{self.num_images:,} images; guessing is right on {self.chance:.1%}"
        )


def standing_of(predicted: np.ndarray, labels: np.ndarray, num_classes: int) -> Standing:
    """Hold predictions against labels.

    Args:
        predicted: (num_images,) predicted classes.
        labels: (num_images,) true classes.
        num_classes: classes the network knows.
    """
    predicted, labels = np.asarray(predicted), np.asarray(labels)
    size = max(num_classes, int(labels.max()) + 1)
    answers = np.bincount(predicted, minlength=size) / len(labels)
    truths = np.bincount(labels, minlength=size) / len(labels)
    num_right = int((predicted == labels).sum())
    low, high = wilson_interval(num_right / len(labels), len(labels))
    return Standing(
        num_right,
        len(labels),
        float(low),
        float(high),
        float(max(1 / num_classes, (answers * truths).sum())),
        float(truths.max()),
        num_classes,
    )


def by_class(
    predicted: np.ndarray, labels: np.ndarray, class_names: Sequence[str]
) -> list[dict[str, Any]]:
    """Accuracy class by class.

    Returns:
        One row a class: class, num_images, num_right, accuracy (None without images), low, high,
        num_predicted (how often the network says it).
    """
    rows = []
    for position, name in enumerate(class_names):
        here = labels == position
        count, right = int(here.sum()), int((predicted[here] == position).sum())
        low, high = wilson_interval(right / max(count, 1), count)
        rows.append(
            {
                "class": name,
                "num_images": count,
                "num_right": right,
                "accuracy": right / count if count else None,
                "low": float(low),
                "high": float(high),
                "num_predicted": int((predicted == position).sum()),
            }
        )
    return rows
