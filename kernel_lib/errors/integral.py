"""The sums behind conductance, compiled once and fed in chunks of bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from kernel_lib._progress import progress as progress_bar
from kernel_lib.errors.graph import places
from kernel_lib.errors.path import shares_of
from kernel_lib.models.classifier import Classifier

Sums = dict[str, np.ndarray]  # "first", "last", "steps", "value TAP" and "total TAP"


@dataclass(frozen=True)
class Integral:
    """How conductance is summed: where, by which rule, in which chunks.

    Attributes:
        classifier: the network that is read.
        taps: names of the taps.
        rule: "trapezoid", "right" or "left".
        reduce: "sum", "mean" or "none" over the positions of a map.
        batch_size: points of paths in memory at once.
        progress: whether to show a progress bar.
    """

    classifier: Classifier
    taps: tuple[str, ...]
    rule: str
    reduce: str
    batch_size: int
    progress: bool = False

    @property
    def is_closed_form(self) -> dict[str, bool]:
        """Tap -> whether its tail is affine, so that one difference of activations is exact."""
        found = places(self.classifier)
        return {tap: found[tap].has_affine_tail for tap in self.taps}

    def run(self, images: np.ndarray, starts: np.ndarray, weights: np.ndarray, steps: int) -> Sums:
        """Sum along the paths from `starts` to `images`.

        Args:
            images: (num_images, height, width, channels).
            starts: the same shape, or (1, height, width, channels) for one start for all.
            weights: (num_images, num_classes) weights of the logits.
            steps: steps of the path; not used where every tap has an affine tail.
        """
        all_closed = all(self.is_closed_form.values())
        group = self.batch_size if all_closed else max(1, self.batch_size // (steps + 1))
        found: Sums = {}
        chunks = range(0, len(images), group)
        for first in progress_bar(chunks, "Conductance", enabled=self.progress):
            part = slice(first, first + group)
            start = starts if len(starts) == 1 else starts[part]
            feed = tuple(map(tf.constant, (images[part], start, weights[part])))
            sums = self._closed(feed) if all_closed else self._walk(feed, steps)
            _store(found, part, len(images), sums)
        found["steps"] = np.full(len(images), 1 if all_closed else steps)
        return found

    def _closed(self, feed: tuple[tf.Tensor, ...]) -> Sums:
        function = _closed_function(self.classifier, self.taps, self.reduce)
        return self._named(function(*feed))

    def _walk(self, feed: tuple[tf.Tensor, ...], steps: int) -> Sums:
        """Add the segments of the paths of a few images up, in float64."""
        function = _segment_function(self.classifier, self.taps, self.rule, self.reduce)
        found: Sums = {}
        for shares in shares_of(steps, min(steps + 1, self.batch_size)):
            sums = self._named(function(*feed, tf.constant(shares)))
            for name, value in sums.items():
                if name in ("first", "last"):
                    found[name] = found.get("first", value) if name == "first" else value
                else:
                    found[name] = found.get(name, 0) + value
        return found

    def _named(self, outputs: list[tf.Tensor]) -> Sums:
        names = ["first", "last"]
        names += [f"{kind} {tap}" for kind in ("value", "total") for tap in self.taps]
        arrays = (output.numpy().astype(np.float64) for output in outputs)
        return dict(zip(names, arrays, strict=True))


def mean_of(runs: Sequence[Sums]) -> Sums:
    """Average over runs from different baselines."""
    if len(runs) == 1:
        return runs[0]
    return {name: np.mean([run[name] for run in runs], axis=0) for name in runs[0]}


def _store(found: Sums, part: slice, num_images: int, sums: Sums) -> None:
    for name, value in sums.items():
        if name not in found:
            found[name] = np.empty((num_images, *value.shape[1:]), value.dtype)
        found[name][part] = value


def _signature(classifier: Classifier) -> list[tf.TensorSpec]:
    image = classifier.network.image_spec
    return [image, image, tf.TensorSpec((None, classifier.num_classes), tf.float32)]


def _closed_function(
    classifier: Classifier, taps: tuple[str, ...], reduce: str
) -> Callable[..., list[tf.Tensor]]:
    """Images, starts, weights -> [F(starts), F(images), sums at taps..., totals...].

    One forward pass and a backward pass of the affine tail alone. A start shared by all images is
    run once.
    """
    network = classifier.network

    def body(images: tf.Tensor, starts: tf.Tensor, weights: tf.Tensor) -> list[tf.Tensor]:
        before, values_before = network.forward(starts, taps)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(images)
            logits, values = network.forward(images, taps)
            score = tf.reduce_sum(logits * weights, axis=1)
        slopes = tape.gradient(score, values, unconnected_gradients="zero")
        parts = [
            slope * (value - value_before)
            for slope, value, value_before in zip(slopes, values, values_before, strict=True)
        ]
        return [tf.reduce_sum(before * weights, axis=1), score, *_outputs(parts, reduce)]

    return network.function(("closed conductance", taps, reduce), body, _signature(classifier))


def _segment_function(
    classifier: Classifier, taps: tuple[str, ...], rule: str, reduce: str
) -> Callable[..., list[tf.Tensor]]:
    """Images, starts, weights, shares -> [F at the first and last point, sums at taps..., totals].

    All points of all images go through one forward and one backward pass; points vary slowest.
    """
    network = classifier.network
    found = places(classifier)
    closed = [found[tap].has_affine_tail for tap in taps]

    def body(
        images: tf.Tensor, starts: tf.Tensor, weights: tf.Tensor, shares: tf.Tensor
    ) -> list[tf.Tensor]:
        num_points, num_images = tf.shape(shares)[0], tf.shape(images)[0]
        place = tf.reshape(shares, (-1, 1, 1, 1, 1))
        points = (1 - place) * starts + place * images  # exact at both ends
        points = tf.reshape(points, tf.concat([[num_points * num_images], tf.shape(images)[1:]], 0))
        points = tf.ensure_shape(points, network.image_spec.shape)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(points)
            logits, values = network.forward(points, taps)
            scores = tf.reduce_sum(logits * tf.tile(weights, (num_points, 1)), axis=1)
        slopes = tape.gradient(scores, values, unconnected_gradients="zero")
        by_point = tf.reshape(scores, (num_points, num_images))
        parts = []
        for value, slope, is_closed in zip(values, slopes, closed, strict=True):
            path, slope = _split(value, num_points), _split(slope, num_points)
            exact = slope[0] * (path[-1] - path[0])
            parts.append(exact if is_closed else _sum(path, slope, rule))
        return [by_point[0], by_point[-1], *_outputs(parts, reduce)]

    signature = [*_signature(classifier), tf.TensorSpec((None,), tf.float32)]
    return network.function(("conductance", taps, rule, reduce), body, signature)


def _split(value: tf.Tensor, num_points: tf.Tensor) -> tf.Tensor:
    """(points * images, ...) -> (points, images, ...)."""
    split = tf.reshape(value, tf.concat([[num_points, -1], tf.shape(value)[1:]], 0))
    return tf.ensure_shape(split, (None, None, *value.shape[1:]))


def _sum(path: tf.Tensor, slope: tf.Tensor, rule: str) -> tf.Tensor:
    """Sum over the points, the first axis of both."""
    at_step = {
        "right": lambda: slope[1:],
        "left": lambda: slope[:-1],
        "trapezoid": lambda: (slope[1:] + slope[:-1]) / 2,
    }[rule]()
    return tf.reduce_sum(at_step * (path[1:] - path[:-1]), axis=0)


def _outputs(parts: list[tf.Tensor], reduce: str) -> list[tf.Tensor]:
    """Values reduced as asked for, then the totals over all units in float64."""
    values, totals = [], []
    for part in parts:
        positions = list(range(1, part.shape.rank - 1))
        summed = tf.reduce_sum(part, axis=positions) if positions else part
        count = tf.size(part) // tf.maximum(tf.size(summed), 1)
        kept = {"sum": summed, "mean": summed / tf.cast(count, part.dtype), "none": part}
        values.append(kept[reduce])
        totals.append(tf.reduce_sum(tf.cast(summed, tf.float64), axis=1))
    return values + totals
