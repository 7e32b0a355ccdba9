"""Progress bars that stay out of the way: plain text, and only after two seconds."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from tqdm.std import tqdm

Item = TypeVar("Item")

_DELAY = 2.0  # seconds without a bar
_BEAT = 10.0  # seconds between signs of life while one item takes long
_watched: ContextVar[bool] = ContextVar("watched", default=False)


def progress(
    items: Iterable[Item], label: str, *, total: int | None = None, enabled: bool = True
) -> Iterator[Item]:
    """Yield `items`, with a bar named `label` once two seconds have passed.

    The bar shows count, rate and time left, also while the first item still takes its time.
    """
    if not enabled:
        yield from items
        return
    bar = tqdm(items, desc=label, total=total, delay=_DELAY, leave=False)
    done = threading.Event()
    caller = threading.get_ident(), id(sys._getframe(1))
    threading.Thread(target=_beat, args=(bar, done, *caller), name="progress", daemon=True).start()
    try:
        yield from bar
    finally:
        done.set()
        bar.close()


@contextmanager
def watching(enabled: bool) -> Iterator[None]:
    """Whether somebody watches what is called in here, in this process: see `is_watched`."""
    token = _watched.set(enabled)
    try:
        yield
    finally:
        _watched.reset(token)


def is_watched() -> bool:
    """Whether a step of a longer run, which is not told so, should show its own progress."""
    return _watched.get()


def _beat(bar: Any, done: threading.Event, thread: int, frame: int) -> None:
    """Draw the bar again from time to time, as long as the loop over its items is there.

    A loop that an exception ended may be kept, with its bar, by the traceback.
    """
    wait = _DELAY
    while not done.wait(wait) and _is_running(thread, frame):
        with bar.get_lock():
            bar.delay = 0  # so that closing takes away what is drawn here
            bar.refresh(nolock=True)
        wait = _BEAT


def _is_running(thread: int, frame: int) -> bool:
    now = sys._current_frames().get(thread)
    while now is not None and id(now) != frame:
        now = now.f_back
    return now is not None
