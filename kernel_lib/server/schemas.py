"""The JSON schemas of what the server is asked and answers; TypeScript types are made from them.

Each schema has a name; one refers to another by `{"$ref": "#/$defs/NAME"}`.
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "number"}
WHOLE: Schema = {"type": "integer"}
YES_NO: Schema = {"type": "boolean"}
ANYTHING: Schema = {}
TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
NUMBER_OR_NULL: Schema = {"type": ["number", "null"]}
VERDICTS = ["pass", "warning", "fail", "undetermined"]
SEVERITIES = ["stop", "caution", "note"]
STATUSES = ["queued", "running", "completed", "failed", "cancelled", "died"]


def _object(properties: dict[str, Schema], optional: tuple[str, ...] = ()) -> Schema:
    required = [name for name in properties if name not in optional]
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def _many(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _by_name(items: Schema) -> Schema:
    return {"type": "object", "additionalProperties": items}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _named(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


DEFINITIONS: dict[str, Schema] = {
    "Broken": _object({"place": TEXT, "problem": TEXT}),
    "Message": _object({"message": TEXT}),
    # --- templates
    "TemplateSummary": _object(
        {
            "name": TEXT,
            "title": TEXT,
            "description": TEXT,
            "presets": _many(TEXT),
            "num_parameters": WHOLE,
            "built_in": YES_NO,
        }
    ),
    "TemplateList": _object(
        {"templates": _many(_named("TemplateSummary")), "broken": _many(_named("Broken"))}
    ),
    "TemplateParameter": _object(
        {
            "name": TEXT,
            "type": TEXT,
            "help": TEXT,
            "default": TEXT,
            "picker": {"enum": ["model", "data", "none"]},
        }
    ),
    "Preset": _object(
        {"name": TEXT, "description": TEXT, "values": _by_name(ANYTHING), "problem": TEXT}
    ),
    "TemplateDetail": _object(
        {
            "summary": _named("TemplateSummary"),
            "parameters": _many(_named("TemplateParameter")),
            "schema": _by_name(ANYTHING),
            "presets": _many(_named("Preset")),
        }
    ),
    "Names": _object({"models": _by_name(TEXT), "data": _by_name(TEXT)}),
    # --- values for a template
    "ValidateRequest": _object(
        {"template": TEXT, "preset": TEXT_OR_NULL, "values": _by_name(ANYTHING)}
    ),
    "ValidateReply": _object({"errors": _by_name(TEXT), "problem": TEXT}),
    # --- the intake before a run
    "IntakeRequest": _object(
        {
            "template": TEXT,
            "preset": TEXT_OR_NULL,
            "values": _by_name(ANYTHING),
            "folder": TEXT,
        }
    ),
    "CurePiece": _object({"text": TEXT, "is_code": YES_NO}),
    "IntakeFinding": _object(
        {
            "severity": {"enum": SEVERITIES},
            "text": TEXT,
            "cure": _many(_named("CurePiece")),
        }
    ),
    "IntakeReply": _object(
        {
            "told": TEXT,  # why there is none yet; the rest is empty then
            "problem": TEXT,  # why there can be none; the rest is empty then
            "headline": TEXT,
            "summary": TEXT,
            "findings": _many(_named("IntakeFinding")),
            "facts": _many(_named("Row")),
        }
    ),
    "FilledRequest": _object(
        {
            "template": TEXT,
            "preset": TEXT_OR_NULL,
            "values": _by_name(ANYTHING),
            "folder": TEXT,
        }
    ),
    "OpenRequest": _object(
        {
            "template": TEXT,
            "preset": TEXT_OR_NULL,
            "values": _by_name(ANYTHING),
            "folder": TEXT,
            "scheduled": YES_NO,  # whether it is run from a copy elsewhere
        }
    ),
    "OpenReply": _object({"path": TEXT}),
    # --- runs
    "Step": _object({"name": TEXT, "cell": WHOLE, "cells": WHOLE}),
    "Failure": _object({"step": TEXT, "source": TEXT, "name": TEXT, "message": TEXT}),
    "Run": _object(
        {
            "id": TEXT,
            "template": TEXT,
            "title": TEXT,
            "preset": TEXT_OR_NULL,
            "values": _by_name(ANYTHING),
            "created": TEXT,
            "status": {"enum": STATUSES},
            "step": _or_null(_named("Step")),
            "seconds": NUMBER_OR_NULL,
            "failure": _or_null(_named("Failure")),
            "notebook": TEXT,
            "result": _or_null(_named("ResultSummary")),
        }
    ),
    "RunList": _object({"runs": _many(_named("Run")), "limit": WHOLE}),
    "LogReply": _object({"text": TEXT, "next": WHOLE}),
    # --- results
    "Verdict": _object(
        {
            "status": {"enum": VERDICTS},
            "headline": TEXT,
            "means": TEXT,
            "does_not_mean": TEXT,
            "next_step": TEXT,
        }
    ),
    "ResultSummary": _object(
        {
            "folder": TEXT,
            "audit": TEXT,
            "question": TEXT,
            "status": {"enum": VERDICTS},
            "headline": TEXT,
            "created": TEXT,
            "figure": TEXT,
        }
    ),
    "ResultList": _object(
        {"results": _many(_named("ResultSummary")), "broken": _many(_named("Broken"))}
    ),
    "Figure": _object({"name": TEXT, "path": TEXT}),
    "Table": _object(
        {
            "name": TEXT,
            "path": TEXT,
            "columns": _many(TEXT),
            "rows": _many(_many(TEXT)),
            "num_rows": WHOLE,
        }
    ),
    "Row": _object({"name": TEXT, "value": TEXT}),
    "ResultDetail": _object(
        {
            "folder": TEXT,
            "audit": TEXT,
            "question": TEXT,
            "verdict": _named("Verdict"),
            "scores": _by_name(NUMBER_OR_NULL),
            "figures": _many(_named("Figure")),
            "tables": _many(_named("Table")),
            "parameters": _many(_named("Row")),
            "provenance": _many(_named("Row")),
            "page": TEXT,
            "notebook": TEXT,
        }
    ),
}


def schema(name: str) -> Schema:
    """Return the whole schema called `name`."""
    return {"$ref": f"#/$defs/{name}", "$defs": DEFINITIONS}


def check(name: str, value: Any) -> Any:
    """Return `value` if it has the form called `name`.

    Raises:
        ValueError: If it has not; the message names the place.
    """
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    error = best_match(Draft202012Validator(schema(name)).iter_errors(value))
    if error is not None:
        place = ".".join(str(part) for part in error.absolute_path)
        message = error.message if len(error.message) <= 300 else f"{error.message[:300]} ..."
        raise ValueError(f"`{place or name}` has the wrong form: {message}.")
    return value
