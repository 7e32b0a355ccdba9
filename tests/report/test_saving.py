"""A result takes the place of an older one whole, or not at all, and touches nothing else."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import textwrap
import warnings
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest

from kernel_lib.report import AuditResult, Verdict, page, result, saving
from kernel_lib.report.result import IncompleteResultError
from kernel_lib.tasks import FolderInUseError, hold

POSIX_ONLY = pytest.mark.skipif(os.name == "nt", reason="needs fork, or permissions of POSIX")


class Picture:
    """Stands for a figure: quick, and the run it is of can be read in its bytes."""

    def __init__(self, text):
        self.text = text

    def savefig(self, file, **options):
        file.write(self.text.encode())


@dataclass(frozen=True)
class RunResult(AuditResult):
    """A result in which every part tells which run it is of."""

    audit: ClassVar[str] = "run"
    question: ClassVar[str] = "Which run?"

    def figure_makers(self):
        names = self.parameters["figures"]
        return {name: lambda: Picture(f"figure of run {self.scores['run']:g}") for name in names}


def a_result(run, tables=("rows",), figures=("line",)):
    return RunResult(
        scores={"run": float(run)},
        tables={name: pd.DataFrame({"run": [run] * 3}) for name in tables},
        arrays={"grid": np.full((2, 2), run)},
        verdict=Verdict("pass", f"Run {run}.", "", "", ""),
        parameters={"figures": list(figures)},
    )


def run_of(folder):
    """The run that all parts of the result in `folder` are of."""
    loaded = RunResult.load(folder)
    run = loaded.scores["run"]
    runs = {run, *np.ravel(loaded.arrays["grid"])}
    for table in loaded.tables.values():
        runs |= set(table["run"])
    assert runs == {run}
    assert loaded.verdict.headline == f"Run {run:g}."
    return int(run)


def files_in(folder):
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


# --- over an older result --------------------------------------------------------------------


def test_nothing_of_the_older_result_remains_and_nothing_else_is_touched(tmp_path):
    a_result(1, tables=("rows", "old"), figures=("line", "gone")).save(tmp_path)
    others = [
        "saliency.ipynb", "saliency.html", "log.txt", "cache/votes-12.npz", "samples/1.png",
        "tables/notes.csv", "figures/mine.png", "masks/0.png", "zoo.csv", ".hidden",
    ]  # fmt: skip
    for name in others:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    a_result(2).save(tmp_path)
    assert files_in(tmp_path) == {
        "result.json", "arrays.npz", "page.html", "tables/rows.csv", "figures/line.png", *others,
    }  # fmt: skip
    assert all((tmp_path / name).read_text() == name for name in others)
    assert run_of(tmp_path) == 2


def test_a_table_that_somebody_changed_is_not_removed(tmp_path):
    a_result(1, tables=("rows", "old")).save(tmp_path)
    (tmp_path / "tables" / "old.csv").write_text("my notes")
    a_result(2).save(tmp_path)
    assert (tmp_path / "tables" / "old.csv").read_text() == "my notes"


def test_folders_that_became_empty_are_removed(tmp_path):
    a_result(1).save(tmp_path)
    a_result(2, figures=()).save(tmp_path)
    assert not (tmp_path / "figures").exists()


@pytest.mark.parametrize(
    "name",
    ["../outside.txt", "/etc/hosts", "saliency.ipynb", "tables/../../x", "a\\b", "tables/.x", 3],
)
def test_a_result_file_cannot_name_files_of_others_for_removal(tmp_path, name):
    folder = tmp_path / "result"
    a_result(1).save(folder)
    outside = tmp_path / "outside.txt"
    outside.write_text("mine")
    (folder / "saliency.ipynb").write_text("mine")
    path = folder / "result.json"
    content = json.loads(path.read_text())
    content["files"][str(name)] = saving.file_digest(outside)
    path.write_text(json.dumps(content))
    a_result(2).save(folder)
    assert outside.exists()
    assert (folder / "saliency.ipynb").exists()


def test_the_page_shows_the_figures_of_this_result_in_their_order(tmp_path):
    import base64

    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "a_earlier.png").write_bytes(b"of an earlier run")
    a_result(1, figures=("gone",)).save(tmp_path)
    a_result(2, figures=("zebra", "ape")).save(tmp_path)
    page = (tmp_path / "page.html").read_text()
    assert page.count("<figure>") == 2
    assert page.index(">zebra<") < page.index(">ape<")
    assert page.count(base64.b64encode(b"figure of run 2").decode()) == 2


def test_results_without_digests_are_read_with_a_warning(tmp_path):
    a_result(1).save(tmp_path)
    path = tmp_path / "result.json"
    content = json.loads(path.read_text())
    for name in ("files", "columns", "failed_figures"):
        del content[name]
    path.write_text(json.dumps(content))
    with pytest.warns(UserWarning, match="whether they belong together cannot be checked") as found:
        assert RunResult.load(tmp_path).scores["run"] == 1
    assert found[0].filename == __file__
    a_result(2, tables=("other",), figures=()).save(tmp_path)  # its files are known by their names
    assert files_in(tmp_path) == {"result.json", "arrays.npz", "page.html", "tables/other.csv"}


def test_the_intake_is_kept_and_shown(tmp_path, monkeypatch):
    intake = {"headline": "Fed as it was trained.", "findings": [{"text": "Few images."}]}
    monkeypatch.setattr(page, "intake_html", lambda shown: f"<p>{shown['headline']}</p>")
    replace(a_result(1), intake=intake).save(tmp_path)
    assert RunResult.load(tmp_path).intake == intake
    assert "<p>Fed as it was trained.</p>" in (tmp_path / "page.html").read_text()


def test_a_page_that_cannot_be_made_costs_the_page_alone(tmp_path):
    with pytest.warns(UserWarning, match=r"The page could not be made: KeyError"):
        replace(a_result(1), intake={"of": "another version"}).save(tmp_path)
    assert run_of(tmp_path) == 1
    text = (tmp_path / "page.html").read_text()
    assert "Run 1." in text
    assert "This page could not be made" in text


@pytest.mark.parametrize("name", ["tables/rows.csv", "arrays.npz"])
def test_parts_of_another_run_are_refused(tmp_path, name):
    a_result(1).save(tmp_path / "a")
    a_result(2).save(tmp_path / "b")
    (tmp_path / "a" / name).write_bytes((tmp_path / "b" / name).read_bytes())
    message = rf"a is incomplete: {name} is not the file that was written with this result.json"
    with pytest.raises(ValueError, match=message):
        RunResult.load(tmp_path / "a")


def test_the_same_result_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        a_result(1).save(tmp_path / name)
    for name in files_in(tmp_path / "a"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


def test_tables_come_back_with_their_names_and_kinds(tmp_path):
    table = pd.DataFrame(
        {
            "class": ["null", "NA", "", "1\r2", 'x,\n"y', " z "],
            "maybe": ["1", None, "nan", "None", "007", "True"],
            "value": np.array([0.1, 1 / 3, np.nan, np.inf, -np.inf, 1e-320]),
            "small": np.linspace(0, 1, 6, dtype=np.float32),
            "count": np.arange(6, dtype=np.uint8),
            "right": [True, False] * 3,
            "nothing": [None] * 6,
        }
    )
    found = a_result(1)
    found.tables["rows"], found.tables["empty"] = table, pd.DataFrame()
    found.save(tmp_path)
    again = RunResult.load(tmp_path).tables
    pd.testing.assert_frame_equal(again["rows"], table)
    assert again["empty"].empty


# --- figures ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Faulty(RunResult):
    audit: ClassVar[str] = "faulty"

    def figure_makers(self):
        def bad():
            raise ValueError("no\nroom <here>")

        return super().figure_makers() | {"bad_one": bad}


@dataclass(frozen=True)
class FaultyAtOnce(RunResult):
    audit: ClassVar[str] = "faulty_at_once"

    def figures(self):
        raise MemoryError


def test_a_figure_that_cannot_be_drawn_costs_that_figure_alone(tmp_path):
    found = Faulty(**vars(a_result(3)))
    with pytest.warns(UserWarning, match="'bad_one' could not be drawn: ValueError: no room"):
        found.save(tmp_path)
    again = Faulty.load(tmp_path)
    assert again.arrays["grid"].tolist() == [[3, 3], [3, 3]]
    content = json.loads((tmp_path / "result.json").read_text())
    assert content["figures"] == ["line"]
    assert content["failed_figures"] == {"bad_one": "ValueError: no room <here>"}
    page = (tmp_path / "page.html").read_text()
    assert "<b>bad one</b>: ValueError: no room &lt;here&gt;" in page
    assert page.count("<figure>") == 1


def test_figures_that_are_all_made_at_once_may_fail_too(tmp_path):
    with pytest.warns(UserWarning, match="could not be drawn: MemoryError"):
        FaultyAtOnce(**vars(a_result(3))).save(tmp_path)
    assert FaultyAtOnce.load(tmp_path).scores == {"run": 3.0}


# --- two at once -----------------------------------------------------------------------------


def test_the_second_writer_is_told_who_holds_the_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(saving, "WAIT_SECONDS", 0.1)
    a_result(1).save(tmp_path)
    with (
        hold(tmp_path, saving.LOCK, "saving a result"),
        pytest.raises(FolderInUseError, match=r"this process since \d{4}-.*\(saving a result\)"),
    ):
        a_result(2).save(tmp_path)
    assert run_of(tmp_path) == 1
    assert files_in(tmp_path) == {
        "result.json", "arrays.npz", "page.html", "tables/rows.csv", "figures/line.png",
    }  # fmt: skip


def test_the_second_writer_waits_for_its_turn(tmp_path):
    import threading

    threads = [threading.Thread(target=a_result(run).save, args=(tmp_path,)) for run in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert run_of(tmp_path) in range(4)
    assert not list(tmp_path.glob(".*"))


# --- killed ----------------------------------------------------------------------------------

_KILLED = """
import os, random, signal, sys, time
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_saving import a_result, files_in, run_of
import matplotlib.pyplot, pandas

