"""Bars show themselves while an item takes long, and leave nothing behind."""

from __future__ import annotations

import threading
import time

import pytest

from kernel_lib import _progress
from kernel_lib._progress import is_watched, progress, watching


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(_progress, "_DELAY", 0.05)
    monkeypatch.setattr(_progress, "_BEAT", 0.05)


def beats() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "progress"]


def wait_for(condition) -> bool:
    end = time.monotonic() + 10
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()


def test_a_long_first_item_is_shown_with_count_and_clock(capsys):
    for item in progress(["a", "b", "c"], "Slow things"):
        if item == "a":
            shown = ""

            def is_drawn_twice() -> bool:
                nonlocal shown
                shown += capsys.readouterr().err
                return shown.count("Slow things:   0%") > 1

            assert wait_for(is_drawn_twice)
            assert "0/3 [" in shown
    assert wait_for(lambda: not beats())
    assert capsys.readouterr().err.endswith("\r")  # the line is taken away


def test_nothing_is_shown_where_nobody_asked_or_all_is_quick(capsys):
    assert list(progress(range(3), "Quick things")) == [0, 1, 2]
    for _ in progress(range(2), "Silent things", enabled=False):
        time.sleep(0.1)
        assert not beats()
    assert capsys.readouterr().err == ""


def test_a_bar_kept_by_a_traceback_is_silent():
    with pytest.raises(RuntimeError, match="stop") as caught:
        for _ in progress(range(3), "Failing"):
            raise RuntimeError("stop")
    assert wait_for(lambda: not beats())
    assert caught.tb is not None  # still held


def test_steps_know_whether_they_are_watched():
    assert not is_watched()
    with pytest.raises(RuntimeError, match="stop"), watching(True):
        assert is_watched()
        raise RuntimeError("stop")
    assert not is_watched()
