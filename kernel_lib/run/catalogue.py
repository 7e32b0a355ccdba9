"""The notebook templates that can be run: where they lie, what they ask for, and their presets.

A template is a notebook with a cell tagged `parameters`. `metadata.kernel_lib` of the notebook may
give its `title` and `description`; otherwise its first heading and paragraph are taken. The presets
of `NAME.ipynb` are the files `presets/NAME/*.yaml` beside it.

Notebooks are read as JSON here, without the notebook libraries, so that listing them is quick.
"""

from __future__ import annotations

import functools
import json
import re
import stat
import tokenize
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from kernel_lib.run import schema
from kernel_lib.run.parameter import Parameter, did_you_mean

LARGEST_NOTEBOOK = 64 * 2**20  # bytes
LARGEST_PRESET = 100_000  # bytes
# What a file of another form than expected may raise besides ValueError.
BROKEN = (
    AttributeError,
    LookupError,
    MemoryError,
    OverflowError,
    RecursionError,
    SyntaxError,
    TypeError,
    tokenize.TokenError,
)


@dataclass(frozen=True)
class Template:
    """A notebook template.

    Attributes:
        name: File name without `.ipynb`.
        title: Its name for people.
        description: The question it answers, in a sentence or two of plain text.
        path: The notebook.
        parameters: What it can be given, in the order of its cell.
        presets: Names of its presets.
    """

    name: str
    title: str
    description: str
    path: Path
    parameters: tuple[Parameter, ...]
    presets: tuple[str, ...]


def templates() -> list[Template]:
    """Return all templates, by name. A broken notebook is left out with a warning.

    They come from the installed package, else from the repository it is installed from, and from
    `kernel_lib/templates` in each of Jupyter's data folders, where an administrator may add some.
    Of two with the same name, the first found counts.
    """
    found: dict[str, Template] = {}
    for path in notebooks():
        if path.stem in found:
            continue
        try:
            found[path.stem] = read_template(path)
        except (OSError, ValueError) as error:
            warnings.warn(f"Template {path} is left out. {error}", stacklevel=2)
    return sorted(found.values(), key=lambda template: template.name)


def template(name: str | Path) -> Template:
    """Return the template called `name`, or the one at the path `name`.

    Raises:
        ValueError: If there is no such template, or its notebook is broken.
    """
    if str(name).endswith(".ipynb"):
        return read_template(Path(name))
    path = next((path for path in notebooks() if path.stem == str(name)), None)
    if path is None:
        names = sorted({path.stem for path in notebooks()})
        hint = did_you_mean(name, names)
        raise ValueError(
            f"There is no template {str(name)!r}.{hint} Templates: {', '.join(names) or 'none'}. "
            "A path to a notebook works too, and ends in .ipynb."
        )
    return read_template(path)


def parameters(name: str | Path) -> tuple[Parameter, ...]:
    """Return the parameters of the template called `name`, or of the notebook at that path."""
    return template(name).parameters


def notebooks(more_folders: Iterable[Path] = ()) -> Iterator[Path]:
    """Yield the notebook files that are templates by their place, then those of `more_folders`."""
    for folder in [*_folders(), *more_folders]:
        yield from sorted(folder.glob("*.ipynb"))


def read_template(path: Path) -> Template:
    """Return the template in the notebook file `path`.

    Raises:
        ValueError: If the file is missing, is not a notebook, or has no readable parameters.
    """
    notebook = read_notebook(path)
    try:
        told = notebook["metadata"].get("kernel_lib", {})
        words = {key: _words(told, key) for key in ("title", "description")}
        title, description = title_and_description(notebook)
        parameters = schema.read(notebook)
    except BROKEN as error:
        raise ValueError(f"{path} is a broken notebook: {_reason(error)}.") from None
    return Template(
        name=path.stem,
        title=words["title"] or title or path.stem,
        description=words["description"] or description,
        path=path,
        parameters=parameters,
        presets=tuple(sorted(file.stem for file in preset_folder(path).glob("*.yaml"))),
    )


def preset(template: Template, name: str) -> dict[str, Any]:
    """Return the checked values of the preset `name` of `template`.

    Raises:
        TypeError, ValueError: If there is no such preset, it is not a mapping of names to values,
            or a value is wrong for its parameter.
    """
    if name not in template.presets:
        known = ", ".join(template.presets) or "none"
        hint = did_you_mean(name, template.presets)
        raise ValueError(f"{template.name} has no preset {name!r}.{hint} Presets: {known}.")
    return read_values(preset_folder(template.path) / f"{name}.yaml", template.parameters)