OLD = dict(tables=("rows", "old"), figures=("line", "gone"))
NEW = dict(tables=("rows", "new"), figures=("line", "other"))

def saver(folder, prepare):
    child = os.fork()
    if child == 0:
        try:
            prepare()
            a_result(2, **NEW).save(folder)
        finally:
            os._exit(0)
    return child

def die_at(number):
    seen = 0
    def hook(event, arguments):
        nonlocal seen
        if event in ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.scandir"):
            if "result" in str(arguments[0]) or ".result" in str(arguments[-1]):
                seen += 1
                if seen == number:
                    os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(hook)

def outcome(folder, was_there):
    for note in folder.glob(".*clearing"):
        os.utime(note, (0, 0))
    try:
        run = run_of(folder)
    except ValueError as error:
        assert "it is not a finished result" in str(error), error
        assert not was_there, "the old result is lost"
        return 0
    files = files_in(folder)
    shown = {{1: "gone", 2: "other"}}[run]
    if run == 2:
        assert "tables/old.csv" not in files and "figures/gone.png" not in files, files
    page = (folder / "page.html").read_text()
    if "figures/line.png" in files:
        assert f">{{shown}}<" in page
    else:
        assert not was_there and "the process ended before they were drawn" in page
    return run

top, was_there = Path(sys.argv[1]), sys.argv[2] == "over"
found = {{0: 0, 1: 0, 2: 0}}
def trial(name, prepare, seconds=None):
    folder = top / f"result-{{name}}"
    if was_there:
        a_result(1, **OLD).save(folder)
    child = saver(folder, prepare)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    found[outcome(folder, was_there)] += 1
    a_result(3).save(folder)
    assert run_of(folder) == 3 and not list(folder.glob(".*"))
    return os.WIFSIGNALED(status)

