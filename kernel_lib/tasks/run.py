"""Run many tasks in the order of their needs, and outlive those that fail."""

from __future__ import annotations

import contextlib
import os
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from dataclasses import dataclass
from pathlib import Path

from kernel_lib._progress import progress as progress_bar
from kernel_lib._progress import watching
from kernel_lib.tasks.files import atomic_path
from kernel_lib.tasks.pool import Pool
from kernel_lib.tasks.task import Task, with_needs


@dataclass(frozen=True)
class TaskRun:
    """What became of the tasks.

    Attributes:
        done: Key -> digest of the arrays, of each task that is finished.
        failed: Key -> what went wrong, of each that is not.
    """

    done: dict[str, str]
    failed: dict[str, str]

    def __repr__(self) -> str:
        return f"TaskRun({len(self.done)} done, {len(self.failed)} failed)"


def run_tasks(
    tasks: Sequence[Task],
    folder: str | os.PathLike[str],
    *,
    workers: int | str = 0,
    retries: int = 2,
    progress: bool = True,
    told: Callable[[dict[str, str]], None] | None = None,
) -> TaskRun:
    """Run tasks and what they need; what `folder` already holds is not run again.

    A task that fails, or whose process dies, is tried again and then named; the others go on. The
    next call tries it anew. A record of each failure lies in `folder/failed`.

    Args:
        tasks: In any order; needs that are not among them are run too.
        folder: Where results go. Workers of a cluster must see the same folder.
        workers: 0 runs here, a number in so many local processes, a string on the Dask cluster
            whose scheduler has that address.
        retries: How often a failed task is tried again.
        progress: Show a progress bar.
        told: Called with what is done whenever a task is done or given up.
    """
    if isinstance(workers, bool) or not isinstance(workers, int | str):
        raise TypeError(
            "`workers` must be a number of processes or the address of a Dask scheduler. "
            f"Received: workers={workers!r}."
        )
    if isinstance(workers, int) and workers < 0:
        raise ValueError(f"`workers` must be at least 0. Received: workers={workers}.")
    every = with_needs(tasks)
    run = _Run(every, Path(folder), retries)
    with contextlib.closing(Pool(workers)) as pool, watching(progress and workers == 0):
        bar = progress_bar(range(len(every)), "Tasks", enabled=progress)
        for _ in bar:
            if not run.finish_one(pool):
                break
            if told is not None:
                told(run.done)
    return TaskRun(run.done, run.failed)


class _Run:
    """Which tasks wait, run, are done and have failed."""

    def __init__(self, every: dict[str, Task], folder: Path, retries: int):
        self.every, self.folder, self.retries = every, folder, retries
        self.needs = {key: [n.key for n in task.needs.values()] for key, task in every.items()}
        self.waiting = list(every)
        self.running: dict[Future[str], str] = {}
        self.attempts = dict.fromkeys(every, 0)
        self.done: dict[str, str] = {}
        self.failed: dict[str, str] = {}

    def finish_one(self, pool: Pool) -> bool:
        """Go on until one more task is done or given up; False if none is left."""
        settled = len(self.done) + len(self.failed)
        while len(self.done) + len(self.failed) == settled:
            self._give_up_on_orphans()
            self._submit(pool)
            if not self.running:
                return len(self.done) + len(self.failed) > settled
            finished, _ = wait(self.running, return_when=FIRST_COMPLETED)
            broken = [self._settle(future) for future in finished]
            if any(broken):
                self._restart(pool)
        return True

    def _submit(self, pool: Pool) -> None:
        ready = [key for key in self.waiting if all(need in self.done for need in self.needs[key])]
        for key in ready[: max(0, pool.room - len(self.running))]:
            self.waiting.remove(key)
            self.attempts[key] += 1
            self.running[pool.submit(self.every[key], self.folder)] = key

    def _settle(self, future: Future[str]) -> bool:
        """Note what became of a task; True if its worker died."""
        key = self.running.pop(future)
        error = future.exception()
        if error is None:
            self.done[key] = future.result()
            return False
        if self.attempts[key] <= self.retries:
            self.waiting.insert(0, key)
        else:
            self._fail(key, error)
        return isinstance(error, BrokenExecutor)

    def _restart(self, pool: Pool) -> None:
        """After a worker died, every task that was running with it is tried again."""
        for future in list(self.running):
            wait([future])
            self._settle(future)
        pool.restart()

    def _give_up_on_orphans(self) -> None:
        for key in list(self.waiting):
            lost = [need for need in self.needs[key] if need in self.failed]
            if lost:
                self.waiting.remove(key)
                self.failed[key] = f"needs {self.every[lost[0]].name!r}, which failed"

    def _fail(self, key: str, error: BaseException) -> None:
        task = self.every[key]
        self.failed[key] = f"{task.name}: {type(error).__name__}: {error}"
        text = "".join(traceback.format_exception(error))
        # A full disk must not stop the others from being named.
        with (
            contextlib.suppress(OSError),
            atomic_path(self.folder / "failed" / f"{task.name}-{key}.txt") as temporary,
        ):
            temporary.write_text(text, encoding="utf-8")
