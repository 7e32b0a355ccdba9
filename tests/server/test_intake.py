"""The intake before a run: what is asked of another process, and what comes back."""

from __future__ import annotations

import asyncio
import json
import shlex
import sys

import numpy as np
import pytest

from kernel_lib.cli import _parser
from kernel_lib.server import intake
from kernel_lib.server.schemas import check

SAID = {
    "headline": "The network is right on 90.0%.",
    "network": {
        "name": "net", "input_shape": [8, 8, 1], "input_dtype": "float32", "num_parameters": 10,
        "num_layers": 3, "num_classes": 3, "head_in_words": "3 units",
    },
    "feeding": {"preprocessing": "unit", "source": "said", "evidence": "Said.", "candidates": []},
    "standing": None,
    "classes": [{"class": name, "num_images": 0} for name in ("a", "b", "c")],
    "images": {"num_images": 300, "num_classes": 3, "summary": "300"},
    "reach": {"summary": "with 300 images much can be told"},
    "forecast": {},
    "findings": [
        {"name": "scale", "severity": "caution", "text": "Fed as <b>.", "cure": "Say scale=(2, 1)."}
    ],
}  # fmt: skip
TEXT = json.dumps(SAID)


@pytest.fixture
def folder(jp_root_dir, templates):
    from small_notebooks import notebook

    parameters = """
    from typing import Optional
    model: str = "cnn"
    weights: Optional[str] = None
    num_classes: int = 1000
    preprocessing: str = "auto"
    class_names: list[str] = []
    data: str = "digits"
    image_size: Optional[int] = None
    seed: int = 0
    """
    (templates / "audit.ipynb").write_text(json.dumps(notebook(parameters, "1")))
    (jp_root_dir / "net.keras").write_bytes(b"no model")
    return jp_root_dir


def asked(**values):
    return {"template": "audit", "preset": None, "values": values, "folder": ""}


def replying(code=0, output=TEXT, errors=""):
    calls = []

    async def run(words, folder):
        calls.append((words, folder))
        return code, output, errors

    return run, calls


async def test_the_form_gets_what_the_intake_says(service, folder):
    run, calls = replying()
    values = {"class_names": ["a", "b,c", "-d"], "preprocessing": "-1,2", "image_size": 8}
    reply = await intake.look(service, asked(model="net.keras", data="npz:-x.npz", **values), run)
    assert (
        reply["summary"] == "300 images, 3 classes: a, b, c; the network has scores for 3 classes"
    )
    assert reply["headline"] == SAID["headline"] and not reply["told"]
    (finding,) = reply["findings"]
    assert [each["text"] for each in finding["cure"] if each["is_code"]] == ["scale=(2, 1)"]
    assert {each["name"] for each in reply["facts"]} >= {"Network", "Fed as", "Reach"}
    ((words, where),) = calls
    assert where == folder
    read = _parser().parse_args(words)  # the command line reads what was meant
    assert (read.model, read.data, read.size) == ("net.keras", "npz:-x.npz", 8)
    assert (read.class_names, read.preprocessing) == (["a", "b,c", "-d"], "-1,2")
    assert read.weights is None and read.num_classes is None and read.json


async def test_a_network_to_be_trained_has_no_intake_yet(service, folder):
    run, calls = replying()
    reply = await intake.look(service, asked(model="small_cnn"), run)
    assert "trained in the run; the intake stands in its notebook" in reply["told"]
    assert not calls
    await intake.look(service, asked(model="small_cnn", weights="w.h5", num_classes=3), run)
    read = _parser().parse_args(calls[0][0])
    assert (read.weights, read.num_classes) == ("w.h5", 3)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"model": "gone.keras"}, "There is no model file 'gone.keras'."),
        ({"model": "small_cn"}, "small_cnn"),
        ({"model": "net.keras", "data": " "}, "`data` must not be empty"),
        ({"model": "net.keras", "seed": "x"}, "seed"),
    ],
)
async def test_what_cannot_be_looked_at_is_told_in_a_line(call, folder, values, told):
    reply = await call("POST", "intake", form="IntakeReply", body=asked(**values))
    assert told in reply["problem"] and "\n" not in reply["problem"]
    assert not reply["headline"]


@pytest.mark.parametrize(
    ("errors", "told"),
    [
        ("kernel-lib: a warning\nkernel-lib: There is\n  no file.\n", "There is no file."),
        ("Traceback\n  File\nMemoryError: much\n", "MemoryError: much"),
        ("", "The intake ended without a word."),
    ],
)
async def test_the_last_word_of_the_command_is_told(service, folder, errors, told):
    for code in (1, 2, -9):
        run, _ = replying(code, "", errors)
        reply = await intake.look(service, asked(model="net.keras"), run)
        assert reply["problem"] == told


async def test_a_template_without_a_model_has_no_intake(call):
    reply = await call("POST", "intake", form="IntakeReply", body={**asked(), "template": "slow"})
    assert "`model` needs a value" in reply["problem"]


async def test_folders_of_the_machine_are_not_named(service, folder):
    run, _ = replying(2, "", f"kernel-lib: There is no file {folder}/x.npz.")
    reply = await intake.look(service, asked(model="net.keras"), run)
    assert reply["problem"] == "There is no file x.npz."


async def test_a_folder_outside_is_refused(refused, folder):
    body = {**asked(model="net.keras"), "folder": "../elsewhere"}
    code, message = await refused("POST", "intake", body=body)
    assert code == 400 and "not a path below" in message


async def test_a_process_that_takes_too_long_is_stopped(monkeypatch, tmp_path):
    script = tmp_path / "slow.sh"
    script.write_text(f"#!/bin/sh\necho $$ > {shlex.quote(str(tmp_path / 'pid'))}\nsleep 60\n")
    script.chmod(0o755)
    monkeypatch.setattr(intake, "SECONDS", 1.0)
    monkeypatch.setattr(sys, "executable", str(script))
    with pytest.raises(ValueError, match="was stopped"):
        await asyncio.wait_for(intake.run_command([], tmp_path), 20)
    from kernel_lib.server.process import identity

    with pytest.raises(LookupError):
        identity(int((tmp_path / "pid").read_text()))


async def test_a_real_intake_in_a_process_of_its_own(service, folder):
    from brightness import NAMES, brightness_images, brightness_network

    images = brightness_images(400)
    np.savez(folder / "data.npz", x=images.images, y=images.labels, class_names=np.array(NAMES))
    brightness_network(255.0).save(folder / "real.keras")
    body = asked(model="real.keras", data="npz:data.npz", preprocessing="unit")
    # Not over HTTP: its client gives up after 20 s, and a loaded machine may need more.
    reply, missing = await asyncio.gather(
        intake.look(service, body),
        intake.look(service, asked(model="real.keras", data="npz:no.npz")),
    )
    check("IntakeReply", reply)
    assert reply["headline"].startswith("No verdict can stand")
    stop = reply["findings"][0]
    assert stop["severity"] == "stop"
    codes = [each["text"] for each in stop["cure"] if each["is_code"]]
    assert codes == ["preprocessing='bytes'"]
    assert "the network has scores for 4 classes" in reply["summary"]
    assert "no.npz" in missing["problem"]
