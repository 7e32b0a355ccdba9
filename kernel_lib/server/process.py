"""Which process is which: by its id, and by a birth that no change of the clock moves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

PROC = Path("/proc")
BOOT = PROC / "sys" / "kernel" / "random" / "boot_id"


def identity(pid: int) -> dict[str, Any]:
    """Return what names the process `pid` and no other one, in a form that JSON holds.

    Raises:
        LookupError: If there is no such process.
    """
    birth, _ = _look(pid)
    return {"pid": pid, "born": birth}


def lives(told: Any) -> bool:
    """Return whether the process that `identity` once named still goes on."""
    try:
        pid, born = told["pid"], told["born"]
        birth, ended = _look(pid) if type(pid) is int else (None, True)
    except (LookupError, TypeError):
        return False
    return birth == born and not ended


def _look(pid: int) -> tuple[str, bool]:
    """Return the birth of a process, and whether it has ended and only waits to be collected.

    Linux counts the birth from the start of the machine. The date that psutil makes of it moves
    with the clock; elsewhere the system itself keeps the date, which stays.
    """
    if (PROC / "self" / "stat").exists():
        try:
            # The second field is the name, in parentheses, and may hold anything.
            fields = (PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
        except OSError:
            raise LookupError(pid) from None
        return f"{_boot()}:{int(fields[19])}", fields[0] in (b"Z", b"X")
    import psutil

    try:
        process = psutil.Process(pid)
        return repr(process.create_time()), process.status() == psutil.STATUS_ZOMBIE
    except (psutil.Error, OverflowError) as error:
        raise LookupError(pid) from error


def _boot() -> str:
    try:
        return BOOT.read_text(encoding="ascii").strip()
    except OSError:
        return ""
