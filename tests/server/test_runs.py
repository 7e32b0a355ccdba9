"""Runs: to their end, through the queue, cancelled, failed, killed, and seen by a later server."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
import subprocess
import sys
import time

import nbformat
import psutil
import pytest
from nbformat.sign import NotebookNotary

from kernel_lib.server import process
from kernel_lib.server.extension import KernelLib
from kernel_lib.server.queue import Queue
from kernel_lib.server.store import RunStore, append, read, write


def asked(template: str, **values: object) -> dict:
    return {"template": template, "preset": None, "values": values, "folder": "work"}


async def reached(call, name: str, status: str, seconds: float = 60) -> dict:
    for _ in range(int(seconds * 10)):
        run = await call("GET", "runs", name, form="Run")
        step = run["step"] or {"cell": 0, "cells": 1}
        if run["status"] == status and (status != "running" or step["cell"] == step["cells"]):
            return run
        await asyncio.sleep(0.1)
    raise AssertionError(f"it is not {status}: {run}")


async def test_a_run_to_its_end(call, ended, jp_root_dir, jp_serverapp):
    (jp_root_dir / "work").mkdir()
    made = await call("POST", "runs", form="Run", body=asked("quick", seed=4) | {"preset": "ci"})
    assert made["status"] in {"queued", "running"}
    told = await ended(made["id"])
    last = told[-1]
    assert (last["status"], last["failure"]) == ("completed", None)
    assert last["step"] == {"name": "Write", "cell": 3, "cells": 3}
    assert any(run["status"] == "running" and run["step"] for run in told)
    assert last["notebook"] == "work/quick/quick.ipynb"
    assert last["result"]["folder"] == "work/quick"
    assert last["result"]["headline"] == "All is well."
    content = json.loads((jp_root_dir / "work" / "quick" / "result.json").read_text())
    assert content["parameters"] == {"seed": 4}

    log = await call("GET", "runs", made["id"], "log", form="LogReply")
    assert "[3/3] Write" in log["text"]
    assert "written" in log["text"]
    more = await call("GET", "runs", made["id"], "log", form="LogReply", start=str(log["next"]))
    assert more == {"text": "", "next": log["next"]}

    notebook = nbformat.read(jp_root_dir / last["notebook"], as_version=4)
    await asyncio.sleep(1)  # the server signs after the end is told
    assert jp_serverapp.contents_manager.notary.check_signature(notebook)
    assert not NotebookNotary(secret=b"another", db_file=":memory:").check_signature(notebook)


async def test_a_failing_cell_is_shown(call, ended, jp_root_dir):
    (jp_root_dir / "work").mkdir()
    made = await call("POST", "runs", form="Run", body=asked("failing"))
    last = (await ended(made["id"]))[-1]
    assert last["status"] == "failed"
    assert last["failure"]["step"] == "Divide"
    assert last["failure"]["name"] == "ZeroDivisionError"
    assert "> 1 / seed" in last["failure"]["source"]
    assert last["notebook"] == "work/failing/failing.ipynb"


async def test_one_at_a_time_then_cancelled_queued_and_running(
    call, refused, jp_root_dir, jp_fetch, service
):
    (jp_root_dir / "work").mkdir()
    first = await call("POST", "runs", form="Run", body=asked("slow"))
    second = await call("POST", "runs", form="Run", body=asked("slow"))
    running = await reached(call, first["id"], "running")
    assert running["step"]["name"] == "Wait long"
    both = await call("GET", "runs", form="RunList")
    assert both["limit"] == 1
    assert [each["id"] for each in both["runs"]] == [second["id"], first["id"]]
    assert both["runs"][0]["status"] == "queued"
    assert (await refused("DELETE", "runs", first["id"]))[0] == 400
    log = await call("GET", "runs", first["id"], "log", form="LogReply")
    assert "tick" in log["text"]  # live: the cell still runs

    stopped = await call("POST", "runs", second["id"], "cancel", form="Run", body={})
    assert stopped["status"] == "cancelled"
    await call("POST", "runs", first["id"], "cancel", form="Run", body={})
    last = await reached(call, first["id"], "cancelled")
    notebook = nbformat.read(jp_root_dir / last["notebook"], as_version=4)
    assert notebook.metadata.kernel_lib.run.status == "cancelled"
    await jp_fetch("kernel-lib", "api", "runs", first["id"], method="DELETE")
    assert (await refused("GET", "runs", first["id"]))[0] == 404
    assert (jp_root_dir / last["notebook"]).exists()


async def test_a_run_goes_on_without_its_server_and_one_that_was_killed_has_died(
    call, jp_root_dir, jp_serverapp, service
):
    (jp_root_dir / "work").mkdir()
    made = await call("POST", "runs", form="Run", body=asked("slow"))
    await reached(call, made["id"], "running")
    await service.queue.close()  # as when the server stops

    later = KernelLib(jp_serverapp)
    request = later.store.get(made["id"])
    assert later.store.state(request).status == "running"
    pid = read(later.store.folder / request.id / "process.json")["pid"]
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert later.store.state(request).status == "died"
    assert later.store.state(request).step["name"] == "Wait long"


def request_in(store: RunStore) -> object:
    return store.add(
        template="t", template_path="t.ipynb", title="T", preset=None, values={}, folder=".",
        notebook="t.ipynb",
    )  # fmt: skip


def test_the_id_of_a_process_that_is_taken_again_does_not_count(tmp_path):
    store = RunStore(tmp_path / "runs")
    request = request_in(store)
    place = store.claim(request) / "process.json"
    store.started(request, os.getpid())
    assert store.state(request).status == "running"
    assert store.process(request) == os.getpid()
    write(place, {**process.identity(os.getpid()), "born": "another"})
    assert store.state(request).status == "died"
    assert store.process(request) is None
    # An end that was only concluded is looked at again.
    store.started(request, os.getpid())
    assert store.state(request).status == "running"


@pytest.mark.skipif(not process.PROC.exists(), reason="elsewhere the system keeps the date")
@pytest.mark.parametrize("seconds", [2, -2, 86_400, -86_400])
def test_a_step_of_the_clock_changes_nothing(tmp_path, monkeypatch, seconds):
    store = RunStore(tmp_path / "runs")
    request = request_in(store)
    store.claim(request)
    claimed = store.state(request)
    store.started(request, os.getpid())
    told, boot, now = process.identity(os.getpid()), psutil.boot_time(), time.time()
    # psutil's date of a birth moves with the clock.
    monkeypatch.setattr("psutil._pslinux.boot_time", lambda: boot + seconds)
    monkeypatch.setattr(time, "time", lambda: now + seconds)
    assert process.identity(os.getpid()) == told
    assert store.state(request) == claimed
    assert claimed.status == "running"


def test_where_there_is_no_proc_psutil_tells(monkeypatch, tmp_path):
    monkeypatch.setattr(process, "PROC", tmp_path)
    told = process.identity(os.getpid())
    assert process.lives(told)
    assert not process.lives({**told, "born": "another"})
    with pytest.raises(LookupError):
        process.identity(2**30)


@pytest.mark.parametrize(
    "told",
    [
        None,
        [],
        {},
        {"pid": None},
        {"pid": "x", "born": ""},
        {"pid": 2**30, "born": ""},
        {"pid": 1e999},
    ],
)
def test_a_damaged_file_of_a_process_names_none(tmp_path, told):
    assert not process.lives(told)
    store = RunStore(tmp_path / "runs")
    request = request_in(store)
    write(store.claim(request) / "process.json", told)
    assert store.state(request).status == "died"
    assert store.process(request) is None


def test_a_zombie_is_dead():
    child = subprocess.Popen([sys.executable, "-c", ""])
    told = process.identity(child.pid)
    deadline = time.monotonic() + 30
    while process.lives(told):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    child.wait()
    assert not process.lives(told)


def sleeper(seconds: int = 60) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", f"import time; time.sleep({seconds})"])


def test_cancel_stops_no_process_that_only_has_the_id(tmp_path):
    store = RunStore(tmp_path / "runs")
    queue = Queue(store, 1, None)
    request = request_in(store)
    other = sleeper()
    try:
        place = store.claim(request) / "process.json"
        write(place, {"pid": other.pid, "born": "earlier"})
        queue.cancel(request)
        time.sleep(0.2)
        assert other.poll() is None
        assert store.state(request).status == "cancelled"
        store.started(request, other.pid)
        queue.cancel(request)
        assert other.wait(30) == -signal.SIGTERM
    finally:
        other.kill()


def test_cancel_between_claim_and_start_is_not_lost(tmp_path, monkeypatch):
    """Another server cancels while this one starts the process."""
    store, other = RunStore(tmp_path / "runs"), RunStore(tmp_path / "runs")
    request = request_in(store)
    made = []

    def worker(folder):
        Queue(other, 1, None).cancel(request)  # claimed, and nobody to be stopped yet
        made.append(sleeper())
        return made[0]

    monkeypatch.setattr("kernel_lib.server.queue._worker", worker)
    try:
        Queue(store, 1, None)._start(request)
        assert made[0].wait(30) == -signal.SIGTERM
    finally:
        made[0].kill()
    assert store.state(request).status == "cancelled"


def test_a_run_whose_server_died_before_it_started_has_died(tmp_path):
    store = RunStore(tmp_path / "runs")
    request = request_in(store)
    code = (
        "import sys, pathlib; from kernel_lib.server.store import RunStore\n"
        "store = RunStore(pathlib.Path(sys.argv[1])); print(store.claim(store.all()[0]))"
    )
    subprocess.run([sys.executable, "-c", code, str(store.folder)], check=True)
    assert store.claim(request) is None
    assert store.state(request).status == "died"


def test_a_file_system_without_links_works_too(tmp_path, monkeypatch):
    def no_link(*paths):
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", no_link)
    test_a_run_is_started_once(tmp_path)


def test_a_full_disk_ends_a_run_that_cannot_start(tmp_path, monkeypatch):
    store = RunStore(tmp_path / "runs")
    request = request_in(store)

    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    made = []
    monkeypatch.setattr(
        "kernel_lib.server.queue._worker", lambda folder: made.append(sleeper()) or made[0]
    )
    monkeypatch.setattr(store, "started", full)
    monkeypatch.setattr("kernel_lib.server.store.append", full)
    Queue(store, 1, None)._start(request)
    assert made[0].wait(30) == -signal.SIGKILL
    assert store.state(request).status == "failed"
    assert "No space left" in store.state(request).failure["message"]


def test_a_run_is_started_once(tmp_path):
    store, other = RunStore(tmp_path / "runs"), RunStore(tmp_path / "runs")
    request = request_in(store)
    assert store.state(request).status == "queued"
    assert other.claim(request) is not None
    assert store.claim(request) is None
    assert store.state(request).status == "running"  # claimed, and about to start


STEP = {"event": "step", "name": "Measure", "cell": 1, "cells": 2, "seconds": 0.5}
END = {"event": "ended", "status": "completed", "seconds": 2.0, "failure": None}


@pytest.mark.parametrize(
    "line",
    [
        b'{"event": "en',
        b"null",
        b"[]",
        b"7",
        b"\xff\xfe\x00",
        b'{"event": "step"}',
        b'{"event": "ended", "status": ["completed"], "seconds": null, "failure": null}',
        b'{"event": "ended", "status": "great", "seconds": null, "failure": null}',
        b'{"event": "ended", "status": "failed", "seconds": NaN, "failure": null}',
        b'{"event": "ended", "status": "failed", "seconds": null, "failure": {"name": "x"}}',
        b"[" * 100_000,
        b"9" * 5_000,
    ],
    ids=range(12),
)
def test_a_damaged_line_costs_that_line_alone(tmp_path, line):
    store = RunStore(tmp_path / "runs")
    request = request_in(store)
    store.claim(request)
    events = store.folder / request.id / "events.jsonl"
    append(events, STEP)
    with open(events, "ab") as file:
        file.write(line)  # and no end of the line: the process was killed
    assert store.state(request).step == {"name": "Measure", "cell": 1, "cells": 2}
    assert store.state(request).status == "running"
    append(events, END)
    assert store.state(request).status == "completed"


def test_strange_folders_do_no_harm(tmp_path):
    store = RunStore(tmp_path / "runs")
    request = request_in(store)
    (store.folder / "strange").mkdir()
    (store.folder / "file").touch()
    good = read(store.folder / request.id / "run.json")
    for number, changed in enumerate(
        [None, [], {**good, "values": []}, {**good, "notebook": None}, {**good, "more": 1}]
    ):
        (store.folder / f"strange{number}").mkdir()
        write(store.folder / f"strange{number}" / "run.json", changed)
    (store.folder / "copy").mkdir()
    write(store.folder / "copy" / "run.json", good)  # its id is that of another folder
    assert store.all() == [request]


def test_the_history_forgets_the_oldest_that_ended(tmp_path, monkeypatch):
    monkeypatch.setattr("kernel_lib.server.store.KEPT", 2)
    store = RunStore(tmp_path / "runs")
    waiting = request_in(store)
    requests = [request_in(store) for _ in range(4)]
    for request in requests:
        store.end(request, "cancelled")
    last = request_in(store)
    assert store.all() == [last, *reversed(requests[2:]), waiting]


def test_the_log_is_read_from_where_one_stopped(tmp_path):
    store = RunStore(tmp_path / "runs")
    request = request_in(store)
    assert store.log(request, 0) == ("", 0)
    (store.folder / request.id / "log.txt").write_text("one\ntwo\n")
    assert store.log(request, 4) == ("two\n", 8)
    assert store.log(request, 0, most=4) == ("two\n", 8)
    assert store.log(request, 99) == ("one\ntwo\n", 8)


async def test_the_queue_goes_on_after_an_error_of_the_system_and_misses_no_run(
    tmp_path, monkeypatch
):
    store = RunStore(tmp_path / "runs")
    queue = Queue(store, 1, None)
    monkeypatch.setattr("kernel_lib.server.queue.LOOK_SECONDS", 0.2)
    monkeypatch.setattr(queue, "_start", lambda request: store.end(request, "cancelled"))
    failing = iter([OSError(errno.EMFILE, "Too many open files")])

    def all_of_them():
        for error in failing:
            raise error
        return RunStore.all(store)

    monkeypatch.setattr(store, "all", all_of_them)
    for _ in range(3):  # each is added when the one before has just ended
        request = request_in(store)
        queue.wake()
        deadline = time.monotonic() + 20
        while not store.state(request).ended:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)
    await queue.close()
