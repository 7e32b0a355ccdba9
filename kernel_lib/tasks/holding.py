"""A folder that one process at a time may write: who holds it, since when, and does it live?

A small file names the holder. It is made with one call that fails if it is there already, which
every file system offers, network drives included; locks of the operating system do not exist on
all of them. A holder that died without giving the folder back is known by its process: by number
and start, so that a number that was given away again is not taken for it. The processes of another
machine cannot be seen; its holder shows that it lives by touching the file every few seconds.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import platform
import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

_UNREADABLE_SECONDS = 10.0  # a note that cannot be read for so long was never finished
_POLL_SECONDS = 0.1
_BEAT_SECONDS = 10.0
_SILENT_SECONDS = 120.0  # after so long without a touch, a holder elsewhere has died


class FolderInUseError(OSError):
    """Another process writes this folder. The message says which, and since when."""


@dataclass(frozen=True)
class Holder:
    """The process that holds a folder.

    Attributes:
        pid: its number.
        host: name of its machine.
        boot: names the start of that machine, where it can be told; else "".
        space: names the set of process numbers it is counted in (a container has its own), or "".
        born: when it started, in a form that only equals itself.
        since: when it took the folder, in ISO 8601, UTC.
        doing: what it does there, in words.
        token: tells two holds of one process apart.
    """

    pid: int
    host: str
    boot: str
    space: str
    born: str
    since: str
    doing: str
    token: str

    def __str__(self) -> str:
        here = "this process" if self._is_this_process() else f"process {self.pid}"
        where = "" if self.host == platform.node() else f" on {self.host}"
        return f"{here}{where} since {self.since} ({self.doing})"

    def _is_this_process(self) -> bool:
        return self.pid == os.getpid() and self.born == _born(self.pid)

    @property
    def is_from_here(self) -> bool:
        """Whether its process number means something in this process."""
        return self.host == platform.node() and self.space == _space()

    @property
    def is_dead(self) -> bool:
        """Whether its process is seen to have ended; one of another machine is not seen."""
        if not self.is_from_here:
            return False
        return self.boot != _boot() or self.born != _born(self.pid)


@contextlib.contextmanager
def hold(
    folder: str | os.PathLike[str], name: str, doing: str, *, wait: float = 0.0
) -> Iterator[None]:
    """Hold a folder while the block runs, so that no second one does the same there.

    Args:
        folder: The folder. It is made if missing, and taken away again if nothing was put there.
        name: Name of the file that says who holds it. Holds of other names do not meet.
        doing: What is done there, in words, for whoever finds it held.
        wait: Seconds to wait for a holder to finish.

    Raises:
        FolderInUseError: If it is held, and still held after `wait` seconds.
        OSError: If the folder cannot be written to.
    """
    folder = Path(folder)
    note = folder / name
    ours = Holder(
        os.getpid(), platform.node(), _boot(), _space(), _born(os.getpid()),
        datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        doing, secrets.token_hex(8),
    )  # fmt: skip
    end = time.monotonic() + wait
    with contextlib.ExitStack() as stack:
        if not folder.exists():
            stack.callback(_remove_if_empty, folder)
        while not _take(note, ours, stack):
            if _clear_if_dead(note):
                continue
            holder = holder_of(folder, name)
            if time.monotonic() >= end:
                raise FolderInUseError(_in_use(folder, note, holder))
            time.sleep(_POLL_SECONDS)
        stack.enter_context(_touching(note))
        yield


def holder_of(folder: str | os.PathLike[str], name: str) -> Holder | None:
    """Return who holds the folder; None if nobody does, or it cannot be told."""
    try:
        told = json.loads((Path(folder) / name).read_text(encoding="utf-8"))
        found = Holder(**told)
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    texts = [value for each, value in asdict(found).items() if each != "pid"]
    is_whole = type(found.pid) is int and all(isinstance(text, str) for text in texts)
    return found if is_whole else None


def _take(note: Path, ours: Holder, stack: contextlib.ExitStack) -> bool:
    """Write the note if there is none; False if there is one."""
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(note, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
    except FileExistsError:
        if note.parent.is_dir():
            return False
        raise _cannot_write(note.parent, NotADirectoryError(20, "it is a file")) from None
    except PermissionError as error:
        # Windows says so for a moment of a file that is being deleted.
        if note.exists():
            return False
        raise _cannot_write(note.parent, error) from None
    except OSError as error:
        raise _cannot_write(note.parent, error) from None
    stack.callback(_give_back, note, ours)
    try:
        os.write(file, json.dumps(asdict(ours)).encode())
    except OSError as error:
        note.unlink(missing_ok=True)
        raise _cannot_write(note.parent, error) from None
    finally:
        os.close(file)
    return True


@contextlib.contextmanager
def _touching(note: Path) -> Iterator[None]:
    """Touch the note every few seconds while the block runs."""
    is_over = threading.Event()

    def touch() -> None:
        while not is_over.wait(_BEAT_SECONDS):
            with contextlib.suppress(OSError):
                os.utime(note)

    thread = threading.Thread(target=touch, name="kernel_lib holds a folder", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def _give_back(note: Path, ours: Holder) -> None:
    found = holder_of(note.parent, note.name)
    if found == ours:
        # A folder that was taken away meanwhile needs no giving back.
        with contextlib.suppress(OSError):
            note.unlink(missing_ok=True)


def _remove_if_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()


def _clear_if_dead(note: Path) -> bool:
    """Remove the note of a process that has ended, and no other; True if that was done.

    Only one process at a time looks and removes; otherwise a slow one could remove the note that
    a quick one has just written in place of the dead one's.
    """
    found = holder_of(note.parent, note.name)
    if found is None and _age(note) < _UNREADABLE_SECONDS:
        return False
    if found is not None and found.is_from_here and not found.is_dead:
        return False
    guard = note.with_name(f"{note.name}.clearing")
    try:
        os.close(os.open(guard, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
    except OSError:
        if _age(guard) >= _UNREADABLE_SECONDS:
            guard.unlink(missing_ok=True)
        return False
    try:
        if found is not None and not found.is_from_here and not _is_silent(note, guard):
            return False
        if holder_of(note.parent, note.name) != found or not note.exists():
            return False
        note.unlink(missing_ok=True)
        return True
    finally:
        guard.unlink(missing_ok=True)


def _is_silent(note: Path, new: Path) -> bool:
    """Whether the note was not touched for long, by the clock of the disk on which both lie."""
    try:
        return new.stat().st_mtime - note.stat().st_mtime > _SILENT_SECONDS
    except OSError:
        return False


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return 0.0


def _in_use(folder: Path, note: Path, holder: Holder | None) -> str:
    if holder is None:
        return (
            f"{folder} is being written by another process. Choose another folder, or try again. "
            f"If no process writes there, delete {note}."
        )
    cure = (
        ""
        if holder.is_from_here
        else f" If that process has ended, wait {_SILENT_SECONDS:.0f} seconds or delete {note}."
    )
    return f"{folder} is being written by {holder}. Wait, or choose another folder.{cure}"


def _cannot_write(folder: Path, error: OSError) -> OSError:
    text = (
        f"Nothing can be written to {folder}: {error.strerror or error}. "
        "Choose another folder, or make this one writable."
    )
    return OSError(error.errno, text)


# --- what tells a process from all others -------------------------------------------------------


def _born(pid: int) -> str:
    """When a process started; "" if there is none.

    Linux counts from the start of the machine, which setting the clock does not move.
    """
    if pid <= 0:
        return ""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return _born_by_psutil(pid)
    # The name in parentheses may hold anything; the state and the rest come after it.
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] in "ZX" else fields[19]


def _born_by_psutil(pid: int) -> str:
    import psutil

    try:
        found = psutil.Process(pid)
        if found.status() == psutil.STATUS_ZOMBIE:
            return ""
        return f"{found.create_time():.0f}"
    except (psutil.Error, OSError):
        return ""


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _space() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except (OSError, AttributeError):
        return ""
