"""How many passes an error audit needs."""

from __future__ import annotations

from typing import Any

from kernel_lib.audit.forecast import Work
from kernel_lib.data import ImageSet
from kernel_lib.models.classifier import Classifier

_TRIES = 1.5  # mutants tried for each that is accepted, on calibration images


def work(classifier: Classifier, images: ImageSet, **options: Any) -> Work:
    """The work of `audit` with these options; all of them must be given."""
    most = options["num_images"]
    known, asked = (
        min(len(images.splits[split]), most or len(images.splits[split]))
        for split in ("calibration", "test")
    )
    scores, num_mutants = options["scores"], options["num_mutants"]
    has_paths = scores is None or any("conductance" in name or name == "both" for name in scores)
    points = options["steps"] + 1
    shifted = options["num_shift_images"] * len(options["shifts"]) * len(options["severities"])
    everything = known + asked + min(shifted, asked * len(options["shifts"]) * 3)
    forward = everything * (1 + num_mutants) + known * num_mutants * (_TRIES - 1)
    return Work(
        forward,
        everything * points if has_paths else 0,
        held=everything * (num_mutants * 4 + classifier.num_classes * 8),
        cheaper={"num_mutants": 20} if num_mutants > 40 else {"num_images": 200},
    )
