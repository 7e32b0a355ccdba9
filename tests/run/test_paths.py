"""Paths are turned to the folder of the run; names are left alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from kernel_lib.run.paths import relocate


@pytest.mark.parametrize(
    ("value", "seen"),
    [
        ("digits", "digits"),
        ("./digits", "../../digits"),
        ("folder:digits", "folder:../../digits"),
        ("tfds:digits", "tfds:digits"),
        ("npz:a.npz", "npz:../../a.npz"),
        ("npz:none.npz", "npz:none.npz"),
        ("a.npz", "../../a.npz"),
        ("https://a.npz", "https://a.npz"),
        ("", ""),
    ],
)
def test_paths_are_turned_and_names_are_not(folder, value, seen):
    Path("digits").mkdir()
    Path("a.npz").touch()
    assert relocate("data", value, Path("out/run")) == seen
    assert relocate("data", [value], Path("out/run")) == [seen]
    assert relocate("output_dir", "new", Path("out/run")) == "../../new"
    there = str(Path("a.npz").resolve())
    assert relocate("data", there, Path("out/run")) == there
