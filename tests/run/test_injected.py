"""Parameters that papermill injects: wrong names and wrong values stop a notebook at once."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import papermill
import pytest

import kernel_lib
from kernel_lib.run import catalogue, check_parameters, schema, templates
from small_notebooks import notebook

OURS = [each.name for each in templates()]


def executed(*cells: str) -> dict[str, Any]:
    """The namespace of a kernel after these cells."""
    namespace: dict[str, Any] = {"In": ["", *cells]}
    for cell in cells:
        exec(compile(cell, "cell", "exec", dont_inherit=True), namespace)
    return namespace


def injected(name: str, **values: Any) -> dict[str, Any]:
    """The namespace of a template's kernel behind the cell that papermill injects."""
    from papermill.translators import PythonTranslator

    source = schema.parameters_cell(catalogue.read_notebook(catalogue.template(name).path))
    return executed(source, PythonTranslator.codify(values))


@pytest.mark.parametrize("name", OURS)
def test_defaults_and_presets_pass(name):
    check_parameters(injected(name), name)
    template = catalogue.template(name)
    for preset in template.presets:
        check_parameters(injected(name, **catalogue.preset(template, preset)), name)


@pytest.mark.parametrize("name", OURS)
def test_papermill_knows_and_explains_every_parameter_as_we_do(name, caplog):
    template = catalogue.template(name)
    seen = papermill.inspect_notebook(template.path)
    ours = {parameter.name: parameter.help for parameter in template.parameters}
    assert {each: seen[each]["help"].strip() for each in seen} == ours
    assert all(ours.values())
    with caplog.at_level(logging.WARNING, "papermill"):
        for preset in template.presets:
            values = catalogue.preset(template, preset)
            papermill.execute_notebook(template.path, None, values, prepare_only=True)
        assert not caplog.records, caplog.text
        papermill.execute_notebook(template.path, None, {"sead": 1}, prepare_only=True)
    assert "Passed unknown parameter: sead" in caplog.text


@pytest.mark.parametrize("name", OURS)
def test_the_first_cell_behind_the_parameters_checks_them(name):
    cells = catalogue.read_notebook(catalogue.template(name).path)["cells"]
    code = ["".join(each["source"]) for each in cells if each["cell_type"] == "code"]
    head, rest = code[1].split(f'kl.run.check_parameters(globals(), "{name}")\n')
    # Only imports come first: nothing is done with a wrong value.
    assert all(line.startswith(("from ", "import ")) for line in head.split("\n") if line)
    assert rest
    wrong = injected(name, sead=1) | {"kl": kernel_lib}
    with pytest.raises(ValueError, match=r"no parameter 'sead'\. Did you mean 'seed'\? Parameters"):
        exec(f'kl.run.check_parameters(globals(), "{name}")', wrong)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"methods": "gradient"}, "`methods` must be a list, each text .*methods='gradient'"),
        ({"seed": "x"}, "`seed` must be a whole number .*seed='x'"),
        ({"seed": True}, "`seed` must be a whole number .*seed=True"),
        ({"model": None}, "`model` must be text .*model=None"),
        ({"noise_levels": "0.1"}, "`noise_levels` must be a list, each a number .*'0.1'"),
        ({"noise_levels": ["0.1"]}, "`noise_levels` must be a list, each a number"),
        ({"input_size": "32"}, "`input_size` must be a whole number .*or None"),
    ],
)
@pytest.mark.parametrize("name", ["saliency_cascade", "a_copy_of_it", None])
def test_wrong_types_are_named(values, message, name):
    with pytest.raises(TypeError, match=message):
        check_parameters(injected("saliency_cascade", **values), name)


def test_limits_and_choices_of_a_known_template_count():
    for values, message in [
        ({"seed": -1}, "`seed` must be at least 0"),
        ({"test": "casc"}, "`test` must be one of .*Did you mean 'cascade'"),
        ({"output_dir": ""}, "`output_dir` must not be empty"),
    ]:
        with pytest.raises(ValueError, match=message):
            check_parameters(injected("saliency_cascade", **values), "saliency_cascade")
        check_parameters(injected("saliency_cascade", **values))  # nothing says so there


def test_parameters_that_a_copy_declares_in_its_own_way_have_its_type():
    source = "from typing import Literal\nseed: str = 'now'\nmore: Literal['a', 'b'] = 'a'"
    check_parameters(executed(source), "saliency_cascade")
    check_parameters(executed(source, "# Parameters\nseed = 'x'\nmore = 'b'"), "saliency_cascade")
    with pytest.raises(TypeError, match="`seed` must be text"):
        check_parameters(executed(source, "# Parameters\nseed = 1"), "saliency_cascade")
    with pytest.raises(ValueError, match="`more` must be one of 'a', 'b'"):
        check_parameters(executed(source, "# Parameters\nmore = 'c'"), "saliency_cascade")


def test_only_what_papermill_injected_last_can_be_an_unknown_name():
    source = "x: int = 1\ny = 2"
    cells = [source, "# Parameters\nz = 1", "# Parameters\ny = 3\nPAPERMILL_INPUT_PATH = 'a'"]
    later = "table: dict = {}\nlater = 1"  # of a cell further down, which this one is run after
    check_parameters(executed(*cells, later))
    check_parameters(executed("# Parameters\ny = 2"))  # a cell of the notebook itself
    with pytest.raises(ValueError, match=r"no parameter 'z'\. Parameters: x\."):
        check_parameters(executed(*cells[:2]))


def test_papermill_stops_behind_the_parameters(tmp_path: Path, add_template):
    cells = ["import kernel_lib as kl\nkl.run.check_parameters(globals(), 'small')", "1 / 0"]
    path = add_template("small", notebook("names: list[str] = []\nseed: int = 0", *cells))
    for values, message in [
        ({"sead": 1}, "no parameter 'sead'. Did you mean 'seed'? Parameters: names, seed."),
        ({"seed": 1}, "division by zero"),
    ]:
        with pytest.raises(papermill.PapermillExecutionError) as caught:
            papermill.execute_notebook(path, tmp_path / "out.ipynb", values, progress_bar=False)
        assert message in str(caught.value)
