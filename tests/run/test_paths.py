"""Paths are turned to the folder of the run; names are left alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kernel_lib.cli import main
from kernel_lib.run import templates
from kernel_lib.run.paths import relocate
from kernel_lib.run.runner import RunResult


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


PATHS = ("model", "weights", "data", "masks", "assessor", "output_dir")
ODD = "a b'\"$(x)`;&|*?[é]\n日本{0}%s"
LONG = "x" * 300
VALUES = {
    "": "must not be empty",
    "  ": "must not be empty",
    "~": "",
    "~/o3": "",
    "~root/o3": "",
    "~no_such_account/o3": "there is no such account",
    "..": "",
    "../../x": "",
    "/tmp/x": "",
    "link/x": "",
    "folder:out": "",
    ODD: "",
    "a\0b": "NUL",
    "\udcff": "UTF-8",
    LONG: "is too long",
    f"new/{LONG}": "is too long",
    "x/" * 2500: "is too long",
}
ALWAYS = ("must not be empty", "NUL", "UTF-8")


@pytest.fixture
def started(monkeypatch) -> list:
    """The values of runs that would have begun; none does."""
    runs = []

    def execute(run, timeout):
        runs.append((run.values, run.path.parent))
        return RunResult(run.template.name, run.path, run.path.parent, "completed", 0.0)

    monkeypatch.setattr("kernel_lib.run.runner._Run.execute", execute)
    return runs


@pytest.mark.parametrize("template", [each.name for each in templates()])
def test_every_path_of_every_template_on_the_command_line(
    folder, started, capsys, monkeypatch, template
):
    monkeypatch.setenv("HOME", str(folder.parent / "home"))
    (folder.parent / "home" / "o3").mkdir(parents=True)
    (folder.parent / "elsewhere" / "deep").mkdir(parents=True)
    Path("link").symlink_to(folder.parent / "elsewhere" / "deep")
    Path("link/x").mkdir()
    (folder.parent / "x").mkdir()
    found = next(each for each in templates() if each.name == template)
    names = {each.name for each in found.parameters} & set(PATHS)
    assert "output_dir" in names
    for name in sorted(names):
        for value, problem in VALUES.items():
            started.clear()
            code = main(["run", template, "link/out", "-p", name, value, "--quiet"])
            told = capsys.readouterr()
            if problem and (name == "output_dir" or problem in ALWAYS):
                assert (code, started) == (2, []), (name, value)
                assert problem in told.err and told.err.startswith(f"kernel-lib: `{name}`")
                continue
            assert code == 0, (name, value, told.err)
            ((values, place),) = started
            known = os.path.exists(os.path.expanduser(value))
            if known or name == "output_dir":
                # What the notebook gets is, from its own folder, the file that was meant.
                meant = os.path.realpath(os.path.expanduser(value))
                place.mkdir(exist_ok=True)
                assert os.path.realpath(place / values[name]) == meant, (name, value)
            else:
                assert values[name] == value
    assert not Path("outputs").exists()


@pytest.mark.parametrize("output", ["", "  ", "~no_such_account/x", LONG])
def test_an_output_that_cannot_be_is_refused(folder, started, capsys, output):
    assert main(["run", "saliency_cascade", output, "--quiet"]) == 2
    assert capsys.readouterr().err.startswith("kernel-lib: ")
    assert not started


def test_home_in_an_output_is_the_home_folder(folder, started, monkeypatch):
    monkeypatch.setenv("HOME", str(folder.parent / "home"))
    assert main(["run", "saliency_cascade", "~/runs", "--quiet"]) == 0
    ((values, place),) = started
    assert place == folder.parent / "home" / "runs"
