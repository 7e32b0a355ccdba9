"""A folder is held by one process at a time; one that died holds nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import asdict, replace

import pytest

from kernel_lib.tasks import FolderInUseError, hold, holding

NAME = ".test.lock"


def a_note(folder, **changes):
    """The note of this process, with some of it changed, left behind in `folder`."""
    with hold(folder, NAME, "testing"):
        holder = holding.holder_of(folder, NAME)
    (folder / NAME).write_text(json.dumps(asdict(replace(holder, **changes))))


def ended_process():
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def test_it_is_held_and_given_back(tmp_path):
    folder = tmp_path / "made"
    with hold(folder, NAME, "testing"):
        assert holding.holder_of(folder, NAME).pid == os.getpid()
        with pytest.raises(FolderInUseError, match=r"this process since .* \(testing\)\. Wait"):
            hold(folder, NAME, "more").__enter__()
        with hold(folder, ".other.lock", "something else"):
            pass
        assert folder.is_dir()
    assert not folder.exists()  # it was made, and nothing was put there
    folder.mkdir()
    with hold(folder, NAME, "testing"):
        pass
    assert folder.is_dir()


def test_it_is_given_back_after_an_error(tmp_path):
    with pytest.raises(KeyboardInterrupt), hold(tmp_path, NAME, "testing"):
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_another_process_is_named(tmp_path):
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        a_note(tmp_path, pid=child.pid, born=holding._born(child.pid))
        with pytest.raises(FolderInUseError, match=rf"process {child.pid} since .*\(testing\)"):
            hold(tmp_path, NAME, "more").__enter__()
    finally:
        child.communicate(b"\n")
    with hold(tmp_path, NAME, "more"):  # now it has ended
        pass


@pytest.mark.parametrize(
    "changes",
    [
        {"pid": 0},
        {"pid": 2**40},
        {"born": "another process that had this number"},
        {"boot": "before the machine was started anew"},
    ],
)
def test_a_dead_process_holds_nothing(tmp_path, changes):
    a_note(tmp_path, **changes)
    with hold(tmp_path, NAME, "testing"):
        pass
    assert not list(tmp_path.iterdir())


def test_an_ended_process_holds_nothing(tmp_path):
    pid = ended_process()
    a_note(tmp_path, pid=pid, born="1")
    with hold(tmp_path, NAME, "testing"):
        assert holding.holder_of(tmp_path, NAME).pid == os.getpid()


@pytest.mark.parametrize("changes", [{"host": "elsewhere"}, {"space": "another container"}])
def test_a_process_of_another_machine_lives_as_long_as_it_says_so(tmp_path, changes):
    a_note(tmp_path, **changes, pid=ended_process())
    note = tmp_path / NAME
    for age in (0, 60, -3600):  # also where the clock of the disk stepped back
        os.utime(note, (note.stat().st_atime, time.time() - age))
        with pytest.raises(FolderInUseError, match=r"wait 120 seconds or delete .*\.test\.lock\."):
            hold(tmp_path, NAME, "testing").__enter__()
    os.utime(note, (0, time.time() - 150))
    with hold(tmp_path, NAME, "testing"):
        pass
    assert not list(tmp_path.iterdir())


def test_a_holder_says_that_it_lives(tmp_path, monkeypatch):
    monkeypatch.setattr(holding, "_BEAT_SECONDS", 0.01)
    with hold(tmp_path, NAME, "testing"):
        os.utime(tmp_path / NAME, (0, 0))
        end = time.monotonic() + 10
        while (tmp_path / NAME).stat().st_mtime == 0 and time.monotonic() < end:
            time.sleep(0.01)
        assert time.time() - (tmp_path / NAME).stat().st_mtime < 60
    assert not [each for each in threading.enumerate() if "holds a folder" in each.name]


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"pid": "x"}', "[" * 100_000, "\0"])
def test_a_note_that_was_never_finished_holds_for_seconds(tmp_path, text):
    (tmp_path / NAME).write_text(text)
    with pytest.raises(FolderInUseError, match="by another process"):
        hold(tmp_path, NAME, "testing").__enter__()
    os.utime(tmp_path / NAME, (0, 0))
    with hold(tmp_path, NAME, "testing", wait=1):
        pass


def test_who_waits_gets_its_turn(tmp_path):
    inside, most = [], []

    def work():
        with hold(tmp_path, NAME, "testing", wait=30):
            inside.append(1)
            most.append(len(inside))
            inside.pop()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 8


def test_the_note_of_a_dead_process_is_cleared_by_one_alone(tmp_path):
    """However many find it, at most one is inside at a time."""
    for _ in range(5):
        a_note(tmp_path, pid=0)
        test_who_waits_gets_its_turn(tmp_path)


def test_a_folder_that_is_a_file_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"Nothing can be written to .*file: it is a file"):
        hold(tmp_path / "file", NAME, "testing").__enter__()


def test_a_process_knows_its_start():
    born = holding._born(os.getpid())
    assert born
    assert born == holding._born(os.getpid())
    assert abs(float(holding._born_by_psutil(os.getpid()))) > 1e9
    assert holding._born_by_psutil(2**30) == ""
