"""Finding templates, their words and their presets."""

from __future__ import annotations

import json
import os
import time
import warnings
from itertools import pairwise

import papermill
import pytest

from kernel_lib.run import parameters, schema, template, templates
from kernel_lib.run.catalogue import preset, read_template, read_values
from small_notebooks import notebook


def names() -> list[str]:
    return [each.name for each in templates()]


def test_a_template_is_found_with_its_words_parameters_and_presets(add_template):
    add_template("quick", notebook("x: int = 1  # a number"), demo="x: 2\n", ci="")
    found = next(each for each in templates() if each.name == "quick")
    assert found == template("quick")
    assert (found.title, found.description) == ("A small question", "Does it work?")
    assert found.presets == ("ci", "demo")
    assert [each.name for each in parameters("quick")] == ["x"]
    assert preset(found, "demo") == {"x": 2}
    assert preset(found, "ci") == {}


def test_metadata_gives_title_and_description(add_template):
    told = {"kernel_lib": {"title": "Told", "description": "Told so."}}
    add_template("quick", notebook("x = 1", metadata=told))
    assert (template("quick").title, template("quick").description) == ("Told", "Told so.")


def test_broken_notebooks_are_left_out_with_a_warning(add_template):
    add_template("good", notebook("x = 1"))
    add_template("no_json", "{")
    add_template("no_notebook", "[]")
    add_template("old_format", json.dumps({"nbformat": 3}))
    add_template("no_python", notebook("x = = 1"))
    add_template("no_cell", {**notebook("x = 1"), "cells": []})
    add_template("no_type", notebook("x: 'int |' = 1"))
    add_template("no_list", {**notebook("x = 1"), "cells": {"a": 1}})
    add_template("no_metadata", {**notebook("x = 1"), "metadata": None})
    with pytest.warns(UserWarning, match="is left out") as caught:
        found = names()
    assert "good" in found
    assert not [name for name in found if name.startswith(("no_", "old_"))]
    assert len(caught) == 8


def test_whole_characters_written_as_two_halves_are_read(tmp_path):
    path = tmp_path / "quick.ipynb"
    path.write_text(json.dumps(notebook("x = '😀'"), ensure_ascii=True))
    assert "\\ud83d" in path.read_text()
    assert read_template(path).parameters[0].default == "😀"


def test_a_path_is_a_template_too(folder):
    (folder / "mine.ipynb").write_text(json.dumps(notebook("x = 1")))
    assert template("mine.ipynb").name == "mine"
    with pytest.raises(ValueError, match="other.ipynb cannot be read: No such file"):
        template("other.ipynb")


def test_unknown_names_suggest_the_nearest(add_template):
    add_template("quick", notebook("x = 1"), demo="x: 2")
    with pytest.raises(ValueError, match="no template 'qick'. Did you mean 'quick'"):
        template("qick")
    with pytest.raises(ValueError, match="no preset 'demoo'. Did you mean 'demo'"):
        preset(template("quick"), "demoo")


def nested(levels: int) -> str:
    return "[" * levels + "]" * levels


def words(**told: object) -> dict:
    return notebook("x = 1", metadata={"kernel_lib": told})


STRANGE = {
    "deep_json": nested(100_000),
    "long_number": '{"nbformat": ' + "9" * 5000 + "}",
    "not_utf8": b"\xff\xfe",
    "half": json.dumps(notebook("x = '\ud800'")),
    "nul": notebook("x = 1\0"),
    "deep_list": notebook(f"x = {nested(5_000)}"),
    "many_signs": notebook("x = " + "-" * 90_000 + "1"),
    "deep_type": notebook(f"x: {'list[' * 3000}int{']' * 3000} = 1"),
    "long_union": notebook(f"x: {'|'.join(['int'] * 20_000)} = 1"),
    "large_cell": notebook("x = 1\n#" + "a" * 200_000),
    "literal_bytes": notebook("x: Literal[b'a'] = b'a'"),
    "title": words(title=["a"]),
    "description": words(description={"a": 1}),
    "ours": notebook("x = 1", metadata={"kernel_lib": [1]}),
    "parameters": words(parameters=[1]),
    "extras": words(parameters={"x": 1}),
    "choices": words(parameters={"x": {"choices": 3}}),
    "choice": words(parameters={"x": {"choices": [[1]]}}),
    "minimum": words(parameters={"x": {"minimum": "1"}}),
    "maximum": words(parameters={"x": {"maximum": 1e999}}),
    "help": words(parameters={"x": {"help": 1}}),
    "cell": {**notebook("x = 1"), "cells": [1]},
    "source": {**notebook("x = 1"), "cells": [{"cell_type": "markdown", "source": [1]}]},
    "tags": {**notebook("x = 1"), "cells": [{"cell_type": "code", "metadata": {"tags": 1}}]},
}


