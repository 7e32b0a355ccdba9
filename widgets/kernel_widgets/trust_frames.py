"""The frames of a trust matrix: everything the widget shows, checked before anything is drawn.

Frames are a plain dictionary, so that any experiment can make them.

===========  ====================================================================================
field        meaning
===========  ====================================================================================
schema       1
title        what was measured
tasks        {name, classes, num_images, chance}: the columns of the matrix
primaries    names of the tasks networks were trained for: its rows
layers       {name, size}, from input to output; size is the number of features
probes       {name, title}
scores       {name, title, sentence}
layer        the layer that is shown first
num_runs     networks (and probe seeds) a row
reduction, ideal_kind  how features and the ideal were made, in a word
ideal        (primaries, tasks)
cells        name -> (layers, probes, primaries, tasks); see `CELLS`
totals       name -> (layers, probes, scores, 1 + primaries), first the whole matrix; see `TOTALS`
verdict      {status, headline}
words        sentences for the foot of the page
===========  ====================================================================================

NaN stands for what was not measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from kernel_lib._checks import check_choice

CELLS = (
    "accuracy", "low", "high", "share", "untrained", "pixels", "control_accuracy", "p_holm",
    "usable_bits",
)  # fmt: skip
TOTALS = tuple(
    f"{name}{end}"
    for name in ("trust", "preservation", "leakage", "untrained_leakage")
    for end in ("", "_low", "_high")
)
STATUSES = ("pass", "warning", "fail", "undetermined")
_LISTS = ("tasks", "primaries", "layers", "probes", "scores")
_TEXTS = ("title", "num_runs", "reduction", "ideal_kind", "layer", "words", "verdict")


def check_trust_frames(frames: Mapping[str, Any]) -> dict[str, Any]:
    """Return the frames with contiguous float32 arrays, or say what does not fit.

    Args:
        frames: the dictionary described at the top of this module.

    Returns:
        A new dictionary with the same fields; the caller's is left alone.

    Raises:
        TypeError: if frames are no dictionary.
        ValueError: if a field is missing, or two fields do not fit together.
    """
    if not isinstance(frames, Mapping):
        raise TypeError(
            "`frames` must be a dictionary, or a result with a `frames()` method. "
            f"Received: {type(frames).__name__}."
        )
    missing = [
        name for name in ("schema", "ideal", "cells", "totals", *_LISTS, *_TEXTS)
        if name not in frames
    ]  # fmt: skip
    if missing:
        raise ValueError(f"`frames` lacks {', '.join(missing)}.")
    if frames["schema"] != 1:
        raise ValueError(f"`frames['schema']` must be 1. Received: {frames['schema']!r}.")
    checked = {name: frames[name] for name in ("schema", *_TEXTS)}
    checked |= {name: list(frames[name]) for name in _LISTS}
    empty = [name for name in _LISTS if not checked[name]]
    if empty:
        raise ValueError(f"`frames` must hold at least one of each. Empty: {', '.join(empty)}.")
    check_choice("status", frames["verdict"].get("status"), STATUSES)
    sizes = [len(checked[name]) for name in ("layers", "probes")]
    matrix = [len(checked["primaries"]), len(checked["tasks"])]
    totals = (*sizes, len(checked["scores"]), 1 + matrix[0])
    checked["ideal"] = _array("ideal", frames["ideal"], tuple(matrix))
    checked["cells"] = _arrays("cells", frames["cells"], CELLS, (*sizes, *matrix))
    checked["totals"] = _arrays("totals", frames["totals"], TOTALS, totals)
    return checked


def pack_trust(frames: Mapping[str, Any]) -> tuple[bytes, dict[str, Any]]:
    """Lay all arrays end to end as little-endian float32.

    Returns:
        The bytes, and a layout {array name: {offset, shape}} with offsets in bytes.
    """
    arrays = {"ideal": frames["ideal"], **frames["cells"], **frames["totals"]}
    layout, chunks, offset = {}, [], 0
    for name, array in arrays.items():
        layout[name] = {"offset": offset, "shape": list(array.shape)}
        chunks.append(array.astype("<f4").tobytes())
        offset += len(chunks[-1])
    return b"".join(chunks), layout


def _arrays(
    field: str, arrays: Mapping[str, Any], names: tuple[str, ...], shape: tuple[int, ...]
) -> dict[str, np.ndarray]:
    missing = [name for name in names if name not in arrays]
    if missing:
        raise ValueError(f"`frames[{field!r}]` lacks {', '.join(missing)}.")
    return {name: _array(f"{field}: {name}", arrays[name], shape) for name in names}


def _array(name: str, values: Any, shape: tuple[int, ...]) -> np.ndarray:
    array = np.ascontiguousarray(values, np.float32)
    if array.shape != shape:
        raise ValueError(
            f"The array {name!r} of the frames must have the shape {shape}, as its lists say. "
            f"Received: {array.shape}."
        )
    return array
