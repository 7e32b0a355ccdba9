"""What Python's annotations say about the values of a parameter."""

from __future__ import annotations

import ast
from dataclasses import dataclass, replace
from typing import Any

KINDS = {
    "str": "string",
    "Path": "string",
    "int": "integer",
    "float": "number",
    "bool": "boolean",
    "NoneType": "none",
}
LISTS = {"list", "List", "Sequence"}


@dataclass(frozen=True)
class ValueType:
    """What an annotation, or a default, says about the values of a parameter."""

    kind: str = "any"
    many: bool = False
    optional: bool = False
    choices: tuple[Any, ...] = ()


NONE = ValueType("none")


def last_name(node: ast.expr) -> str:
    """Return the last name of `Literal` and of `typing.Literal` alike."""
    return getattr(node, "attr", getattr(node, "id", ""))


def type_of_value(value: Any) -> ValueType:
    """Return the type of a value that was written without an annotation."""
    if not isinstance(value, list):
        return ValueType(KINDS.get(type(value).__name__, "any"))
    return replace(_union([type_of_value(item) for item in value]), many=True)


def type_of_annotation(node: ast.expr) -> ValueType:
    """Return the type that an annotation means; what is not understood is of the kind "any"."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return type_of_annotation(ast.parse(node.value, mode="eval").body)
    if isinstance(node, ast.Constant) and node.value is None:
        return NONE
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _union([type_of_annotation(node.left), type_of_annotation(node.right)])
    if isinstance(node, ast.Subscript):
        return _type_of_subscript(last_name(node.value), node.slice)
    return ValueType(KINDS.get(last_name(node), "any"), many=last_name(node) in LISTS)


def _type_of_subscript(outer: str, inner: ast.expr) -> ValueType:
    parts = inner.elts if isinstance(inner, ast.Tuple) else [inner]
    if outer == "Literal":
        values = [ast.literal_eval(part) for part in parts]
        choices = tuple(value for value in values if value is not None)
        if not all(isinstance(each, (str, int)) for each in choices):
            raise ValueError(
                "Literal takes text, whole numbers, booleans and None here. "
                f"Received: {ast.unparse(inner)}."
            )
        return replace(type_of_value(values), many=False, choices=choices)
    if outer in LISTS:
        return replace(type_of_annotation(inner), many=True)
    if outer == "Annotated":
        return type_of_annotation(parts[0])
    if outer in {"Optional", "Union"}:
        return _union([*map(type_of_annotation, parts), *([NONE] if outer == "Optional" else [])])
    return ValueType()


def _union(types: list[ValueType]) -> ValueType:
    """Return the one type that holds every value of `types`."""
    optional = any(each.optional or each == NONE for each in types)
    distinct = {replace(each, optional=False) for each in types if each != NONE}
    if distinct == {ValueType("integer"), ValueType("number")}:
        distinct = {ValueType("number")}
    return replace(distinct.pop() if len(distinct) == 1 else ValueType(), optional=optional)
