"""Finding templates, their words and their presets."""

from __future__ import annotations

import json
import warnings

import papermill
import pytest

from kernel_lib.run import parameters, template, templates
from kernel_lib.run.catalogue import preset, read_values
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
        assert {"output_dir", "seed"} <= {parameter.name for parameter in each.parameters}
        assert {"ci", "demo"} <= set(each.presets)
        for name in each.presets:
            preset(each, name)
        seen = papermill.inspect_notebook(each.path)
        assert set(seen) <= {parameter.name for parameter in each.parameters}
