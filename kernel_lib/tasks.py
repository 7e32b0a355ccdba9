"""Work keyed by its content: a name for any recipe, safe writing of files, and cached arrays.

```python
from kernel_lib.tasks import cached_arrays

recipe = {"step": "mutants", "model": model.digest, "images": images.digest, "seed": 0}
arrays = cached_arrays("outputs/cache", "mutants", recipe, lambda: {"rate": slow_measure()})
```
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import multiprocessing
import os
import secrets
import traceback
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    wait,
)
from dataclasses import dataclass, field
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np

from kernel_lib._progress import progress as progress_bar


def digest(value: object) -> str:
    """Return 32 hexadecimal characters that name the content of `value`.

    Equal contents have equal digests in every process and on every machine. Each piece is hashed
    with its type and length, so `1`, `1.0`, `True` and `"1"` differ, and so do `["ab"]` and
    `["a", "b"]`. Lists and tuples are alike, as they are in JSON.

    Args:
        value: Nested dicts (the order of keys does not matter), lists, tuples, strings, bytes,
            numbers, booleans, `None` and NumPy arrays (dtype and shape count).

    Raises:
        TypeError: For any other type; its content is not known here.
    """
    hasher = hashlib.blake2b(digest_size=16)
    _feed(hasher, value)
    return hasher.hexdigest()


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path beside `path`, and move it to `path` only if the block succeeds.

    Readers see the old file or the whole new one, never a part. If the block raises, the old file
    stays and nothing is left behind. Each writer has a temporary file of its own, so writers of
    the same path do not disturb one another: the last to finish wins.

    Args:
        path: File to write. Its folder is made if missing. The temporary name keeps the suffix,
            because many writers choose the format, or append one, by it.

    Example:
        with atomic_path("scores.npz") as temporary:
            np.savez(temporary, scores=scores)
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}-{secrets.token_hex(8)}{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def cached_arrays(
    folder: str | os.PathLike[str] | None,
    name: str,
    recipe: object,
    compute: Callable[[], Mapping[str, np.ndarray]],
) -> dict[str, np.ndarray]:
    """Return the arrays of `compute()`, read from `folder` if the same recipe was computed before.

    Args:
        folder: Where `NAME-DIGEST.npz` lies; `None` computes without a cache.
        name: Readable start of the file name.
        recipe: Everything the arrays depend on; see `digest`.
        compute: Gives the arrays, each under a name. Called only if no whole file is found.

    Returns:
        A dict of arrays. A truncated or damaged file counts as missing and is written anew.
    """
    if folder is None:
        return _plain_arrays(compute())
    path = Path(folder) / f"{name}-{digest(recipe)}.npz"
    arrays = read_arrays(path)
    if arrays is None:
        arrays = _plain_arrays(compute())
        write_arrays(path, arrays)
    return arrays


def write_arrays(path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays to a `.npz` file, whole or not at all.

    Args:
        path: File to write.
        arrays: Arrays of numbers or text.
    """
    plain = _plain_arrays(arrays)
    # `np.savez` takes names as keyword arguments, so it cannot hold an array called "file".
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, array in plain.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, array, allow_pickle=False)


def read_arrays(path: str | os.PathLike[str]) -> dict[str, np.ndarray] | None:
    """Return the arrays of a `.npz` file, or `None` if it is missing, truncated or damaged."""
    try:
        with open(path, "rb") as content, np.load(content, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, EOFError, ValueError, zipfile.BadZipFile):
        return None


