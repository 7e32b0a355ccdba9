"""Frames of the trust matrix widget: every number it may show, computed beforehand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from kernel_lib.trust.probing import PROBES
from kernel_lib.trust.scores import MODES
from kernel_lib.trust.verdict import CAVEATS

if TYPE_CHECKING:
    import pandas as pd

    from kernel_lib.trust.result import TrustResult

CELL_NAMES = (
    "accuracy", "low", "high", "share", "untrained", "pixels", "control_accuracy", "p_holm",
    "usable_bits",
)  # fmt: skip
SCORE_NAMES = ("trust", "preservation", "leakage")
_SENTENCES = {
    "absolute": "Mean distance from the ideal, as published. It is compressed: leaking everything "
    "and knowing nothing score alike.",
    "hinge": "As published, but noise below the ideal costs nothing.",
    "normalised": "Each task on the way from chance to certainty: 1 is ideal, one half is leaking "
    "everything or knowing nothing.",
    "relative": "As normalised, but only what training added to untrained networks counts as leak.",
}


def frames(result: TrustResult) -> dict[str, Any]:
    """What `kernel_widgets.TrustMatrix` takes.

    Args:
        result: a trust result, fresh or loaded.

    Returns:
        A dictionary of plain values and arrays, see `kernel_widgets.trust_frames`.
    """
    given = result.parameters
    cells, scores = result.tables["cells"], result.tables["scores"]
    modes = [mode for mode in MODES if mode in set(scores["mode"])]
    return {
        "schema": 1,
        "title": "Trust matrix",
        "tasks": [_task(result, name) for name in given["tasks"]],
        "primaries": list(given["primaries"]),
        "layers": [{"name": tap, "size": int(given["sizes"][tap])} for tap in given["taps"]],
        "probes": [{"name": name, "title": PROBES[name].title} for name in given["probes"]],
        "scores": [
            {"name": mode, "title": MODES[mode], "sentence": _SENTENCES[mode]} for mode in modes
        ],
        "layer": given["taps"].index(given["tap"]),
        "num_runs": int(given["num_runs"]),
        "reduction": given["reduction"],
        "ideal_kind": given["ideal"],
        "ideal": np.asarray(result.arrays["ideal"], np.float32),
        "cells": {name: _cells(result, cells, name) for name in CELL_NAMES},
        "totals": {
            f"{name}{end}": _totals(result, scores, modes, f"{name}{end}")
            for name in (*SCORE_NAMES, "untrained_leakage")
            for end in ("", "_low", "_high")
        },
        "verdict": {"status": result.verdict.status, "headline": result.verdict.headline},
        "words": list(CAVEATS),
    }


def _task(result: TrustResult, name: str) -> dict[str, Any]:
    cells = result.tables["cells"]
    first = cells[cells.target == name].iloc[0]
    return {
        "name": name,
        "classes": list(result.parameters["task_classes"][name]),
        "num_images": int(first.num_images),
        "chance": float(first.chance),
    }


def _cells(result: TrustResult, cells: pd.DataFrame, name: str) -> np.ndarray:
    """One column of the table of cells, (layers, probes, primaries, tasks)."""
    given = result.parameters
    order = [given["taps"], given["probes"], given["primaries"], given["tasks"]]
    table = cells.set_index(["tap", "probe", "primary", "target"])[name]
    return _ordered(table, order)


def _totals(result: TrustResult, scores: pd.DataFrame, modes: list[str], name: str) -> np.ndarray:
    """One column of the table of scores, (layers, probes, scores, all and then primaries)."""
    given = result.parameters
    order = [given["taps"], given["probes"], modes, ["all", *given["primaries"]]]
    table = scores.set_index(["tap", "probe", "mode", "primary"])[name]
    return _ordered(table, order)


def _ordered(table: pd.Series, order: list[list[str]]) -> np.ndarray:
    import pandas as pd

    index = pd.MultiIndex.from_product(order)
    shape = tuple(len(names) for names in order)
    return table.reindex(index).to_numpy(np.float32).reshape(shape)
