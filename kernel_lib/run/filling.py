"""New defaults in the source of a `parameters` cell; annotations and comments stay.

So a filled-in notebook has the parameters of its template, and whatever sets parameters later, by a
cell of its own after this one, replaces only those that it names.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import Any

from kernel_lib.run.annotations import last_name
from kernel_lib.run.schema import assignments, without_magics

Edit = tuple[int, int, str]  # from a byte to a byte, and what comes there


def fill(source: str, values: Mapping[str, Any]) -> str:
    """Return the source of a `parameters` cell with `values` as its defaults.

    Args:
        source: The cell's Python.
        values: Checked values: text, finite numbers, booleans, None, and lists of these, whose
            `repr` is the same value in Python and nothing else.

    Raises:
        SyntaxError: If the cell is not Python.
    """
    text = source.encode()
    edits = dict(_edits(source, values))
    for start, end, new in sorted(edits.values(), reverse=True):
        text = text[:start] + new.encode() + text[end:]
    more = [f"{name} = {value!r}" for name, value in values.items() if name not in edits]
    return "\n".join([text.decode(), *more])


def _edits(source: str, values: Mapping[str, Any]) -> Iterator[tuple[str, Edit]]:
    """Yield each name and how its default is replaced; of two assignments the last one counts."""
    lines = source.encode().splitlines(keepends=True)

    def place(line: int | None, column: int | None) -> int:
        return sum(map(len, lines[: (line or 1) - 1])) + (column or 0)

    for statement, name, default in assignments(ast.parse(without_magics(source))):
        if name not in values or (isinstance(statement, ast.Assign) and len(statement.targets) > 1):
            continue
        value = values[name]
        if default is None:  # `name: int`
            end = place(statement.end_lineno, statement.end_col_offset)
            yield name, (end, end, f" = {value!r}")
            continue
        old = _replaced(default, value)
        start, end = place(old.lineno, old.col_offset), place(old.end_lineno, old.end_col_offset)
        yield name, (start, end, repr(value))


def _replaced(default: ast.expr, value: Any) -> ast.expr:
    """Return what gives way to `value`: all of the default, but of `Path("...")` only the text."""
    if isinstance(default, ast.Call) and last_name(default.func) == "Path" and default.args:
        return default.args[0] if isinstance(value, str) else default
    return default
