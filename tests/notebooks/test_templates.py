"""Every template runs at its preset `ci`, through our runner and through plain papermill."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

import kernel_lib.run as run
from kernel_lib.report.result import read_result

ROOT = Path(__file__).parents[2]
NAMES = sorted(path.stem for path in (ROOT / "templates").glob("*.ipynb"))


def test_the_catalogue_finds_every_template():
    assert {template.name for template in run.templates()} >= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_presets_fit_the_parameters(name):
    template = next(each for each in run.templates() if each.name == name)
    assert {"ci", "demo"} <= set(template.presets)


def _call(code: str, name: str) -> ast.Call | None:
    """The call of `kl.NAME` in a cell, with its arguments."""
    calls = [each for each in ast.walk(ast.parse(code)) if isinstance(each, ast.Call)]
    return next((each for each in calls if ast.unparse(each.func) == f"kl.{name}"), None)


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"invariance_zoo"}))
def test_the_intake_is_shown_before_the_audit_and_asks_for_the_same(name):
    notebook = nbformat.read(ROOT / "templates" / f"{name}.ipynb", 4)
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    ((at, shown),) = [(k, call) for k, each in enumerate(code) if (call := _call(each, "intake"))]
    told = {keyword.arg: ast.unparse(keyword.value) for keyword in shown.keywords}
    audit = f"{ast.literal_eval(told.pop('audit'))}.audit"
    ((runs_at, run),) = [(k, call) for k, each in enumerate(code) if (call := _call(each, audit))]
    assert at < runs_at
    asked = {keyword.arg: ast.unparse(keyword.value) for keyword in run.keywords}
    assert told == {option: asked[option] for option in told}  # of these costs, from this seed
    assert "seed" in told and len(told) > 2


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_template_runs_at_preset_ci(name, tmp_path):
    done = run.run(name, tmp_path / f"{name}.ipynb", preset="ci", progress=False)
    assert done.status == "completed", done.error
    content = read_result(tmp_path)
    assert content["verdict"]["headline"]
    assert content["provenance"]["model"]["digest"]
    assert all((tmp_path / "figures" / f"{figure}.png").is_file() for figure in content["figures"])
    notebook = nbformat.read(tmp_path / f"{name}.ipynb", 4)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    kinds = {kind for output in outputs for kind in output.get("data", {})}
    # The zoo has no widget.
    has_widget = name != "invariance_zoo"
    assert ("application/vnd.jupyter.widget-view+json" in kinds) == has_widget
    assert not [output for output in outputs if output.output_type == "error"]


@pytest.mark.slow
def test_plain_papermill_runs_a_template(tmp_path):
    command = [
        sys.executable,
        "-m",
        "papermill",
        str(ROOT / "templates" / "saliency_cascade.ipynb"),
        str(tmp_path / "out.ipynb"),
        "-f",
        str(ROOT / "templates" / "presets" / "saliency_cascade" / "ci.yaml"),
        "-p",
        "output_dir",
        str(tmp_path / "result"),
        "--no-progress-bar",
    ]
    subprocess.run(command, check=True, cwd=tmp_path, capture_output=True)
    assert json.loads((tmp_path / "result" / "result.json").read_text())["audit"] == "saliency"