def read_values(path: Path, parameters: tuple[Parameter, ...]) -> dict[str, Any]:
    """Return the checked parameter values of a YAML or JSON file.

    Raises:
        TypeError, ValueError: If the file is missing or not a mapping, or a value is wrong.
    """
    import yaml

    try:
        values = yaml.load(_text(path, LARGEST_PRESET), Loader=_loader())  # a SafeLoader
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}.") from None
    except (yaml.YAMLError, ValueError, *BROKEN) as error:
        raise ValueError(f"{path} cannot be read: {_reason(error)}.") from None
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise ValueError(
            f"{path} must hold parameter names and values. Received: {type(values).__name__}."
        )
    try:
        return {
            str(name): schema.find(parameters, str(name)).check(values[name]) for name in values
        }
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{path}: {error}") from None


def _folders() -> Iterator[Path]:
    from jupyter_core.paths import jupyter_path

    package = Path(str(files("kernel_lib")))
    installed, repository = package / "templates", package.parent
    if installed.is_dir():
        yield installed
    elif (repository / "pyproject.toml").is_file():  # not any `templates` beside the package
        yield repository / "templates"
    yield from map(Path, jupyter_path("kernel_lib", "templates"))


def preset_folder(path: Path) -> Path:
    """Return the folder that holds the presets of the notebook `path`."""
    return path.parent / "presets" / path.stem


def read_notebook(path: Path) -> dict[str, Any]:
    """Return the notebook in the file `path` as JSON gives it.

    Raises:
        ValueError: If the file is missing or is not a notebook of format 4.
    """
    try:
        text = _text(path, LARGEST_NOTEBOOK)
        notebook = json.loads(text)
        if re.search(r"\\u[dD][89a-fA-F]", text):
            _check_characters(notebook)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}.") from None
    except (ValueError, *BROKEN) as error:
        raise ValueError(f"{path} is not a notebook: {_reason(error)}.") from None
    if not isinstance(notebook, dict) or notebook.get("nbformat") != 4:
        raise ValueError(f"{path} is not a notebook of format 4.")
    return notebook


def title_and_description(notebook: dict[str, Any]) -> tuple[str, str]:
    """Return the first heading and the first paragraph of the markdown cells."""
    cells = (cell for cell in notebook["cells"] if cell.get("cell_type") == "markdown")
    text = "\n\n".join("".join(cell["source"]) for cell in cells)
    heading = re.search(r"^#+\s+(.+)$", text, flags=re.MULTILINE)
    blocks = (block.strip() for block in re.split(r"\n\s*\n|^#.*$", text, flags=re.MULTILINE))
    paragraph = next((block for block in blocks if block and not block.startswith("<")), "")
    return heading.group(1).strip() if heading else "", " ".join(paragraph.split())


def _check_characters(notebook: Any) -> None:
    """Refuse half characters, which JSON can hold and a file cannot: no run could be written."""
    try:
        json.dumps(notebook, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError("it holds half a character (a lone surrogate)") from None


def _words(told: dict[str, Any], key: str) -> str:
    words = told.get(key) or ""
    if not isinstance(words, str):
        raise TypeError(f"metadata.kernel_lib.{key} must be text, not {type(words).__name__}")
    return words


def _text(path: Path, most: int) -> str:
    """Return the text of a file, which must be a file of a reasonable size.

    Reading a pipe would wait for ever, and a large file would stop the server meanwhile.

    Raises:
        OSError, ValueError: If there is none.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("it is not a file")
    if status.st_size > most:
        raise ValueError(f"it has {status.st_size:,} bytes; at most {most:,} are read")
    return path.read_text(encoding="utf-8")


@functools.cache
def _loader() -> Any:
    """Return YAML's safe loader, but for aliases: a few lines of them stand for billions of values.

    A list may even be part of itself, and merged mappings grow while they are read.
    """
    import yaml

    class Loader(yaml.SafeLoader):
        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                event = self.peek_event()
                line = event.start_mark.line + 1
                raise ValueError(
                    f"line {line} has the alias *{event.anchor}; write the value out instead"
                )
            return super().compose_node(parent, index)

    return Loader


def _reason(error: BaseException) -> str:
    """Return what is wrong in one line without a full stop."""
    if isinstance(error, RecursionError):
        return "it is nested too deep"
    if isinstance(error, MemoryError):
        return "it is too large or nested too deep"
    if isinstance(error, KeyError):
        return f"{error} is missing"
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
