"""Filling in a `parameters` cell, and reading it again with the reader of the templates."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from kernel_lib.run import catalogue, schema
from kernel_lib.run.filling import fill
from small_notebooks import notebook

CELL = """\
from pathlib import Path
%matplotlib inline
seed: int = 0  # of äll: é = 5
mode: Literal["a", "b"] = (
    "a"  # how
)
layers: list[str] = [
    "x",
    "y",
]  # which
shift = -1.5; name: str = "ü"  # two on one line
place: Path = Path("here")  # a folder
size: int | None = None
computed: int = 2 * 3  # not literal
needed: str  # no default
"""
VALUES = {
    "seed": 7,
    "mode": "b",
    "layers": [],
    "shift": 2.0,
    "name": 'it\'s\n"ö"',
    "place": "there",
    "size": 3,
    "computed": 1,
    "needed": "yes",
}
FILLED = """\
from pathlib import Path
%matplotlib inline
seed: int = 7  # of äll: é = 5
mode: Literal["a", "b"] = (
    'b'  # how
)
layers: list[str] = []  # which
shift = 2.0; name: str = 'it\\'s\\n"ö"'  # two on one line
place: Path = Path('there')  # a folder
size: int | None = 3
computed: int = 1  # not literal
needed: str = 'yes'  # no default
"""


def test_values_take_the_place_of_defaults():
    assert fill(CELL, VALUES) == FILLED
    assert fill(CELL, {}) == CELL
    assert fill(FILLED, VALUES) == FILLED


def test_the_filled_cell_has_the_same_parameters_with_other_defaults():
    before = {each.name: each for each in schema.read(notebook(CELL))}
    after = {each.name: each for each in schema.read(notebook(FILLED))}
    assert list(after) == list(before)
    for name, value in VALUES.items():
        assert after[name].default == value
        same = {"default": None, "source": ""}
        assert replace(after[name], **same) == replace(before[name], **same)


def test_what_shares_a_value_is_set_by_itself():
    assert fill("a = b = 1", {"a": 2}) == "a = b = 1\na = 2"
    assert fill("a = 1\na = 2", {"a": 3}) == "a = 1\na = 3"


def test_none_takes_the_place_of_a_path():
    assert fill('place: Path | None = Path("x")', {"place": None}) == "place: Path | None = None"


@pytest.mark.parametrize("path", sorted(catalogue.notebooks()), ids=lambda path: path.stem)
def test_every_template_takes_the_values_of_its_presets(path: Path):
    template = catalogue.read_template(path)
    source = schema.parameters_cell(catalogue.read_notebook(path))
    for preset in template.presets:
        values = catalogue.preset(template, preset)
        again = schema.read(notebook(fill(source, values)))
        assert [each.name for each in again] == [each.name for each in template.parameters]
        assert {each.name: each.default for each in again if each.name in values} == values
