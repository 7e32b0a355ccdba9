"""Small frames of the invariance explorer, with numbers that can be told apart."""

from __future__ import annotations

from typing import Any

import numpy as np


def make_frames() -> dict[str, Any]:
    """Three images, five steps, two matrices; image 0 changes its class at the ends."""
    random = np.random.default_rng(0)
    top_classes = np.tile(np.array([0, 1, 2], np.uint16), (3, 5, 1))
    top_classes[0, [0, 4]] = [1, 0, 2]
    values = np.abs(np.subtract.outer(np.arange(5), np.arange(5))) / 10
    return {
        "schema": 1,
        "title": "Rotation",
        "steps": [{"label": f"{angle}°", "value": angle} for angle in (-2.0, -1.0, 0.0, 1.0, 2.0)],
        "identity": 2,
        "plateau": [0, 1, 1, 2, 3],
        "class_names": ["one", "two", "three"],
        "images": [{"label": "one"}, {"label": "one"}, {"label": None}],
        "pictures": random.integers(0, 256, (3, 5, 8, 8, 3), np.uint8),
        "top_classes": top_classes,
        "top_shares": np.tile(np.array([0.7, 0.2, 0.1], np.float32), (3, 5, 1)),
        "matrices": [
            {"name": "confidence", "title": "Confidence"},
            {"name": "flips", "title": "Changed classes"},
        ],
        "values": np.stack([values, values * 2]).astype(np.float32),
        "curves": [
            {
                "name": "accuracy",
                "title": "accuracy",
                "values": [0.5, 0.75, 1.0, 0.75, 0.5],
                "low": [0.4, 0.6, 0.9, 0.6, 0.4],
                "high": [0.6, 0.9, 1.0, 0.9, 0.6],
            },
            {
                "name": "flip_rate",
                "title": "changed classes",
                "values": [0.4, 0.2, 0.0, 0.2, 0.4],
                "low": None,
                "high": None,
            },
        ],
        "verdict": {"status": "fail", "headline": "It is not invariant.", "probability": 0.2},
        "words": ["What holds here may not hold beyond."],
    }
