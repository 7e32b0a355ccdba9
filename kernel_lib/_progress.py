"""Progress bars that stay out of the way: plain text, and only after two seconds."""

from __future__ import annotations

import functools
import inspect
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ParamSpec, TypeVar

from tqdm.std import tqdm

Item = TypeVar("Item")
Given = ParamSpec("Given")
Result = TypeVar("Result")

_DELAY = 2.0  # seconds without a bar
_BEAT = 10.0  # seconds between signs of life while one item takes long
_watched: ContextVar[bool | None] = ContextVar("watched", default=None)  # None: nobody said


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


def is_watched(default: bool = False) -> bool:
    """Whether a step that is not told so should show its progress; `default` if nobody said."""
    found = _watched.get()
    return default if found is None else found


def shows_progress(run: Callable[Given, Result]) -> Callable[Given, Result]:
    """Let all that a function calls show its progress, or be silent, as its `progress` says.

    A function without `progress` is watched, unless a longer run that calls it is not.
    """
    parameter = inspect.signature(run).parameters.get("progress")

    @functools.wraps(run)
    def watched(*args: Given.args, **options: Given.kwargs) -> Result:
        enabled = is_watched(default=True)
        if parameter is not None:
            enabled = bool(options.get("progress", parameter.default))
        with watching(enabled):
            return run(*args, **options)

    return watched


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
