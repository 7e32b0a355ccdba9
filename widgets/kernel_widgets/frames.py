"""The frames of a cascade: everything a stepper shows, checked before anything is drawn.

Frames are a plain dictionary, so that any experiment can make them. Step 0 is the trained model.

=================  ==============================================================================
field              meaning
=================  ==============================================================================
schema             1
test               a name of `TESTS`
title, axis        what was tested; what the slider runs along
blocks             names of the network's blocks, from input to output
steps              {label, sentence, changed, accuracy, logit_correlation}; `changed` holds every
                   block that differs from the trained model at that step
seeds              the seeds of the draws
images             {label, predictions}; predictions[seed][step] is a class name
methods            {name, title, flags, control}
metrics            {name, title, view}; view is "absolute" or "signed"
values             (seeds, steps, methods, metrics, images) similarity with the trained map
curves             mean, low and high: (metrics, methods, steps); averages over seeds and images
ceilings           (metrics, methods) a method against itself; NaN where it is 1 by definition
maps_absolute      (seeds, steps, methods, images, height, width) uint8, 255 = the map's maximum
maps_signed        the same shape, 127 = zero
empty              (seeds, steps, methods, images) True where a map is constant
inputs             (images, height, width, 3) uint8
words, verdicts    sentences for the foot of the page; {method, status, text}
=================  ==============================================================================
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kernel_lib._checks import check_choice, check_number

TESTS = ("cascade", "smooth", "independent", "full", "noise", "labels", "random_logit")
VIEWS = ("absolute", "signed")
STATUSES = ("pass", "warning", "fail", "undetermined")

# A name of an axis stands for a list of that name in the frames; "height" and "width" are free.
_AXES = {
    "values": ("seeds", "steps", "methods", "metrics", "images"),
    "mean": ("metrics", "methods", "steps"),
    "low": ("metrics", "methods", "steps"),
    "high": ("metrics", "methods", "steps"),
    "ceilings": ("metrics", "methods"),
    "maps_absolute": ("seeds", "steps", "methods", "images", "height", "width"),
    "maps_signed": ("seeds", "steps", "methods", "images", "height", "width"),
    "empty": ("seeds", "steps", "methods", "images"),
    "inputs": ("images", "height", "width", "channels"),
}
_DTYPES = dict.fromkeys(("maps_absolute", "maps_signed", "inputs"), np.uint8) | {"empty": np.bool_}
_LISTS = ("blocks", "steps", "seeds", "images", "methods", "metrics")


def check_frames(frames: Mapping[str, Any]) -> dict[str, Any]:
    """Return the frames with JSON-ready lists and contiguous arrays, or say what does not fit.

    Args:
        frames: the dictionary described at the top of this module.

    Returns:
        A new dictionary with the same fields; the caller's is left alone.

    Raises:
        TypeError: if a field has the wrong type.
        ValueError: if a field is missing, or two fields do not fit together.
    """
    if not isinstance(frames, Mapping):
        raise TypeError(
            "`frames` must be a dictionary, or a result with a `frames()` method. "
            f"Received: {type(frames).__name__}."
        )
    if _field(frames, "schema") != 1:
        raise ValueError(f"`frames['schema']` must be 1. Received: {frames['schema']!r}.")
    checked: dict[str, Any] = {name: _check_list(frames, name) for name in _LISTS}
    checked |= {
        "schema": 1,
        "test": check_choice("test", _field(frames, "test"), TESTS),
        "title": str(_field(frames, "title")),
        "axis": str(_field(frames, "axis")),
        "blocks": [str(block) for block in checked["blocks"]],
        "seeds": [int(seed) for seed in checked["seeds"]],
        "words": [str(sentence) for sentence in frames.get("words", ())],
    }
    checked["methods"] = [_check_method(method) for method in checked["methods"]]
    checked["metrics"] = [_check_metric(metric) for metric in checked["metrics"]]
    for name in ("methods", "metrics"):
        _check_unique(name, [entry["name"] for entry in checked[name]])
    checked["steps"] = _check_steps(checked)
    checked["images"] = [_check_image(image, checked) for image in checked["images"]]
    checked["verdicts"] = [_check_verdict(verdict) for verdict in frames.get("verdicts", ())]
    return checked | _check_arrays(frames, checked)


def _field(record: Mapping[str, Any], name: str, where: str = "frames") -> Any:
    if name not in record:
        raise ValueError(f"`{where}` lacks the field {name!r}. Received: {sorted(record)}.")
    return record[name]


def _check_list(frames: Mapping[str, Any], name: str) -> list[Any]:
    value = _field(frames, name)
    if isinstance(value, str) or not isinstance(value, Sequence | np.ndarray):
        raise TypeError(f"`frames[{name!r}]` must be a list. Received: {type(value).__name__}.")
    least = 2 if name == "steps" else 1
    if len(value) < least:
        hint = "; step 0 is the trained model" if name == "steps" else ""
        raise ValueError(
            f"`frames[{name!r}]` must hold at least {least}{hint}. Received: {len(value)}."
        )
    return list(value)


def _check_unique(name: str, values: Sequence[str]) -> None:
    if len(set(values)) != len(values):
        raise ValueError(f"`frames[{name!r}]` must have names of their own. Received: {values}.")


def _check_method(method: Mapping[str, Any]) -> dict[str, Any]:
    flags = [str(flag) for flag in method.get("flags", ())]
    return {
        "name": str(_field(method, "name", "a method")),
        "title": str(_field(method, "title", "a method")),
        "flags": flags,
        "control": bool(method.get("control", "control" in flags)),
    }


def _check_metric(metric: Mapping[str, Any]) -> dict[str, str]:
    return {
        "name": str(_field(metric, "name", "a metric")),
        "title": str(_field(metric, "title", "a metric")),
        "view": check_choice("view", _field(metric, "view", "a metric"), VIEWS),
    }


def _check_steps(checked: Mapping[str, Any]) -> list[dict[str, Any]]:
    steps = [_check_step(index, step) for index, step in enumerate(checked["steps"])]
    for index, step in enumerate(steps):
        strangers = [block for block in step["changed"] if block not in checked["blocks"]]
        if strangers:
            raise ValueError(
                f"step {index} changes blocks the network does not have: {strangers}. "
                f"Expected names from {checked['blocks']}."
            )
    return steps


def _check_step(index: int, step: Mapping[str, Any]) -> dict[str, Any]:
    where = f"step {index}"
    accuracy = _number_or_none(step.get("accuracy"))
    if accuracy is not None:
        check_number(f"accuracy of {where}", accuracy, 0.0, 1.0)
    return {
        "label": str(_field(step, "label", where)),
        "sentence": str(_field(step, "sentence", where)),
        "changed": [str(block) for block in step.get("changed", ())],
        "accuracy": accuracy,
        "logit_correlation": _number_or_none(step.get("logit_correlation")),
    }


def _number_or_none(value: Any) -> float | None:
    """Not-a-number is not JSON: a value that could not be had is None."""
    return None if value is None or not np.isfinite(value) else float(value)


def _check_image(image: Mapping[str, Any], checked: Mapping[str, Any]) -> dict[str, Any]:
    predictions = [[str(name) for name in row] for row in _field(image, "predictions", "an image")]
    num_seeds, num_steps = len(checked["seeds"]), len(checked["steps"])
    if len(predictions) != num_seeds or any(len(row) != num_steps for row in predictions):
        raise ValueError(
            f"`predictions` of an image must be [seed][step] with {num_seeds} seeds and "
            f"{num_steps} steps. Received rows of {[len(row) for row in predictions]}."
        )
    return {"label": str(_field(image, "label", "an image")), "predictions": predictions}


def _check_verdict(verdict: Mapping[str, Any]) -> dict[str, str]:
    return {
        "method": str(_field(verdict, "method", "a verdict")),
        "status": check_choice("status", _field(verdict, "status", "a verdict"), STATUSES),
        "text": str(_field(verdict, "text", "a verdict")),
    }


def _check_arrays(frames: Mapping[str, Any], checked: Mapping[str, Any]) -> dict[str, Any]:
    curves = _field(frames, "curves")
    given = {name: _field(frames, name) for name in _AXES if name not in ("mean", "low", "high")}
    given |= {name: _field(curves, name, "frames['curves']") for name in ("mean", "low", "high")}
    arrays = {name: _check_array(name, value, checked) for name, value in given.items()}
    if arrays["maps_absolute"].shape != arrays["maps_signed"].shape:
        raise ValueError(
            "`maps_absolute` and `maps_signed` must have the same shape. Received: "
            f"{arrays['maps_absolute'].shape} and {arrays['maps_signed'].shape}."
        )
    curves = {name: arrays.pop(name) for name in ("mean", "low", "high")}
    return arrays | {"curves": curves}


def _check_array(name: str, value: Any, checked: Mapping[str, Any]) -> np.ndarray:
    array = np.asarray(value)
    expected = _DTYPES.get(name)
    if expected is not None and array.dtype != expected:
        raise TypeError(
            f"`{name}` must be an array of {np.dtype(expected)}. Received: {array.dtype}."
        )
    sizes = {axis: len(checked[axis]) for axis in _AXES[name] if axis in checked}
    sizes |= {"channels": 3}
    wanted = tuple(sizes.get(axis) for axis in _AXES[name])  # None = any size
    fits = array.ndim == len(wanted) and all(
        size in (None, length) for size, length in zip(wanted, array.shape, strict=True)
    )
    if not fits or 0 in array.shape:
        expected_shape = ", ".join(
            axis if size is None else f"{axis}={size}"
            for axis, size in zip(_AXES[name], wanted, strict=True)
        )
        raise ValueError(
            f"`{name}` must have the shape ({expected_shape}). Received: {array.shape}."
        )
    return np.ascontiguousarray(array, dtype=expected or np.float32)
