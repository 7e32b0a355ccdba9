"""The templates that are offered; a notebook is read again only when its file has changed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kernel_lib.run import catalogue, schema
from kernel_lib.run.catalogue import Template
from kernel_lib.run.parameter import Parameter, did_you_mean
from kernel_lib.run.paths import output_folder

Stamp = tuple[int, ...]
# A parameter of these names and of type text gets a picker in the form.
PICKERS = {"model": "model", "data": "data"}


@dataclass(frozen=True)
class _Read:
    """What was found in a notebook file."""

    stamp: Stamp
    template: Template | None
    problem: str


class Library:
    """The templates of the installation and of further folders.

    Args:
        folders: Further folders, in which any notebook with a `parameters` cell is a template.
    """

    def __init__(self, folders: Sequence[Path] = ()) -> None:
        self.folders = list(folders)
        self._read: dict[Path, _Read] = {}

    def templates(self) -> dict[str, Template]:
        """Return the templates by name, the built-in ones first; the first of two names counts."""
        found: dict[str, Template] = {}
        for _, read in self._current():
            if read.template:
                found.setdefault(read.template.name, read.template)
        return found

    def template(self, name: str) -> Template:
        """Return the template called `name`.

        Raises:
            LookupError: If there is none.
        """
        known = self.templates()
        if name not in known:
            raise LookupError(f"There is no template {name!r}.{did_you_mean(name, known)}")
        return known[name]

    def listing(self) -> dict[str, Any]:
        """Return all templates, and what is wrong with notebooks that cannot be one."""
        broken = [
            {"place": path.name, "problem": read.problem}
            for path, read in self._current()
            if read.template is None
        ]
        return {
            "templates": [self.summary(each) for each in self.templates().values()],
            "broken": broken,
        }

    def summary(self, template: Template) -> dict[str, Any]:
        """Return what a card shows."""
        return {
            "name": template.name,
            "title": template.title,
            "description": template.description,
            "presets": list(template.presets),
            "num_parameters": len(template.parameters),
            "built_in": template.path.parent not in self.folders,
        }

    def detail(self, name: str) -> dict[str, Any]:
        """Return what a form needs."""
        template = self.template(name)
        return {
            "summary": self.summary(template),
            "parameters": [_parameter(each) for each in template.parameters],
            "schema": schema.to_json_schema(template.parameters),
            "presets": [_preset(template, each) for each in template.presets],
        }

    def _current(self) -> Iterator[tuple[Path, _Read]]:
        """Yield each notebook and what is in it, read anew only where the file has changed."""
        seen = {}
        for path in catalogue.notebooks(self.folders):
            try:
                stamp = _stamp(path)
            except OSError:
                continue  # it went away meanwhile
            known = self._read.get(path)
            seen[path] = known if known and known.stamp == stamp else _read(path, stamp)
        self._read = seen
        yield from seen.items()


def checked_values(
    template: Template, preset: str | None, values: dict[str, Any]
) -> dict[str, Any]:
    """Return the values of a preset with `values` over them, all checked.

    Raises:
        TypeError, ValueError: As the command line does.
    """
    chosen = catalogue.preset(template, preset) if preset else {}
    return chosen | schema.validate(template.parameters, {**chosen, **values})


def problems(
    template: Template,
    preset: str | None,
    values: dict[str, Any],
    line: Callable[[str], str] = str,
) -> dict[str, Any]:
    """Return what is wrong with each value, by name, and with the whole.

    Args:
        template: The template.
        preset: Name of a preset, or None.
        values: Values over those of the preset.
        line: Makes each message fit to be shown.
    """
    errors = {}
    for name, value in values.items():
        try:
            checked = schema.find(template.parameters, name).check(value)
            if name == "output_dir":
                output_folder(checked)
        except (TypeError, ValueError) as error:
            errors[name] = line(str(error))
    try:
        checked_values(template, preset, values)
    except (TypeError, ValueError) as error:
        return {"errors": errors, "problem": "" if errors else line(str(error))}
    return {"errors": errors, "problem": ""}


def _read(path: Path, stamp: Stamp) -> _Read:
    try:
        return _Read(stamp, catalogue.read_template(path), "")
    except (OSError, ValueError) as error:
        # The folder is this machine's; the name is enough to find the file.
        return _Read(stamp, None, str(error).replace(str(path), path.name))


def _stamp(path: Path) -> Stamp:
    status = path.stat()
    presets = catalogue.preset_folder(path)
    changed = presets.stat().st_mtime_ns if presets.is_dir() else 0
    return status.st_mtime_ns, status.st_size, changed


def _parameter(parameter: Parameter) -> dict[str, Any]:
    picker = PICKERS.get(parameter.name, "none")
    return {
        "name": parameter.name,
        "type": parameter.type,
        "help": parameter.help,
        "default": parameter.source,
        "picker": picker if parameter.kind == "string" and not parameter.many else "none",
    }


def _preset(template: Template, name: str) -> dict[str, Any]:
    path = catalogue.preset_folder(template.path) / f"{name}.yaml"
    try:
        values, problem = catalogue.preset(template, name), ""
    except (OSError, TypeError, ValueError) as error:
        values, problem = {}, str(error).replace(str(path), path.name)
    description = "" if problem else _first_comment(path)
    return {"name": name, "description": description, "values": values, "problem": problem}


def _first_comment(path: Path) -> str:
    lines = path.read_text(encoding="utf-8").splitlines()
    found = re.match(r"#+\s*(.*)", lines[0]) if lines else None
    return found.group(1).strip() if found else ""
