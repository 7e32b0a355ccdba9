"""Runs on disk: what was asked, what the run told, and whether it still lives.

Each run has a folder of its own: `run.json` says what was asked; the run's own process appends a
line of JSON to `events.jsonl` for each thing that happens, and what it prints to `log.txt`;
`process.json` names that process, and before it begins the server that is about to start it. So a
run needs no server to go on, and any server can tell what became of it: a run without an end whose
process is gone has died.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kernel_lib.server.process import identity, lives

TOLD_ENDS = {"completed", "failed", "cancelled"}
ENDED = TOLD_ENDS | {"died"}
KEPT = 200  # ended runs in the history


@dataclass(frozen=True)
class Request:
    """What was asked.

    Attributes:
        id: Name of the run's folder.
        template: Name of the template; `template_path` is its file.
        title: The template's title.
        preset: Name of a preset, or None.
        values: The checked values, without those of the preset.
        folder: The local folder in which the person stood.
        notebook: The local path of the executed notebook.
        created: When, in UTC.
    """

    id: str
    template: str
    template_path: str
    title: str
    preset: str | None
    values: dict[str, Any]
    folder: str
    notebook: str
    created: str


@dataclass(frozen=True)
class State:
    """What became of a run so far."""

    status: str = "queued"
    step: dict[str, Any] | None = None
    seconds: float | None = None
    failure: dict[str, str] | None = None
    output_dir: str | None = None

    @property
    def ended(self) -> bool:
        return self.status in ENDED


@dataclass
class RunStore:
    """The runs in `folder`."""

    folder: Path
    _ended: dict[str, State] = field(default_factory=dict, repr=False)

    def add(self, **asked: Any) -> Request:
        """Keep a new run, which is queued; return it."""
        now = datetime.now(UTC)
        name = f"{now:%Y%m%d-%H%M%S}-{now.microsecond:06d}-{secrets.token_hex(3)}"
        request = Request(id=name, created=now.isoformat(timespec="seconds"), **asked)
        folder = self.folder / name
        folder.mkdir(parents=True)
        try:
            write(folder / "run.json", asdict(request))
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        with contextlib.suppress(OSError):  # the new run counts, old ones may stay
            self._forget_the_oldest()
        return request

    def all(self) -> list[Request]:
        """Return every run, the newest first. A folder that cannot be read is passed over."""
        names = sorted((each.name for each in self._folders()), reverse=True)
        return [request for name in names if (request := self._request(name))]

    def get(self, name: str) -> Request:
        """Return the run called `name`.

        Raises:
            LookupError: If there is none.
        """
        request = self._request(name) if re.fullmatch(r"[0-9a-f-]{10,40}", name) else None
        if request is None:
            raise LookupError(f"There is no run {name!r}.")
        return request

    def state(self, request: Request) -> State:
        """Return what became of a run; an end that was told is read only once."""
        if request.id not in self._ended:
            state = self._state(self.folder / request.id)
            if state.status not in TOLD_ENDS:
                return state
            self._ended[request.id] = state
        return self._ended[request.id]

    def claim(self, request: Request) -> Path | None:
        """Return the folder of a run that nobody has started yet, which is now ours to start."""
        folder = self.folder / request.id
        ours = {"claimed_by": identity(os.getpid())}
        return folder if _create(folder / "process.json", ours) else None

    def started(self, request: Request, pid: int) -> None:
        """Say which process runs a run that was claimed."""
        write(self.folder / request.id / "process.json", identity(pid))

    def process(self, request: Request) -> int | None:
        """Return the id of the process that runs a run, if it is there."""
        told = _told(self.folder / request.id / "process.json")
        return int(told["pid"]) if "pid" in told and lives(told) else None

    def end(self, request: Request, status: str, failure: dict[str, str] | None = None) -> None:
        """Write down the end of a run that has no process to do so."""
        event = {"event": "ended", "status": status, "seconds": None, "failure": failure}
        try:
            append(self.folder / request.id / "events.jsonl", event)
        except OSError:  # a full disk: at least this server knows
            self._ended[request.id] = _after(State(), event)

    def remove(self, request: Request) -> None:
        """Take an ended run out of the history; what it wrote for its person stays."""
        shutil.rmtree(self.folder / request.id)
        self._ended.pop(request.id, None)

    def log(self, request: Request, start: int, most: int = 100_000) -> tuple[str, int]:
        """Return what the run printed from the byte `start` on, and where to go on.

        Of a long log the end is returned.
        """
        try:
            with open(self.folder / request.id / "log.txt", "rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(start, size - most) if start <= size else 0)
                text = file.read(most)
                return text.decode("utf-8", errors="replace"), file.tell()
        except FileNotFoundError:
            return "", 0

    def _folders(self) -> Iterator[Path]:
        if self.folder.is_dir():
            yield from (each for each in self.folder.iterdir() if each.is_dir())

    def _request(self, name: str) -> Request | None:
        try:
            told = read(self.folder / name / "run.json")
        except (OSError, ValueError):
            return None
        return Request(**told) if _is_request(told) and told["id"] == name else None

    def _state(self, folder: Path) -> State:
        state = _state_told(folder)
        process = folder / "process.json"
        if state.ended or not process.exists():
            return state
        told = _told(process)
        if lives(told.get("claimed_by", told)):
            return replace(state, status="running")
        state = _state_told(folder)  # its last line may have been written between the two looks
        if state.ended:
            return state
        return replace(state, status="cancelled" if (folder / "cancel").exists() else "died")

    def _forget_the_oldest(self) -> None:
        ended = [each for each in self.all() if self.state(each).ended]
        for request in ended[KEPT:]:
            self.remove(request)


def history_folder() -> Path:
    """Return where Jupyter keeps data of this account, with a folder of ours."""
    from jupyter_core.paths import jupyter_data_dir

    return Path(jupyter_data_dir()) / "kernel_lib" / "runs"


def write(path: Path, value: Any) -> None:
    """Write `value` as JSON, whole or not at all."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        temporary.write_text(json.dumps(value), encoding="utf-8")
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def read(path: Path) -> Any:
    """Return the JSON value in the file `path`.

    Raises:
        OSError, ValueError: If it cannot be read.
    """
    return _parsed(path.read_bytes())


