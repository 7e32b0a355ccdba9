"""Runs as the browser knows them: started from a form, described with paths of the server."""

from __future__ import annotations

import contextlib
import functools
import itertools
from pathlib import Path
from typing import Any

from kernel_lib.server import results
from kernel_lib.server.library import checked_values
from kernel_lib.server.places import Places
from kernel_lib.server.store import Request

SHOWN = 100


def add(service: Any, asked: dict[str, Any]) -> Request:
    """Queue a run in a new folder of the person's folder, named after the template.

    Raises:
        LookupError: If there is no such template.
        TypeError, ValueError: If a value is wrong, or a path leads out of the root.
        OSError: If nothing can be written; nothing is left behind then.
    """
    template = service.library.template(asked["template"])
    values = checked_values(template, asked["preset"], asked["values"])
    folder = service.places.folder(asked["folder"])
    given = {name: values[name] for name in asked["values"]}
    if "output_dir" in values:  # of the preset too
        given["output_dir"] = service.places.output_dir(values["output_dir"], folder)
    output = _new_folder(folder, template.name)
    try:
        request = service.store.add(
            template=template.name,
            template_path=str(template.path.absolute()),
            title=template.title,
            preset=asked["preset"],
            values=given,
            folder=str(folder),
            notebook=str(output / f"{template.name}.ipynb"),
        )
    except BaseException as error:
        with contextlib.suppress(OSError):
            output.rmdir()
        if isinstance(error, OSError):
            raise OSError(
                error.errno,
                f"The history of runs cannot be written ({error.strerror}); "
                "set c.KernelLib.history_dir to a folder that can be",
            ) from None
        raise
    service.queue.wake()
    return request


def listing(service: Any) -> dict[str, Any]:
    """Return the newest runs."""
    shown = service.store.all()[:SHOWN]
    return {
        "runs": [described(service, each) for each in shown],
        "limit": service.queue.limit,
    }


def described(service: Any, request: Request) -> dict[str, Any]:
    """Return a run with all that the browser shows of it."""
    state = service.store.state(request)
    return {
        "id": request.id,
        "template": request.template,
        "title": request.title,
        "preset": request.preset,
        "values": request.values,
        "created": request.created,
        "status": state.status,
        "step": state.step,
        "seconds": state.seconds,
        "failure": _failure(service.places, state.failure),
        "notebook": _notebook(service.places, Path(request.notebook)),
        "result": _result(service.places, state.output_dir),
    }


def _new_folder(folder: Path, name: str) -> Path:
    """Make and return a folder that was not there."""
    for number in itertools.count():
        new = folder / (f"{name}-{number}" if number else name)
        try:
            new.mkdir()
        except FileExistsError:
            continue
        return new
    raise AssertionError


def _failure(places: Places, failure: dict[str, str] | None) -> dict[str, str] | None:
    """Return a failure; the message of one before any cell is the server's own."""
    if failure is None or failure["step"]:
        return failure
    return {**failure, "message": places.unnamed(failure["message"])}


def _notebook(places: Places, notebook: Path) -> str:
    """Return what the server calls the executed notebook; empty if it is gone or led out."""
    try:
        return places.path(notebook) if notebook.exists() else ""
    except ValueError:
        return ""


def _result(places: Places, output_dir: str | None) -> dict[str, Any] | None:
    if output_dir is None:
        return None
    try:
        changed = (Path(output_dir) / "result.json").stat().st_mtime_ns
        return _summary(places, output_dir, changed)
    except (OSError, ValueError):
        return None


@functools.lru_cache(maxsize=SHOWN)
def _summary(places: Places, output_dir: str, changed: int) -> dict[str, Any]:
    return results.summary(places, Path(output_dir))