@pytest.mark.parametrize("name", STRANGE)
def test_a_strange_notebook_is_refused_in_a_line_that_names_it(tmp_path, name):
    content = STRANGE[name]
    path = tmp_path / f"{name}.ipynb"
    text = content if isinstance(content, (str, bytes)) else json.dumps(content)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=".") as caught:
        read_template(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


def test_what_is_no_file_or_too_large_is_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe.ipynb")
    with pytest.raises(ValueError, match=r"pipe.ipynb is not a notebook: it is not a file"):
        read_template(tmp_path / "pipe.ipynb")
    with open(tmp_path / "large.ipynb", "wb") as file:
        file.truncate(2**40)
    with pytest.raises(ValueError, match=r"large.ipynb is not a notebook: it has 1,099,5"):
        read_template(tmp_path / "large.ipynb")
    os.mkfifo(tmp_path / "pipe.yaml")
    with pytest.raises(ValueError, match=r"pipe.yaml cannot be read: it is not a file"):
        read_values(tmp_path / "pipe.yaml", ())


ALIAS = "line . has the alias .a; write the value out instead"
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in pairwise("abcdefghi")
)
MERGES = "a: &a {x: 1}\n" + "".join(
    f"{new}: &{new} {{<<: [{', '.join([f'*{old}'] * 9)}]}}\n" for old, new in pairwise("abcdefghi")
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("words: &a [*a]", ALIAS),
        ("words: &a {a: *a}", ALIAS),
        ("words: &a {<<: *a}", ALIAS),
        (BOMB, ALIAS),
        (MERGES, ALIAS),
        (f"words: {nested(20_000)}", "it is nested too deep"),
        ("words: " + "1:" * 45_000 + "1", "must be"),
        ("words: " + "x" * 200_000, "at most 100,000 are read"),
        ("words: 2030-99-99", "cannot be read: month must be in 1..12"),
        ("words: !!timestamp x", "cannot be read"),
        ("words: !!int ''", "cannot be read"),
        ("words: !!bool x", "cannot be read"),
        ("words: !!binary AAAA", "must be a list"),
        ("words: !!set {a}", "must be a list"),
        ("words: 2030-01-01", "must be a list"),
        ("words: [[[[[[[[[x]]]]]]]]]", "must not hold lists in lists over 8 levels"),
        (f"words: [{', '.join('x' * 20_000)}]", "must hold at most 10000 values"),
        ("count: 0x" + "f" * 9_000, "must lie between -2..63 and 2..63"),
        ("share: 0x" + "f" * 9_000, "must be finite"),
        ("share: .nan", "must be finite"),
        ("share: -.inf", "must be finite"),
        ("? [a]\n: 1", "cannot be read"),
        ("0x" + "f" * 9_000 + ": 1", "."),
        ("\0", "cannot be read"),
    ],
)
def test_a_preset_of_few_lines_cannot_stop_us(tmp_path, text, message):
    cell = "words: list[str] = []\ncount: int = 0\nshare: float = 0.5"
    (tmp_path / "bad.yaml").write_text(text)
    started = time.monotonic()
    with pytest.raises((TypeError, ValueError), match=message) as caught:
        read_values(tmp_path / "bad.yaml", schema.read(notebook(cell)))
    assert time.monotonic() - started < 20  # a bomb never ends
    assert "bad.yaml" in str(caught.value)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- 1", "must hold parameter names and values. Received: list"),
        ("x: [", "cannot be read"),
        ("!!python/object/apply:os.system ['echo']", "cannot be read"),
        ("y: 1", "bad.yaml: There is no parameter 'y'"),
    ],
)
def test_a_broken_preset_names_its_file(add_template, text, message):
    add_template("quick", notebook("x: int = 1"), bad=text)
    with pytest.raises(ValueError, match=message):
        preset(template("quick"), "bad")


def test_a_value_of_the_wrong_type_names_its_file(add_template):
    add_template("quick", notebook("x: int = 1"), bad="x: one")
    with pytest.raises(TypeError, match=r"bad.yaml: `x` must be a whole number"):
        preset(template("quick"), "bad")


def test_values_of_a_missing_file(folder):
    with pytest.raises(ValueError, match="none.yaml cannot be read"):
        read_values(folder / "none.yaml", ())


def test_our_own_templates_are_readable_and_every_preset_is_valid():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ours = templates()
    for each in ours:
        # Text before a slash makes a folder of the root of the file system of empty text.
        assert "{output_dir}/" not in each.path.read_text(encoding="utf-8")
        assert {"output_dir", "seed"} <= {parameter.name for parameter in each.parameters}
        assert {"ci", "demo"} <= set(each.presets)
        for name in each.presets:
            preset(each, name)
        seen = papermill.inspect_notebook(each.path)  # knows one line each, and no `X | None`
        assert set(seen) == {parameter.name for parameter in each.parameters}
        assert all(theirs["inferred_type_name"] != "None" for theirs in seen.values())


def test_cures_are_parameters_of_every_template_that_loads_a_model():
    cures = {"preprocessing", "class_names", "input_size", "output"}
    for each in templates():
        known = {parameter.name: parameter for parameter in each.parameters}
        if "model" in known:
            assert cures <= set(known), each.name
            source = each.path.read_text(encoding="utf-8")
            assert all(f"{name}={name}," in source for name in cures), each.name
            assert known["preprocessing"].parse("4,5,4;-2,-2,-1.8") == "4,5,4;-2,-2,-1.8"
            assert known["class_names"].parse("red,green") == ["red", "green"]
            assert known["input_size"].parse("64") == 64
            assert known["input_size"].parse("none") is None
            assert known["output"].parse("1") == "1"
