"""Names of classes: how a person gives them, and how two orders of them are matched.

Networks know their classes by number only. Whoever trained one fed the classes in some order; a
folder is read in alphabetical order, which may be another. Matching by name settles it.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kernel_lib.tasks.untrusted import check_size, parsed_json, untrusted

ClassNames = Sequence[str] | Mapping[Any, Any] | str | os.PathLike[str]
_MOST_NAMED = 10  # names that a message shows


def class_name_list(class_names: ClassNames | np.ndarray) -> tuple[str, ...]:
    """Return names of classes in the order of the network's outputs, in whatever form they come.

    Args:
        class_names: a list of names; `{name: index}`, as `class_indices` of Keras has it;
            `{index: name}`; names with commas between, as in "cat,dog"; or the path of a text file
            with a name on each line, or of a JSON file with such a list or mapping. Nothing is
            executed and nothing unpickled.

    Raises:
        ValueError: If names repeat, are fewer than two, indices do not run from 0 without a gap,
            or a file holds something else.
        TypeError: If it is none of these forms.
        FileNotFoundError: If it is the path of a file that is not there.

    Example:
        >>> class_name_list({"dog": 1, "cat": 0})
        ('cat', 'dog')
    """
    names = _names_of(class_names)
    if len(names) < 2:
        raise ValueError(
            f"`class_names` must name at least two classes. Received: {quoted(names) or 'none'}."
        )
    if len(set(names)) < len(names):
        repeated = sorted({name for name in names if names.count(name) > 1})
        raise ValueError(
            f"`class_names` must differ from one another. Received twice: {quoted(repeated)}."
        )
    return names


@dataclass(frozen=True, eq=False)
class ClassMatch:
    """Where each of some names stands in an order that is wanted.

    Attributes:
        places: int64 (num_names,), the place of each name in the order wanted, -1 where it is
            not there.
        unknown: names that are not in the order wanted.
        loose: pairs of a name and the other spelling that was taken for it.
    """

    places: np.ndarray
    unknown: tuple[str, ...]
    loose: tuple[tuple[str, str], ...]


def match_names(names: Sequence[str], wanted: Sequence[str]) -> ClassMatch:
    """Find `names` in the order `wanted`.

    Names match letter for letter; where they do not, upper and lower case, and spaces, underscores
    and hyphens, are taken as equal, if that leaves one choice only.
    """
    exact = {name: place for place, name in enumerate(wanted)}
    taken = {name for name in names if name in exact}
    # Only names left over on both sides may be matched loosely, and only one to one.
    left = _by_plain_form(name for name in wanted if name not in taken)
    asking = _by_plain_form(name for name in names if name not in exact)
    places, loose = [], []
    for name in names:
        place = exact.get(name, -1)
        candidates = left.get(plain_form(name), [])
        if place < 0 and len(candidates) == len(asking[plain_form(name)]) == 1:
            place = exact[candidates[0]]
            loose.append((name, candidates[0]))
        places.append(place)
    unknown = tuple(name for name, place in zip(names, places, strict=True) if place < 0)
    return ClassMatch(np.array(places, np.int64), unknown, tuple(loose))


def only_counted(names: Sequence[str]) -> bool:
    """Whether the names are "0", "1", ... in this order: numbers, no names."""
    return tuple(names) == tuple(str(number) for number in range(len(names)))


def plain_form(name: str) -> str:
    """Return `name` without what people spell in different ways: case, spaces, underscores."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    return " ".join(folded.replace("_", " ").replace("-", " ").split())


def quoted(names: Iterable[str]) -> str:
    """Return the names between quotes and commas, the first ten of them."""
    names = list(names)
    more = len(names) - _MOST_NAMED
    shown = ", ".join(map(repr, names[:_MOST_NAMED]))
    return f"{shown} and {more} more" if more > 0 else shown


def spellings(match: ClassMatch) -> str:
    """Say which names were taken for which, or nothing."""
    if not match.loose:
        return ""
    pairs = ", ".join(f"{name!r} for {other!r}" for name, other in match.loose[:_MOST_NAMED])
    more = len(match.loose) - _MOST_NAMED
    return f" (spelled differently: {pairs}{f' and {more} more' if more > 0 else ''})"


def _by_plain_form(names: Iterable[str]) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = {}
    for name in names:
        grouped.setdefault(plain_form(name), []).append(name)
    return grouped


def _names_of(value: Any) -> tuple[str, ...]:
    if isinstance(value, os.PathLike):
        return _from_file(Path(value))
    if isinstance(value, str):
        return _from_text(value)
    if isinstance(value, Mapping):
        return _from_mapping(value)
    if isinstance(value, (bytes, set, frozenset)) or not isinstance(value, Iterable):
        raise TypeError(
            "`class_names` must be a list of names in the order of the network's outputs, a "
            "mapping {name: index}, or the path of a text or JSON file that holds one. "
            f"Received: {type(value).__name__}."
        )
    return tuple(str(name) for name in value)


def _from_text(text: str) -> tuple[str, ...]:
    path = Path(text).expanduser()
    if path.suffix.lower() in (".txt", ".json") or path.is_file():
        return _from_file(path)
    if "," not in text:
        raise ValueError(
            "`class_names` must be a list of names, names with commas between ('cat,dog'), or the "
            f"path of a text or JSON file. Received: {text!r:.300}, and there is no such file."
        )
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _from_file(path: Path) -> tuple[str, ...]:
    path = path.expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path} of class names.")
    with untrusted(f"The file {path} of class names is not text in UTF-8"):
        text = check_size(path).read_text(encoding="utf-8-sig")
    if path.suffix.lower() != ".json":
        return tuple(line.strip() for line in text.splitlines() if line.strip())
    with untrusted(f"The file {path} of class names is not JSON"):
        content = parsed_json(text)
    if not isinstance(content, (list, dict)):
        raise ValueError(
            f"The file {path} must hold a list of class names or a mapping {{name: index}}. "
            f"Received: {type(content).__name__}."
        )
    return _names_of(content)


def _from_mapping(mapping: Mapping[Any, Any]) -> tuple[str, ...]:
    """Return the names of {name: index} or {index: name} in the order of the indices."""
    places = [_whole(value) for value in mapping.values()]
    names = [str(name) for name in mapping]
    if None in places:
        places, names = [_whole(key) for key in mapping], [str(name) for name in mapping.values()]
    if None in places or sorted(places) != list(range(len(places))):  # type: ignore[type-var]
        shown = dict(list(mapping.items())[:_MOST_NAMED])
        raise ValueError(
            "`class_names` as a mapping must give each name its index, from 0 without a gap, as "
            f"in {{'cat': 0, 'dog': 1}}. Received: {shown!r:.300}."
        )
    return tuple(name for _, name in sorted(zip(places, names, strict=True)))


def _whole(value: Any) -> int | None:
    """Return a whole number, also one written as text, as JSON keys are; otherwise None."""
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        return int(value)
    return int(value) if isinstance(value, str) and value.isdecimal() else None
