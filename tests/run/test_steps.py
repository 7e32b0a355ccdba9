"""Names of steps, and the line that shows them."""

from __future__ import annotations

import io

from kernel_lib.run.steps import ProgressLine, Step, clock, step

CELLS = [
    {"cell_type": "code", "source": "1"},
    {"cell_type": "markdown", "source": "# Title #\n\ntext\n## Part"},
    {"cell_type": "markdown", "source": "no heading"},
    {"cell_type": "code", "source": "# not a heading"},
    {"cell_type": "code", "source": "2"},
]


def test_a_step_is_named_by_the_last_heading_above():
    assert step(CELLS, 0, "Notebook") == Step("Notebook", 1, 3)
    assert step(CELLS, 3, "Notebook") == Step("Part", 2, 3)
    assert step(CELLS, 4, "Notebook") == Step("Part", 3, 3)


def test_a_log_file_gets_one_line_a_step():
    stream = io.StringIO()
    line = ProgressLine("run", stream)
    for index in (0, 3, 4):
        line(step(CELLS, index, "Notebook"))
    line.close()
    assert stream.getvalue() == "run  1/3  Notebook\nrun  2/3  Part\n"


def test_a_terminal_gets_one_line_that_is_taken_away():
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    line = ProgressLine("run", stream)
    line(Step("A heading " * 50, 1, 3))
    line.close()
    written = stream.getvalue()
    assert "\n" not in written
    assert "run  1/3  A heading" in written
    assert len(written) < 250
    assert written.endswith("\r\033[K")


def test_clock():
    assert [clock(seconds) for seconds in (0.4, 61, 3661)] == ["0:00", "1:01", "1:01:01"]
