"""Bars show themselves while an item takes long, and leave nothing behind."""

from __future__ import annotations

import importlib
import inspect
import threading
import time
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest

from brightness import brightness_images, brightness_network
from kernel_lib import _progress
from kernel_lib._progress import is_watched, progress, shows_progress, watching
from kernel_lib.audit.forecast import AUDITS
from kernel_lib.data import ImageSet


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


def test_what_is_called_shows_progress_as_its_caller_was_told():
    @shows_progress
    def step() -> bool:
        return is_watched()

    @shows_progress
    def audit(*, progress: bool = True) -> tuple[bool, bool]:
        return is_watched(), step()

    assert step()
    assert audit() == (True, True)
    assert audit(progress=False) == (False, False)
    assert not is_watched()


def two_tasks() -> ImageSet:
    images = brightness_images()
    return replace(images, tasks={"half": np.arange(len(images)) // 4 % 2})


class Watching:
    """A model that notes at the first look at it whether that is watched."""

    seen: ClassVar[list[bool]] = []

    @property
    def __class__(self):
        self.seen.append(is_watched())
        raise RuntimeError("looked at")


@pytest.mark.parametrize("name", AUDITS)
def test_every_audit_hands_its_wish_on(name):
    run = importlib.import_module(f"kernel_lib.{name}").audit
    assert inspect.signature(run).parameters["progress"].default is True
    Watching.seen.clear()
    for wish in (True, False):
        with pytest.raises(RuntimeError, match="looked at"):
            run(Watching(), two_tasks(), progress=wish)
    assert Watching.seen == [True, False]


@pytest.mark.parametrize("name", AUDITS)
def test_every_audit_says_what_it_will_take_before_it_starts(name, monkeypatch):
    run = importlib.import_module(f"kernel_lib.{name}").audit

    def announce(audit, classifier, images, options, *, progress, stops):
        assert (audit, progress) == (name, False)
        raise RuntimeError("announced")

    monkeypatch.setitem(inspect.unwrap(run).__globals__, "announce", announce)
    with pytest.raises(RuntimeError, match="announced"):
        run(brightness_network(), two_tasks(), progress=False)
