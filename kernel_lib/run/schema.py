"""Typed parameters of a notebook, read from its cell tagged `parameters` without running it.

The cell is plain Python, one parameter a line; annotations and trailing comments count:

```python
model: str = "cnn"  # a path, or the name of a network to train
samples: int = 16  # noise samples for each image
metric: Literal["ssim", "spearman"] = "ssim"  # how maps are compared
layers: list[str] | None = None  # all layers when None
```

`metadata.kernel_lib.parameters` of the notebook may add `title`, `help`, `choices`, `minimum` and
`maximum` to a name.
"""

from __future__ import annotations

import ast
import io
import math
import re
import tokenize
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from kernel_lib.run.annotations import ValueType, last_name, type_of_annotation, type_of_value
from kernel_lib.run.parameter import LARGEST_INTEGER, MOST_LEVELS, Parameter, did_you_mean, shown

EXTRAS = ("title", "help", "choices", "minimum", "maximum")
LONGEST_CELL = 100_000  # characters; Python's parser may fail badly on more


def read(notebook: Mapping[str, Any]) -> tuple[Parameter, ...]:
    """Return the parameters of a notebook, in the order of its cell.

    Args:
        notebook: The notebook as JSON gives it; a `nbformat.NotebookNode` is one too.

    Raises:
        ValueError: If no cell is tagged `parameters`, or that cell is not Python.
    """
    source = without_magics(parameters_cell(notebook))
    if len(source) > LONGEST_CELL:
        raise ValueError(
            f"The cell tagged 'parameters' holds {len(source):,} characters; at most "
            f"{LONGEST_CELL:,} are read."
        )
    extras = notebook.get("metadata", {}).get("kernel_lib", {}).get("parameters", {})
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        problem = f"{error.msg} (line {error.lineno})"
        raise ValueError(f"The cell tagged 'parameters' is not Python: {problem}.") from None
    comments = _comments(source)
    found = {}
    for statement, name, value in assignments(tree):
        parameter = _parameter(source, statement, name, value)
        comment = comments.get(statement.end_lineno) or comments.get(statement.lineno, "")
        found[name] = replace(parameter, **{"help": comment, **_extras(name, extras.get(name, {}))})
    return tuple(found.values())


def validate(parameters: Iterable[Parameter], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return `values`, each checked and in the type of its parameter.

    Args:
        parameters: What the notebook declares.
        values: Names and values; a name left out keeps its default.

    Raises:
        TypeError: If a value has the wrong type.
        ValueError: If a name is not declared, one without a default is missing, or a value is
            out of range or not among the choices.
    """
    parameters = tuple(parameters)
    checked = {name: find(parameters, name).check(value) for name, value in values.items()}
    for parameter in parameters:
        if parameter.required and parameter.name not in checked:
            raise ValueError(f"`{parameter.name}` has no default: give it a value.")
    return checked


def find(parameters: Iterable[Parameter], name: str) -> Parameter:
    """Return the parameter called `name`; if there is none, the error lists those there are."""
    known = {parameter.name: parameter for parameter in parameters}
    if name not in known:
        names = ", ".join(sorted(known)) or "none"
        hint = did_you_mean(name, known)
        raise ValueError(f"There is no parameter {shown(name)}.{hint} Parameters: {names}.")
    return known[name]


def to_json_schema(parameters: Iterable[Parameter]) -> dict[str, Any]:
    """Return the JSON schema of an object that holds values for `parameters`."""
    parameters = tuple(parameters)
    return {
        "type": "object",
        "properties": {parameter.name: parameter.to_json_schema() for parameter in parameters},
        "required": [parameter.name for parameter in parameters if parameter.required],
        "additionalProperties": False,
    }


def parameters_cell(notebook: Mapping[str, Any]) -> str:
    """Return the source of the cell tagged `parameters`.

    Raises:
        ValueError: If there is none.
    """
    for cell in notebook.get("cells", []):
        if "parameters" in cell.get("metadata", {}).get("tags", []):
            source = cell.get("source", "")
            return source if isinstance(source, str) else "".join(source)
    raise ValueError("No cell of the notebook is tagged 'parameters'.")


def without_magics(source: str) -> str:
    """Return the source with empty lines in place of IPython's commands."""
    return re.sub(r"^[%!?].*$", "", source, flags=re.MULTILINE)


def assignments(tree: ast.Module) -> Iterator[tuple[ast.stmt, str, ast.expr | None]]:
    """Yield each statement, name and value of the assignments to plain names."""
    for statement in tree.body:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            yield statement, statement.target.id, statement.value
        elif isinstance(statement, ast.Assign):
            for target in statement.targets:
                if isinstance(target, ast.Name):
                    yield statement, target.id, statement.value


def _comments(source: str) -> dict[int | None, str]:
    """Return the text of each comment, by line number."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = (token for token in tokens if token.type == tokenize.COMMENT)
    return {comment.start[0]: comment.string.lstrip("#").strip() for comment in comments}


def _parameter(source: str, statement: ast.stmt, name: str, value: ast.expr | None) -> Parameter:
    annotation = statement.annotation if isinstance(statement, ast.AnnAssign) else None
    default = _literal(value)
    type_ = type_of_annotation(annotation) if annotation else ValueType()
    if isinstance(value, ast.Constant) and value.value is None:
        type_ = replace(type_, optional=True)  # `seed: int = None` allows None
    elif annotation is None and default is not None:
        type_ = type_of_value(default)
    written = ast.get_source_segment(source, value) or "" if value else ""
    return Parameter(
        name, type_.kind, type_.many, type_.optional, default, written, choices=type_.choices
    )


def _extras(name: str, extras: Any) -> dict[str, Any]:
    if not isinstance(extras, Mapping):
        raise ValueError(f"metadata.kernel_lib.parameters.{name} must be a mapping.")
    known = {key: extras[key] for key in EXTRAS if key in extras}
    for key, value in known.items():
        form, fits = _FORMS[key]
        if not fits(value):
            raise ValueError(
                f"metadata.kernel_lib.parameters.{name}.{key} must be {form}. "
                f"Received: {shown(value)}."
            )
    if "choices" in known:
        known["choices"] = tuple(known["choices"])
    return known


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < LARGEST_INTEGER


def _is_list_of_values(value: Any) -> bool:
    return isinstance(value, list) and all(_is_text(each) or _is_number(each) for each in value)


_FORMS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "title": ("text", _is_text),
    "help": ("text", _is_text),
    "choices": ("a list of texts or numbers", _is_list_of_values),
    "minimum": ("a number", _is_number),
    "maximum": ("a number", _is_number),
}


def _literal(value: ast.expr | None) -> Any:
    """Return the value of a literal, of `Path("...")` its text, and None of anything else.

    A literal that JSON cannot hold, such as bytes, a set, a complex number or 1e999, is anything
    else: neither the record of a run nor a form could show it.
    """
    if isinstance(value, ast.Call) and last_name(value.func) == "Path" and len(value.args) == 1:
        value = value.args[0]
    try:
        literal = ast.literal_eval(value) if value else None
    except (ValueError, TypeError, MemoryError, RecursionError):
        return None
    literal = list(literal) if isinstance(literal, tuple) else literal
    return literal if _fits_json(literal) else None


def _fits_json(value: Any, levels: int = MOST_LEVELS) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if type(value) is int:
        return abs(value) < LARGEST_INTEGER
    if isinstance(value, dict):
        return all(map(_is_text, value)) and _fits_json(list(value.values()), levels)
    if isinstance(value, list):
        return levels > 0 and all(_fits_json(each, levels - 1) for each in value)
    return value is None or isinstance(value, (bool, str))
