"""Walk a network through the steps of an experiment and measure its maps at each.

Images are taken in chunks of `batch_size`, each chunk through all seeds and steps, so memory does
not grow with the number of images. Weights follow from the seed, so every chunk meets the same
networks. Whatever happens, the caller's weights are put back.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import tensorflow as tf

from kernel_lib._progress import progress
from kernel_lib._random import random_stream
from kernel_lib.models.classifier import Classifier
from kernel_lib.network.compiled import in_batches
from kernel_lib.network.grouping import Block
from kernel_lib.network.weights import restored_weights
from kernel_lib.saliency.cams import upsampled
from kernel_lib.saliency.experiments import Step
from kernel_lib.saliency.explainer import Explainer, Options
from kernel_lib.saliency.maps import is_constant, to_bytes, view_of
from kernel_lib.saliency.methods import METHODS, Method
from kernel_lib.saliency.similarity import METRICS, Metric, prepare

LARGEST_DISPLAY_SIDE = 112  # pixels; larger maps are shown smaller
_OTHER_DRAW = 1_000_003  # a noise draw that no step uses, for the ceiling of stochastic methods


@dataclass(frozen=True)
class Setting:
    """What is measured, and how. See `audit` for the meaning of each."""

    methods: Sequence[Method]
    metrics: Sequence[Metric]
    steps: Sequence[Step]
    seeds: Sequence[int]
    blocks: Sequence[Block]
    target: str = "original"
    options: Options = field(default_factory=Options)
    common_noise: bool = True
    smooth_samples: int = 1
    smooth_spread: float = 0.1
    num_display: int = 8
    batch_size: int = 128
    progress: bool = True


@dataclass
class Measurements:
    """Everything measured. S seeds, K steps, M methods, Q metrics, N images, I shown, B blocks.

    Attributes:
        values: (S, K, M, Q, N) similarity with the trained network's map; NaN for an empty map.
        ceilings: (M, Q, N) similarity of the trained network with itself under other noise; NaN
            for methods that draw no noise.
        edges: (S, K, M, N) similarity with the edge detector, Spearman of absolute maps, at the
            first and the last step; NaN between.
        accuracy: (S, K) share of right predictions.
        logit_correlation: (S, K, N) correlation of an image's logits with the trained ones.
        activation_rms: (S, K, B) root mean square of each block's output.
        predictions: (S, K, I) predicted classes of the shown images.
        maps_absolute, maps_signed: (S, K, M, I, h, w) uint8 for display.
        empty: (S, K, M, I) whether a shown map is constant.
    """

    values: np.ndarray
    ceilings: np.ndarray
    edges: np.ndarray
    accuracy: np.ndarray
    logit_correlation: np.ndarray
    activation_rms: np.ndarray
    predictions: np.ndarray
    maps_absolute: np.ndarray
    maps_signed: np.ndarray
    empty: np.ndarray


def measure(
    classifier: Classifier,
    images: np.ndarray,
    labels: np.ndarray,
    test_images: np.ndarray,
    test_labels: np.ndarray,
    setting: Setting,
) -> Measurements:
    """Run every step for every seed; see `Measurements` for what comes back.

    Args:
        images: explained images (num_images, height, width, channels).
        labels: their classes.
        test_images, test_labels: where accuracy is measured.
    """
    found = _empty_measurements(setting, images)
    starts = range(0, len(images), setting.batch_size)
    states = itertools.product(starts, range(len(setting.seeds)), range(len(setting.steps)))
    total = len(starts) * len(setting.seeds) * len(setting.steps)
    with restored_weights(classifier) as trained:
        for start, s, k in progress(
            states, "Saliency steps", total=total, enabled=setting.progress
        ):
            step = setting.steps[k]
            if step.restart or k == 0:
                trained.restore()
            if (s, k) == (0, 0):
                chunk = slice(start, start + setting.batch_size)
                reader = _ChunkReader(classifier, images[chunk], labels[chunk], setting)
                found.ceilings[:, :, chunk] = reader.ceilings()
            step.apply(setting.seeds[s])
            if start == 0:
                signals = _signals(classifier, test_images, test_labels, setting)
                found.accuracy[s, k], found.activation_rms[s, k] = signals
            reader.read(found, chunk, s, k)
    return found


def _empty_measurements(setting: Setting, images: np.ndarray) -> Measurements:
    num_seeds, num_steps, num_methods = len(setting.seeds), len(setting.steps), len(setting.methods)
    num_images, num_shown = len(images), min(setting.num_display, len(images))
    state = (num_seeds, num_steps)
    shown = (*state, num_methods, num_shown)
    size = display_size(images.shape[1:3])
    return Measurements(
        values=np.full((*state, num_methods, len(setting.metrics), num_images), np.nan, "f4"),
        ceilings=np.full((num_methods, len(setting.metrics), num_images), np.nan, "f4"),
        edges=np.full((*state, num_methods, num_images), np.nan, "f4"),
        accuracy=np.full(state, np.nan),
        logit_correlation=np.full((*state, num_images), np.nan),
        activation_rms=np.full((*state, len(setting.blocks)), np.nan),
        predictions=np.zeros((*state, num_shown), np.int64),
        maps_absolute=np.zeros((*shown, *size), np.uint8),
        maps_signed=np.full((*shown, *size), 127, np.uint8),
        empty=np.zeros(shown, bool),
    )


def display_size(size: tuple[int, int]) -> tuple[int, int]:
    """Height and width at which maps are shown."""
    shrink = min(1.0, LARGEST_DISPLAY_SIDE / max(size))
    return max(1, round(size[0] * shrink)), max(1, round(size[1] * shrink))


class _ChunkReader:
    """Maps and similarities of one chunk of images. Made while the network is as trained."""

    def __init__(
        self, classifier: Classifier, images: np.ndarray, labels: np.ndarray, setting: Setting
    ):
        self.classifier, self.images, self.setting = classifier, images, setting
        self.labels = labels.astype(np.int32)
        self.foreground = np.abs(images - setting.options.baseline).max(axis=-1) > 0
        edge_maps = METHODS["edge_detector"].compute(self._explainer(self.labels))
        self.edge_ranks = prepare(METRICS["spearman_absolute"], edge_maps)
        self.constant_maps: dict[str, np.ndarray] = {}
        self.trained_logits = self._logits()
        self.predicted = self.trained_logits.argmax(axis=1).astype(np.int32)
        explainer = self._explainer(self._targets(0))
        self.reference = [
            self._prepared(self._maps(method, explainer, draw=0)) for method in setting.methods
        ]

    def ceilings(self) -> np.ndarray:
        """Similarity of the trained network with itself when the noise is drawn again."""
        found = np.full(
            (len(self.setting.methods), len(self.setting.metrics), len(self.images)), np.nan
        )
        explainer = self._explainer(self._targets(0), noise_draw=_OTHER_DRAW)
        for m, method in enumerate(self.setting.methods):
            if method.stochastic and not method.is_control:
                maps = self._maps(method, explainer, draw=_OTHER_DRAW)
                found[m] = self._compared(self.reference[m], self._prepared(maps))
        return found

    def read(self, found: Measurements, chunk: slice, s: int, k: int) -> None:
        """Measure all methods under the network's present weights, seed `s` at step `k`."""
        step = self.setting.steps[k]
        is_end = k in (0, len(self.setting.steps) - 1)
        logits = self._logits()
        found.logit_correlation[s, k, chunk] = _row_correlation(logits, self.trained_logits)
        draw = 0 if self.setting.common_noise else 1 + s * len(self.setting.steps) + k
        explainer = self._explainer(self._targets(step.class_shift, logits), noise_draw=draw)
        num_shown = max(0, min(found.empty.shape[3] - chunk.start, len(self.images)))
        shown = slice(chunk.start, chunk.start + num_shown)
        found.predictions[s, k, shown] = logits[:num_shown].argmax(axis=1)
        for m, method in enumerate(self.setting.methods):
            # Draw 0 is the reference's: a fresh map is fresh at step 0 too.
            fresh_draw = 1 + s * len(self.setting.steps) + k
            own_draw = fresh_draw if method.changes_each_step else draw
            maps = self._maps(method, explainer, own_draw)
            prepared = self._prepared(maps)
            found.values[s, k, m, :, chunk] = self._compared(self.reference[m], prepared)
            if is_end:
                found.edges[s, k, m, chunk] = self._edge_similarity(maps)
            self._keep_for_display(found, (s, k, m, shown), maps[:num_shown])

    def _edge_similarity(self, maps: np.ndarray) -> np.ndarray:
        metric = METRICS["spearman_absolute"]
        return metric.compare(self.edge_ranks, prepare(metric, maps))

    def _keep_for_display(self, found: Measurements, place: tuple, maps: np.ndarray) -> None:
        if not len(maps):
            return
        size = found.maps_absolute.shape[-2:]
        found.empty[place] = is_constant(view_of(maps, "absolute"))
        for view, store in (("absolute", found.maps_absolute), ("signed", found.maps_signed)):
            small = _resized(view_of(maps, view), size)
            store[place] = to_bytes(small, view)

    def _maps(self, method: Method, explainer: Explainer, draw: int) -> np.ndarray:
        """Raw maps; averaged over noisy copies of the images where that is asked for."""
        if method.model_independent:
            if method.name not in self.constant_maps:
                self.constant_maps[method.name] = method.compute(explainer)
            return self.constant_maps[method.name]
        if method.changes_each_step:
            explainer = replace(explainer, options=replace(explainer.options, noise_draw=draw))
            return method.compute(explainer)
        if self.setting.smooth_samples == 1:
            return method.compute(explainer)
        copies = [method.compute(noisy) for noisy in self._noisy_explainers(explainer)]
        return np.mean(copies, axis=0)

    def _noisy_explainers(self, explainer: Explainer) -> Iterator[Explainer]:
        span = self.images.max(axis=(1, 2, 3)) - self.images.min(axis=(1, 2, 3))
        scale = (self.setting.smooth_spread * span)[:, None, None, None]
        streams = [random_stream(words) for words in explainer.noise_streams("smooth copies")]
        for _ in range(self.setting.smooth_samples):
            noise = np.stack(
                [stream.standard_normal(self.images.shape[1:], np.float32) for stream in streams]
            )
            yield replace(explainer, images=self.images + scale * noise)

    def _prepared(self, maps: np.ndarray) -> list:
        return [prepare(metric, maps, self.foreground) for metric in self.setting.metrics]

    def _compared(self, reference: list, prepared: list) -> np.ndarray:
        return np.stack(
            [
                metric.compare(a, b)
                for metric, a, b in zip(self.setting.metrics, reference, prepared, strict=True)
            ]
        )

    def _targets(self, class_shift: int, logits: np.ndarray | None = None) -> np.ndarray:
        targets = self.predicted
        if self.setting.target == "label":
            targets = self.labels
        elif self.setting.target == "current" and logits is not None:
            targets = logits.argmax(axis=1).astype(np.int32)
        return (targets + class_shift) % self.classifier.num_classes

    def _explainer(self, targets: np.ndarray, noise_draw: int = 0) -> Explainer:
        options = replace(self.setting.options, noise_draw=noise_draw)
        return Explainer(self.classifier, self.images, targets, options, self.setting.batch_size)

    def _logits(self) -> np.ndarray:
        function = self.classifier.network.logits_function()
        return in_batches(function, self.setting.batch_size, self.images)[0]