def _plain_arrays(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    plain = {name: np.asarray(array) for name, array in arrays.items()}
    for name, array in plain.items():
        if array.dtype.hasobject:
            raise TypeError(
                f"Cached arrays hold numbers or text. Received: {name!r} of dtype {array.dtype}."
            )
    return plain


def _feed(hasher: hashlib.blake2b, value: object) -> None:
    kind, pieces = _pieces(value)
    if isinstance(pieces, bytes):
        hasher.update(f"{kind}:{len(pieces)}:".encode())
        hasher.update(pieces)
        return
    hasher.update(f"{kind}[{len(pieces)}]".encode())
    for piece in pieces:
        _feed(hasher, piece)


def _pieces(value: object) -> tuple[str, bytes | list[object]]:
    """Name the type of `value` and give its content, as bytes or as a list of smaller values."""
    match value:
        case None:
            return "none", b""
        case bool() | np.bool_():
            return "bool", str(bool(value)).encode()
        case Integral():
            return "int", str(int(value)).encode()
        case Real():
            return "float", float(value).hex().encode()
        case str():
            return "str", value.encode("utf-8", "surrogatepass")
        case bytes() | bytearray():
            return "bytes", bytes(value)
        case np.ndarray() if not value.dtype.hasobject:
            return _array_pieces(value)
        case Mapping():
            keys = sorted(value, key=digest)
            return "dict", [[key, value[key]] for key in keys]
        case list() | tuple():
            return "list", list(value)
    raise TypeError(
        "A digest needs dicts, lists, strings, bytes, numbers, booleans, None or arrays. "
        f"Received: {type(value).__name__}."
    )


def _array_pieces(array: np.ndarray) -> tuple[str, bytes]:
    dtype = array.dtype.newbyteorder("<")
    kind = f"array {dtype.str} {array.shape}"
    return kind, np.ascontiguousarray(array, dtype=dtype).tobytes()


# --- many tasks, run anywhere -------------------------------------------------------------------


@dataclass(frozen=True)
class Task:
    """A piece of work that depends on its recipe and its needs alone.

    Attributes:
        name: Readable start of the file its arrays go to.
        function: "module:function"; called with the recipe and, by name, the arrays of each need.
            Returns arrays by name.
        recipe: What it depends on, in values that `digest` knows and JSON can hold.
        needs: Argument name -> the task that gives it.
    """

    name: str
    function: str
    recipe: Mapping[str, Any]
    needs: Mapping[str, Task] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Digest of everything the result depends on."""
        needs = {name: task.key for name, task in self.needs.items()}
        return digest([self.function, self.recipe, needs])

    def path(self, folder: str | os.PathLike[str]) -> Path:
        """Where the arrays lie."""
        return Path(folder) / f"{self.name}-{self.key}.npz"


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
    """
    if isinstance(workers, bool) or not isinstance(workers, int | str):
        raise TypeError(
            "`workers` must be a number of processes or the address of a Dask scheduler. "
            f"Received: workers={workers!r}."
        )
    if isinstance(workers, int) and workers < 0:
        raise ValueError(f"`workers` must be at least 0. Received: workers={workers}.")
    every = _with_needs(tasks)
    run = _Run(every, Path(folder), retries)
    with contextlib.closing(_Pool(workers)) as pool:
        bar = progress_bar(range(len(every)), "Tasks", enabled=progress)
        for _ in bar:
            if not run.finish_one(pool):
                break
    return TaskRun(run.done, run.failed)


def perform(task: Task, folder: Path) -> str:
    """Do one task, unless its arrays are there, and return the digest of its arrays."""
    arrays = read_arrays(task.path(folder))
    if arrays is None:
        inputs = {name: _result_of(need, folder) for name, need in task.needs.items()}
        module, _, function = task.function.partition(":")
        compute = getattr(importlib.import_module(module), function)
        arrays = _plain_arrays(compute(dict(task.recipe), **inputs))
        write_arrays(task.path(folder), arrays)
    return digest(arrays)


def _result_of(task: Task, folder: Path) -> dict[str, np.ndarray]:
    arrays = read_arrays(task.path(folder))
    if arrays is None:
        raise FileNotFoundError(f"The arrays of {task.name!r} are missing or damaged.")
    return arrays


def _with_needs(tasks: Sequence[Task]) -> dict[str, Task]:
    """Every task by its key, needs first."""
    every: dict[str, Task] = {}
    for task in tasks:
        every |= _with_needs(list(task.needs.values()))
        every[task.key] = task
    return every


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

    def finish_one(self, pool: _Pool) -> bool:
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

    def _submit(self, pool: _Pool) -> None:
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

    def _restart(self, pool: _Pool) -> None:
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


class _Pool:
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
