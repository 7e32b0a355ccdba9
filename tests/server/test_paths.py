"""Paths and odd values over HTTP: what is accepted stays in the root, the rest is one line."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from kernel_lib.run import templates as all_templates
from kernel_lib.server.places import Places

PATHS = ("model", "weights", "data", "masks", "assessor", "output_dir")
ODD = "a b'\"$(x)`;&|*?[é]\n日本{0}%s"
LONG = "x" * 300


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch, jp_root_dir):
    """A home folder outside the root; in the root: a folder, a file, links, a hidden folder."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir(exist_ok=True)
    (tmp_path / "outside").mkdir()
    (jp_root_dir / "work").mkdir()
    (jp_root_dir / "work" / "file").touch()
    (jp_root_dir / ".hidden").mkdir()
    (jp_root_dir / "work" / "away").symlink_to(tmp_path / "outside")
    (jp_root_dir / "work" / "secret").symlink_to(jp_root_dir / ".hidden")
    (jp_root_dir / "work" / "up").symlink_to(jp_root_dir)
    return tmp_path / "home"


@pytest.fixture
def idle(service, monkeypatch):
    """The extension, which starts no run."""
    monkeypatch.setattr(service.queue, "wake", lambda: None)
    return service


def asked(template: str, preset: str | None = None, folder: str = "work", **values) -> dict:
    return {"template": template, "preset": preset, "values": values, "folder": folder}


# What is given, and where it leads from the root; None where it is refused.
OUTPUTS = {
    "": None,
    "   ": None,
    "~": None,
    "~/o3": None,
    "~root/o3": None,
    "~no_such_account/o3": None,
    "./~/o3": "work/~/o3",
    "..": "",
    "../..": None,
    "../../x": None,
    "../x": "x",
    "/tmp/x": None,
    "/": None,
    "ROOT/deep": "deep",
    "ROOT/../x": None,
    "../.hidden": None,
    ".new": None,
    "new/.new": None,
    "away": None,
    "away/x": None,
    "away/../x": None,
    "secret": None,
    "secret/x": None,
    "up/x": "x",
    "file": None,
    "file/x": None,
    "new//./x/": "work/new/x",
    "folder:out": "work/folder:out",
    ODD: f"work/{ODD}",
    "a\0b": None,
    "\ud800": None,
    LONG: None,
    f"new/{LONG}": None,
    "x/" * 2500: None,
}


@pytest.mark.parametrize("template", [each.name for each in all_templates()])
async def test_every_output_folder_of_every_template(call, jp_fetch, idle, jp_root_dir, template):
    files = sorted(jp_root_dir.rglob("*"))
    for value, place in OUTPUTS.items():
        given = value.replace("ROOT", str(jp_root_dir))
        for route in ("runs", "notebooks"):
            body = asked(template, output_dir=given)
            body |= {"scheduled": False} if route == "notebooks" else {}
            reply = await jp_fetch(
                "kernel-lib", "api", route, method="POST", body=json.dumps(body), raise_error=False
            )
            told = json.loads(reply.body)
            assert reply.code == (400 if place is None else 201), (value, told)
            if place is None:
                assert str(jp_root_dir) not in told["message"].replace(given or "\0", "")
                assert "\n" not in told["message"]
        if place is not None:
            request = idle.store.get((await call("GET", "runs", form="RunList"))["runs"][0]["id"])
            kept = request.values["output_dir"]
            assert not os.path.isabs(kept)
            assert os.path.normpath(Path(request.folder, kept)) == str(
                (jp_root_dir / place).resolve()
            ), value
            idle.store.remove(request)
    made = [each for each in sorted(jp_root_dir.rglob("*")) if each not in files]
    assert all(each.parts[len(jp_root_dir.parts)] == "work" for each in made)
    num_accepted = sum(place is not None for place in OUTPUTS.values())
    folders = [each for each in made if each.is_dir() and each.name[0] != "."]
    assert len(folders) == num_accepted  # one a run, none for a refusal


INPUTS = ["", "~", "~/x", "~no_such_account", "..", "/", "/dev/null", ODD, "a\0b", "\ud800", LONG]


