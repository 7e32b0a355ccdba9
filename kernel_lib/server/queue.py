"""Runs one after another: as many at once as the machine bears, each in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from kernel_lib.server.store import Request, RunStore

LOOK_SECONDS = 0.5
log = logging.getLogger(__name__)


class Queue:
    """Starts queued runs and notices how they end.

    Args:
        store: The runs.
        limit: How many may go on at once.
        on_end: Is told the local path of the notebook of each run that ended.
    """

    def __init__(
        self, store: RunStore, limit: int, on_end: Callable[[str], Awaitable[None]]
    ) -> None:
        self.store = store
        self.limit = limit
        self.on_end = on_end
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._followed: set[str] = set()
        self._task: asyncio.Task[None] | None = None

    def wake(self) -> None:
        """Look after the runs until all have ended."""
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._look_after())

    def cancel(self, request: Request) -> None:
        """Stop a run, or take it out of the queue."""
        folder = self.store.claim(request)
        if folder is not None:  # it has not begun
            self.store.end(request, "cancelled")
            return
        # First the wish, then the look for a process; who starts one writes it down first and
        # looks for the wish then. So one of the two sees the other.
        with contextlib.suppress(OSError):  # a full disk: the process is stopped all the same
            (self.store.folder / request.id / "cancel").touch()
        self._stop(request)

    def _stop(self, request: Request) -> None:
        pid = self.store.process(request)
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)

    async def close(self) -> None:
        """Stop looking; the runs go on."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _look_after(self) -> None:
        # No waiting after the last look: who wakes the queue then must find it ended.
        while await self._look():
            await asyncio.sleep(LOOK_SECONDS)

    async def _look(self) -> bool:
        try:
            return await self._step()
        except OSError as error:  # such as too many open files, which passes
            log.warning("kernel_lib: the runs cannot be looked after: %s", error)
            return True

    async def _step(self) -> bool:
        """Tell of those that ended, start what may start; return whether any is left."""
        for process in self._processes.values():
            process.poll()  # else a process that ended would stay as a zombie
        runs = [(request, self.store.state(request)) for request in self.store.all()]
        for request, state in runs:
            if state.status == "running":
                self._followed.add(request.id)
            elif state.ended and request.id in self._followed:
                self._followed.discard(request.id)
                self._processes.pop(request.id, None)
                await self.on_end(request.notebook)
        queued = [request for request, state in reversed(runs) if state.status == "queued"]
        going_on = sum(state.status == "running" for _, state in runs)
        for request in queued[: max(0, self.limit - going_on)]:
            self._start(request)
        return bool(queued or going_on)

    def _start(self, request: Request) -> None:
        folder = self.store.claim(request)
        if folder is None:
            return  # another server on the same files was quicker
        self._followed.add(request.id)
        process = None
        try:
            process = _worker(folder)
            self._processes[request.id] = process
            self.store.started(request, process.pid)
        except (LookupError, OSError) as error:
            if process is not None:  # nobody could find it again
                process.kill()
            reason = getattr(error, "strerror", None) or "its process ended at once"
            message = f"The run cannot be started: {reason}."
            failure = {"step": "", "source": "", "name": type(error).__name__, "message": message}
            self.store.end(request, "failed", failure)
            return
        if (folder / "cancel").exists():
            self._stop(request)


def _worker(folder: Path) -> subprocess.Popen[bytes]:
    """Start the process of a run, in a session of its own: the server's end is not its end."""
    with open(folder / "log.txt", "ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "kernel_lib.server.worker", str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
