"""The intake before a run: another process reads the network, and its words come back.

Nothing here imports TensorFlow: `kernel-lib intake` runs in a process of its own, in the person's
folder as a run would, and is stopped when it takes too long.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from kernel_lib.report.intake_card import code_in, facts, opening
from kernel_lib.server.library import checked_values

MODEL_FILES = (".keras", ".h5", ".hdf5")
SECONDS = 180.0  # an intake takes at most a minute, most of it TensorFlow's import
_CLASSES_SHOWN = 8
# Parameter of a template -> option of the command line.
_OPTIONS = {
    "weights": "--weights",
    "num_classes": "--num-classes",
    "preprocessing": "--preprocessing",
    "class_names": "--class-names",
    "input_size": "--input-size",
    "output": "--output",
    "image_size": "--size",
    "task": "--task",
    "primary": "--task",
    "seed": "--seed",
}

Run = Callable[[list[str], Path], Awaitable[tuple[int, str, str]]]


async def look(service: Any, asked: dict[str, Any], run: Run | None = None) -> dict[str, Any]:
    """Return what the intake says of the model and the data that a form holds.

    A value that is wrong, a file that is missing, and images that do not belong to the network are
    answers, told in one line: to find them is what the look is for.

    Args:
        service: the extension.
        asked: an `IntakeRequest`.
        run: runs words of `kernel-lib` in a folder; gives the exit code, output and errors.

    Raises:
        LookupError: there is no such template.
        ValueError: the folder is not there, or lies outside the server's root.
    """
    template = service.library.template(asked["template"])
    folder = service.places.folder(asked["folder"])
    defaults = {each.name: each.default for each in template.parameters}
    try:
        values = defaults | checked_values(template, asked["preset"], asked["values"])
        return await _look(service, values, folder, run or run_command)
    except (TypeError, ValueError) as error:
        return _NOTHING | {"problem": service.places.unnamed(str(error))}


_NOTHING: dict[str, Any] = {
    "told": "",
    "problem": "",
    "headline": "",
    "summary": "",
    "findings": [],
    "facts": [],
}


async def _look(service: Any, values: dict[str, Any], folder: Path, run: Run) -> dict[str, Any]:
    for name in ("model", "data"):
        if not isinstance(values.get(name), str):
            raise ValueError(f"`{name}` needs a value before there can be an intake.")
    named = _trained_in_the_run(values, folder)
    if named:
        told = f"The network {named} is trained in the run; the intake stands in its notebook."
        return _NOTHING | {"told": told}
    async with service.intake_lock:  # each holds a network and its images in memory
        code, output, errors = await run(command(values), folder)
    if code not in (0, 1) or not output.strip():
        raise ValueError(_problem(errors))
    return described(json.loads(output))


def command(values: Mapping[str, Any]) -> list[str]:
    """Return the words after `kernel-lib` that take in a network with the values of a form."""
    words = ["intake", "--json"]
    for name, option in _OPTIONS.items():
        value = values.get(name)
        if value is None or value == []:
            continue
        if name in ("weights", "num_classes") and values.get("weights") is None:
            continue
        told = json.dumps(value) if isinstance(value, list) else str(value)
        words.append(f"{option}={told}")  # one word: a value may begin with a dash
    return [*words, "--", values["model"], values["data"]]


async def run_command(words: list[str], folder: Path) -> tuple[int, str, str]:
    """Run `kernel-lib` with `words` in `folder`; give the exit code, its output and its errors.

    Raises:
        ValueError: it took too long, and was stopped.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "kernel_lib", *words,
        cwd=folder, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    try:
        output, errors = await asyncio.wait_for(process.communicate(), SECONDS)
    except TimeoutError:
        raise ValueError(
            f"The intake took more than {SECONDS:.0f} s and was stopped. Open the notebook, and "
            "look at it there."
        ) from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    assert process.returncode is not None
    return process.returncode, output.decode(errors="replace"), errors.decode(errors="replace")


def described(intake: dict[str, Any]) -> dict[str, Any]:
    """Return the parts of an intake that a form shows."""
    return _NOTHING | {
        "headline": opening(intake),
        "summary": summary(intake),
        "findings": [
            {
                "severity": each["severity"],
                "text": each["text"],
                "cure": _pieces(each["cure"]),
            }
            for each in intake["findings"]
        ],
        "facts": [{"name": name, "value": value} for name, value in facts(intake)],
    }


def summary(intake: dict[str, Any]) -> str:
    """Say in a line what the images show and what the network says."""
    images = intake["images"]
    network = f"the network has scores for {intake['network']['num_classes']:,} classes"
    told = f"{images['num_images']:,} images"
    classes = [each["class"] for each in intake["classes"]]
    if not classes:
        return f"{told}; {network}"
    shown = ", ".join(classes[:_CLASSES_SHOWN])
    more = f" and {len(classes) - _CLASSES_SHOWN:,} more" if len(classes) > _CLASSES_SHOWN else ""
    return f"{told}, {images['num_classes']:,} classes: {shown}{more}; {network}"


def _trained_in_the_run(values: Mapping[str, Any], folder: Path) -> str:
    """Return the name of a network that the run trains; empty where there is one to look at."""
    from kernel_lib.models import names
    from kernel_lib.run.parameter import did_you_mean

    model = values["model"]
    if Path(model).suffix.lower() in MODEL_FILES:
        if not (folder / model).is_file():
            raise ValueError(f"There is no model file {model!r}.")
        return ""
    known = {name.lower(): name for name in names()}
    if model.lower() not in known:
        raise ValueError(
            f"`model` must be a path that ends in {', '.join(MODEL_FILES)}, or the name of a "
            f"network.{did_you_mean(model, known)} Received: model={model!r}."
        )
    return model if values.get("weights") is None else ""


def _pieces(cure: str) -> list[dict[str, Any]]:
    """Split a cure into words and code."""
    pieces, done = [], 0
    for start, end in code_in(cure):
        pieces.append({"text": cure[done:start], "is_code": False})
        pieces.append({"text": cure[start:end].strip("`"), "is_code": True})
        done = end
    pieces.append({"text": cure[done:], "is_code": False})
    return [each for each in pieces if each["text"]]


def _problem(errors: str) -> str:
    """Return what the command said last of what is wrong."""
    mark = "kernel-lib: "
    if mark in errors:
        return errors.rpartition(mark)[2].strip()
    lines = [line for line in errors.splitlines() if line.strip()]
    return lines[-1].strip() if lines else "The intake ended without a word."