@pytest.mark.parametrize("template", [each.name for each in all_templates()])
async def test_every_path_of_every_template_is_judged_without_an_error(call, jp_fetch, template):
    detail = await call("GET", "templates", template, form="TemplateDetail")
    names = {each["name"] for each in detail["parameters"]} & set(PATHS)
    assert "output_dir" in names and len(names) >= 2
    for name in sorted(names):
        for value in [*INPUTS, *(f"folder:{each}" for each in INPUTS)]:
            body = {"template": template, "preset": None, "values": {name: value}}
            reply = await call("POST", "validate", form="ValidateReply", body=body)
            refused = not value or "\0" in value or "\ud800" in value
            if name == "output_dir":
                refused |= LONG in value or value.startswith("~no_such")
            assert bool(reply["errors"].get(name)) == refused, (name, value)
            assert not value or LONG not in str(reply)


@pytest.fixture
def presets(templates):
    folder = templates / "presets" / "quick"
    (folder / "home.yaml").write_text('output_dir: "~/o3"\n')
    (folder / "outside.yaml").write_text("output_dir: ../../x\n")
    (folder / "empty.yaml").write_text('output_dir: ""\n')
    (folder / "inside.yaml").write_text("output_dir: ./found/../found\n")
    (folder / "bomb.yaml").write_text("layers: &a [x, x, x, x]\nmodel: *a\n")
    (folder / "self.yaml").write_text("layers: &a [*a]\n")
    return templates


@pytest.mark.parametrize("preset", ["home", "outside", "empty", "bomb", "self"])
@pytest.mark.parametrize("route", ["runs", "notebooks"])
async def test_presets_obey_the_same_rule(presets, refused, call, jp_root_dir, home, route, preset):
    before = sorted(jp_root_dir.rglob("*"))
    body = asked("quick", preset) | ({"scheduled": False} if route == "notebooks" else {})
    code, message = await refused("POST", route, body=body)
    assert code == 400
    assert str(presets) not in message
    assert sorted(jp_root_dir.rglob("*")) == before
    assert not list(home.iterdir())
    detail = await call("GET", "templates", "quick", form="TemplateDetail")
    problems = {each["name"]: each["problem"] for each in detail["presets"]}
    assert "alias *a; write the value out" in problems["bomb"]
    assert "alias *a; write the value out" in problems["self"]


async def test_the_path_of_a_preset_is_handed_on(presets, call, idle):
    made = await call("POST", "runs", form="Run", body=asked("quick", "inside", seed=1))
    assert made["values"] == {"seed": 1, "output_dir": "found"}


async def test_hidden_folders_where_they_are_allowed(call, idle, monkeypatch):
    monkeypatch.setattr(idle.places, "allow_hidden", True)
    body = asked("quick", folder="", output_dir=".hidden/x")
    made = await call("POST", "runs", form="Run", body=body)
    assert made["values"] == {"output_dir": ".hidden/x"}


def deep(levels: int, inner="x"):
    for _ in range(levels):
        inner = [inner]
    return inner


HUGE = 10**400
ODD_BODIES = [
    {"values": {"seed": HUGE}},
    {"values": {"rate": HUGE}},
    {"values": {"rate": -HUGE}},
    {"values": {"layers": deep(900)}},
    {"values": {"layers": [deep(900)]}},
    {"values": {"layers": ["x"] * 100_000}},
    {"values": {"seed": deep(900)}},
    {"values": {"model": {"a": deep(900)}}},
    {"values": {"n" * 100_000: 1}},
    {"values": {"model": "\ud800"}},
    {"values": {"mode": "m" * 100_000}},
    {"values": deep(900)},
    {"template": deep(900)},
    {"template": "t" * 100_000},
    {"template": "\ud800"},
    {"preset": "p" * 100_000},
    {"preset": "../ci"},
    {"folder": LONG},
    {"folder": "f/" * 3000},
    {"folder": "\ud800"},
    {"folder": deep(900)},
    {"more": deep(900)},
]


@pytest.mark.parametrize("route", ["runs", "notebooks", "validate"])
async def test_odd_bodies_are_refused_in_a_line(jp_fetch, idle, jp_root_dir, tmp_path, route):
    before = sorted(jp_root_dir.rglob("*"))
    for changed in ODD_BODIES:
        body = asked("quick") | changed
        if route == "validate" and "folder" in changed:
            continue
        if route == "validate":
            del body["folder"]
        if route == "notebooks":
            body["scheduled"] = False
        reply = await jp_fetch(
            "kernel-lib", "api", route, method="POST", body=json.dumps(body), raise_error=False
        )
        told = json.loads(reply.body)
        if route == "validate" and reply.code == 200:
            message = told["problem"] or next(iter(told["errors"].values()))
        else:
            assert reply.code in (400, 404), (changed, told)
            message = told["message"]
        assert message and "Unhandled" not in message, changed
        assert "\n" not in message and len(message) < 1100
        assert str(tmp_path) not in message
    assert sorted(jp_root_dir.rglob("*")) == before


