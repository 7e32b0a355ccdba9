"""What a run leaves in its notebook: its state, its failure, and a signature.

`metadata.kernel_lib.run` of an executed notebook holds `template`, `status` (`"running"`,
`"completed"`, `"failed"` or `"cancelled"`), `started`, `seconds`, `preset`, `parameters` and, after
a failure, `error`. Papermill's own record calls every cell completed when a run is stopped.
"""

from __future__ import annotations

import json
import re
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

EXCERPT_LINES = 9
MESSAGE_LINES = 12
# TensorFlow's native code says these before any setting can quiet it.
NATIVE_LOG = re.compile(
    r"WARNING: All log messages before absl::InitializeLog|I\d{4} \d\d:\d\d:\d|E\d{4} .*\bcuInit\b"
)
ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


@dataclass(frozen=True)
class Failure:
    """Why a run failed.

    Attributes:
        step: The heading above the failing cell; empty when no cell had started.
        source: The lines of the cell around the failing one, which is marked.
        name: Name of the error.
        message: Its message.
    """

    step: str
    source: str
    name: str
    message: str

    def __str__(self) -> str:
        where = [f'In step "{self.step}":', ""] if self.step else []
        code = [f"    {line}" for line in self.source.splitlines()]
        what = f"{self.name}: {self.message}" if self.message else self.name
        return "\n".join([*where, *code, *([""] if code else []), what])


def cell_failure(step: str, error: Any) -> Failure:
    """Return the failure that papermill's `PapermillExecutionError` of a cell tells."""
    traceback = "\n".join(ANSI.sub("", line) for line in error.traceback)
    line = re.search(r"Cell In\[\d+\], line (\d+)", traceback)
    message = ANSI.sub("", error.evalue).strip().splitlines()
    if len(message) > MESSAGE_LINES:
        message = [*message[:MESSAGE_LINES], "..."]
    source = excerpt(error.source, int(line.group(1)) if line else None)
    return Failure(step, source, error.ename, "\n".join(message))


def excerpt(source: str, line: int | None = None) -> str:
    """Return a few lines of `source` around `line` (from 1), which is marked."""
    lines = source.splitlines()
    if line is not None:
        lines = [("> " if at == line else "  ") + text for at, text in enumerate(lines, start=1)]
    first = (line or 1) - 1 - EXCERPT_LINES // 2
    first = max(0, min(first, len(lines) - EXCERPT_LINES))
    end = first + EXCERPT_LINES
    before, after = ["..."] if first else [], ["..."] if end < len(lines) else []
    return "\n".join([*before, *lines[first:end], *after])


def mark(notebook: Any, error: Failure | None = None, **state: Any) -> None:
    """Write the state of a run into the notebook's metadata; the fields stand above."""
    ours = notebook.metadata.setdefault("kernel_lib", {})
    ours["run"] = {**ours.get("run", {}), **state}
    if error is not None:
        ours["run"]["error"] = asdict(error)


def mark_unfinished(notebook: Any, index: int) -> None:
    """Say in papermill's own record that the run stopped in the cell at `index`."""
    for at, cell in enumerate(notebook.cells[index:]):
        cell.metadata.setdefault("papermill", {})["status"] = "pending" if at else "failed"


def tidy(notebook: Any) -> None:
    """Take out of the notebook what was only for the moment: progress bars and native log lines."""
    for cell in notebook.cells:
        kept: list[Any] = []
        for output in cell.get("outputs", []):
            if kept and output.get("name") == kept[-1].get("name") == "stderr":
                kept[-1].text += output.text
            else:
                kept.append(output)
        for output in kept:
            if output.get("name") == "stderr":
                output.text = _lasting(output.text)
        if kept:
            cell.outputs = [output for output in kept if output.get("text", "kept")]


def _lasting(text: str) -> str:
    """Return what a terminal would show of `text` in the end, but for the native log."""
    lines = [line.rstrip("\r").rsplit("\r", 1)[-1] for line in text.split("\n")]
    return "\n".join(line for line in lines if line.strip() and not NATIVE_LOG.match(line))


def earlier_run_of(path: Path) -> str | None:
    """Return the name of the template whose run wrote the notebook `path`, or None."""
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        return str(notebook["metadata"]["kernel_lib"]["run"]["template"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def write(notebook: Any, path: Path) -> None:
    """Write the notebook whole or not at all."""
    import nbformat

    from kernel_lib.tasks import atomic_path

    with atomic_path(path) as temporary:
        nbformat.write(notebook, temporary)


def mark_failed_in_place(path: Path) -> None:
    """Make the notebook at `path`, which says that it is running, say that it failed.

    A few bytes are written over, so that this works on a full disk too. Quotes inside the text of
    cells are escaped, so that only states of the run and of its cells match.
    """
    running, failed = b'"status": "running"', b'"status": "failed" '
    try:
        with open(path, "r+b") as file:
            content = file.read()
            if running in content:
                file.seek(0)
                file.write(content.replace(running, failed))
    except OSError:
        pass  # no notebook was written, or it cannot be reached any more


def sign(path: Path) -> None:
    """Sign the notebook as trusted, so that JupyterLab shows its widgets.

    The signature lies in the Jupyter folder of this account; failing to write there is a warning.
    """
    import sqlite3

    import nbformat
    from nbformat.sign import NotebookNotary

    try:
        NotebookNotary().sign(nbformat.read(path, as_version=4))
    except (OSError, sqlite3.Error) as error:
        warnings.warn(f"{path} is not signed: {error}. Trust it in JupyterLab.", stacklevel=2)
