"""How many passes an invariance audit needs."""

from __future__ import annotations

from typing import Any

from kernel_lib.audit.forecast import Work
from kernel_lib.invariance.transforms import as_transform
from kernel_lib.models.classifier import Classifier

_SIGNALS = 12  # kept for each image and step


def work(classifier: Classifier, images: Any, **options: Any) -> Work:
    """The work of `audit` with these options; all of them must be given."""
    pixels = getattr(images, "images", images)
    splits = getattr(images, "splits", {})
    pool = len(splits.get("test", ())) or len(pixels)
    count = min(options["num_images"], pool)
    transform = as_transform(
        options["transform"], options["values"], identity=options["identity"], seed=options["seed"]
    )
    steps = len(transform.grid)
    shown = min(options["num_display"], count)
    return Work(
        count * (steps + 1) + shown * steps,
        held=4.0 * _SIGNALS * count * steps,
        cheaper={"num_images": max(100, count // 4)},
    )
