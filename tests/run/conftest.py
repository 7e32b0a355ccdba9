"""A working folder and a templates folder for each test."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, with one of Jupyter's data folders inside as the only one."""
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return work


@pytest.fixture
def add_template(folder: Path) -> Callable[..., Path]:
    """Return a function that adds a template, and presets, to Jupyter's data folder."""
    templates = folder.parent / "jupyter" / "kernel_lib" / "templates"
    templates.mkdir(parents=True)

    def add(name: str, content: dict | str, **presets: str) -> Path:
        path = templates / f"{name}.ipynb"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        for preset, text in presets.items():
            file = templates / "presets" / name / f"{preset}.yaml"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return path

    return add