number = 1
while trial(f"step-{{number}}", lambda: die_at(number)):
    number += 1 if was_there else 3
draw = random.Random(0)
for moment in range(10):
    trial(f"moment-{{moment}}", lambda: None, draw.uniform(0, 0.06))
print(number, found)
"""


@POSIX_ONLY
@pytest.mark.parametrize("case", ["over", "fresh"])
def test_a_killed_save_leaves_one_result_whole(tmp_path, case):
    """Killed at each step that touches the folder, and at random moments."""
    script = textwrap.dedent(_KILLED).format(tests=os.path.dirname(__file__))
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path), case],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    steps, found = done.stdout.split(" ", 1)
    assert int(steps) > 30  # the hook saw the steps
    lost, old, new = eval(found).values()
    assert new > 5
    assert (old > 5 and lost == 0) if case == "over" else (lost > 5 and old == 0)


def test_an_interrupt_leaves_the_old_result_whole(tmp_path, monkeypatch):
    a_result(1).save(tmp_path)
    before = files_in(tmp_path)

    def interrupt(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(RunResult, "figure_makers", interrupt)
    with pytest.raises(KeyboardInterrupt):
        a_result(2).save(tmp_path)
    assert run_of(tmp_path) == 1
    assert files_in(tmp_path) == before


def test_an_interrupt_in_the_middle_of_the_swap_waits_for_its_end(tmp_path, monkeypatch):
    a_result(1).save(tmp_path)
    move, calls = saving._move, []

    def interrupted(source, target):
        calls.append(target)
        if len(calls) == 2:
            raise KeyboardInterrupt
        move(source, target)

    monkeypatch.setattr(saving, "_move", interrupted)
    with pytest.raises(KeyboardInterrupt):
        a_result(2).save(tmp_path)
    assert run_of(tmp_path) == 2
    assert not list(tmp_path.glob(".*"))


# --- places that cannot be written -----------------------------------------------------------


@POSIX_ONLY
def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"Nothing can be written to .*file: it is a file") as found:
        a_result(1).save(tmp_path / "file")
    assert found.value.errno == errno.ENOTDIR
    with pytest.raises(OSError, match=r"Nothing can be written to .*Choose another folder"):
        a_result(1).save("/proc/none")


def test_a_full_disk_names_the_file_and_leaves_the_old_result(tmp_path, monkeypatch):
    a_result(1).save(tmp_path)

    def full(path, arrays, compress):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(result, "write_arrays", full)
    with pytest.raises(OSError, match=r"arrays\.npz cannot be written: No space left") as found:
        a_result(2).save(tmp_path)
    assert found.value.errno == errno.ENOSPC
    assert run_of(tmp_path) == 1


def test_a_folder_in_the_way_is_named_before_anything_is_taken_away(tmp_path):
    a_result(1).save(tmp_path)
    (tmp_path / "figures" / "other.png").mkdir()
    with pytest.raises(OSError, match="a folder of this name is in the way"):
        a_result(2, figures=("other",)).save(tmp_path)
    assert run_of(tmp_path) == 1
    assert not list(tmp_path.glob(".*"))


def test_a_reader_waits_while_a_result_is_put_in_place(tmp_path):
    import threading

    a_result(0).save(tmp_path)
    done, errors = threading.Event(), []

    def write():
        for run in range(1, 12):
            a_result(run).save(tmp_path)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    reads = 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        while not done.is_set():
            try:
                run_of(tmp_path)
                reads += 1
            except (AssertionError, ValueError) as error:
                errors.append(error)
    writer.join()
    assert not errors
    assert reads > 3


def test_a_result_of_another_audit_is_not_taken(tmp_path):
    a_result(1).save(tmp_path)
    with pytest.raises(ValueError, match="holds a result of the audit 'run', not 'faulty'"):
        Faulty.load(tmp_path)


def test_an_unfinished_folder_says_who_writes_it(tmp_path, monkeypatch):
    monkeypatch.setattr(result, "_PATIENCE_SECONDS", 0.1)
    with (
        hold(tmp_path, saving.LOCK, "saving a result"),
        pytest.raises(IncompleteResultError, match="It is being written by this process since"),
    ):
        RunResult.load(tmp_path)
