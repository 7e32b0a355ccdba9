"""Our notebooks as jobs of jupyter-scheduler, where that is installed."""

from __future__ import annotations

import asyncio
import json
import time

import pytest

pytest.importorskip("jupyter_scheduler", reason="jupyter-scheduler is not installed")


@pytest.fixture
def jp_server_config(jp_server_config):
    jp_server_config["ServerApp"]["jpserver_extensions"]["jupyter_scheduler"] = True
    return jp_server_config


async def job_of(jp_fetch, path: str, parameters: dict[str, str]) -> dict:
    """Make a job as its form does, which sends every value as text; return it when it ended."""
    asked = {"name": "job", "input_uri": path, "output_formats": ["ipynb"]}
    asked |= {"runtime_environment_name": "any", "parameters": parameters}
    reply = await jp_fetch("scheduler", "jobs", method="POST", body=json.dumps(asked))
    job = json.loads(reply.body)["job_id"]
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        told = json.loads((await jp_fetch("scheduler", "jobs", job)).body)
        if told["status"] in {"COMPLETED", "FAILED"}:  # until it begins it is called stopped
            return told
        await asyncio.sleep(0.3)
    raise AssertionError(f"it did not end: {told}")


@pytest.mark.parametrize("parameters", [{}, {"seed": "6", "model": "'resnet20'"}])
async def test_a_job_has_the_values_of_the_form_and_its_own_over_them(
    call, jp_fetch, jp_root_dir, parameters
):
    (jp_root_dir / "work").mkdir()
    asked = {"template": "quick", "preset": "ci", "folder": "work", "scheduled": True}
    asked["values"] = {"rate": 0.25, "output_dir": "found"}
    made = await call("POST", "notebooks", form="OpenReply", body=asked)
    job = await job_of(jp_fetch, made["path"], parameters)
    assert job["status"] == "COMPLETED", job["status_message"]
    # Not in the folder of the copy that ran, but where the form stood.
    result = json.loads((jp_root_dir / "work" / "found" / "result.json").read_text())
    assert result["parameters"] == {"seed": int(parameters.get("seed", 3))}
    assert result["scores"] == {"rate": 0.25}


async def test_a_notebook_that_was_only_opened_runs_as_a_job(call, jp_fetch, jp_root_dir):
    asked = {"template": "quick", "preset": None, "folder": "", "scheduled": False}
    asked["values"] = {"seed": 2, "rate": 0.25}
    made = await call("POST", "notebooks", form="OpenReply", body=asked)
    job = await job_of(jp_fetch, made["path"], {"seed": "6"})
    assert job["status"] == "COMPLETED", job["status_message"]
    assert "outputs/result.json" in job["packaged_files"]  # beside the copy
