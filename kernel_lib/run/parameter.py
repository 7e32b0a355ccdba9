"""One typed parameter of a notebook: how a value for it is checked, parsed and described.

A value stays a value. Text from a command line is read by the declared type and never evaluated,
and only text, finite numbers, booleans, None and lists of these pass, which papermill knows how to
write into a notebook.
"""

from __future__ import annotations

import difflib
import json
import math
import reprlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

PYTHON_TYPES: dict[str, type] = {"string": str, "integer": int, "number": float, "boolean": bool}
BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
ONE_VALUE = {
    "string": "text (str)",
    "integer": "a whole number (int)",
    "number": "a number (float)",
    "boolean": "true or false (bool)",
    "any": "text, a number, true, false, or a list of these",
}
MOST_VALUES = 10_000  # in one list, with all that is in it
MOST_LEVELS = 8  # of lists in lists
LARGEST_INTEGER = 2**63  # what NumPy and most readers of JSON can hold


@dataclass(frozen=True)
class Parameter:
    """One parameter of a notebook.

    Attributes:
        name: The variable in the cell.
        kind: `"string"`, `"integer"`, `"number"`, `"boolean"`, or `"any"` where nothing is known.
        many: Whether the value is a list of that kind.
        optional: Whether None is a value.
        default: The value in the cell; None where it is not a literal (see `source`).
        source: The default as the cell writes it; empty when the cell gives none.
        help: The comment at the end of its line.
        title: A short name for forms.
        choices: The only values allowed; empty means any.
        minimum: Smallest number allowed.
        maximum: Largest number allowed.
    """

    name: str
    kind: str = "any"
    many: bool = False
    optional: bool = False
    default: Any = None
    source: str = ""
    help: str = ""
    title: str = ""
    choices: tuple[Any, ...] = ()
    minimum: float | None = None
    maximum: float | None = None

    @property
    def required(self) -> bool:
        """Whether the cell gives no default."""
        return not self.source

    @property
    def type(self) -> str:
        """The type in Python's words, such as `"list[int] | None"`."""
        name = PYTHON_TYPES[self.kind].__name__ if self.kind in PYTHON_TYPES else "any"
        if self.many:
            name = f"list[{name}]"
        return f"{name} | None" if self.optional else name

    def check(self, value: Any) -> Any:
        """Return `value` in the parameter's own type.

        Raises:
            TypeError: If it has the wrong type.
            ValueError: If it is not finite, out of range, or not among the choices.
        """
        try:
            value = _plain(value)
        except ValueError as error:
            raise ValueError(f"`{self.name}` {error}.") from None
        if value is None and self.optional:
            return None
        if self.many and isinstance(value, list):
            return [self._check_item(item, value) for item in value]
        if self.many or value is None:
            raise self._wrong_type(value)
        return self._check_item(value, value)

    def parse(self, text: str) -> Any:
        """Return the value that `text`, given on a command line, means for this parameter.

        A list is written `a,b,c` or as JSON, `["a", "b"]`; None is written `none`.

        Raises:
            TypeError: If the text cannot be read as the parameter's type.
            ValueError: If the value is not finite, out of range, or not among the choices.
        """
        if self.optional and text.strip().lower() in {"none", "null"}:
            return None
        items = _split(text) if self.many else [text]
        values = [self._parse_item(item, text) for item in items]
        return self.check(values if self.many else values[0])

    def to_json_schema(self) -> dict[str, Any]:
        """Return the JSON schema of a value for this parameter."""
        item: dict[str, Any] = {} if self.kind == "any" else {"type": self.kind}
        if self.choices:
            item["enum"] = list(self.choices)
        limits = {"minimum": self.minimum, "maximum": self.maximum}
        item |= {key: limit for key, limit in limits.items() if limit is not None}
        schema: dict[str, Any] = {"type": "array", "items": item} if self.many else item
        if self.optional and "type" in schema:
            schema["type"] = [schema["type"], "null"]
        if self.optional and "enum" in schema:
            schema["enum"] = [*schema["enum"], None]
        words = {"title": self.title, "description": self.help}
        schema |= {key: text for key, text in words.items() if text}
        if self.default is not None or self.source == "None":
            schema["default"] = self.default
        return schema

    def _parse_item(self, item: Any, received: str) -> Any:
        if not isinstance(item, str) or self.kind == "string":
            return item
        if self.kind == "any":
            return _json_or_text(item)
        try:
            if self.kind == "boolean":
                return BOOLEANS[item.strip().lower()]
            return PYTHON_TYPES[self.kind](item)
        except (KeyError, ValueError):
            raise self._wrong_type(received) from None

    def _check_item(self, item: Any, received: Any) -> Any:
        if self.kind == "any":
            return self._check_any(item)
        if self.kind == "number" and type(item) is int:
            item = _as_float(item)
        if type(item) is not PYTHON_TYPES[self.kind]:
            raise self._wrong_type(received)
        self._check_limits(item)
        return item

    def _check_any(self, item: Any) -> Any:
        if isinstance(item, list):
            return [self._check_any(each) for each in item]
        if item is not None and type(item) not in PYTHON_TYPES.values():
            raise self._wrong_type(item)
        self._check_limits(item)
        return item

    def _check_limits(self, item: Any) -> None:
        problem = self._problem_of_text(item) if isinstance(item, str) else ""
        if problem:
            pass
        elif isinstance(item, float) and not math.isfinite(item):
            problem = "must be finite"
        elif type(item) is int and abs(item) >= LARGEST_INTEGER:
            problem = "must lie between -2**63 and 2**63"
        elif self.choices and item not in self.choices:
            problem = f"must be one of {', '.join(map(repr, self.choices))}"
        elif self.minimum is not None and item < self.minimum:
            problem = f"must be at least {self.minimum:g}"
        elif self.maximum is not None and item > self.maximum:
            problem = f"must be at most {self.maximum:g}"
        if problem:
            hint = did_you_mean(item, self.choices)
            raise ValueError(f"`{self.name}` {problem}. Received: {self.name}={shown(item)}.{hint}")

    def _problem_of_text(self, text: str) -> str:
        if not text.strip() and not self._takes_empty_text:
            cures = {
                "leave it out for its default": bool(self.source),
                "give None": self.optional,
                'give "." for the folder you are in': self.name == "output_dir",
            }
            cure = ", or ".join(each for each, holds in cures.items() if holds)
            return f"must not be empty{cure and ': '}{cure}"
        if "\0" in text:
            return "must not hold the character NUL"
        try:
            text.encode()
        except UnicodeEncodeError:
            return "must be text that can be written as UTF-8"
        return ""

    @property
    def _takes_empty_text(self) -> bool:
        """Whether empty text means something: where the cell itself has it, or nothing is known."""
        default = self.default if isinstance(self.default, list) else [self.default]
        return self.kind == "any" or "" in default or "" in self.choices

    def _wrong_type(self, received: Any) -> TypeError:
        expected = f"a list, each {ONE_VALUE[self.kind]}" if self.many else ONE_VALUE[self.kind]
        expected += ", or None" if self.optional else ""
        hint = ""
        if self.kind == "number" and isinstance(received, str) and "e" in received.lower():
            hint = " YAML takes 1e-3 for text: write 1.0e-3."
        return TypeError(
            f"`{self.name}` must be {expected}. Received: {self.name}={shown(received)}.{hint}"
        )


