"""Tasks give the same bytes wherever they run, outlive what fails, and are not done twice."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import small_tasks
from kernel_lib.tasks import Task, read_arrays, run_tasks
from small_tasks import chain

HERE = "small_tasks"


@pytest.fixture
def importable(monkeypatch):
    """Workers find the helpers by their name."""
    folder = str(Path(small_tasks.__file__).parent)
    paths = [folder, os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))


def test_here_in_processes_and_on_a_cluster_give_the_same_bytes(tmp_path, importable):
    distributed = pytest.importorskip("distributed")
    tasks = [chain(seed) for seed in range(4)]
    here = run_tasks(tasks, tmp_path / "here", progress=False)
    local = run_tasks(tasks, tmp_path / "local", workers=2, progress=False)
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1"
    ) as cluster:
        spread = run_tasks(
            tasks, tmp_path / "dask", workers=cluster.scheduler_address, progress=False
        )
    assert len(here.done) == 8
    assert here.done == local.done == spread.done
    assert not here.failed | local.failed | spread.failed


def test_what_is_there_is_not_done_again(tmp_path, importable):
    task = chain(1)
    run_tasks([task], tmp_path, progress=False)
    path = task.needs["first"].path(tmp_path)
    before = path.stat().st_mtime_ns
    task.path(tmp_path).write_bytes(b"cut short")
    again = run_tasks([task], tmp_path, progress=False)
    assert path.stat().st_mtime_ns == before
    assert read_arrays(task.path(tmp_path)) is not None
    assert len(again.done) == 2


def test_a_worker_that_dies_is_replaced_and_the_run_goes_on(tmp_path, importable):
    mark = tmp_path / "mark"
    tasks = [Task("dying", f"{HERE}:dies_once", {"mark": str(mark)}), chain(1), chain(2)]
    run = run_tasks(tasks, tmp_path / "out", workers=2, progress=False)
    assert mark.exists()
    assert len(run.done) == 5
    assert not run.failed


def test_failures_are_named_and_the_others_go_on(tmp_path, importable):
    bad = Task("bad", f"{HERE}:broken", {})
    after = Task("after", f"{HERE}:doubled", {}, {"first": bad})
    run = run_tasks([after, chain(1)], tmp_path, retries=1, progress=False)
    assert len(run.done) == 2
    assert run.failed[bad.key] == "bad: ValueError: this never works"
    assert "needs 'bad', which failed" in run.failed[after.key]
    assert "this never works" in next((tmp_path / "failed").iterdir()).read_text()


def test_a_full_disk_leaves_what_is_there_readable(tmp_path, importable, monkeypatch):
    run_tasks([chain(1)], tmp_path, progress=False)

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("kernel_lib.tasks.task.write_arrays", full)
    run = run_tasks([chain(1), chain(2)], tmp_path, retries=0, progress=False)
    assert len(run.done) == 2
    assert "No space left" in next(iter(run.failed.values()))
    assert read_arrays(chain(1).path(tmp_path)) is not None


@pytest.mark.parametrize(("workers", "error"), [(-1, ValueError), (True, TypeError)])
def test_bad_workers(tmp_path, workers, error):
    with pytest.raises(error, match="`workers` must be"):
        run_tasks([], tmp_path, workers=workers)
