"""What a result was made from: versions, seed, model and data by their content."""

from __future__ import annotations

import datetime
import platform
from importlib import metadata
from typing import Any

import numpy as np

from kernel_lib.tasks import digest

_PACKAGES = ("kernel-lib", "tensorflow", "keras", "numpy", "scipy", "scikit-learn")


def provenance(classifier: Any, images: Any, seed: int) -> dict[str, Any]:
    """Describe a run so that it can be made again.

    Args:
        classifier: the audited `Classifier`.
        images: the `ImageSet` that was used, or an array of images.
        seed: the audit's seed.
    """
    return surroundings(seed) | {
        "model": {
            "name": classifier.name,
            "digest": classifier.digest,
            "parameters": classifier.num_parameters,
        },
        "data": data_origin(images),
    }


def data_origin(images: Any) -> dict[str, Any]:
    """Name, content and size of an `ImageSet` or of an array of images."""
    named = hasattr(images, "digest")
    return {
        "name": images.name if named else "array",
        "digest": images.digest if named else digest(np.asarray(images)),
        "num_images": len(images),
    }


def surroundings(seed: int) -> dict[str, Any]:
    """When, with which versions and with which seed: what every run has."""
    return {
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "versions": {"python": platform.python_version(), **_versions()},
        "seed": seed,
    }


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
