"""How many passes a trust audit needs."""

from __future__ import annotations

from typing import Any

from kernel_lib.audit.forecast import Work
from kernel_lib.data import ImageSet
from kernel_lib.models.classifier import Classifier


def work(classifier: Classifier, images: ImageSet, **options: Any) -> Work:
    """The work of `audit` with these options; all of them must be given."""
    runs = 1  # networks; an audit of several takes as many times the passes
    blank = options["num_untrained"] if "untrained" in options["controls"] else 0
    return Work(
        len(images) * (runs + blank) + runs * len(images.splits["test"]),
        held=4.0 * len(images) * 256 * (runs + blank),
        cheaper={"num_untrained": 1} if blank > 1 else {"controls": ()},
    )
