"""Runs: to their end, through the queue, cancelled, failed, killed, and seen by a later server."""

from __future__ import annotations

import asyncio
import json
import os
import signal

import nbformat
from nbformat.sign import NotebookNotary

from kernel_lib.server.extension import KernelLib
from kernel_lib.server.store import RunStore, birth_of, read, write


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
    write(place, {"pid": os.getpid(), "born": birth_of(os.getpid())})
    assert store.state(request).status == "running"
    write(place, {"pid": os.getpid(), "born": birth_of(os.getpid()) - 100})
    assert store.state(request).status == "died"


def test_a_run_is_started_once(tmp_path):
    store, other = RunStore(tmp_path / "runs"), RunStore(tmp_path / "runs")
    request = request_in(store)
    assert store.state(request).status == "queued"
    assert other.claim(request) is not None
    assert store.claim(request) is None
    assert store.state(request).status == "running"  # claimed, and about to start


def test_half_a_line_and_strange_folders_do_no_harm(tmp_path):
    store = RunStore(tmp_path / "runs")
    request = request_in(store)
    store.claim(request)
    events = store.folder / request.id / "events.jsonl"
    step = {"event": "step", "name": "Measure", "cell": 1, "cells": 2, "seconds": 0.5}
    events.write_text(json.dumps(step) + '\n{"event": "en')
    (store.folder / "strange").mkdir()
    (store.folder / "file").touch()
    assert store.state(request).step == {"name": "Measure", "cell": 1, "cells": 2}
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
