"""What every audit shares: the intake, the guards of every verdict, statistics.

| name | meaning |
|---|---|
| `intake` | what each audit calls first: settles how a network is fed and judged |
| `conclude` | what each audit calls last: no verdict without evidence |
"""

from __future__ import annotations

import importlib
from typing import Any

# Public name -> module that holds it.
_PUBLIC = {
    "Finding": "findings",
    "Intake": "findings",
    "Standing": "standing",
    "conclude": "guards",
    "intake": "examine",
}

__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(importlib.import_module(f"{__name__}.{_PUBLIC[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
