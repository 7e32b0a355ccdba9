"""Frames of the cascade stepper: every picture and number it may show, computed beforehand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from kernel_lib.saliency.methods import METHODS
from kernel_lib.saliency.similarity import METRICS
from kernel_lib.saliency.verdict import CAVEATS

if TYPE_CHECKING:
    from kernel_lib.saliency.result import SaliencyResult

TITLES = {
    "cascade": ("Cascade", "blocks given random weights, one after another"),
    "smooth": ("Smooth cascade", "blocks given random weights, from the input up"),
    "independent": ("One block at a time", "the block that holds random weights"),
    "full": ("All at once", "the whole network given random weights"),
    "noise": ("Noise", "standard deviation of the noise on the weights"),
    "labels": ("Random labels", "trained on true or on permuted labels"),
    "random_logit": ("Other classes", "the class that is explained"),
}


def frames(result: SaliencyResult) -> dict[str, Any]:
    """What `kernel_widgets.CascadeStepper` takes.

    Args:
        result: a saliency result, fresh or loaded.

    Returns:
        A dictionary of plain values and arrays, see `kernel_widgets.CascadeStepper`.
    """
    arrays, given = result.arrays, result.parameters
    title, axis = TITLES[given["test"]]
    num_shown = arrays["empty"].shape[3]
    curves = {
        name: np.moveaxis(arrays[name], 0, 2).swapaxes(0, 1).astype(np.float32)
        for name in ("mean", "low", "high")
    }  # (steps, methods, metrics) -> (metrics, methods, steps)
    return {
        "schema": 1,
        "test": given["test"],
        "title": _title(result, title),
        "axis": axis,
        "blocks": given["blocks"],
        "steps": _steps(result),
        "seeds": given["seeds"],
        "images": [_image(result, index) for index in range(num_shown)],
        "methods": [_method(name) for name in given["methods"]],
        "metrics": [
            {"name": name, "title": METRICS[name].title, "view": METRICS[name].view}
            for name in given["metrics"]
        ],
        "values": arrays["values"][..., :num_shown].astype(np.float32),
        "curves": curves,
        "ceilings": _ceilings(arrays["ceilings"]),
        "maps_absolute": arrays["maps_absolute"],
        "maps_signed": arrays["maps_signed"],
        "empty": arrays["empty"],
        "inputs": arrays["inputs"],
        "words": list(CAVEATS),
        "verdicts": result.tables["verdicts"][["method", "status", "text"]].to_dict("records"),
    }


def _title(result: SaliencyResult, title: str) -> str:
    """What was done, to which network, with which images."""
    origin = result.provenance
    if not origin:
        return title
    return f"{title}: {origin['model']['name']} on {origin['data']['name']}"


def _steps(result: SaliencyResult) -> list[dict[str, Any]]:
    network = result.tables["network"]
    has_labels = result.parameters["has_labels"]
    return [
        {
            "label": step["label"],
            "sentence": step["sentence"],
            "changed": step["changed"],
            "accuracy": _number(row.accuracy) if has_labels else None,
            "logit_correlation": _number(row.logit_correlation),
        }
        for step, row in zip(result.parameters["steps"], network.itertuples(), strict=True)
    ]


def _image(result: SaliencyResult, index: int) -> dict[str, Any]:
    names = result.parameters["class_names"]
    label = names[int(result.arrays["shown_labels"][index])]
    predictions = result.arrays["predictions"][:, :, index]  # (seeds, steps)
    return {"label": label, "predictions": [[names[int(p)] for p in row] for row in predictions]}


def _method(name: str) -> dict[str, Any]:
    method = METHODS.get(name)  # a user's own method is not registered
    return {
        "name": name,
        "title": method.title if method else name.replace("_", " "),
        "flags": method.flags if method else [],
        "control": method.is_control if method else False,
    }


def _ceilings(ceilings: np.ndarray) -> np.ndarray:
    """Mean over images, (methods, metrics, images) -> (metrics, methods)."""
    known = np.isfinite(ceilings)
    total = np.where(known, ceilings, 0).sum(axis=-1)
    count = known.sum(axis=-1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan).T.astype(np.float32)


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
