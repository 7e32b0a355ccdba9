"""What a result was made from: versions, seed, model and data by their content."""

from __future__ import annotations

import datetime
import platform
from importlib import metadata
from typing import Any

_PACKAGES = ("kernel-lib", "tensorflow", "keras", "numpy", "scipy", "scikit-learn")


def provenance(classifier: Any, images: Any, seed: int) -> dict[str, Any]:
    """Describe a run so that it can be made again.

    Args:
        classifier: the audited `Classifier`.
        images: the `ImageSet` that was used.
        seed: the audit's seed.
    """
    return surroundings(seed) | {
        "model": {
            "name": classifier.name,
            "digest": classifier.digest,
            "parameters": classifier.num_parameters,
        },
        "data": {"name": images.name, "digest": images.digest, "num_images": len(images)},
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
