"""oneDNN, TensorFlow's faster operations for CPUs: switched on before TensorFlow is imported.

TensorFlow reads the variable once, while it is imported. Left alone, it switches oneDNN on only on
some processors (those with AVX-512 VNNI); elsewhere a network runs 2 to 3 times slower and grouped
convolutions have no gradient.
"""

from __future__ import annotations

import os
import sys
import warnings

VARIABLE = "TF_ENABLE_ONEDNN_OPTS"


class SlowTensorFlowWarning(UserWarning):
    """TensorFlow was imported first, without the operations that make it fast."""


def switch_on() -> None:
    """Set the variable, unless somebody has; say what it costs if TensorFlow came too early."""
    if VARIABLE in os.environ:
        return
    if sys.modules.get("tensorflow") is None:
        os.environ[VARIABLE] = "1"
    elif is_on() is False and sys.platform != "darwin":  # macOS' TensorFlow is built without it
        warnings.warn(
            "TensorFlow was imported before kernel_lib and runs without oneDNN: on the CPU, "
            "forward passes take 2 to 3 times as long and grouped convolutions have no gradient. "
            f"Import kernel_lib first, or set {VARIABLE}=1 before Python starts.",
            SlowTensorFlowWarning,
            stacklevel=3,
        )


def is_on() -> bool | None:
    """Whether TensorFlow uses oneDNN in this process; None if TensorFlow is not there yet."""
    if sys.modules.get("tensorflow") is None:
        return None
    try:
        from tensorflow.python.util import _pywrap_util_port
    except ImportError:  # not where this version keeps it: what was asked for is all that is known
        asked = os.environ.get(VARIABLE)
        return None if asked is None else asked.strip().lower() in ("1", "true")
    return bool(_pywrap_util_port.IsMklEnabled())
