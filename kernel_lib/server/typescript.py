"""TypeScript types of the JSON schemas; `python -m kernel_lib.server.typescript` prints them."""

from __future__ import annotations

import json
from typing import Any

from kernel_lib.server.schemas import DEFINITIONS

HEADER = """\
// Made by `python -m kernel_lib.server.typescript` from kernel_lib/server/schemas.py.
"""
SIMPLE = {
    "string": "string",
    "number": "number",
    "integer": "number",
    "boolean": "boolean",
    "null": "null",
}


def types() -> str:
    """Return the TypeScript module: one exported type for each schema."""
    made = [f"export type {name} = {_type(each)};\n" for name, each in DEFINITIONS.items()]
    return "\n".join([HEADER, *made])


def _type(schema: dict[str, Any], indent: str = "") -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rsplit("/", 1)[-1]
    if "enum" in schema:
        return " | ".join(json.dumps(value).replace('"', "'") for value in schema["enum"])
    if "anyOf" in schema:
        return " | ".join(_type(each, indent) for each in schema["anyOf"])
    if schema.get("type") == "array":
        return f"{_type(schema['items'], indent)}[]"
    if schema.get("type") == "object":
        return _object(schema, indent)
    kinds = schema.get("type")
    if kinds is None:
        return "unknown"
    return " | ".join(SIMPLE[kind] for kind in ([kinds] if isinstance(kinds, str) else kinds))


def _object(schema: dict[str, Any], indent: str) -> str:
    others = schema["additionalProperties"]
    if others is not False:
        return f"{{ [name: string]: {_type(others, indent)} }}"
    inner = indent + "  "
    lines = [
        f"{inner}{name}{'' if name in schema['required'] else '?'}: {_type(each, inner)};"
        for name, each in schema["properties"].items()
    ]
    return "\n".join(["{", *lines, f"{indent}}}"])


if __name__ == "__main__":
    print(types(), end="")
