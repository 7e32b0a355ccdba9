"""Frames made up for tests: digits, and maps that forget the network at a chosen rate.

No network is needed. Each method keeps a share of its trained map at each step and fills the rest
with noise, so what every curve should look like is known beforehand.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

# name, title, flags, share of the trained map that is left at the last step
METHODS = [
    ("gradient", "Gradient", [], 0.0),
    ("smoothgrad", "SmoothGrad", ["stochastic"], 0.02),
    ("input_x_gradient", "Input x gradient", ["x input"], 0.0),
    ("integrated_gradients", "Integrated gradients", ["x input"], 0.0),
    ("guided_backprop", "Guided backprop", [], 0.85),
    ("grad_cam", "Grad-CAM", [], 0.25),
    ("guided_grad_cam", "Guided Grad-CAM", [], 0.5),
    ("edges", "Edge detector", ["control"], 1.0),
    ("random", "Random map", ["control", "stochastic"], 0.0),
]
METRICS = [
    ("spearman_signed", "Spearman, signed", "signed"),
    ("spearman_abs", "Spearman, absolute", "absolute"),
    ("cosine_signed", "Cosine, signed", "signed"),
]


def make_frames(
    num_images: int = 4,
    num_seeds: int = 3,
    blocks: tuple[str, ...] = ("hidden1", "hidden2", "fc1", "softmax_linear"),
    side: int = 28,
    colour: bool = False,
    test: str = "cascade",
    methods: list[tuple[str, str, list[str], float]] | None = None,
) -> dict[str, Any]:
    """Make frames of a cascade from the output down.

    The Grad-CAM map of the first image is empty at the last step; the edge detector never changes.
    """
    methods = METHODS if methods is None else methods
    inputs = np.stack([_draw(image, side, colour) for image in range(num_images)])
    signed = _maps(inputs, methods, num_seeds, len(blocks) + 1)
    empty = np.zeros(signed.shape[:4], bool)
    names = [method[0] for method in methods]
    if "grad_cam" in names:
        empty[:, -1, names.index("grad_cam"), 0] = True
    signed[empty] = 0
    values = _similarities(signed, empty)
    means, spread = _mean_and_spread(values)
    ceilings = np.full(means.shape[:2], np.nan)
    ceilings[:, [i for i, method in enumerate(methods) if method[2] == ["stochastic"]]] = 0.9
    return {
        "schema": 1,
        "test": test,
        "title": "Drawn digits, small CNN",
        "axis": "blocks randomised, from the output down",
        "blocks": list(blocks),
        "steps": [_step(index, blocks) for index in range(len(blocks) + 1)],
        "seeds": list(range(num_seeds)),
        "images": [_image(image, num_seeds, len(blocks) + 1) for image in range(num_images)],
        "methods": [
            {"name": name, "title": title, "flags": flags, "control": "control" in flags}
            for name, title, flags, _ in methods
        ],
        "metrics": [{"name": n, "title": t, "view": v} for n, t, v in METRICS],
        "values": values,
        "curves": {"mean": means, "low": means - spread, "high": means + spread},
        "ceilings": ceilings,
        "maps_absolute": np.rint(255 * np.abs(signed)).astype(np.uint8),
        "maps_signed": np.rint(127 + 127 * signed).astype(np.uint8),
        "empty": empty,
        "inputs": inputs,
        "words": [
            "If a map looks the same when the weights are random, it is not explaining this model.",
            "A map that changes has passed a minimum test; noise would pass it too.",
        ],
        "verdicts": [
            {"method": "gradient", "status": "pass", "text": "changes with the first block."},
            {"method": "guided_backprop", "status": "fail",
             "text": "still looks the same when most of the network is random."},
            {"method": "grad_cam", "status": "undetermined", "text": "is empty at the last step."},
        ],
    }  # fmt: skip


def _step(index: int, blocks: tuple[str, ...]) -> dict[str, Any]:
    changed = list(blocks[::-1][:index])
    last = len(blocks)
    return {
        "label": changed[-1] if changed else "trained",
        "sentence": f"{_listing(changed)} randomised." if changed else "The trained network.",
        "changed": changed,
        "accuracy": 0.97 if index == 0 else 0.10 + 0.02 * (last - index),
        "logit_correlation": 1.0 if index == 0 else 0.05,
    }


def _listing(names: list[str]) -> str:
    if len(names) <= 4:
        return ", ".join(names)
    return f"{len(names)} blocks, from {names[0]} down to {names[-1]},"


def _image(image: int, num_seeds: int, num_steps: int) -> dict[str, Any]:
    predictions = [
        [str((image + (3 * step + seed if step else 0)) % 10) for step in range(num_steps)]
        for seed in range(num_seeds)
    ]
    return {"label": str(image % 10), "predictions": predictions}


def _draw(image: int, side: int, colour: bool) -> np.ndarray:
    """A digit, as in a well-known data set; in colour, on a coloured ground."""
    big = 8 * 28
    hue = np.random.default_rng(image).integers(30, 220, (2, 3)).tolist()
    ground, ink = (tuple(hue[0]), tuple(hue[1])) if colour else ((0, 0, 0), (255, 255, 255))
    picture = Image.new("RGB", (big, big), ground)
    font = ImageFont.load_default(size=190)
    draw = ImageDraw.Draw(picture)
    draw.text((big / 2, big / 2), str(image % 10), fill=ink, font=font, anchor="mm", stroke_width=5)
    return np.asarray(picture.resize((side, side), Image.Resampling.BOX))


def _maps(inputs: np.ndarray, methods: list, num_seeds: int, num_steps: int) -> np.ndarray:
    grey = inputs.mean(axis=3) / 255
    maps = np.zeros((num_seeds, num_steps, len(methods), *grey.shape), np.float32)
    for index, (name, _, flags, left) in enumerate(methods):
        for image, picture in enumerate(grey):
            trained = _trained(name, picture, np.random.default_rng([index, image]))
            for seed in range(num_seeds):
                for step in range(num_steps):
                    generator = np.random.default_rng([seed, step, index, image])
                    share = 1 - (1 - left) * min(1, 1.6 * step / (num_steps - 1))
                    share = float(name != "random") if left == 0 and step == 0 else share
                    made = share * trained
                    made += (1 - share) * _noise(name, picture, flags, generator)
                    maps[seed, step, index, image] = made / np.abs(made).max()
    return maps


def _trained(name: str, picture: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    edges = np.hypot(*np.gradient(picture))
    if name == "edges":
        return edges / edges.max()
    if name == "grad_cam":
        return _blur(picture, 4)
    if name.startswith("guided"):
        return _unit(np.gradient(picture, axis=1) + 0.05 * generator.normal(size=picture.shape))
    noise = _blur(generator.normal(size=picture.shape), 1)
    return _unit(noise * (_blur(picture, 2) + 0.1) * (picture if "input" in name else 1))


def _noise(
    name: str, picture: np.ndarray, flags: list[str], generator: np.random.Generator
) -> np.ndarray:
    noise = _blur(generator.normal(size=picture.shape), 5 if name == "grad_cam" else 1)
    return _unit(noise * picture if "x input" in flags else noise)


def _unit(values: np.ndarray) -> np.ndarray:
    return values / np.abs(values).max()


def _blur(values: np.ndarray, times: int) -> np.ndarray:
    for _ in range(times):
        for axis in (0, 1):
            values = (np.roll(values, 1, axis) + 2 * values + np.roll(values, -1, axis)) / 4
    return values


def _similarities(signed: np.ndarray, empty: np.ndarray) -> np.ndarray:
    """Similarity with step 0 by ranks (signed, absolute) and by cosine."""
    flat = signed.reshape(*signed.shape[:4], -1).astype(np.float64)
    ranked = [_ranks(flat), _ranks(np.abs(flat)), flat]
    values = np.stack([_cosine(each, each[:, :1]) for each in ranked], axis=3)
    lost = np.broadcast_to((empty | empty[:, :1])[:, :, :, None], values.shape)
    return np.where(lost, np.nan, values).astype(np.float32)


def _mean_and_spread(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Over seeds and images, as (metrics, methods, steps); NaN where every map is empty."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        mean, spread = np.nanmean(values, axis=(0, 4)), np.nanstd(values, axis=(0, 4))
    return mean.transpose(2, 1, 0), spread.transpose(2, 1, 0)


def _ranks(values: np.ndarray) -> np.ndarray:
    ranks = values.argsort(axis=-1, kind="stable").argsort(axis=-1, kind="stable")
    return ranks - ranks.mean(axis=-1, keepdims=True)


def _cosine(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(one, axis=-1) * np.linalg.norm(other, axis=-1)
    return (one * other).sum(axis=-1) / np.maximum(norms, 1e-12)
