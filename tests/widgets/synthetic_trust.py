"""Frames of a trust matrix made of plain formulas, so that a test knows every number."""

from __future__ import annotations

from typing import Any

import numpy as np

from kernel_widgets.trust_frames import CELLS, TOTALS

TASKS = {"shape": 5, "color": 7, "size": 3, "quadrant": 4, "background": 3}
LAYERS = ("conv1", "conv2", "conv3", "dense1")


def make_trust_frames(rows: tuple[str, ...] = tuple(TASKS), num_probes: int = 2) -> dict[str, Any]:
    """Frames of four layers: the deeper, the more of its own task a network tells."""
    random = np.random.default_rng(0)
    shape = (len(LAYERS), num_probes, len(rows), len(TASKS))
    chance = np.array([1 / count for count in TASKS.values()])
    own = np.array(rows)[:, None] == np.array(list(TASKS))[None]
    depth = np.linspace(0.2, 1, len(LAYERS))[:, None, None, None]
    leak = random.uniform(0.1, 0.9, shape) * (1.2 - depth)
    share = np.where(own, depth, leak)
    accuracy = chance + (1 - chance) * share
    cells = {name: np.full(shape, np.nan) for name in CELLS}
    cells |= {
        "accuracy": accuracy,
        "low": np.clip(accuracy - 0.04, 0, 1),
        "high": np.clip(accuracy + 0.04, 0, 1),
        "share": share,
        "untrained": np.broadcast_to(chance + 0.3 * (1 - chance), shape),
        "control_accuracy": np.broadcast_to(chance + 0.03, shape),
        "p_holm": np.where(own, np.nan, np.where(share > 0.25, 0.0004, 0.4)),
        "usable_bits": 2 * share,
    }
    scores = ("absolute", "normalised")
    totals = {name: np.zeros((*shape[:2], len(scores), 1 + len(rows))) for name in TOTALS}
    leakage = np.where(own, 0, leak).sum(axis=(2, 3)) / (~own).sum()
    for name, value in (
        ("preservation", np.broadcast_to(depth[..., 0], (*shape[:2], 1))),
        ("leakage", leakage[..., None]),
        ("untrained_leakage", np.full((*shape[:2], 1), 0.3)),
        ("trust", (depth[..., 0] + 1 - leakage[..., None]) / 2),
    ):
        for end, shift in (("", 0.0), ("_low", -0.03), ("_high", 0.03)):
            totals[name + end] = np.broadcast_to(
                np.clip(value + shift, 0, 1)[..., None], totals[name].shape
            )
    return {
        "schema": 1,
        "title": "Trust matrix",
        "tasks": [
            {
                "name": name,
                "classes": [str(k) for k in range(count)],
                "num_images": 1260,
                "chance": 1 / count,
            }
            for name, count in TASKS.items()
        ],
        "primaries": list(rows),
        "layers": [
            {"name": name, "size": size}
            for name, size in zip(LAYERS, (16, 32, 64, 64), strict=True)
        ],
        "probes": [
            {"name": "ridge", "title": "Ridge"},
            {"name": "knn", "title": "Nearest neighbours"},
        ][:num_probes],
        "scores": [
            {"name": "absolute", "title": "Trust (absolute)", "sentence": "As published."},
            {"name": "normalised", "title": "Trust (normalised)", "sentence": "From 0 to 1."},
        ],
        "layer": 3,
        "num_runs": 1,
        "reduction": "pooled",
        "ideal_kind": "uniform",
        "ideal": np.where(own, 1.0, chance),
        "cells": cells,
        "totals": totals,
        "verdict": {
            "status": "warning",
            "headline": "12 of 20 cells leak. A network trained for size tells quadrant.",
        },
        "words": ["That a task can be read off a network does not mean that the network uses it."],
    }
