"""How many passes a doctor's audit needs."""

from __future__ import annotations

from typing import Any

from kernel_lib.audit.forecast import Work
from kernel_lib.data import ImageSet
from kernel_lib.models.classifier import Classifier

_RANDOM_SETS = 10  # of channels, held constant as a control
_EXCHANGES = 2  # of backgrounds: with the same class, and with another


def work(classifier: Classifier, images: ImageSet, **options: Any) -> Work:
    """The work of `audit` with these options; all of them must be given."""
    sizes = {name: len(indices) for name, indices in images.splits.items()}
    test = min(sizes["test"], options["num_images"])
    known = min(sizes["calibration"] or sizes["train"], options["num_images"])
    diagnosed = min(options["per_class"] * images.num_classes, sizes["train"])
    trained = 2 * options["num_seeds"] if options["treatment"] else 0  # each with its control
    looks = 1 + trained  # networks that are measured
    masked = known * _EXCHANGES if images.masks is not None else 0
    forward = sizes["train"] + known + test * (2 + _RANDOM_SETS) + looks * (test + masked)
    gradient = diagnosed + known + looks * test
    # A step of treatment differentiates its gradients once more.
    steps = options["epochs"] * sizes["train"] * trained * (2 if images.masks is not None else 1.5)
    return Work(
        forward,
        gradient + steps,
        cheaper={"treatment": False} if trained else {"num_images": max(50, test // 4)},
    )
