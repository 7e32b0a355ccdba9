"""Reading a `parameters` cell and checking values, against types written out by hand."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from kernel_lib.run.parameter import MOST_LEVELS, MOST_VALUES, shown
from kernel_lib.run.schema import find, read, to_json_schema, validate
from small_notebooks import notebook as small_notebook

CELL = """
from typing import Literal, Optional, Union
from pathlib import Path
%matplotlib inline

model: str = "cnn"  # a path, or the name of a network
address = "http://x#y"  # not cut at the hash
samples: int = 16  # noise samples
rate: float = 0.5
fast: bool = True
metric: Literal["ssim", "spearman"] = "ssim"  # how maps are compared
layers: list[str] | None = None
seeds: "Optional[list[int]]" = [
    0,
    1,
]  # one run each
folder: Path = Path("outputs")
scale: Union[int, float] = 1
seed: int = None
sizes = [1, 2.5]
anything = None
options: dict = {"a": 1}
computed = 10 ** 6
needed: str
first, second = 1, 2
"""


def notebook(cell: str = CELL, extras: dict | None = None) -> dict:
    cells = [
        {"cell_type": "markdown", "metadata": {}, "source": "# Title"},
        {"cell_type": "code", "metadata": {"tags": ["parameters"]}, "source": cell, "outputs": []},
    ]
    metadata = {"kernel_lib": {"parameters": extras or {}}}
    return {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


@pytest.mark.parametrize(
    ("name", "type_", "default"),
    [
        ("model", "str", "cnn"),
        ("address", "str", "http://x#y"),
        ("samples", "int", 16),
        ("rate", "float", 0.5),
        ("fast", "bool", True),
        ("metric", "str", "ssim"),
        ("layers", "list[str] | None", None),
        ("seeds", "list[int] | None", [0, 1]),
        ("folder", "str", "outputs"),
        ("scale", "float", 1),
        ("seed", "int | None", None),
        ("sizes", "list[float]", [1, 2.5]),
        ("anything", "any | None", None),
        ("options", "any", {"a": 1}),
        ("computed", "any", None),
        ("needed", "str", None),
    ],
)
def test_types_and_defaults(name, type_, default):
    parameter = find(read(notebook()), name)
    assert (parameter.type, parameter.default) == (type_, default)


def test_help_source_and_choices():
    parameters = read(notebook())
    assert find(parameters, "address").help == "not cut at the hash"
    assert find(parameters, "seeds").help == "one run each"
    assert find(parameters, "rate").help == ""
    assert find(parameters, "computed").source == "10 ** 6"
    assert find(parameters, "metric").choices == ("ssim", "spearman")
    assert [each.name for each in parameters if each.required] == ["needed"]


def test_source_may_be_a_list_of_lines_and_the_last_assignment_counts():
    cell = ["a = 1\n", "a = 2.5  # later\n"]
    (parameter,) = read(notebook(cell))
    assert (parameter.default, parameter.type, parameter.help) == (2.5, "float", "later")


def test_metadata_adds_range_title_and_choices():
    extras = {"samples": {"minimum": 1, "maximum": 64, "title": "Samples", "widget": "slider"}}
    samples = find(read(notebook(extras=extras)), "samples")
    assert (samples.minimum, samples.maximum, samples.title) == (1, 64, "Samples")
    assert samples.help == "noise samples"
    with pytest.raises(ValueError, match=r"`samples` must be at most 64. Received: samples=65"):
        samples.check(65)
    with pytest.raises(ValueError, match="must be at least 1"):
        samples.check(0)


def test_unreadable_cells_say_why():
    with pytest.raises(ValueError, match="not Python: .*line 2"):
        read(notebook("a = 1\nb = = 2"))
    with pytest.raises(ValueError, match="No cell of the notebook is tagged 'parameters'"):
        read({"cells": [], "metadata": {}})


@pytest.mark.parametrize(
    ("name", "given", "kept"),
    [
        ("rate", 1, 1.0),
        ("samples", np.int64(3), 3),
        ("rate", np.float32(0.25), 0.25),
        ("fast", np.bool_(False), False),
        ("folder", Path("a") / "b", str(Path("a") / "b")),
        ("layers", ("conv", "dense"), ["conv", "dense"]),
        ("layers", None, None),
        ("sizes", np.array([1, 2]), [1.0, 2.0]),
        ("anything", [1, "a", [None, True]], [1, "a", [None, True]]),
    ],
)
def test_values_take_the_declared_type(name, given, kept):
    value = validate(read(notebook()), {name: given, "needed": "x"})[name]
    assert value == kept
    assert type(value) is type(kept)


@pytest.mark.parametrize(
    "default",
    [
        "b'a'",
        "{1, 2}",
        "1j",
        "1e999",
        "-1e999",
        "[1e999]",
        "[b'a']",
        "{'a': {1}}",
        "{1: 'a'}",
        "...",
        "0x" + "f" * 5_000,
        "[" * 20 + "]" * 20,
    ],
)
def test_a_default_that_json_cannot_hold_is_shown_as_it_is_written(default):
    (parameter,) = read(notebook(f"x = {default}"))
    assert (parameter.default, parameter.source, parameter.type) == (None, default, "any")
    text = json.dumps(to_json_schema([parameter]), allow_nan=False)
    assert "default" not in json.loads(text)["properties"]["x"]


HUGE = 10**400


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("samples", HUGE, r"must lie between .* Received: samples=an integer of 1329 bits"),
        ("samples", -(2**63), "must lie between"),
        ("anything", 2**63, "must lie between"),
        ("rate", HUGE, "must be finite"),
        ("rate", -HUGE, "must be finite"),
        ("model", "", "must not be empty: leave it out for its default"),
        ("model", " \n", "must not be empty"),
        ("needed", "", "`needed` must not be empty. Received"),
        ("layers", ["a", ""], "must not be empty: leave it out for its default, or give None"),
        ("model", "a\0b", "NUL"),
        ("anything", "\ud800", "UTF-8"),
        ("metric", "", "must not be empty"),
    ],
)
def test_values_that_nothing_can_hold_are_refused(name, value, message):
    with pytest.raises(ValueError, match=message):
        find(read(notebook()), name).check(value)


def test_empty_text_counts_where_the_cell_has_it():
    cell = 'text: str = ""\nwords: list[str] = [""]\nkind: Literal["", "a"] = "a"\nany = None'
    parameters = read(notebook(cell))
    given = {"text": "", "words": ["", "a"], "kind": "", "any": ""}
    assert validate(parameters, given) == given
    assert find(parameters, "text").parse("") == ""


def test_lists_are_short_and_not_deep():
    parameter = find(read(notebook()), "anything")
    within = ["x"]
    for _ in range(MOST_LEVELS - 1):
        within = [within]
    assert parameter.check(within) == within
    assert len(parameter.check([0] * MOST_VALUES)) == MOST_VALUES
    deeper = [within]
    inside = [[0] * (MOST_VALUES // 2), [0] * (MOST_VALUES // 2)]
    myself: list = []
    myself.append(myself)
    bomb: list = ["x"] * 10
    for _ in range(MOST_LEVELS - 2):
        bomb = [bomb] * 10
    for value in (deeper, [0] * (MOST_VALUES + 1), inside, myself, bomb):
        with pytest.raises(ValueError, match=r"`anything` must (hold at most|not hold lists)"):
            parameter.check(value)
    for value in (deeper, myself, {"a": myself}, "x" * 10**6, HUGE, -HUGE, {1: HUGE}):
        assert len(shown(value)) < 300
    assert shown("it's") == repr("it's")
    assert shown([1, 2.5, None, True, "a"]) == "[1, 2.5, None, True, 'a']"


def test_deep_text_of_a_command_line_stays_text():
    text = "[" * 50_000
    assert find(read(notebook()), "anything").parse(text) == text


@pytest.mark.parametrize(
    ("name", "value", "error", "message"),
    [
        (
            "samples",
            "16",
            TypeError,
            r"`samples` must be a whole number \(int\). Received",
        ),
        ("samples", 1.0, TypeError, "whole number"),
        ("samples", True, TypeError, "whole number"),
        ("samples", None, TypeError, "Received: samples=None"),
        ("fast", 1, TypeError, "true or false"),
        ("model", 3, TypeError, "text"),
        ("rate", "1e-3", TypeError, "YAML takes 1e-3 for text: write 1.0e-3"),
        ("rate", float("nan"), ValueError, "must be finite"),
        ("rate", float("inf"), ValueError, "must be finite"),
        ("anything", float("inf"), ValueError, "must be finite"),
        ("anything", object(), TypeError, "must be text, a number"),
        ("anything", {"a": 1}, TypeError, "must be text, a number"),
        ("layers", "conv", TypeError, r"a list, each text \(str\), or None"),
        ("layers", [1], TypeError, "a list"),
        ("metric", "sim", ValueError, "one of 'ssim', 'spearman'.*Did you mean 'ssim'"),
        ("smaples", 3, ValueError, "no parameter 'smaples'. Did you mean 'samples'"),
        ("first", 3, ValueError, "no parameter 'first'"),
    ],
)
def test_wrong_values_are_refused(name, value, error, message):
    with pytest.raises(error, match=message):
        validate(read(notebook()), {name: value, "needed": "x"})


def test_a_missing_value_without_default_is_named():
    with pytest.raises(ValueError, match="`needed` has no default"):
        validate(read(notebook()), {})


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("model", "3", "3"),
        ("model", "__import__('os')", "__import__('os')"),
        ("samples", "32", 32),
        ("rate", "1e-3", 0.001),
        ("rate", "2", 2.0),
        ("fast", "no", False),
        ("fast", "True", True),
        ("seed", "none", None),
        ("layers", "conv, dense", ["conv", "dense"]),
        ("layers", '["a,b"]', ["a,b"]),
        ("layers", "", []),
        ("layers", "null", None),
        ("seeds", "1,2", [1, 2]),
        ("seeds", "[3]", [3]),
        ("anything", "1.5", 1.5),
        ("anything", "word", "word"),
    ],
)
def test_text_is_read_by_the_declared_type(name, text, value):
    parsed = find(read(notebook()), name).parse(text)
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    ("name", "text"),
    [("samples", "1.5"), ("samples", "0x10"), ("fast", "maybe"), ("seeds", "1,b"), ("seeds", "[")],
)
def test_text_of_the_wrong_type_is_refused(name, text):
    with pytest.raises(TypeError, match=f"`{name}` must be"):
        find(read(notebook()), name).parse(text)


def test_json_schema_accepts_and_refuses_as_validate_does():
    extras = {"samples": {"minimum": 1, "maximum": 64, "title": "Samples"}}
    parameters = read(notebook(extras=extras))
    schema = to_json_schema(parameters)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["required"] == ["needed"]
    assert schema["properties"]["samples"] == {
        "type": "integer",
        "minimum": 1,
        "maximum": 64,
        "title": "Samples",
        "description": "noise samples",
        "default": 16,
    }
    assert schema["properties"]["layers"] == {
        "type": ["array", "null"],
        "items": {"type": "string"},
        "default": None,
    }
    for values in (
        {"samples": 3},
        {"samples": 65},
        {"samples": "3"},
        {"layers": None},
        {"layers": [1]},
        {"metric": "ssim"},
        {"metric": "x"},
        {"unknown": 1},
    ):
        values = {"needed": "x", **values}
        try:
            validate(parameters, values)
            accepted = True
        except (TypeError, ValueError):
            accepted = False
        assert jsonschema.Draft202012Validator(schema).is_valid(values) is accepted, values


def test_every_name_papermill_sees_is_ours(tmp_path):
    import nbformat
    import papermill

    path = tmp_path / "notebook.ipynb"
    nbformat.write(nbformat.from_dict(small_notebook(CELL)), path)
    theirs = papermill.inspect_notebook(path)
    ours = {parameter.name for parameter in read(notebook())}
    assert {"model", "rate", "sizes"} <= set(theirs)
    assert set(theirs) <= ours
