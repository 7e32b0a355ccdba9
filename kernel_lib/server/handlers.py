"""The HTTP handlers: each refuses whoever is not logged in, checks what it is given, and answers.

A problem of the person's is answered with 400 and one readable line, a thing that is not there with
404, and what the system refuses, such as writing on a full disk, with 409. No handler takes a path
that is not below the server's root, and no message names a folder of the machine.

What handlers need is imported when they are called, so that Jupyter starts as fast as without them.
"""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from jupyter_server.utils import url_path_join
from tornado import web

from kernel_lib.server.places import clean
from kernel_lib.server.schemas import check

PREFIX = "kernel-lib/api"


class Handler(APIHandler):
    """What the handlers share."""

    auth_resource = "kernel_lib"

    @property
    def service(self) -> Any:
        return self.settings["kernel_lib"]

    def asked(self, form: str) -> dict[str, Any]:
        """Return the JSON body, which must have the form called `form`."""
        checked: dict[str, Any] = check(form, self.get_json_body())
        return checked

    def answer(self, content: dict[str, Any]) -> None:
        self.finish(json.dumps(content, allow_nan=False))

    def write_error(self, status_code: int, **more: Any) -> None:
        error = more.get("exc_info", (None, None, None))[1]
        code = _code(error)
        if code is None:
            super().write_error(status_code, **more)
            return
        self.set_status(code)
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps({"message": self.service.places.line(error)}))

    def log_exception(self, kind: Any, error: Any, trace: Any) -> None:
        code = _code(error)
        if code is None:
            super().log_exception(kind, error, trace)
        elif code == 409:
            self.log.warning("kernel_lib: %s", error)  # the log may name the folder
        else:
            self.log.debug("kernel_lib: %s", error, exc_info=(kind, error, trace))


def _code(error: BaseException | None) -> int | None:
    """Return the status of an answer to what went wrong; None where the fault is our own."""
    if type(error) is LookupError:
        return 404
    if isinstance(error, OSError):
        return 409
    return 400 if isinstance(error, (TypeError, ValueError)) else None


class Templates(Handler):
    @web.authenticated
    @authorized
    async def get(self) -> None:
        self.answer(await asyncio.to_thread(self.service.library.listing))


class TemplateOf(Handler):
    @web.authenticated
    @authorized
    async def get(self, name: str) -> None:
        self.answer(await asyncio.to_thread(self.service.library.detail, name))


class Names(Handler):
    @web.authenticated
    @authorized
    async def get(self) -> None:
        self.answer(await asyncio.to_thread(_names))


class Validation(Handler):
    @web.authenticated
    @authorized
    async def post(self) -> None:
        from kernel_lib.server.library import problems

        asked = self.asked("ValidateRequest")
        template = self.service.library.template(asked["template"])
        places = self.service.places
        self.answer(problems(template, asked["preset"], asked["values"], places.unnamed))


class Intake(Handler):
    @web.authenticated
    @authorized
    async def post(self) -> None:
        from kernel_lib.server import intake

        self.answer(await intake.look(self.service, self.asked("IntakeRequest")))


class Notebooks(Handler):
    @web.authenticated
    @authorized
    async def post(self) -> None:
        from kernel_lib.server import library, notebooks

        asked = self.asked("OpenRequest")
        places = self.service.places
        template = self.service.library.template(asked["template"])
        values = library.checked_values(template, asked["preset"], asked["values"])
        folder, start_in = clean(asked["folder"]), None
        if places.root is not None or asked["scheduled"]:
            local = places.folder(folder)
            start_in = local if asked["scheduled"] else None
            if "output_dir" in values:
                values["output_dir"] = places.output_dir(values["output_dir"], local)
        path = await notebooks.create(self.contents_manager, template, values, folder, start_in)
        self.set_status(201)
        self.answer({"path": path})


class Runs(Handler):
    @web.authenticated
    @authorized
    async def get(self) -> None:
        from kernel_lib.server import runs

        self.answer(await asyncio.to_thread(runs.listing, self.service))

    @web.authenticated
    @authorized
    async def post(self) -> None:
        from kernel_lib.server import runs

        request = runs.add(self.service, self.asked("FilledRequest"))
        self.set_status(201)
        self.answer(runs.described(self.service, request))


class RunOf(Handler):
    @web.authenticated
    @authorized
    async def get(self, name: str) -> None:
        from kernel_lib.server import runs

        self.answer(runs.described(self.service, self.service.store.get(name)))

    @web.authenticated
    @authorized
    async def delete(self, name: str) -> None:
        request = self.service.store.get(name)
        if not self.service.store.state(request).ended:
            raise ValueError("The run has not ended. Cancel it first.")
        self.service.store.remove(request)
        self.set_status(204)
        self.finish()


class Cancel(Handler):
    @web.authenticated
    @authorized
    async def post(self, name: str) -> None:
        from kernel_lib.server import runs

        request = self.service.store.get(name)
        if not self.service.store.state(request).ended:
            self.service.queue.cancel(request)
        self.answer(runs.described(self.service, request))


class Log(Handler):
    @web.authenticated
    @authorized
    async def get(self, name: str) -> None:
        start = self.get_query_argument("start", "0")
        if not re.fullmatch("[0-9]{1,18}", start):
            raise ValueError(f"`start` must be a whole number. Received: start={start[:40]!r}.")
        text, following = self.service.store.log(self.service.store.get(name), int(start))
        self.answer({"text": text, "next": following})


class Results(Handler):
    @web.authenticated
    @authorized
    async def get(self) -> None:
        from kernel_lib.server import results

        folder = self.get_query_argument("folder", "")
        self.answer(await asyncio.to_thread(results.listing, self.service.places, folder))


class Result(Handler):
    @web.authenticated
    @authorized
    async def get(self) -> None:
        from kernel_lib.server import results

        folder = self.get_query_argument("folder")
        self.answer(await asyncio.to_thread(results.detail, self.service.places, folder))


ROUTES: list[tuple[str, type[Handler]]] = [
    ("templates", Templates),
    ("templates/([^/]+)", TemplateOf),
    ("names", Names),
    ("validate", Validation),
    ("intake", Intake),
    ("notebooks", Notebooks),
    ("runs", Runs),
    ("runs/([^/]+)", RunOf),
    ("runs/([^/]+)/cancel", Cancel),
    ("runs/([^/]+)/log", Log),
    ("results", Results),
    ("result", Result),
]


def handlers(base_url: str) -> list[tuple[str, type[Handler]]]:
    """Return the handlers with their addresses."""
    return [(url_path_join(base_url, PREFIX, route) + "/?", each) for route, each in ROUTES]


def _names() -> dict[str, dict[str, str]]:
    from kernel_lib import data, models

    networks = models.names()
    described = networks if isinstance(networks, dict) else dict.fromkeys(networks, "")
    return {"models": dict(described), "data": data.names()}
