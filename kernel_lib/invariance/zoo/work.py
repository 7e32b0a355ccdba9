"""The three tasks of a zoo: train a group of networks, sweep them, measure them.

Each is a function of a recipe that JSON can hold and of the arrays of the task before it, so its
result can be named by its content, kept, and made again anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from kernel_lib._progress import is_watched
from kernel_lib.invariance.features import features
from kernel_lib.invariance.grids import Grid
from kernel_lib.invariance.signals import Signals, default_taps
from kernel_lib.invariance.sweep import sweep_weights
from kernel_lib.invariance.transforms import Rules
from kernel_lib.invariance.truth import VERDICTS, ground_truth
from kernel_lib.invariance.zoo.recipes import ModelRecipe

Arrays = dict[str, np.ndarray]
TRUTH_COLUMNS = (
    "drop",
    "drop_low",
    "drop_high",
    "identity_accuracy",
    "worst_accuracy",
    "robust_accuracy",
    "flip_rate",
)


def train(recipe: Mapping[str, Any]) -> Arrays:
    """Train a group; `recipe` has "data" and "models"."""
    from kernel_lib.invariance.zoo.trainer import train_together

    models = [ModelRecipe.read(model) for model in recipe["models"]]
    weights = train_together(models, _images(recipe["data"]), progress=is_watched())
    return {f"{k} {i}": value for k, values in enumerate(weights) for i, value in enumerate(values)}


def sweep(recipe: Mapping[str, Any], weights: Arrays) -> Arrays:
    """Sweep a group; two disjoint sets of images, for features and for the truth."""
    from kernel_lib.invariance.zoo.trainer import template

    images = _images(recipe["data"])
    classifier = template(recipe["network"], images.image_shape, images.num_classes)
    values = [_listed(weights, k) for k in range(recipe["num_models"])]
    settings: dict[str, Any] = {"rules": Rules(**recipe["rules"]), "progress": is_watched()}
    taps = default_taps(classifier.network)
    pool = images.test.sample(recipe["num_images"], 0)
    seen = sweep_weights(classifier, values, pool, recipe["transform"], taps=taps, **settings)
    pool = images.calibration.sample(recipe["num_truth"], 0)
    judged = sweep_weights(classifier, values, pool, recipe["transform"], taps=[], **settings)
    kept = ["confidence", *(f"{tap}.{s}" for tap in taps for s in ("max", "max_mean"))]
    return {
        "signals": np.stack([[one.signal(name) for name in kept] for one in seen]),
        "predictions": np.stack([one.predictions for one in judged]).astype(np.int16),
        "labels": np.asarray(judged[0].labels),
        "plateau": np.asarray(seen[0].plateau),
        "names": np.array(kept),
        "resampling": np.array((seen[0].settings or {})["resampling"]),
        "values": np.array(seen[0].grid.values),
        "identity": np.array(seen[0].grid.identity),
        "num_classes": np.array(images.num_classes),
    }


def measure(recipe: Mapping[str, Any], sweeps: Arrays) -> Arrays:
    """Features and truth of each network of a group."""
    grid = Grid(tuple(sweeps["values"].tolist()), float(sweeps["identity"]))
    found, truths = [], []
    for signals, predictions in zip(sweeps["signals"], sweeps["predictions"], strict=True):
        shared = (grid, None, sweeps["plateau"], int(sweeps["num_classes"]))
        none = np.zeros(signals.shape[1:], np.int32)
        seen = Signals(tuple(sweeps["names"].tolist()), signals, none, *shared)
        found.append(features(seen, mode=recipe["mode"]))
        empty = np.empty((0, *predictions.shape), np.float32)
        judged = Signals((), empty, predictions, grid, sweeps["labels"], None, shared[-1])
        truths.append(ground_truth(judged, **recipe["cuts"]))
    numbers = [[getattr(truth, name) for name in TRUTH_COLUMNS] for truth in truths]
    return {
        "features": np.stack(found),
        "truth": np.array(numbers),
        "verdict": np.array([VERDICTS.index(truth.verdict) for truth in truths]),
    }


def _listed(weights: Arrays, k: int) -> list[np.ndarray]:
    count = sum(name.startswith(f"{k} ") for name in weights)
    return [weights[f"{k} {i}"] for i in range(count)]


def _images(recipe: Mapping[str, Any]) -> Any:
    from kernel_lib.data import load

    return load(recipe["name"], seed=recipe["seed"], num_images=recipe["num_images"])
