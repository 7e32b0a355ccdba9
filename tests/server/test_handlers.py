"""Every handler: who may call it, what it answers, what it refuses."""

from __future__ import annotations

import nbformat
import pytest
from tornado.httpclient import HTTPClientError

from kernel_lib.server.handlers import PREFIX, ROUTES, Handler

VERBS = ("GET", "POST", "PUT", "PATCH", "DELETE")
EVERY_CALL = [
    (route.replace("([^/]+)", "anything"), verb)
    for route, handler in ROUTES
    for verb in VERBS
    if verb.lower() in vars(handler)
]


def filled(template: str = "quick", folder: str = "", preset: str | None = None, **values: object):
    return {"template": template, "preset": preset, "values": values, "folder": folder}


def opened(*arguments: str, scheduled: bool = False, **values: object):
    return filled(*arguments, **values) | {"scheduled": scheduled}


def test_every_handler_of_the_module_has_a_route():
    import kernel_lib.server.handlers as module

    classes = {each for each in vars(module).values() if isinstance(each, type)}
    ours = {each for each in classes if issubclass(each, Handler) and each is not Handler}
    assert ours == {handler for _, handler in ROUTES}


async def test_the_server_has_no_other_handler_of_ours(jp_serverapp, service):
    rules = jp_serverapp.web_app.wildcard_router.rules + jp_serverapp.web_app.default_router.rules
    found = set()
    while rules:
        rule = rules.pop()
        rules += getattr(rule.target, "rules", [])
        module = getattr(rule.target, "__module__", "") or ""
        if isinstance(rule.target, type) and module.startswith("kernel_lib"):
            found.add(rule.target)
    assert found == {handler for _, handler in ROUTES}


@pytest.mark.parametrize(("route", "verb"), EVERY_CALL)
async def test_it_refuses_who_is_not_logged_in(
    route, verb, http_server_client, jp_base_url, service
):
    address = f"{jp_base_url}{PREFIX}/{route}"
    with pytest.raises(HTTPClientError) as caught:
        await http_server_client.fetch(
            address,
            method=verb,
            body="{}" if verb == "POST" else None,
            allow_nonstandard_methods=True,
        )
    assert caught.value.code == 403


async def test_templates_are_listed_and_a_broken_one_is_named(call):
    reply = await call("GET", "templates", form="TemplateList")
    ours = {each["name"]: each for each in reply["templates"] if not each["built_in"]}
    assert set(ours) == {"quick", "slow", "failing"}
    assert ours["quick"]["title"] == "A small question"
    assert ours["quick"]["description"] == "Does it work?"
    assert ours["quick"]["presets"] == ["bad", "ci"]
    assert any(each["name"] == "saliency_cascade" for each in reply["templates"])
    (broken,) = reply["broken"]
    assert broken["place"] == "broken.ipynb"
    assert "/" not in broken["problem"]


async def test_the_detail_of_a_template(call):
    reply = await call("GET", "templates", "quick", form="TemplateDetail")
    names = [each["name"] for each in reply["parameters"]]
    assert names == ["seed", "rate", "mode", "layers", "model", "output_dir"]
    assert {each["name"]: each["picker"] for each in reply["parameters"]}["model"] == "model"
    assert reply["schema"]["properties"]["seed"] == {
        "type": "integer",
        "minimum": 0,
        "description": "any",
        "default": 0,
    }
    bad, ci = reply["presets"]
    assert ci == {"name": "ci", "description": "In no time.", "values": {"seed": 3}, "problem": ""}
    assert "`seed` must be a whole number" in bad["problem"]


async def test_a_template_that_is_not_there(refused):
    code, message = await refused("GET", "templates", "quik")
    assert code == 404
    assert "Did you mean 'quick'?" in message


@pytest.mark.parametrize("name", ["..%2F..%2Fetc%2Fpasswd", "%2Fetc%2Fpasswd", "..%5Cx", "."])
async def test_a_name_is_no_path(refused, name):
    code, _ = await refused("GET", "templates", name)
    assert code == 404


async def test_names_of_networks_and_data(call):
    reply = await call("GET", "names", form="Names")
    assert {"cnn", "resnet20"} <= set(reply["models"])
    assert {"digits", "folder:PATH"} <= set(reply["data"])


async def test_values_are_checked_as_on_the_command_line(call):
    body = {"template": "quick", "preset": None, "values": {"seed": -1, "rate": 2, "mode": "c"}}
    reply = await call("POST", "validate", form="ValidateReply", body=body)
    assert reply["errors"] == {
        "seed": "`seed` must be at least 0. Received: seed=-1.",
        "rate": "`rate` must be at most 1. Received: rate=2.0.",
        "mode": "`mode` must be one of 'a', 'b'. Received: mode='c'.",
    }
    body["values"] = {"seed": 1, "rate": 1, "layers": None}
    reply = await call("POST", "validate", form="ValidateReply", body=body)
    assert reply == {"errors": {}, "problem": ""}
    reply = await call("POST", "validate", form="ValidateReply", body=body | {"preset": "no"})
    assert "no preset 'no'" in reply["problem"]


