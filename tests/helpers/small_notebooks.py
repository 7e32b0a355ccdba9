"""Small notebooks that stand for templates; none of them needs TensorFlow."""

from __future__ import annotations

import textwrap


def cell(source: str, kind: str = "code", tags: tuple[str, ...] = (), name: str = "a") -> dict:
    """Return a notebook cell."""
    made = {
        "id": name,
        "cell_type": kind,
        "metadata": {"tags": list(tags)} if tags else {},
        "source": textwrap.dedent(source).strip(),
    }
    return made | ({"outputs": [], "execution_count": None} if kind == "code" else {})


def notebook(parameters: str, *cells: str | dict, metadata: dict | None = None) -> dict:
    """Return a notebook: a title, a `parameters` cell, and `cells` (text is a code cell)."""
    made = [
        cell("# A small question\n\nDoes it\nwork?\n\nMore words.", "markdown", name="title"),
        cell(parameters, tags=("parameters",), name="parameters"),
    ]
    for index, each in enumerate(cells):
        made.append(cell(each, name=f"cell{index}") if isinstance(each, str) else each)
    kernelspec = {"name": "python3", "language": "python", "display_name": "Python 3"}
    return {
        "cells": made,
        "metadata": {"kernelspec": kernelspec, **(metadata or {})},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
