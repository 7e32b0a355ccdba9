"""Names of classes as a person gives them: a list, or a file with one name a line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

FILES = (".txt", ".json")


def as_class_names(value: Sequence[str] | str | None) -> list[str] | None:
    """Return one name a class, or None where none were given.

    Args:
        value: a list of names; text "red,green,blue"; or, alone or as the only one of the list, a
            file: `.txt` with one name a line, or `.json` with a list of names. None and an empty
            list give None.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is no list of names.
    """
    if value is None:
        return None
    texts = [value] if isinstance(value, str | Path) else list(value)
    if len(texts) == 1 and str(texts[0]).lower().endswith(FILES):
        return _from_file(Path(texts[0]))
    if isinstance(value, str):
        texts = [name.strip() for name in value.split(",") if name.strip()]
    return [str(name) for name in texts] or None


def _from_file(path: Path) -> list[str]:
    if not path.is_file():
        raise FileNotFoundError(f"There is no file of class names at {str(path)!r}.")
    text = path.read_text(encoding="utf-8-sig")
    if path.suffix.lower() == ".txt":
        names = [line.strip() for line in text.splitlines() if line.strip()]
    else:
        try:
            names = json.loads(text)
        except ValueError as error:
            raise ValueError(f"{path.name!r} is not valid JSON: {error}.") from error
    if not isinstance(names, list) or not names or not all(isinstance(n, str) for n in names):
        raise ValueError(
            f"{path.name!r} must hold one class name a line (.txt), or a list of texts (.json)."
        )
    return names
