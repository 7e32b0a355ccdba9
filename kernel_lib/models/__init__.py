"""Networks: built by name, trained, loaded from files, and wrapped with how they want input.

Names load on first use, so importing this package does not import TensorFlow.
"""

from __future__ import annotations

import importlib
from typing import Any

# Public name -> module that holds it.
_PUBLIC = {
    "Classifier": "classifier",
    "as_classifier": "classifier",
    "build": "networks",
    "channels_last": "channels",
    "load": "loading",
    "load_or_train": "choosing",
    "names": "networks",
    "train": "training",
}

__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(importlib.import_module(f"{__name__}.{_PUBLIC[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