async def test_a_notebook_is_filled_and_never_replaces_one(call, jp_root_dir):
    (jp_root_dir / "deep" / "er").mkdir(parents=True)
    text = "a'b\"c\\n\nd"
    body = opened("quick", "deep/er", "ci", rate=0, model=text, layers=["x", "y"])
    first = await call("POST", "notebooks", form="OpenReply", body=body)
    assert first == {"path": "deep/er/quick.ipynb"}
    second = await call("POST", "notebooks", form="OpenReply", body=body)
    assert second == {"path": "deep/er/quick-1.ipynb"}
    made = nbformat.read(jp_root_dir / first["path"], as_version=4)
    nbformat.validate(made)
    tags = [each.metadata.get("tags") for each in made.cells]
    assert tags[1:3] == [["parameters"], None]
    values: dict = {}
    exec(made.cells[1].source, values)
    kept = {"mode": "a", "output_dir": "outputs"}
    given = {"seed": 3, "rate": 0.0, "model": text, "layers": ["x", "y"]} | kept
    assert {name: values[name] for name in given} == given
    assert isinstance(values["rate"], float)


async def test_a_notebook_for_a_schedule_begins_in_its_folder(call, jp_root_dir):
    (jp_root_dir / "deep").mkdir()
    body = opened("quick", "deep", scheduled=True, seed=4)
    reply = await call("POST", "notebooks", form="OpenReply", body=body)
    begin, parameters = nbformat.read(jp_root_dir / reply["path"], as_version=4).cells[1:3]
    assert begin.source.endswith(f"os.chdir({str((jp_root_dir / 'deep').resolve())!r})")
    assert "seed: int = 4  # any" in parameters.source


@pytest.mark.parametrize("route", ["notebooks", "runs"])
@pytest.mark.parametrize(
    ("body", "told"),
    [
        (filled(seed="__import__('os').system('x')"), "`seed` must be a whole number"),
        (filled(seed=-1), "`seed` must be at least 0"),
        (filled(unknown=1), "There is no parameter 'unknown'"),
        (filled(rate={"a": 1}), "`rate` must be a number"),
        (filled(preset="none"), "no preset 'none'"),
        (filled(folder="../elsewhere"), "not a path below"),
        (filled(folder="a/../../elsewhere"), "not a path below"),
        (filled(folder="..\\elsewhere"), "not a path below"),
        (filled(folder="C:/elsewhere"), "not a path below"),
        (filled(folder="link"), "lies outside"),
        (filled(folder=".hidden"), "is hidden"),
        (filled(folder="missing"), "There is no folder 'missing'"),
        (filled(folder="/etc"), "There is no folder"),
        ({"template": "quick"}, "required property"),
        (filled() | {"path": "x"}, "Additional properties"),
        (filled(template=["quick"]), "`template` has the wrong form"),
        ([], "wrong form"),
        (None, "wrong form"),
    ],
)
async def test_bad_requests_write_nothing(refused, jp_root_dir, tmp_path, route, body, told):
    if route == "notebooks" and isinstance(body, dict):
        body = body | {"scheduled": False}
    (jp_root_dir / ".hidden").mkdir()
    (tmp_path / "outside").mkdir()
    (jp_root_dir / "link").symlink_to(tmp_path / "outside")
    before = sorted(jp_root_dir.rglob("*"))
    code, message = await refused("POST", route, body=body)
    assert (code, told in message) == (400, True), message
    assert sorted(jp_root_dir.rglob("*")) == before
    assert not list((tmp_path / "outside").iterdir())


async def test_what_is_not_json_is_refused(jp_fetch, service):
    with pytest.raises(HTTPClientError) as caught:
        await jp_fetch("kernel-lib", "api", "validate", method="POST", body="{")
    assert caught.value.code == 400


async def test_output_stays_in_the_root(refused):
    code, message = await refused("POST", "runs", body=filled(output_dir="../../away"))
    assert code == 400
    assert message == "`output_dir` lies outside the server's folder."


async def test_unknown_runs(refused):
    for name in ("20260101-000000-000000-abcdef", "..", "x"):
        assert (await refused("GET", "runs", name))[0] == 404
        assert (await refused("POST", "runs", name, "cancel", body={}))[0] == 404
        assert (await refused("GET", "runs", name, "log"))[0] == 404


def test_typescript_types_are_those_of_the_schemas():
    from pathlib import Path

    from kernel_lib.server.typescript import types

    made = Path(__file__).parents[2] / "widgets" / "lab" / "src" / "api_types.ts"
    assert made.read_text(encoding="utf-8") == types()
