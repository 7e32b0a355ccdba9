"""The parameters that a notebook got from papermill, checked in its own kernel.

papermill puts a cell of plain assignments after the cell tagged `parameters`: a name with a typing
error becomes a new variable that nobody reads, and text takes the place of a list. What the
`parameters` cell declared is still known to the kernel, as the annotations of its variables.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kernel_lib.run.annotations import type_of_annotation
from kernel_lib.run.catalogue import template
from kernel_lib.run.parameter import Parameter
from kernel_lib.run.schema import assignments, find, without_magics

_MARK = "# Parameters"  # the first line of the cell that papermill puts in
_OF_PAPERMILL = "PAPERMILL_"  # its own names: where the notebook was read and is written


def check_parameters(namespace: Mapping[str, Any], name: str | None = None) -> None:
    """Refuse a parameter that the notebook does not have, or a value that is wrong for it.

    Meant for the first cell after the parameters:

    ```python
    import kernel_lib as kl

    kl.run.check_parameters(globals(), "saliency_cascade")
    ```

    Args:
        namespace: The notebook's variables, `globals()`.
        name: The notebook's template, whose limits and choices count for the parameters that are
            declared as there. None, or a name that is not known, checks names and types alone.

    Raises:
        TypeError: If a value has the wrong type, such as text where a list is wanted.
        ValueError: If an injected name is not declared, or a value is out of range or not among
            the choices.
    """
    declared = _declared(namespace, name)
    cells = [cell for cell in namespace.get("In", []) if isinstance(cell, str) and cell]
    known = list(declared.values())
    for each in _unknown(cells, declared):
        find(known, each)
    for parameter in known:
        if parameter.name in namespace and parameter.kind != "any":
            parameter.check(namespace[parameter.name])


def _declared(namespace: Mapping[str, Any], name: str | None) -> dict[str, Parameter]:
    """What the cell declares; with a known template, only what both declare has limits."""
    annotations = namespace.get("__annotations__", {})
    declared = {each: _parameter(each, annotations[each]) for each in annotations}
    try:
        known = template(name).parameters if name else ()
    except ValueError:  # a notebook of somebody's own
        known = ()
    # A cell of the notebook further down may annotate variables too: run again, they are no
    # parameters.
    for limits in known:
        own = declared.get(limits.name)
        if own is None or own.type == limits.type:
            declared[limits.name] = limits
    return declared


def _parameter(name: str, annotation: Any) -> Parameter:
    written = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    try:
        type_ = type_of_annotation(ast.parse(written, mode="eval").body)
    except (SyntaxError, ValueError):  # an object whose text is no Python
        return Parameter(name)
    # With "" as its default: here nothing says that a text must not be empty.
    return Parameter(name, type_.kind, type_.many, type_.optional, "", "''", choices=type_.choices)


def _unknown(cells: Sequence[str], declared: Mapping[str, Parameter]) -> Iterator[str]:
    """Yield the names that papermill's latest cell sets and nothing before it did."""
    places = [place for place, cell in enumerate(cells) if cell.startswith(_MARK)]
    if not places or not places[-1]:
        return
    known = {each for cell in cells[: places[-1]] for each in _names(cell)} | set(declared)
    for each in _names(cells[places[-1]]):
        if each not in known and not each.startswith(_OF_PAPERMILL):
            yield each


def _names(cell: str) -> list[str]:
    try:
        return [name for _, name, _ in assignments(ast.parse(without_magics(cell)))]
    except SyntaxError:
        return []
