"""Hundreds of damaged templates, presets and results: each is read or refused, and nothing else."""

from __future__ import annotations

import json
import time
import warnings

import pytest
from bs4 import BeautifulSoup

from damage import mutants
from kernel_lib.report.gallery import gallery
from kernel_lib.run import catalogue, schema
from kernel_lib.server import library, results
from kernel_lib.server.places import Places
from kernel_lib.server.schemas import check
from small_notebooks import notebook

NUM = 500
CELL = """
from typing import Literal, Optional
seed: int = 0  # any
rate: float = 0.5
mode: Literal["a", "b"] = "a"
layers: Optional[list[str]] = None
sizes: list[float] = [1.0, 2.5]
output_dir: str = "outputs"
"""
EXTRAS = {"parameters": {"seed": {"minimum": 0}, "mode": {"choices": ["a", "b"]}}, "title": "T"}
PRESET = """# In no time.
seed: 3
rate: 1.0e-3
mode: b
layers: [conv1, "conv2"]
sizes:
  - 1
  - 2.5
output_dir: found
"""
RESULT = {
    "schema": 1,
    "audit": "small",
    "question": "Is it?",
    "scores": {"rate": 0.5, "nothing": None},
    "verdict": {
        "status": "warning",
        "headline": "Take care.",
        "means": "m",
        "does_not_mean": "n",
        "next_step": "x",
    },
    "parameters": {"seed": 1, "methods": ["a", "b"]},
    "provenance": {"created": "2026-01-01", "model": {"name": "cnn", "parameters": 12}},
    "tables": ["main"],
    "figures": ["curves"],
}


@pytest.fixture(autouse=True)
def limit():
    """A damaged file takes no time: all of them together stay far below this."""
    started = time.monotonic()
    yield
    assert time.monotonic() - started < 120


def test_damaged_templates(tmp_path):
    content = json.dumps(notebook(CELL, "print(1)", metadata={"kernel_lib": EXTRAS}), indent=1)
    path = tmp_path / "damaged.ipynb"
    read = refused = 0
    for mutant in mutants(content.encode(), NUM):
        path.write_bytes(mutant)
        offered = library.Library([tmp_path])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # of the text in the cell
            try:
                template = catalogue.read_template(path)
            except ValueError as error:
                assert str(error) and "\n" not in str(error)
                refused += 1
                continue
            offered._read = {path: library._Read((0,), template, "")}
            summary = offered.summary(template)
            check("TemplateSummary", summary)
            shown = [library._parameter(each) for each in template.parameters]
            forms = schema.to_json_schema(template.parameters)
            json.dumps([summary, shown, forms], allow_nan=False)
        read += 1
    assert read > NUM / 10
    assert refused > NUM / 10


def test_damaged_presets(tmp_path):
    parameters = schema.read(notebook(CELL))
    path = tmp_path / "damaged.yaml"
    read = refused = 0
    for mutant in mutants(PRESET.encode(), NUM):
        path.write_bytes(mutant)
        try:
            values = catalogue.read_values(path, parameters)
        except (TypeError, ValueError) as error:
            assert "damaged.yaml" in str(error)
            assert len(str(error)) < 2000
            refused += 1
            continue
        json.dumps(values, allow_nan=False)
        assert schema.validate(parameters, values) == values
        read += 1
    assert read > NUM / 10
    assert refused > NUM / 10


def test_damaged_results(tmp_path):
    class Contents:
        root_dir = str(tmp_path)

    places = Places(Contents())
    for number, mutant in enumerate(mutants(json.dumps(RESULT, indent=1).encode(), NUM)):
        (tmp_path / f"{number:03}").mkdir()
        (tmp_path / f"{number:03}" / "result.json").write_bytes(mutant)
    reply = results.listing(places, "")
    check("ResultList", reply)
    json.dumps(reply, allow_nan=False)
    assert str(tmp_path) not in json.dumps(reply)
    assert len(reply["broken"]) > NUM / 10
    assert len(reply["results"]) > NUM / 10
    for each in reply["results"]:
        detail = results.detail(places, each["folder"])
        check("ResultDetail", detail)
        json.dumps(detail, allow_nan=False)

    page = BeautifulSoup(gallery(tmp_path).read_text(), "html.parser")
    shown, named = page.select("article"), page.select(".broken li")
    assert len(shown) + len(named) == NUM
    assert len(shown) > NUM / 10
