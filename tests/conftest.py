"""Settings every test shares."""

from __future__ import annotations

import os
import sys

import pytest
from absl import logging as absl_logging

import kernel_lib  # noqa: F401  (before any test imports TensorFlow, as `kernel_lib._onednn` says)

# TensorFlow's logger closes the stream it was born with when logging is set up anew, if that is
# not the process's own; born under pytest it would close what pytest captures with.
absl_logging.get_absl_handler().python_handler.setStream(sys.__stderr__)

# A dependency of the notebook format builds dozens of parsers at import, seconds each time;
# nothing here validates internationalised addresses, so it is told the package is absent.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("MPLBACKEND", "Agg")


@pytest.fixture(autouse=True)
def _same_weights_every_time():
    """Layers that a test makes without a seed start with the same weights in every run."""
    if "keras" in sys.modules:
        sys.modules["keras"].utils.set_random_seed(0)
