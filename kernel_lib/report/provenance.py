"""What a result was made from: versions, machine, seed, model and data by their content."""

from __future__ import annotations

import datetime
import importlib
import os
import platform
import sys
from importlib import metadata
from typing import Any

import numpy as np

from kernel_lib._onednn import is_on
from kernel_lib.tasks import digest

_PACKAGES = ("kernel-lib", "tensorflow", "keras", "numpy", "scipy", "scikit-learn")
# What decides which of several ways of summing a library takes.
_FEATURES = ("AVX2", "FMA3", "AVX512F", "AVX512_SPR", "ASIMD", "SVE")


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
    """When, with which versions, on what kind of machine and with which seed: every run has it."""
    return {
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "versions": {"python": platform.python_version(), **_versions()},
        "machine": machine(),
        "seed": seed,
    }


def machine() -> dict[str, Any]:
    """What of this machine and its settings the last digits of a result depend on.

    Returns:
        system and architecture; features of the processor; cores that this process may use;
        threads of one TensorFlow operation (0: TensorFlow's own choice); onednn, see
        `kernel_lib._onednn`; gpus, and with one whether it rounds products to 10 bits
        (tensor_float_32). None where TensorFlow has not been imported.
    """
    tf: Any = sys.modules.get("tensorflow")
    found: dict[str, Any] = {
        "system": platform.system(),
        "architecture": platform.machine(),
        "features": _features(),
        "cores": _cores(),
        "threads": tf and tf.config.threading.get_intra_op_parallelism_threads(),
        "onednn": is_on(),
        "gpus": tf and len(tf.config.list_physical_devices("GPU")),
    }
    if found["gpus"]:
        found["tensor_float_32"] = tf.config.experimental.tensor_float_32_execution_enabled()
    return found


def _features() -> list[str]:
    """Names as NumPy has them; its list of them is not public, so it may be gone one day."""
    try:
        known = importlib.import_module("numpy._core._multiarray_umath").__cpu_features__
    except (ImportError, AttributeError):
        return []
    return [name for name in _FEATURES if known.get(name)]


def _cores() -> int | None:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
