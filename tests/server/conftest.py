"""A Jupyter server with the extension, templates of its own, and replies held to their schemas."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_jupyter.jupyter_core import *  # noqa: F403
from pytest_jupyter.jupyter_server import *  # noqa: F403
from pytest_jupyter.pytest_tornasync import *  # noqa: F403
from tornado.httpclient import HTTPClientError

from kernel_lib.server.schemas import check
from small_notebooks import cell, notebook

QUICK = """
seed: int = 0  # any
rate: float = 0.5  # a share
mode: Literal["a", "b"] = "a"
layers: list[str] | None = None
model: str = "cnn"
output_dir: str = "outputs"
"""
RANGES = {"kernel_lib": {"parameters": {"seed": {"minimum": 0}, "rate": {"maximum": 1}}}}
RESULT = """
import json, pathlib
folder = pathlib.Path(output_dir)
folder.mkdir(exist_ok=True)
words = dict(means="m", does_not_mean="n", next_step="x")
verdict = dict(status="pass", headline="All is well.", **words)
result = dict(schema=1, audit="small", question="Is it?", scores={"rate": rate}, verdict=verdict)
result |= dict(parameters={"seed": seed}, provenance={"created": "2026-01-01"})
result |= dict(tables=[], figures=[])
(folder / "result.json").write_text(json.dumps(result))
print("written")
"""
SLOW = """
import time
for count in range(600):
    print("tick", count, flush=True)
    time.sleep(0.1)
"""


@pytest.fixture
def templates(tmp_path: Path) -> Path:
    """A folder of templates: one that works, a slow one, one that fails, and one that is broken."""
    folder = tmp_path / "our_templates"
    (folder / "presets" / "quick").mkdir(parents=True)
    (folder / "presets" / "quick" / "ci.yaml").write_text("# In no time.\nseed: 3\n")
    (folder / "presets" / "quick" / "bad.yaml").write_text("seed: many\n")
    literal = "from typing import Literal\n"
    made = {
        "quick": notebook(literal + QUICK, cell("## Write", "markdown"), RESULT, metadata=RANGES),
        "slow": notebook("seed: int = 0", cell("## Wait long", "markdown"), SLOW),
        "failing": notebook(
            "seed: int = 0", "first = 1", cell("## Divide", "markdown"), "1 / seed"
        ),
    }
    for name, content in made.items():
        (folder / f"{name}.ipynb").write_text(json.dumps(content))
    (folder / "broken.ipynb").write_text("{")
    return folder


@pytest.fixture
def jp_server_config(templates: Path, tmp_path: Path) -> dict[str, Any]:
    return {
        "ServerApp": {
            "jpserver_extensions": {"kernel_lib.server": True},
            "allow_unauthenticated_access": False,
        },
        "KernelLib": {
            "template_folders": [str(templates)],
            "history_dir": str(tmp_path / "history"),
            "max_runs": 1,
        },
    }


@pytest.fixture
def service(jp_serverapp: Any, jp_asyncio_loop: asyncio.AbstractEventLoop) -> Iterator[Any]:
    """The extension; no run outlives the test."""
    made = jp_serverapp.web_app.settings["kernel_lib"]
    yield made
    jp_asyncio_loop.run_until_complete(made.queue.close())
    stop_all(made)


def stop_all(service: Any, seconds: float = 20) -> None:
    """Cancel every run and wait until its process is gone."""

    def left() -> list[Any]:
        for process in service.queue._processes.values():
            process.poll()
        return [each for each in service.store.all() if not service.store.state(each).ended]

    for request in left():
        service.queue.cancel(request)
    deadline = time.monotonic() + seconds
    while left():
        assert time.monotonic() < deadline, "a run does not stop"
        time.sleep(0.1)


Call = Callable[..., Awaitable[Any]]


@pytest.fixture
def call(jp_fetch: Any, service: Any) -> Call:
    """Return a function that calls a handler and holds its reply to the schema called `form`."""

    async def call(method: str, *route: str, form: str, body: Any = None, **query: str) -> Any:
        text = None if method in {"GET", "DELETE"} else json.dumps(body)
        reply = await jp_fetch(
            "kernel-lib", "api", *route, method=method, body=text, params=query,
            allow_nonstandard_methods=True,
        )  # fmt: skip
        return check(form, json.loads(reply.body))

    return call


@pytest.fixture
def refused(jp_fetch: Any, service: Any) -> Call:
    """Return a function that calls a handler, which must refuse; gives the code and the message."""

    async def refused(method: str, *route: str, body: Any = None, **query: str) -> tuple[int, str]:
        text = None if method in {"GET", "DELETE"} else json.dumps(body)
        with pytest.raises(HTTPClientError) as caught:
            await jp_fetch(
                "kernel-lib", "api", *route, method=method, body=text, params=query,
                allow_nonstandard_methods=True,
            )  # fmt: skip
        return caught.value.code, json.loads(caught.value.response.body)["message"]

    return refused


@pytest.fixture
def ended(call: Call) -> Call:
    """Return a function that waits for the end of a run and gives what it told on the way."""

    async def ended(name: str, seconds: float = 90) -> list[dict[str, Any]]:
        deadline = time.monotonic() + seconds
        seen: list[dict[str, Any]] = []
        while time.monotonic() < deadline:
            run = await call("GET", "runs", name, form="Run")
            if not seen or run != seen[-1]:
                seen.append(run)
            if run["status"] not in {"queued", "running"}:
                return seen
            await asyncio.sleep(0.1)
        raise AssertionError(f"it did not end: {seen[-1]}")

    return ended
