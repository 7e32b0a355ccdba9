"""Results over HTTP: summaries, details, damaged ones, and files that would lead out."""

from __future__ import annotations

import json

import pytest


@pytest.fixture
def result(jp_root_dir):
    folder = jp_root_dir / "deep" / "audit"
    for part in ("tables", "figures"):
        (folder / part).mkdir(parents=True)
    content = {
        "schema": 1,
        "audit": "small",
        "question": "Is it?",
        "scores": {"rate": 0.5, "nothing": None},
        "verdict": {
            "status": "warning",
            "headline": "Take care.",
            "means": "m",
            "does_not_mean": "n",
            "next_step": "x",
        },
        "parameters": {"seed": 1, "methods": ["a", "b"]},
        "provenance": {"created": "2026-01-01", "model": {"name": "cnn", "digest": "ab"}},
        "tables": ["main", "lost"],
        "figures": ["curves", "../../../secret", "lost"],
    }
    (folder / "result.json").write_text(json.dumps(content))
    (folder / "tables" / "main.csv").write_text('name,score\n"a, b",0.25\nc,\n')
    (folder / "figures" / "curves.png").write_bytes(b"png")
    (folder / "page.html").write_text("<p>")
    (folder / "small.ipynb").write_text("{}")
    return folder


async def test_all_of_one(call, result, jp_root_dir):
    (jp_root_dir.parent / "secret.png").write_bytes(b"secret")
    reply = await call("GET", "result", form="ResultDetail", folder="deep/audit")
    assert reply["scores"] == {"rate": 0.5, "nothing": None}
    assert reply["figures"] == [{"name": "curves", "path": "deep/audit/figures/curves.png"}]
    main, lost = reply["tables"]
    assert (main["columns"], main["rows"]) == (["name", "score"], [["a, b", "0.25"], ["c", ""]])
    assert (lost["path"], lost["num_rows"]) == ("", 0)
    assert {"name": "methods", "value": "a, b"} in reply["parameters"]
    assert {"name": "model digest", "value": "ab"} in reply["provenance"]
    assert reply["page"] == "deep/audit/page.html"
    assert reply["notebook"] == "deep/audit/small.ipynb"


async def test_a_folder_of_results_and_of_damaged_ones(call, result, jp_root_dir):
    content = json.loads((result / "result.json").read_text())
    damaged = {
        "text": "{",
        "list": "[]",
        "verdict": json.dumps(content | {"verdict": {"status": "great"}}),
        "scores": json.dumps(content | {"scores": [1]}),
        "schema": json.dumps(content | {"schema": 99}),
        "nested": "[" * 100_000,
        "deep_parameters": json.dumps(content | {"parameters": {"a": nested(100)}}),
        "deep_provenance": json.dumps(content | {"provenance": nested(100)}),
        "numbers": '{"schema": ' + "9" * 5000 + "}",
        "figures": json.dumps(content | {"figures": 7}),
        "figure": json.dumps(content | {"figures": [{}]}),
        "tables": json.dumps(content | {"tables": [1]}),
        "score": json.dumps(content | {"scores": {"a": "x"}}),
        "status": json.dumps(content | {"verdict": content["verdict"] | {"status": ["pass"]}}),
        "null": json.dumps(content | {"verdict": None}),
    }
    for name, text in damaged.items():
        (jp_root_dir / name).mkdir()
        (jp_root_dir / name / "result.json").write_text(text)
    reply = await call("GET", "results", form="ResultList", folder="")
    assert [each["folder"] for each in reply["results"]] == ["deep/audit"]
    assert reply["results"][0]["figure"] == "deep/audit/figures/curves.png"
    assert {each["place"] for each in reply["broken"]} == set(damaged)
    assert not [each for each in reply["broken"] if str(jp_root_dir) in each["problem"]]


def nested(levels: int, inner: object = None) -> dict:
    for _ in range(levels):
        inner = {"a": inner}
    return inner


async def test_odd_content_is_shown_as_far_as_it_goes(call, result):
    content = json.loads((result / "result.json").read_text())
    content |= {"scores": {"a": float("nan"), "b": float("inf"), "c": 10**400, "d": 1}}
    content |= {
        "figures": ["a\0b", "x" * 300, "curves"],
        "tables": ["main", "wide", "bytes", "a\0b"],
    }
    (result / "result.json").write_text(json.dumps(content))
    (result / "tables" / "wide.csv").write_text("a\n" + "x" * 200_000)
    (result / "tables" / "bytes.csv").write_bytes(b"a\n\xff")
    reply = await call("GET", "result", form="ResultDetail", folder="deep/audit")
    assert reply["scores"] == {"a": None, "b": None, "c": None, "d": 1}
    assert [each["name"] for each in reply["figures"]] == ["curves"]
    main, wide, bytes_, none = reply["tables"]
    assert main["num_rows"] == 2
    for table in (wide, bytes_):
        assert table["columns"] == ["This table cannot be read"]
        assert table["path"].startswith("deep/audit/tables/")
    assert none["path"] == ""


async def test_a_very_large_result_is_named(call, result):
    with open(result / "result.json", "ab") as file:
        file.truncate(2**36)
    reply = await call("GET", "results", form="ResultList", folder="")
    assert "more than 33,554,432 bytes" in reply["broken"][0]["problem"]


@pytest.mark.parametrize("folder", ["..", "../..", "deep/../..", "link", ".hidden", "missing"])
@pytest.mark.parametrize("route", ["result", "results"])
async def test_no_folder_outside(refused, result, jp_root_dir, tmp_path, route, folder):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "result.json").write_text((result / "result.json").read_text())
    (jp_root_dir / "link").symlink_to(outside)
    (jp_root_dir / ".hidden").mkdir()
    code, _ = await refused("GET", route, folder=folder)
    assert code == 400


async def test_no_file_of_a_result_leads_out(call, refused, result, jp_root_dir, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    for name in ("page.html", "small.ipynb"):
        (outside / name).write_text("{}")
        (result / name).unlink(missing_ok=True)
        (result / name).symlink_to(outside / name)
    reply = await call("GET", "result", form="ResultDetail", folder="deep/audit")
    assert (reply["page"], reply["notebook"]) == ("", "")
    (result / "result.json").rename(outside / "result.json")
    (result / "result.json").symlink_to(outside / "result.json")
    code, message = await refused("GET", "result", folder="deep/audit")
    assert (code, "outside the server's folder" in message) == (400, True)
    reply = await call("GET", "results", form="ResultList", folder="")
    assert [each["place"] for each in reply["broken"]] == ["deep/audit"]
