"""Which number the network is asked about: a weighting of its logits, one for each image."""

from __future__ import annotations

from typing import Any

import numpy as np

from kernel_lib._checks import check_choice
from kernel_lib.models.classifier import Classifier

TARGETS = ("predicted", "runner_up", "difference")


def target_weights(classifier: Classifier, logits: np.ndarray, target: Any = None) -> np.ndarray:
    """Return the weights of the logits that make up the explained number.

    Args:
        classifier: whose classes they are.
        logits: (num_images, num_classes).
        target: None or "predicted" (the largest logit), "runner_up" (the second largest),
            "difference" (the largest minus the second), one class for all images, or one an image.

    Returns:
        (num_images, num_classes) float32; the explained number is sum(weights * logits).
    """
    if target is None or isinstance(target, str):
        kind = check_choice("target", target or "predicted", TARGETS)
        order = np.argsort(-logits, axis=1, kind="stable")
        first, second = _one_hot(order[:, 0], logits), _one_hot(order[:, 1], logits)
        return {"predicted": first, "runner_up": second, "difference": first - second}[kind]
    return _one_hot(classifier.check_targets(target, logits), logits)


def _one_hot(classes: np.ndarray, logits: np.ndarray) -> np.ndarray:
    return np.eye(logits.shape[1], dtype=np.float32)[classes]