async def test_integers_of_many_digits_and_deep_bodies_are_not_json_here(jp_fetch, service):
    for text in ("[" * 100_000, '{"values": ' + "9" * 5000 + "}", '"\udcff"', "\0"):
        reply = await jp_fetch(
            "kernel-lib", "api", "validate", method="POST", raise_error=False,
            body=text.encode("utf-8", "surrogateescape"),
        )  # fmt: skip
        assert reply.code == 400, text[:20]


@pytest.mark.parametrize("route", ["result", "results"])
@pytest.mark.parametrize("folder", [LONG, "f/" * 3000, "a\0b", "work/file"])
async def test_odd_folders_of_results(refused, route, folder):
    code, message = await refused("GET", route, folder=folder)
    assert code == 400
    assert len(message) < 300


@pytest.mark.parametrize("start", ["9" * 400, "-1", "x", "٣", "1e3"])
async def test_odd_starts_of_a_log(refused, idle, call, start):
    made = await call("POST", "runs", form="Run", body=asked("quick"))
    code, message = await refused("GET", "runs", made["id"], "log", start=start)
    assert code == 400
    assert "`start` must be a whole number" in message


def refusing(number: int):
    def refuse(path, *more, **options):
        raise OSError(number, os.strerror(number), str(path))

    return refuse


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ENOSPC, errno.EDQUOT])
async def test_a_root_that_cannot_be_written(refused, monkeypatch, jp_root_dir, idle, number):
    before = sorted(jp_root_dir.rglob("*"))
    with monkeypatch.context() as during:
        during.setattr(Path, "mkdir", refusing(number))
        code, message = await refused("POST", "runs", body=asked("quick"))
    assert (code, message) == (409, f"work/quick: {os.strerror(number)}.")
    contents = idle.contents
    monkeypatch.setattr(contents, "_save_notebook", refusing(number), raising=True)
    code, message = await refused("POST", "notebooks", body=asked("quick") | {"scheduled": False})
    assert code == 409
    assert message.startswith("work/quick.ipynb: ")
    assert str(jp_root_dir) not in message
    assert sorted(jp_root_dir.rglob("*")) == before


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
async def test_a_read_only_folder(refused, jp_root_dir):
    (jp_root_dir / "work").chmod(0o555)
    try:
        for route, more in (("runs", {}), ("notebooks", {"scheduled": False})):
            code, message = await refused("POST", route, body=asked("quick") | more)
            assert code == 409
            assert "Permission denied" in message
            assert str(jp_root_dir) not in message
    finally:
        (jp_root_dir / "work").chmod(0o755)


async def test_a_history_that_cannot_be_written_leaves_nothing(
    refused, monkeypatch, jp_root_dir, idle
):
    before = sorted(jp_root_dir.rglob("*"))
    monkeypatch.setattr("kernel_lib.server.store.write", refusing(errno.EROFS))
    code, message = await refused("POST", "runs", body=asked("quick"))
    assert code == 409
    assert message.startswith("The history of runs cannot be written (Read-only file system); set")
    assert "c.KernelLib.history_dir" in message
    assert str(idle.store.folder) not in message
    assert sorted(jp_root_dir.rglob("*")) == before
    assert not list(idle.store.folder.iterdir())


def test_messages_name_no_folder_of_the_machine(tmp_path, monkeypatch):
    class Contents:
        root_dir = str(tmp_path / "root")

    places = Places(Contents(), [tmp_path / "templates"])
    told = OSError(errno.EACCES, "Permission denied", str(tmp_path / "root" / "a" / "b"))
    assert places.line(told) == "a/b: Permission denied."
    told = OSError(errno.EACCES, "Permission denied", str(tmp_path / "else" / "b"))
    assert places.line(told) == "b: Permission denied."
    text = f"{tmp_path / 'templates' / 'presets' / 'x.yaml'}: bad\n{tmp_path / 'root' / 'y'}"
    assert places.line(ValueError(text)) == "presets/x.yaml: bad y"
