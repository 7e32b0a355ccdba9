"""Every template runs at its preset `ci`, through our runner and through plain papermill."""

from __future__ import annotations

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
