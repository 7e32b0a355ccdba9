"""Read hundreds of damaged files, each refused by name or read rightly; nothing else passes."""

from __future__ import annotations

import contextlib
import resource
import signal
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

SECONDS = 5.0  # of processor time, which a busy machine does not change
MEGABYTES = 1000  # that the process may grow by, over all mutants of a kind


class TooSlow(BaseException):
    """A file takes longer than `SECONDS`."""


@contextlib.contextmanager
def time_limit(seconds: float = SECONDS) -> Iterator[None]:
    """Stop the block after so many seconds of processor time."""

    def stop(*_: object) -> None:
        raise TooSlow

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    started = time.process_time()
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
    if time.process_time() - started > seconds:  # code in C cannot be stopped, but is seen
        raise TooSlow


def outcomes(
    mutants: Iterator[Any],
    read: Callable[[Any], Any],
    check: Callable[[Any], object],
    names: Callable[[Any], list[str]],
) -> Counter[str]:
    """Read every mutant; an outcome other than the two allowed ones fails, and all are listed.

    Args:
        mutants: gives one thing after another to read, after it was written.
        read: reads it.
        check: raises `AssertionError` if what was read cannot be right.
        names: gives texts of which the message of a refusal holds at least one.

    Returns:
        Number that were "read" and "refused".
    """
    counts: Counter[str] = Counter()
    faults: list[str] = []
    start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number, mutant in enumerate(mutants):
        try:
            with warnings.catch_warnings(), time_limit():
                warnings.simplefilter("ignore")
                check(read(mutant))
            counts["read"] += 1
        except ValueError as error:
            text = str(error)
            counts["refused"] += 1
            if not any(name in text for name in names(mutant)) or len(text) > 3000:
                faults.append(f"{number}: names no file, or is no line: {text[:300]!r}")
        except (TooSlow, Exception) as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            told = f"{type(error).__name__}: {str(error)[:200]!r}"
            faults.append(f"{number}: {told} ({place.filename[-40:]}:{place.lineno})")
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - start) / 1024
    if grown > MEGABYTES:
        faults.append(f"the process grew by {grown:.0f} MB")
    assert not faults, f"{len(faults)} of {sum(counts.values())}:\n" + "\n".join(faults[:40])
    return counts
