"""Results on disk as the browser shows them: summaries of many, all of one."""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kernel_lib.server.places import Places

MOST_RESULTS = 200
DEEPEST = 5
MOST_ROWS = 200
MOST_FOLDERS = 5000
LARGEST_RESULT = 32 * 2**20  # bytes of a result.json
MOST_LEVELS = 20  # of values in values
LARGEST_TABLE = 64 * 2**20  # bytes; a larger one is opened, not shown


def listing(places: Places, folder: str) -> dict[str, Any]:
    """Return the results below `folder`, the newest first, and those that cannot be read."""
    results, broken = [], []
    for found in _result_folders(places.folder(folder)):
        try:
            results.append(summary(places, found))
        except (OSError, ValueError) as error:
            broken.append({"place": places.path(found), "problem": places.line(error)})
    results.sort(key=lambda each: each["created"], reverse=True)
    return {"results": results[:MOST_RESULTS], "broken": broken}


def summary(places: Places, folder: Path) -> dict[str, Any]:
    """Return the verdict of the result in `folder` and its first figure.

    Raises:
        ValueError: If there is no readable result.
    """
    content = _content(places, folder)
    figures = _figures(places, folder, content)
    return {
        "folder": places.path(folder),
        "audit": str(content["audit"]),
        "question": str(content.get("question", "")),
        "status": content["verdict"]["status"],
        "headline": str(content["verdict"]["headline"]),
        "created": str(content["provenance"].get("created", "")),
        "figure": figures[0]["path"] if figures else "",
    }


def detail(places: Places, folder: str) -> dict[str, Any]:
    """Return everything of the result in `folder`.

    Raises:
        ValueError: If there is no readable result, or `folder` lies outside the root.
    """
    local = places.folder(folder)
    content = _content(places, local)
    notebooks = [_inside(places, local, each.name) for each in sorted(local.glob("*.ipynb"))]
    notebook = next(filter(None, notebooks), None)
    page = _inside(places, local, "page.html")
    return {
        "folder": places.path(local),
        "audit": str(content["audit"]),
        "question": str(content.get("question", "")),
        "verdict": content["verdict"],
        "scores": content["scores"],
        "figures": _figures(places, local, content),
        "tables": [_table(places, local, str(name)) for name in content["tables"]],
        "parameters": _rows("", content["parameters"]),
        "provenance": _rows("", content["provenance"]),
        "page": places.path(page) if page else "",
        "notebook": places.path(notebook) if notebook else "",
    }


def _content(places: Places, folder: Path) -> dict[str, Any]:
    """Return result.json, with all its parts in the form that is expected."""
    from kernel_lib.report.result import read_result
    from kernel_lib.server.schemas import check

    if (folder / "result.json").exists() and _inside(places, folder, "result.json") is None:
        raise ValueError("result.json lies outside the server's folder.")
    try:
        if os.path.isfile(file := folder / "result.json") and file.stat().st_size > LARGEST_RESULT:
            raise ValueError(f"it has more than {LARGEST_RESULT:,} bytes.")
        content = read_result(folder)
        _check_levels(content)
        check("Verdict", content["verdict"])
        for part in ("scores", "parameters", "provenance"):
            if not isinstance(content[part], dict):
                raise ValueError(f"`{part}` is not a mapping.")
        for part in ("tables", "figures"):
            names = content.get(part) or []
            if not isinstance(names, list) or not all(isinstance(each, str) for each in names):
                raise ValueError(f"`{part}` is not a list of names.")
        content["scores"] = {name: _score(name, each) for name, each in content["scores"].items()}
    except (MemoryError, RecursionError, ValueError) as error:
        reason = "it is nested too deep." if isinstance(error, RecursionError) else error
        raise ValueError(f"result.json is damaged: {reason}") from None
    return content


def _score(name: str, value: Any) -> float | None:
    """Return a score; what is not finite, which JSON does not know, is none."""
    if value is not None and type(value) not in (int, float):
        raise ValueError(f"the score `{name[:100]}` is not a number.")
    return (
        None if value is None or not -sys.float_info.max <= value <= sys.float_info.max else value
    )


def _check_levels(value: Any) -> None:
    """Refuse values nested so deep that whatever goes through them would fail."""
    level = [value]
    for _ in range(MOST_LEVELS):
        inner = [each for each in level if isinstance(each, (dict, list))]
        level = [
            item for each in inner for item in (each.values() if isinstance(each, dict) else each)
        ]
    if any(isinstance(each, (dict, list)) for each in level):
        raise ValueError("it is nested too deep.")


def _result_folders(top: Path) -> Iterator[Path]:
    for looked, (place, folders, files) in enumerate(os.walk(top)):
        depth = len(Path(place).relative_to(top).parts)
        folders[:] = sorted(each for each in folders if each[0] not in "._" and depth < DEEPEST)
        if "node_modules" in folders:
            folders.remove("node_modules")
        if "result.json" in files:
            yield Path(place)
        if looked >= MOST_FOLDERS:
            return


def _inside(places: Places, folder: Path, *parts: str) -> Path | None:
    """Return the file at `parts` if it is there and below the root, however it is named."""
    try:
        file = Path(os.path.realpath(folder.joinpath(*parts)))
    except ValueError:  # a name that cannot be one of a file
        return None
    root = places.root
    inside = root is not None and file.is_relative_to(root)
    return file if inside and os.path.isfile(file) else None


def _figures(places: Places, folder: Path, content: dict[str, Any]) -> list[dict[str, str]]:
    names = content.get("figures") or []
    found = [(str(name), _inside(places, folder, "figures", f"{name}.png")) for name in names]
    return [{"name": name, "path": places.path(file)} for name, file in found if file]


def _table(places: Places, folder: Path, name: str) -> dict[str, Any]:
    file = _inside(places, folder, "tables", f"{name}.csv")
    if file is None:
        return {"name": name, "path": "", "columns": [], "rows": [], "num_rows": 0}
    try:
        if file.stat().st_size > LARGEST_TABLE:
            raise ValueError(f"it has more than {LARGEST_TABLE:,} bytes; open the file")
        columns, rows, num_rows = _rows_of(file)
    except (OSError, ValueError, csv.Error) as error:  # the other tables are shown
        columns, rows, num_rows = ["This table cannot be read"], [[places.line(error)]], 1
    return {
        "name": name,
        "path": places.path(file),
        "columns": columns,
        "rows": rows,
        "num_rows": num_rows,
    }


def _rows_of(file: Path) -> tuple[list[str], list[list[str]], int]:
    """Return the columns of a CSV file, its first rows, and how many it has."""
    with open(file, encoding="utf-8", newline="") as lines:
        reader = csv.reader(lines)
        columns = next(reader, [])
        rows, num_rows = [], 0
        for row in reader:
            num_rows += 1
            if num_rows <= MOST_ROWS:
                rows.append(row)
    return columns, rows, num_rows


def _rows(name: str, value: Any) -> list[dict[str, str]]:
    """Return nested values as rows with names of several words."""
    if isinstance(value, dict):
        inner = [(f"{name} {key}".strip(), item) for key, item in value.items()]
        return [row for key, item in inner for row in _rows(key, item)]
    if isinstance(value, list):
        value = ", ".join(str(item) for item in value)
    return [{"name": name, "value": "" if value is None else str(value)}]