def _signals(
    classifier: Classifier, images: np.ndarray, labels: np.ndarray, setting: Setting
) -> tuple[float, np.ndarray]:
    """Accuracy, and the root mean square of each block's output, from one forward pass."""
    function = _signals_function(classifier, [block.output_tap for block in setting.blocks])
    logits, squares = in_batches(function, setting.batch_size, images)
    return float((logits.argmax(axis=1) == labels).mean()), np.sqrt(squares.mean(axis=0))


def _signals_function(classifier: Classifier, taps: list[str]) -> Callable:
    network = classifier.network

    def body(images: tf.Tensor) -> list[tf.Tensor]:
        logits, values = network.forward(images, taps)
        squares = [
            tf.reduce_mean(tf.square(value), axis=list(range(1, value.shape.rank)))
            for value in values
        ]
        return [logits, tf.stack(squares, axis=1)]

    return network.function(("signals", tuple(taps)), body, [network.image_spec])


def _row_correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Pearson correlation of matching rows; NaN where a row is constant."""
    a, b = (x.astype(np.float64) - x.mean(axis=1, keepdims=True, dtype=np.float64) for x in (a, b))
    length = np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
    return np.where(length > 0, (a * b).sum(axis=1) / np.where(length > 0, length, 1), np.nan)


def _resized(maps: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """Shrink maps for display by averaging: smooth first, then sample."""
    if maps.shape[1:] == tuple(size):
        return maps
    factor = max(1, maps.shape[1] // size[0])
    rows, columns = (maps.shape[1] // factor) * factor, (maps.shape[2] // factor) * factor
    blocks = maps[:, :rows, :columns].reshape(
        len(maps), rows // factor, factor, columns // factor, factor
    )
    return upsampled(blocks.mean(axis=(2, 4)), (size[0], size[1]))
