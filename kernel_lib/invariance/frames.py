"""Frames of the invariance explorer: every picture and number it may show, computed beforehand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from kernel_lib.invariance.result import finite, main_signals
from kernel_lib.invariance.verdict import CAVEATS

if TYPE_CHECKING:
    from kernel_lib.invariance.result import InvarianceResult

_MOST_CLASSES = 3  # classes named for each image and step


def frames(result: InvarianceResult) -> dict[str, Any]:
    """What `kernel_widgets.InvarianceExplorer` takes.

    Args:
        result: an invariance result, fresh or loaded.

    Returns:
        A dictionary of plain values and arrays, see `kernel_widgets.InvarianceExplorer`.
    """
    given, arrays, curve = result.parameters, result.arrays, result.tables["curve"]
    names = given["class_names"]
    order = np.argsort(-arrays["probabilities"], axis=-1, kind="stable")[..., :_MOST_CLASSES]
    names_shown = [name for name in main_signals(given["taps"]) if name in given["signals"]]
    matrices = [{"name": name, "title": signal_title(name, given["taps"])} for name in names_shown]
    values = [result.matrix(name) for name in names_shown]
    matrices.insert(1, {"name": "flips", "title": "Changed classes"})
    values.insert(1, arrays["flip_matrix"])
    return {
        "schema": 1,
        "title": given["title"],
        "steps": [{"label": row.label, "value": float(row.value)} for row in curve.itertuples()],
        "identity": int(given["identity_index"]),
        "plateau": [int(group) for group in arrays["plateau"]],
        "class_names": list(names),
        "images": [
            {"label": names[label] if label >= 0 else None} for label in arrays["shown_labels"]
        ],
        "pictures": arrays["pictures"],
        "top_classes": order.astype(np.uint16),
        "top_shares": np.take_along_axis(arrays["probabilities"], order, -1).astype(np.float32),
        "matrices": matrices,
        "values": np.stack(values).astype(np.float32),
        "curves": _curves(result),
        "verdict": {
            "status": result.verdict.status,
            "headline": result.verdict.headline,
            "probability": finite(result.scores.get("probability_invariant", np.nan)),
        },
        "words": list(CAVEATS),
    }


def _curves(result: InvarianceResult) -> list[dict[str, Any]]:
    """Lines over the steps: {name, title, values, low, high}."""
    table = result.tables["curve"]
    lines = [("original_class", "sureness of the first class"), ("flip_rate", "changed classes")]
    found = [
        {"name": name, "title": title, "values": table[name].tolist(), "low": None, "high": None}
        for name, title in lines
    ]
    if "accuracy" in table:
        accuracy = {
            "name": "accuracy",
            "title": "accuracy",
            "values": table["accuracy"].tolist(),
            "low": table["accuracy_low"].tolist(),
            "high": table["accuracy_high"].tolist(),
        }
        found.insert(0, accuracy)
    return found


def signal_title(name: str, taps: list[str]) -> str:
    """A signal's name for people, such as "conv2: mean of channel maxima"."""
    titles = {
        "confidence": "Confidence",
        "true_class": "Probability of the label",
        "original_class": "Probability of the first class",
        "margin": "Margin",
        "entropy": "Entropy",
    }
    if name in titles:
        return titles[name]
    tap, _, statistic = name.rpartition(".")
    words = {"max": "maximum", "max_mean": "mean of channel maxima"}
    return f"{tap}: {words.get(statistic, statistic.replace('_', ' '))}"
