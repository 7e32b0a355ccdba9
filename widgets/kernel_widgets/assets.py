"""The module and the style sheet of a widget: what all widgets share, then its own part.

A widget is one ES module that imports nothing, so the shared text stands in front of each of them.
"""

from __future__ import annotations

from pathlib import Path

_STATIC = Path(__file__).parent / "static"


def module(name: str) -> str:
    """Return the ES module of the widget `name`, such as "trust_matrix"."""
    return _joined(f"{name}.js")


def stylesheet(name: str) -> str:
    """Return the style sheet of the widget `name`, such as "trust_matrix"."""
    return _joined(f"{name}.css")


def _joined(name: str) -> str:
    files = (_STATIC / f"common{Path(name).suffix}", _STATIC / name)
    return "\n".join(file.read_text(encoding="utf-8") for file in files)
