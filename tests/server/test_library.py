"""Templates: read once, read again when they change, never a reason to break."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from kernel_lib.run import catalogue
from kernel_lib.server.library import Library
from kernel_lib.server.notebooks import filled
from small_notebooks import notebook


@pytest.fixture
def library(tmp_path):
    (tmp_path / "one.ipynb").write_text(json.dumps(notebook("seed: int = 0")))
    return Library([tmp_path, tmp_path / "missing"])


@pytest.fixture
def reads(monkeypatch):
    counted = []

    def read_template(path):
        counted.append(path.name)
        return original(path)

    original = catalogue.read_template
    monkeypatch.setattr(catalogue, "read_template", read_template)
    return counted


def test_a_file_is_read_again_only_when_it_changed(library, reads, tmp_path):
    library.listing()
    first = len(reads)
    assert "one.ipynb" in reads
    library.listing()
    library.detail("one")
    assert len(reads) == first
    path = tmp_path / "one.ipynb"
    path.write_text(json.dumps(notebook("seed: int = 1")))
    os.utime(path, ns=(0, 0))
    assert library.detail("one")["parameters"][0]["default"] == "1"
    assert reads[first:] == ["one.ipynb"]
    path.unlink()
    assert "one" not in library.templates()


def test_a_new_preset_is_seen(library, tmp_path):
    assert library.detail("one")["presets"] == []
    (tmp_path / "presets" / "one").mkdir(parents=True)
    (tmp_path / "presets" / "one" / "ci.yaml").write_text("seed: 2")
    assert library.detail("one")["presets"][0]["values"] == {"seed": 2}


STRANGE = {
    "deep": "[" * 100_000 + "]" * 100_000,
    "numbers": '{"nbformat": ' + "9" * 5000 + "}",
    "list": "[]",
    "empty": "",
    "type": json.dumps(notebook(f"x: {'list[' * 3000}int{']' * 3000} = 1")),
    "title": json.dumps(notebook("x = 1", metadata={"kernel_lib": {"title": [1]}})),
    "ours": json.dumps(notebook("x = 1", metadata={"kernel_lib": 7})),
    "choices": json.dumps(notebook("x: Literal[b'a'] = b'a'")),
}
ODD_DEFAULTS = "a = b'a'\nb = {1}\nc = 1j\nd = 1e999\ne = 0x" + "f" * 5000 + "\nf: Path = Path()"


def test_strange_templates_are_named_and_the_others_offered(library, tmp_path):
    for name, text in STRANGE.items():
        (tmp_path / f"strange_{name}.ipynb").write_text(text)
    (tmp_path / "strange_bytes.ipynb").write_bytes(b"\xff\xfe")
    (tmp_path / "strange_folder.ipynb").mkdir()
    os.mkfifo(tmp_path / "strange_pipe.ipynb")
    (tmp_path / "odd.ipynb").write_text(json.dumps(notebook(ODD_DEFAULTS)))
    told = library.listing()
    json.dumps(told, allow_nan=False)
    assert {"one", "odd", "saliency_cascade"} <= {each["name"] for each in told["templates"]}
    named = {each["place"] for each in told["broken"]}
    assert named == {each.name for each in tmp_path.glob("strange_*")}
    assert all(each["problem"] for each in told["broken"])
    assert str(tmp_path) not in json.dumps(told)


def test_odd_defaults_are_shown_and_filled(library, tmp_path):
    (tmp_path / "odd.ipynb").write_text(json.dumps(notebook(ODD_DEFAULTS)))
    detail = library.detail("odd")
    json.dumps(detail, allow_nan=False)
    assert {each["name"]: each["default"] for each in detail["parameters"]}["c"] == "1j"
    made = filled(library.template("odd"), {"d": 1.0})
    assert "d = 1.0\n" in made["cells"][1]["source"]


def test_a_bad_preset_costs_that_preset_alone(library, tmp_path):
    folder = tmp_path / "presets" / "one"
    folder.mkdir(parents=True)
    (folder / "good.yaml").write_text("seed: 2")
    (folder / "alias.yaml").write_text("seed: &a [*a]")
    (folder / "deep.yaml").write_text("seed: " + "[" * 20_000)
    (folder / "bytes.yaml").write_bytes(b"\xff")
    (folder / "huge.yaml").write_text("seed: 0x" + "f" * 9_000)
    (folder / "folder.yaml").mkdir()
    os.mkfifo(folder / "pipe.yaml")
    detail = library.detail("one")
    json.dumps(detail, allow_nan=False)
    assert [each["name"] for each in detail["presets"] if not each["problem"]] == ["good"]
    assert len(detail["presets"]) == 7
    assert str(tmp_path) not in json.dumps(detail)


def test_filling_again_replaces_the_values(library, tmp_path):
    template = library.template("one")
    first = filled(template, {"seed": 1}, tmp_path)
    again = tmp_path / "again.ipynb"
    again.write_text(json.dumps(first))
    folder = tmp_path / "it's"
    second = filled(Library([tmp_path]).template("again"), {"seed": 2}, folder)
    assert len(second["cells"]) == len(first["cells"])
    begin, parameters = second["cells"][1:3]
    assert f"os.chdir({str(folder)!r})" in begin["source"]
    assert parameters["source"].startswith("seed: int = 2")


def test_values_that_are_no_code_stay_none(library):
    text = "'); __import__('os').abort(); ('"
    made = filled(library.template("one"), {"seed": text})
    values = {}
    exec(made["cells"][1]["source"], values)
    assert values["seed"] == text


def test_the_extension_loads_nothing_heavy_and_quickly():
    code = """
import sys, time
import jupyter_server.serverapp
before = set(sys.modules)
start = time.process_time()
import kernel_lib.server
from kernel_lib.server import extension
seconds = time.process_time() - start
new = {name.split(".")[0] for name in set(sys.modules) - before}
assert not new & {"tensorflow", "keras", "papermill", "numpy", "nbclient", "yaml", "psutil"}, new
assert "kernel_lib.run" not in sys.modules
print(seconds)
"""
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(made.stdout) < 0.25  # 0.01 on an idle machine
