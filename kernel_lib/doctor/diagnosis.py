"""Which channels does each class rely on? Average gradients at every convolution."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from kernel_lib._checks import check_choice, check_count, check_number
from kernel_lib._progress import progress as progress_bar
from kernel_lib.audit.statistics import wilson_interval
from kernel_lib.data import ImageSet
from kernel_lib.doctor.gradients import AGGREGATES, TARGETS, magnitude, scores
from kernel_lib.doctor.noise import noise_at, noise_words
from kernel_lib.doctor.places import check_tap, convolutions
from kernel_lib.doctor.reliance import overlap, scaled, share_of_classes, threshold_rule
from kernel_lib.doctor.samples import Samples, find_samples
from kernel_lib.models.classifier import Classifier, as_classifier
from kernel_lib.network.compiled import fitting_batch_size
from kernel_lib.tasks.record_file import read_record, write_record
from kernel_lib.tasks.untrusted import untrusted

if TYPE_CHECKING:
    import pandas as pd

NUM_GROUPS = 20  # of images of a class, for intervals
_KIND = "a diagnosis"  # in a file
_AT_TAP = ("sums", "counts", "energy")


@dataclass(frozen=True)
class Diagnosis:
    """Average gradients of every class at every convolution.

    Attributes:
        averages: layer -> A (num_classes, num_channels) float64, from the input to the output.
        tap: the layer that is ranked and treated.
        sums: (num_classes, num_groups, num_channels) at the tap, for intervals.
        counts: (num_classes, num_groups) images in each group.
        energy: (num_classes, height, width) mean over images of sum_k |g| at the tap.
        class_names: one name a class.
        threshold: rule that turns A into "relies on".
        parameters: target, aggregate, noise and so on.
    """

    averages: Mapping[str, np.ndarray]
    tap: str
    sums: np.ndarray
    counts: np.ndarray
    energy: np.ndarray
    class_names: tuple[str, ...]
    threshold: str
    parameters: dict[str, Any]

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the diagnosed layers, from the input to the output."""
        return tuple(self.averages)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the diagnosis to an ``.npz`` file of plain arrays; `load` reads it."""
        about = {
            "layers": list(self.layers),
            "tap": self.tap,
            "class_names": list(self.class_names),
            "threshold": self.threshold,
            "parameters": self.parameters,
        }
        arrays = {f"averages_{place}": each for place, each in enumerate(self.averages.values())}
        arrays |= {name: getattr(self, name) for name in _AT_TAP}
        return write_record(path, _KIND, about, arrays)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Diagnosis:
        """Read what `save` wrote, equal to the last bit.

        Raises:
            FileNotFoundError: no such file.
            ValueError: damaged, or no diagnosis.

        Example:
            >>> diagnose(model, images).save("diagnosis.npz")
            >>> treat(model, images, Diagnosis.load("diagnosis.npz"))
        """
        about, arrays = read_record(path, _KIND)
        with untrusted(f"{path} is no whole diagnosis"):
            layers = [str(name) for name in about["layers"]]
            found = cls(
                averages={name: arrays[f"averages_{place}"] for place, name in enumerate(layers)},
                tap=about["tap"],
                class_names=tuple(map(str, about["class_names"])),
                threshold=about["threshold"],
                parameters=dict(about["parameters"]),
                sums=arrays["sums"],
                counts=arrays["counts"],
                energy=arrays["energy"],
            )
            found._check()
        return found

    def _check(self) -> None:
        """Refuse parts of different networks or data."""
        threshold_rule(self.threshold)
        num_classes = len(self.class_names)
        tables = [self.averages[self.tap], *self.averages.values()]
        fits = (
            all(each.ndim == 2 and len(each) == num_classes for each in tables)
            and self.counts.shape == (num_classes, NUM_GROUPS)
            and self.sums.shape == (*self.counts.shape, tables[0].shape[1])
            and self.energy.ndim == 3
            and len(self.energy) == num_classes
        )
        if not fits:
            raise ValueError("its arrays do not fit together")

    def relies(self, layer: str | None = None) -> np.ndarray:
        """M, bool (num_classes, num_channels): whether a class relies on a channel."""
        return threshold_rule(self.threshold)(self.averages[layer or self.tap])

    def scaled(self, layer: str | None = None) -> np.ndarray:
        """V, (num_classes, num_channels): A scaled to [0, 1) within each class."""
        return scaled(self.averages[layer or self.tap])

    def overlap(self, layer: str | None = None) -> np.ndarray:
        """Jaccard index of the channels of each two classes."""
        return overlap(self.relies(layer))

    def channels(self, seed: int = 0) -> pd.DataFrame:
        """The channels of the tap, those that most classes rely on first.

        Columns: channel, share_of_classes with low and high (95 % over images), strength (mean V).
        """
        import pandas as pd

        rule = threshold_rule(self.threshold)
        share, low, high = share_of_classes(self.sums, self.counts, rule, seed)
        table = pd.DataFrame(
            {
                "channel": np.arange(len(share)),
                "share_of_classes": share,
                "low": low,
                "high": high,
                "strength": self.scaled().mean(axis=0),
            }
        )
        order = ["share_of_classes", "strength", "channel"]
        return table.sort_values(order, ascending=[False, False, True], ignore_index=True)


def diagnose(
    model: Any,
    images: ImageSet,
    *,
    layers: str | Sequence[str] = "all",
    tap: str | None = None,
    target: str = "logit",
    aggregate: str = "absolute",
    threshold: str = "minmax:0.2",
    noise: float = 0.0,
    num_draws: int = 1,
    min_confidence: float = 0.9,
    per_class: int = 100,
    split: str = "train",
    samples: Samples | None = None,
    seed: int = 0,
    batch_size: int | None = None,
    progress: bool = True,
) -> Diagnosis:
    """Average the gradients of images that the network is sure of, class by class.

    A[c, k] = mean over images of class c of sum_ij |d s_c / d F_ijk|, for all layers from one
    forward and one backward pass a batch (Feng et al. 2022, the first stage).

    Args:
        model: a Keras model or a `Classifier`.
        images: the images; the most confident right ones of each class are used.
        layers: "all" convolutions, "last", or names of taps.
        tap: the layer that is ranked and treated; None for the last convolution.
        target: what is differentiated, "logit", "log_prob", "prob" or "loss".
        aggregate: "absolute", or "relu" for what raises the score.
        threshold: when a class relies on a channel, see `threshold_rule`.
        noise: amplitude of uniform noise added to the output of every diagnosed layer.
        num_draws: draws of that noise that are averaged.
        min_confidence, per_class: which images are used, see `find_samples`.
        split: where they come from, "train", "calibration", "test" or "all".
        samples: what `find_samples` found before; None finds them.
        seed: seed of the noise.
        batch_size: images in memory at once; None fits the image size.
        progress: show a progress bar.

    Raises:
        ValueError: a network without convolution, or a class without a confident right image.

    Example:
        >>> diagnosis = diagnose(model, images)
        >>> diagnosis.channels().head()
    """
    classifier = as_classifier(model)
    check_choice("target", target, TARGETS)
    check_choice("aggregate", aggregate, AGGREGATES)
    threshold_rule(threshold)
    check_number("noise", noise, 0)
    draws = check_count("num_draws", num_draws) if noise else 1
    ranked = check_tap(classifier.network, tap).name
    names = _chosen_layers(classifier, layers, ranked)
    samples = samples or find_samples(
        classifier,
        images,
        min_confidence=min_confidence,
        num_high=per_class,
        split=split,
        batch_size=batch_size,
        progress=progress,
    )
    min_confidence, split = samples.parameters["min_confidence"], samples.parameters["split"]
    _refuse_empty_classes(samples.counts, min_confidence, split)
    indices = samples.indices("high")
    fitting = fitting_batch_size(images.image_shape, classifier.network)
    batch_size = check_count("batch_size", batch_size or fitting)
    function = statistics_function(classifier, names, ranked, target, aggregate, noise)
    totals = _Totals(names, ranked, images.labels[indices], classifier.num_classes)
    starts = [(d, s) for d in range(draws) for s in range(0, len(indices), batch_size)]
    for draw, start in progress_bar(starts, "Diagnosing", enabled=progress):
        batch = slice(start, start + batch_size)
        pictures = images.images[indices[batch]]
        words = noise_words(pictures, seed * 1_000_003 + draw)
        labels = images.labels[indices[batch]].astype(np.int32)
        outputs = function(tf.constant(pictures), tf.constant(labels), tf.constant(words))
        totals.add(batch, [output.numpy() for output in outputs])
    parameters = {
        "target": target,
        "aggregate": aggregate,
        "noise": noise,
        "num_draws": draws,
        "min_confidence": min_confidence,
        "per_class": per_class,
        "split": split,
        "shortfalls": [text for text in samples.shortfalls if "high-confidence" in text],
    }
    return totals.finish(draws, images.class_names, threshold, parameters)


def statistics_function(
    classifier: Classifier,
    layers: Sequence[str],
    ranked: str,
    target: str,
    aggregate: str,
    noise: float,
) -> Callable[..., list[tf.Tensor]]:
    """Images, labels, noise words -> [G at each layer (batch, k)..., sum_k |g| at the tap]."""
    network = classifier.network

    def body(images: tf.Tensor, labels: tf.Tensor, words: tf.Tensor) -> list[tf.Tensor]:
        alter = noise_at(layers, words, noise) if noise else None
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(images)
            logits, maps = network.forward(images, list(layers), alter)
            score = tf.gather(scores(logits, target), labels, axis=1, batch_dims=1)
        slopes = tape.gradient(score, maps, unconnected_gradients="zero")
        sizes = [magnitude(slope, aggregate) for slope in slopes]
        energy = tf.reduce_sum(tf.abs(slopes[list(layers).index(ranked)]), axis=3)
        return [*(tf.reduce_sum(size, axis=(1, 2)) for size in sizes), energy]

    key = ("doctor statistics", tuple(layers), ranked, target, aggregate, noise)
    words_spec = tf.TensorSpec((None,), tf.int64)
    return network.function(key, body, [network.image_spec, network.target_spec, words_spec])


class _Totals:
    """Sums by class, and by class and group at the tap; their size does not depend on images."""

    def __init__(self, layers: Sequence[str], ranked: str, labels: np.ndarray, num_classes: int):
        self.layers, self.ranked, self.num_classes = list(layers), ranked, num_classes
        counts = np.bincount(labels, minlength=num_classes)
        place_in_class = np.arange(len(labels)) - np.repeat(np.cumsum(counts) - counts, counts)
        self.cells = labels * NUM_GROUPS + place_in_class % NUM_GROUPS  # labels are sorted
        self.counts = np.bincount(self.cells, minlength=num_classes * NUM_GROUPS)
        self.by_class: dict[str, np.ndarray] = {}
        self.by_group = self.energy = np.zeros(())

    def add(self, batch: slice, outputs: list[np.ndarray]) -> None:
        cells = self.cells[batch]
        groups = (cells == np.arange(self.num_classes * NUM_GROUPS)[:, None]).astype(np.float64)
        classes = groups.reshape(self.num_classes, NUM_GROUPS, -1).sum(axis=1)
        for name, values in zip(self.layers, outputs[:-1], strict=True):
            self.by_class[name] = self.by_class.get(name, 0) + classes @ values
            if name == self.ranked:
                self.by_group = self.by_group + groups @ values
        self.energy = self.energy + np.einsum("cn,nhw->chw", classes, outputs[-1])

    def finish(
        self, draws: int, class_names: tuple[str, ...], threshold: str, parameters: dict
    ) -> Diagnosis:
        counts = self.counts.reshape(self.num_classes, NUM_GROUPS)
        images = counts.sum(axis=1) * draws
        return Diagnosis(
            {name: total / images[:, None] for name, total in self.by_class.items()},
            self.ranked,
            self.by_group.reshape(self.num_classes, NUM_GROUPS, -1) / draws,
            counts,
            self.energy / images[:, None, None],
            class_names,
            threshold,
            parameters,
        )


def _chosen_layers(classifier: Classifier, layers: str | Sequence[str], ranked: str) -> list[str]:
    network = classifier.network
    if isinstance(layers, str):
        check_choice("layers", layers, ("all", "last"))
        found = [tap.name for tap in convolutions(network)]
        names = found if layers == "all" else found[-1:]
    else:
        names = [check_tap(network, name).name for name in layers]
    if ranked not in names:
        names.append(ranked)
    order = {tap.name: place for place, tap in enumerate(network.taps())}
    return sorted(names, key=order.__getitem__)


def _refuse_empty_classes(counts: pd.DataFrame, min_confidence: float, split: str) -> None:
    empty = counts[counts.high == 0]
    if len(empty):
        there = ", ".join(
            f"{row['class']} ({row['images']} images, accuracy {row['accuracy']:.2f}, mean "
            f"confidence {row['confidence']:.2f})"
            for row in empty.to_dict("records")
        )
        raise ValueError(
            f"No image of these classes is classified rightly with at least {min_confidence} "
            f"confidence in the split {split!r}: {there}. {_cure(counts)}"
        )


def _cure(counts: pd.DataFrame) -> str:
    """A lower limit is no cure for a network that guesses."""
    total = int(counts.images.sum())
    right = float((counts.accuracy.fillna(0) * counts.images).sum())
    if total and wilson_interval(right / total, total)[0] <= 1 / len(counts):
        return (
            f"The network cannot be told from guessing: it is right on {right / total:.1%} of "
            f"these {total:,} images, guesses are on {1 / len(counts):.1%}. Check how it is fed "
            "(preprocessing) and judged (class_names), see kernel_lib.intake(model, images), or "
            "train it further."
        )
    return "Lower `min_confidence`, search another `split`, or train the network further."