def append(path: Path, event: dict[str, Any]) -> None:
    """Add one line of JSON to the file `path`, apart from a line before it that was cut."""
    with open(path, "a", encoding="utf-8") as file:
        file.write(f"\n{json.dumps(event)}\n")


def _create(path: Path, value: Any) -> bool:
    """Write `value` as JSON if there is no file `path`; return whether it was written."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        temporary.write_text(json.dumps(value), encoding="utf-8")
        os.link(temporary, path)  # whole, and never over another
    except FileExistsError:
        return False
    except OSError:  # a file system without links, or nothing can be written
        try:
            with open(path, "x", encoding="utf-8") as file:
                file.write(json.dumps(value))
        except OSError:
            return False
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
    return True


def _told(process: Path) -> dict[str, Any]:
    """Return what the file of a process tells; nothing where it is damaged or forgotten."""
    try:
        told = read(process)
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def _parsed(text: bytes) -> Any:
    try:
        return json.loads(text.decode("utf-8"))
    except RecursionError:
        raise ValueError("nested too deep") from None


def _state_told(folder: Path) -> State:
    state = State()
    for event in _events(folder / "events.jsonl"):
        state = _after(state, event)
    return state


def _events(path: Path) -> Iterator[dict[str, Any]]:
    """Yield what the run told. A line that is cut, damaged or of another form is passed over."""
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return
    for line in lines:
        try:
            event = _parsed(line)
        except ValueError:
            continue
        if _is_step(event) or _is_end(event):
            yield event


def _is_step(event: Any) -> bool:
    return (
        isinstance(event, dict)
        and event.get("event") == "step"
        and isinstance(event.get("name"), str)
        and type(event.get("cell")) is int
        and type(event.get("cells")) is int
        and _is_seconds(event.get("seconds"))
    )


def _is_end(event: Any) -> bool:
    return (
        isinstance(event, dict)
        and event.get("event") == "ended"
        and isinstance(event.get("status"), str)
        and event["status"] in TOLD_ENDS
        and (event.get("seconds") is None or _is_seconds(event["seconds"]))
        and (event.get("failure") is None or _is_failure(event["failure"]))
        and isinstance(event.get("output_dir"), (str, type(None)))
    )


def _is_seconds(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _is_failure(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == {"step", "source", "name", "message"}
        and all(isinstance(each, str) for each in value.values())
    )


def _is_request(told: Any) -> bool:
    forms: dict[str, Any] = dict.fromkeys(Request.__dataclass_fields__, str)
    forms |= {"values": dict, "preset": (str, type(None))}
    return (
        isinstance(told, dict)
        and told.keys() == forms.keys()
        and all(isinstance(told[name], form) for name, form in forms.items())
    )


def _after(state: State, event: dict[str, Any]) -> State:
    if event["event"] == "step":
        step = {name: event[name] for name in ("name", "cell", "cells")}
        return State("running", step, event["seconds"])
    return State(
        event["status"],
        state.step,
        event.get("seconds") if event.get("seconds") is not None else state.seconds,
        event.get("failure"),
        event.get("output_dir"),
    )
