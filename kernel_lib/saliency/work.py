"""How many passes a saliency audit needs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from kernel_lib.audit.forecast import Work
from kernel_lib.models.classifier import Classifier
from kernel_lib.network.grouping import blocks as blocks_of
from kernel_lib.saliency.explainer import Options
from kernel_lib.saliency.methods import CONTROLS, DEFAULT_METHODS
from kernel_lib.saliency.similarity import METRICS, prepare

_SMOOTH_SAMPLES = 50  # noisy copies of the test "smooth"
_CHANNELS = 256  # of a last convolution, where Score-CAM keeps all
_SMALL = 64 * 64  # pixels of maps whose comparison takes next to nothing
_RANDOM = ("cascade", "independent", "full", "noise", "smooth")


def work(classifier: Classifier, images: Any, **options: Any) -> Work:
    """The work of `audit` with these options; all of them must be given."""
    pixels = getattr(images, "images", images)
    splits = getattr(images, "splits", {})
    pool = len(splits.get("test", ())) or len(pixels)
    num_images = min(options["num_images"], pool)
    steps = _num_steps(classifier, options)
    seeds = options["num_seeds"] if options["test"] in _RANDOM else 1
    smooth = _SMOOTH_SAMPLES if options["test"] == "smooth" else 1
    settings = options["options"] or Options()
    chosen = [name for name in options["methods"] or DEFAULT_METHODS if isinstance(name, str)]
    states = steps * seeds + 1
    gradients = num_images * smooth * gradient_passes(chosen, settings)
    accuracy = min(pool, 1000) if splits else num_images
    forward = states * (num_images + accuracy)
    if "scorecam" in chosen:
        forward += states * num_images * (settings.scorecam_channels or _CHANNELS)
    maps = states * num_images * (len(chosen) + len(CONTROLS))
    shown = min(options["num_display"], num_images)
    side = min(max(pixels.shape[1:3]), 112)
    return Work(
        forward,
        states * gradients,
        other=maps * _seconds_a_map(pixels.shape, options["metrics"]),
        held=4.0 * maps * len(options["metrics"]) + 2 * states * shown * len(chosen) * side**2,
        cheaper={"num_seeds": 1} if seeds > 1 else {"num_images": max(1, num_images // 4)},
    )


def _num_steps(classifier: Classifier, options: dict[str, Any]) -> int:
    test = options["test"]
    if test == "noise":
        return 1 + len(options["noise_levels"])
    if test in ("cascade", "independent", "smooth"):
        return 1 + len(blocks_of(classifier, options["blocks"]))
    return 2


# Signals that methods share: each is computed once for all methods that read it.
_READS = {
    "gradient": ("plain",),
    "input_times_gradient": ("plain",),
    "smoothgrad": ("noisy",),
    "vargrad": ("noisy",),
    "integrated_gradients": ("path",),
    "integrated_gradients_smoothgrad": ("noisy path",),
    "guided_backprop": ("guided",),
    "gradcam": ("tap",),
    "gradcam_plus_plus": ("tap",),
    "layercam": ("tap",),
    "guided_gradcam": ("guided", "tap"),
    "scorecam": ("tap",),
}


def gradient_passes(methods: Sequence[str], settings: Options) -> int:
    """Forward and backward passes that maps of one image by all of `methods` need."""
    passes = {
        "plain": 1,
        "noisy": settings.smoothgrad_samples,
        "path": settings.path_steps,
        "noisy path": settings.path_steps * settings.noisy_path_samples,
        "guided": 1,
        "tap": 1,
    }
    return sum(passes[s] for s in {s for name in methods for s in _READS.get(name, ())})


def _seconds_a_map(shape: tuple[int, ...], metrics: Any) -> float:
    """Time to prepare a map and compare it with another, by all metrics."""
    if shape[1] * shape[2] < _SMALL:
        return 0.0
    map_ = np.random.default_rng(0).normal(size=(1, *shape[1:3], 1)).astype(np.float32)
    inside = np.ones(map_.shape[:3], bool)
    start = time.perf_counter()
    for name in metrics:
        metric = METRICS[name]
        metric.compare(*[prepare(metric, map_, inside)] * 2)
    return time.perf_counter() - start
