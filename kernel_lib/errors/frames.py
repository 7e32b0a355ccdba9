"""Frames of the triage widget: every picture and number it may show, computed beforehand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from kernel_lib.errors.result import ErrorResult


def frames(result: ErrorResult) -> dict[str, Any]:
    """What `kernel_widgets.ErrorTriage` takes.

    Args:
        result: an error result, fresh or loaded.

    Returns:
        A dictionary of plain values and arrays, see `kernel_widgets.ErrorTriage`.
    """
    arrays, given = result.arrays, result.parameters
    by_name = result.tables["scores"].set_index("score")
    lines = result.tables["outcomes"].query("rule == 'equal_recall'").set_index("score").threshold
    return {
        "schema": 1,
        "title": result.question,
        "scores": [
            {
                "name": name,
                "title": given["titles"][name],
                "auroc": _number(by_name.auroc[name]),
                "threshold": float(lines[name]),
                "forward_passes": float(by_name.forward_passes[name]),
            }
            for name in given["scores"]
        ],
        "images": [_image(result, place) for place in range(len(arrays["shown"]))],
        "neighbours": [_neighbour(result, place) for place in range(len(arrays["neighbour_ids"]))],
        "num_mutants": given["num_mutants_asked"],
        "tap": given["taps"][-1] if given["taps"] else "",
        "suspicion": arrays["test_scores"].astype(np.float32),
        "wrong": arrays["test_wrong"].astype(np.uint8),
        "shown": arrays["shown"].astype(np.int32),
        "inputs": arrays["inputs"],
        "neighbour_inputs": arrays["neighbour_inputs"],
        "words": [result.verdict.headline],
    }


def _number(value: float) -> float | None:
    """JSON has no NaN."""
    return float(value) if np.isfinite(value) else None


def _image(result: ErrorResult, place: int) -> dict[str, Any]:
    arrays, names = result.arrays, result.parameters["class_names"]
    index = int(arrays["shown"][place])
    ids = arrays["neighbour_ids"].tolist()
    return {
        "index": index,
        "label": names[int(arrays["labels"][index])],
        "predicted": names[int(arrays["predicted"][index])],
        "probability": float(arrays["probability"][index]),
        "votes": _votes(result, place),
        "maps": _maps(result, place),
        "neighbours": [ids.index(int(each)) for each in arrays["neighbours"][place]],
    }


def _votes(result: ErrorResult, place: int) -> list[dict[str, Any]]:
    """Classes that mutants voted for, most votes first."""
    if "vote_counts" not in result.arrays:
        return []
    counts, names = result.arrays["vote_counts"][place], result.parameters["class_names"]
    order = np.argsort(-counts, kind="stable")
    return [{"name": names[int(c)], "count": int(counts[c])} for c in order if counts[c]]


def _maps(result: ErrorResult, place: int) -> list[dict[str, float]]:
    """Conductance of the maps that stand for the predicted class, beside the class's own."""
    if "map_ids" not in result.arrays:
        return []
    columns = ("map_ids", "map_values", "map_means", "map_deviations")
    rows = zip(*(result.arrays[name][place].tolist() for name in columns), strict=True)
    return [
        {"map": int(name), "value": value, "mean": mean, "deviation": deviation}
        for name, value, mean, deviation in rows
    ]


def _neighbour(result: ErrorResult, place: int) -> dict[str, str]:
    arrays, names = result.arrays, result.parameters["class_names"]
    return {
        "label": names[int(arrays["neighbour_labels"][place])],
        "predicted": names[int(arrays["neighbour_predicted"][place])],
    }
