"""What every audit stands on: reading a network's insides, and changing its weights safely.

| name | meaning |
|---|---|
| `taps` | the places of a network that can be read, in the order the network computes them |
| `outputs` | values at chosen taps |
| `gradients` | gradients of a class logit at chosen taps, or at the image |
| `blocks` | the layers that own weights, grouped, from input to output |
| `restored_weights` | change weights inside; on leaving, they are as they were, bit for bit |
"""

from __future__ import annotations

import importlib
from typing import Any

# Name -> module. Loaded on first use: the classifier imports `compiled`, `reading` the classifier.
_PUBLIC = {
    "CompiledNetwork": "compiled",
    "Block": "grouping",
    "Tap": "compiled",
    "blocks": "grouping",
    "gradients": "reading",
    "outputs": "reading",
    "Snapshot": "weights",
    "restored_weights": "weights",
    "taps": "reading",
}

__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(importlib.import_module(f"{__name__}.{_PUBLIC[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
