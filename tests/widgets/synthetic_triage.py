"""Frames of a triage made up for tests: no network is needed, every number is known."""

from __future__ import annotations

from typing import Any

import numpy as np
from synthetic_frames import _draw


def make_triage(
    num_images: int = 400, num_shown: int = 30, num_mutants: int = 40
) -> dict[str, Any]:
    """A network with 15 % errors, three scores of different worth, drawn digits."""
    random = np.random.default_rng(4)
    wrong = (random.random(num_images) < 0.15).astype(np.uint8)
    scores = [("msp", "Maximum softmax", 1.4, 1.0), ("label_change_rate", "Label change rate", 1.0,
              41.0), ("both", "Label change rate + conductance", 1.8, 41.0)]  # fmt: skip
    suspicion = np.stack([gain * wrong + random.normal(size=num_images) for *_, gain, _ in scores])
    suspicion[1] = np.round(suspicion[1], 1)  # with ties
    shown = random.permutation(num_images)[:num_shown]
    images = [_image(int(place), bool(wrong[place]), num_mutants, random) for place in shown]
    pictures = np.stack([_draw(int(image["label"]), 28, False) for image in images])
    return {
        "schema": 1,
        "title": "Which predictions are likely wrong?",
        "scores": [
            {"name": name, "title": title, "auroc": 0.7 + gain / 10,
             "threshold": float(np.quantile(suspicion[place], 0.8)), "forward_passes": passes}
            for place, (name, title, gain, passes) in enumerate(scores)
        ],
        "images": images,
        "neighbours": [{"label": str(i % 10), "predicted": str(i % 9)} for i in range(20)],
        "num_mutants": num_mutants,
        "tap": "conv3",
        "words": ["Held against the maximum softmax probability, both are better."],
        "suspicion": suspicion.astype(np.float32),
        "wrong": wrong,
        "shown": shown.astype(np.int32),
        "inputs": pictures,
        "neighbour_inputs": np.stack([_draw(i, 28, False) for i in range(20)]),
    }  # fmt: skip


def _image(
    index: int, wrong: bool, num_mutants: int, random: np.random.Generator
) -> dict[str, Any]:
    label = int(random.integers(10))
    predicted = (label + 3) % 10 if wrong else label
    own = int(random.integers(num_mutants // 3, num_mutants + 1))
    votes = [{"name": str(predicted), "count": own}]
    votes += [{"name": str((predicted + 1) % 10), "count": num_mutants - own}] * (own < num_mutants)
    maps = [
        {"map": int(each), "value": float(random.normal(1, 0.6)), "mean": 1.0, "deviation": 0.3}
        for each in random.permutation(64)[:8]
    ]
    return {
        "index": index, "label": str(label), "predicted": str(predicted),
        "probability": float(random.uniform(0.3, 1)), "maps": maps,
        "votes": sorted(votes, key=lambda vote: -vote["count"]),
        "neighbours": random.permutation(20)[:3].tolist(),
    }  # fmt: skip
