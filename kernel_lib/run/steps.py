"""Where a run is: the steps of a notebook, named by its headings, and a line that shows them."""

from __future__ import annotations

import contextlib
import re
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TextIO


@dataclass(frozen=True)
class Step:
    """The place a run has reached.

    Attributes:
        name: The nearest heading above the cell.
        cell: Number of the code cell, from 1.
        cells: Number of code cells.
    """

    name: str
    cell: int
    cells: int


def step(cells: Sequence[Mapping[str, Any]], index: int, title: str) -> Step:
    """Return the step that the cell at `index` belongs to; `title` where no heading precedes."""
    name = title
    for cell in cells[: index + 1]:
        if cell["cell_type"] == "markdown":
            headings = re.findall(r"^#+\s+(.+?)\s*#*$", cell["source"], flags=re.MULTILINE)
            name = headings[-1] if headings else name
    code = [cell["cell_type"] == "code" for cell in cells]
    return Step(name, sum(code[: index + 1]), sum(code))


class ProgressLine:
    """Show the steps of a run: one line that renews itself, or one line a step in a log file.

    Args:
        title: Shown in front.
        stream: Where to write; standard error by default.
    """

    def __init__(self, title: str, stream: TextIO | None = None) -> None:
        self.title = title
        self.stream = stream or sys.stderr
        self.started = time.monotonic()
        self.step: Step | None = None
        self.live = self.stream.isatty()
        self._stopped = threading.Event()
        self._clock = threading.Thread(target=self._tick, daemon=True)
        if self.live:
            self._clock.start()

    def __call__(self, step: Step) -> None:
        """Show `step`."""
        new = self.step is None or step.name != self.step.name
        self.step = step
        if self.live:
            self._draw()
        elif new:
            print(self._text(), file=self.stream, flush=True)

    def close(self) -> None:
        """Take the renewed line away."""
        self._stopped.set()
        if self.live:
            self._clock.join()
            self.stream.write("\r\033[K")
            self.stream.flush()

    def _tick(self) -> None:
        while not self._stopped.wait(1.0):
            self._draw()

    def _text(self) -> str:
        if self.step is None:
            return f"{self.title}  starting"
        return f"{self.title}  {self.step.cell}/{self.step.cells}  {self.step.name}"

    def _draw(self) -> None:
        width = shutil.get_terminal_size().columns - 1
        line = f"{self._text()}  {clock(time.monotonic() - self.started)}"
        self.stream.write(f"\r\033[K{line[:width]}")
        self.stream.flush()


@contextlib.contextmanager
def reporter(
    title: str, progress: bool | Callable[[Step], None]
) -> Iterator[Callable[[Step], None]]:
    """Give what is to be told of each step: a line, the caller's own function, or nobody."""
    if callable(progress):
        yield progress
    elif progress:
        line = ProgressLine(title)
        try:
            yield line
        finally:
            line.close()
    else:
        yield lambda step: None


def clock(seconds: float) -> str:
    """Return `seconds` as `m:ss`, or `h:mm:ss` from an hour on."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