def did_you_mean(value: object, known: Iterable[object]) -> str:
    """Return the sentence ` Did you mean ...?` for the nearest of `known`, or nothing."""
    text = value if isinstance(value, str) else shown(value)
    near = difflib.get_close_matches(text[:100], [str(name) for name in known], n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


def shown(value: object) -> str:
    """Return the `repr` of a value for a message: short, however large or deep the value is."""
    return _SHORT.repr(value)


class _Short(reprlib.Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 4
        self.maxlist = self.maxtuple = self.maxset = self.maxfrozenset = self.maxdict = 20
        self.maxstring = self.maxother = 200

    def repr_int(self, x: int, level: int) -> str:
        # Python refuses to write integers of very many digits.
        return repr(x) if abs(x) < 10**40 else f"an integer of {x.bit_length()} bits"


_SHORT = _Short()


def _plain(value: Any) -> Any:
    """Return paths, tuples and NumPy numbers and arrays as plain Python values.

    Raises:
        ValueError: If lists hold too much. A YAML file of a few lines can hold a list that is part
            of itself, or one that stands for billions of values.
    """
    left = MOST_VALUES

    def plain(value: Any, level: int) -> Any:
        nonlocal left
        if isinstance(value, PurePath):
            return str(value)
        if hasattr(value, "tolist"):
            value = value.tolist()
        if not isinstance(value, (list, tuple)):
            return value
        left -= len(value)
        if level == MOST_LEVELS:
            raise ValueError(f"must not hold lists in lists over {MOST_LEVELS} levels")
        if left < 0:
            raise ValueError(f"must hold at most {MOST_VALUES} values")
        return [plain(item, level + 1) for item in value]

    return plain(value, 0)


def _as_float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _split(text: str) -> list[Any]:
    if text.lstrip().startswith("["):
        value = _json_or_text(text)
        return value if isinstance(value, list) else [text]
    return [item.strip() for item in text.split(",")] if text.strip() else []


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
