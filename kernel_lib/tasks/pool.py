"""Where tasks are done: in this process, in local processes, or on a Dask cluster."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from pathlib import Path
from typing import Any

from kernel_lib.tasks.task import Task, perform


class Pool:
    """One way to call `perform` somewhere: here, in local processes, on a Dask cluster."""

    def __init__(self, workers: int | str):
        self.workers = workers
        self._client: Any = None
        self._executor: Executor | None = None
        # A few more than there are workers, so that none waits for its next task.
        self.room = 1 if workers == 0 else 2 * workers if isinstance(workers, int) else 1000
        self.restart()

    def submit(self, task: Task, folder: Path) -> Future[str]:
        if self._executor is not None:
            return self._executor.submit(perform, task, folder)
        future: Future[str] = Future()
        try:
            future.set_result(perform(task, folder))
        except Exception as error:
            future.set_exception(error)
        return future

    def restart(self) -> None:
        """Start the workers, anew if they were there."""
        if self.workers == 0:
            return
        self.close()
        if isinstance(self.workers, int):
            # Forked children of a process that runs TensorFlow hang.
            spawn = multiprocessing.get_context("spawn")
            self._executor = ProcessPoolExecutor(self.workers, mp_context=spawn)
            return
        try:
            from distributed import Client
        except ImportError as error:
            raise ImportError(
                "A Dask cluster needs the extra 'dask': pip install 'kernel-lib[dask]'."
            ) from error
        self._client = Client(self.workers)
        self._executor = self._client.get_executor(pure=False)

    def close(self) -> None:
        """Stop local processes, and leave the cluster."""
        if self._client is not None:
            self._client.close()
        elif self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)
        self._executor = self._client = None
