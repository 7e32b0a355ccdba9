"""Runs on disk: what was asked, what the run told, and whether it still lives.

Each run has a folder of its own: `run.json` says what was asked; the run's own process appends a
line of JSON to `events.jsonl` for each thing that happens, and what it prints to `log.txt`;
`process.json` names that process. So a run needs no server to go on, and any server can tell what
became of it: a run without an end whose process is gone has died.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ENDED = {"completed", "failed", "cancelled", "died"}
START_SECONDS = 30.0  # a run that was claimed so long ago must have a process
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
        write(folder / "run.json", asdict(request))
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
        """Return what became of a run; an end is read only once."""
        if request.id not in self._ended:
            state = self._state(self.folder / request.id)
            if not state.ended:
                return state
            self._ended[request.id] = state
        return self._ended[request.id]

    def claim(self, request: Request) -> Path | None:
        """Return the folder of a run that nobody has started yet, which is now ours to start."""
        folder = self.folder / request.id
        try:
            (folder / "process.json").touch(exist_ok=False)
        except OSError:
            return None
        return folder

    def end(self, request: Request, status: str, failure: dict[str, str] | None = None) -> None:
        """Write down the end of a run that has no process to do so."""
        append(
            self.folder / request.id / "events.jsonl",
            {"event": "ended", "status": status, "seconds": None, "failure": failure},
        )

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
            return Request(**read(self.folder / name / "run.json"))
        except (OSError, ValueError, TypeError):
            return None

    def _state(self, folder: Path) -> State:
        state = State()
        for event in _events(folder / "events.jsonl"):
            state = _after(state, event)
        process = folder / "process.json"
        if state.ended or not process.exists() or _lives(process):
            return state if state.ended or not process.exists() else _running(state)
        # Its last line may have been written between the two looks.
        last = [each for each in _events(folder / "events.jsonl") if each["event"] == "ended"]
        if last:
            return _after(state, last[-1])
        stopped = (folder / "cancel").exists()
        return State("cancelled" if stopped else "died", state.step, state.seconds)

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
    temporary.write_text(json.dumps(value), encoding="utf-8")
    os.replace(temporary, path)


def read(path: Path) -> Any:
    """Return the JSON value in the file `path`."""
    return json.loads(path.read_text(encoding="utf-8"))


def append(path: Path, event: dict[str, Any]) -> None:
    """Add one line of JSON to the file `path`."""
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(event) + "\n")


def birth_of(pid: int) -> float:
    """Return when a process was started: with its id, a name that no other process takes."""
    import psutil

    return float(psutil.Process(pid).create_time())


def _events(path: Path) -> Iterator[dict[str, Any]]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return
    for line in lines:
        try:
            yield json.loads(line)
        except ValueError:
            continue  # half a line, of a process that was killed while writing


def _after(state: State, event: dict[str, Any]) -> State:
    if event["event"] == "step":
        step = {name: event[name] for name in ("name", "cell", "cells")}
        return State("running", step, event["seconds"])
    return State(
        event["status"],
        state.step,
        event["seconds"] if event["seconds"] is not None else state.seconds,
        event["failure"],
        event.get("output_dir"),
    )


def _running(state: State) -> State:
    return State("running", state.step, state.seconds)


def _lives(process: Path) -> bool:
    import psutil

    try:
        told = read(process)
    except FileNotFoundError:  # forgotten at this moment
        return False
    except ValueError:  # claimed, and not yet told who
        return time.time() - process.stat().st_mtime < START_SECONDS
    try:
        running = psutil.Process(told["pid"])
        same = abs(running.create_time() - told["born"]) < 2
        return same and running.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
