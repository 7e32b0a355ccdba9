"""Trust audit: what has a network learned that it was not asked to learn?

Names load on first use: matrices, scores and probes on given features work without TensorFlow.
"""

from __future__ import annotations

import importlib
from typing import Any

# Public name -> module that holds it.
_PUBLIC = {
    "TaskMatrix": "matrix",
    "TrustResult": "result",
    "TrustScore": "scores",
    "audit": "auditing",
    "compare": "comparison",
    "features": "extraction",
    "ideal_matrix": "ideal",
    "online_code": "codes",
    "primary_task": "columns",
    "probe": "probing",
    "probes": "probing",
    "read_matrix": "tables",
    "suppress": "suppression",
    "suppression_curve": "suppression",
    "train_primaries": "primaries",
    "trust_matrix": "probing",
    "trust_score": "scores",
    "write_matrix": "tables",
}

__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(importlib.import_module(f"{__name__}.{_PUBLIC[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
