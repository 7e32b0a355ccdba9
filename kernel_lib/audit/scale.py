"""The scale a network was trained on, measured: accuracy under each candidate on labelled images.

A network that is fed at the wrong scale guesses, or worse, half guesses. Where labels are at hand
the scale need not be believed: candidates are tried on the same images, and one replaces another
only if a paired exact test says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from kernel_lib.audit.class_order import find_class_order
from kernel_lib.audit.standing import Standing, standing_of
from kernel_lib.audit.statistics import exact_mcnemar
from kernel_lib.models.classifier import Classifier
from kernel_lib.models.preprocessing import NAMED
from kernel_lib.network.compiled import CompiledNetwork, in_batches

FIRST_LOOK = 48  # images on which all candidates are tried; most questions end there
SIGNIFICANCE = 0.001  # of the paired test, divided by the number of candidates
LEAST_GAIN = 0.03  # accuracy that another scale must gain to be worth a word


@dataclass(frozen=True)
class Candidate:
    """How one scale did.

    Attributes:
        name: of the preprocessing.
        right: (num_images,) bool, whether each image is classified rightly.
        standing: accuracy beside chance.
        p_value: of the difference from the current scale, exact and paired; 1 for the current.
    """

    name: str
    right: np.ndarray
    standing: Standing
    p_value: float

    def describe(self) -> dict[str, Any]:
        """As plain data."""
        return {"preprocessing": self.name, "p_value": self.p_value, **self.standing.describe()}


@dataclass(frozen=True)
class ScaleTest:
    """What was measured about the scale.

    Attributes:
        candidates: the current scale first.
        better: the candidate that is decisively better than the current one, or None.
    """

    candidates: tuple[Candidate, ...]
    better: Candidate | None

    @property
    def current(self) -> Candidate:
        """The scale the network is fed at."""
        return self.candidates[0]


def measure_scale(
    classifier: Classifier, images: np.ndarray, labels: np.ndarray, batch_size: int
) -> ScaleTest:
    """Try each named scale on the same labelled images.

    All candidates see the first images. The others are looked at only where one of the candidates
    is not clearly behind, so a network that is fed rightly costs few passes.

    Args:
        classifier: the network as it is fed now.
        images: (num_images, height, width, channels) in [0, 1].
        labels: (num_images,) classes in the network's order.
        batch_size: images in memory at once.
    """
    names = [n for n in NAMED if images.shape[-1] == 3 or not n.startswith("imagenet")]
    current = classifier.preprocessing
    others = [name for name in names if not _same(NAMED[name], current)]
    taken = min(FIRST_LOOK, len(images))
    answer = _reader(classifier, images, batch_size)
    said = {current.name: answer(current, slice(0, taken))}
    said |= {name: answer(NAMED[name], slice(0, taken)) for name in others}
    first = said[current.name] == labels[:taken]
    close = [n for n in others if (said[n] == labels[:taken]).sum() > first.sum()]
    if close and taken < len(images):
        rest = slice(taken, len(images))
        for name in (current.name, *close):
            way = current if name == current.name else NAMED[name]
            said[name] = np.concatenate([said[name], answer(way, rest)])
    return _judged(current.name, said, labels, classifier.num_classes, len(others))


def _judged(
    current: str, said: dict[str, np.ndarray], labels: np.ndarray, num_classes: int, num_others: int
) -> ScaleTest:
    candidates = []
    base = said[current] == labels[: len(said[current])]
    for name, answers in said.items():
        right = answers == labels[: len(answers)]
        both = min(len(right), len(base))
        p_value = 1.0 if name == current else exact_mcnemar(right[:both], base[:both])
        standing = standing_of(answers, labels[: len(answers)], num_classes)
        candidates.append(Candidate(name, right, standing, p_value))
    decisive = [
        each
        for each in candidates[1:]
        if each.p_value < SIGNIFICANCE / max(num_others, 1)
        and len(each.right) == len(base)
        and each.standing.accuracy > candidates[0].standing.accuracy + LEAST_GAIN
        and not each.standing.is_guessing
    ]
    better = max(decisive, key=lambda each: each.standing.accuracy, default=None)
    if better is not None and _is_order(said[current], labels, num_classes, better):
        better = None
    return ScaleTest(tuple(candidates), better)


def _is_order(answers: np.ndarray, labels: np.ndarray, num_classes: int, better: Candidate) -> bool:
    """Whether the current scale is right and only the classes stand in another order.

    A network that is fed rightly and judged in a wrong order is right less often than by chance, so
    that a wrong scale may look better.
    """
    order = find_class_order(answers, labels[: len(answers)], num_classes)
    return order is not None and order.matched_accuracy >= better.standing.accuracy


def _reader(classifier: Classifier, images: np.ndarray, batch_size: int) -> Any:
    """Predicted classes under any preprocessing, from one trace for all of them."""
    bare = CompiledNetwork(
        classifier.model, lambda batch: batch, classifier.head, classifier.network.output,
        images.shape[1:],
    )  # fmt: skip

    def answer(preprocessing: Any, part: slice) -> np.ndarray:
        function = bare.logits_function()
        logits = in_batches(
            lambda batch: function(tf.cast(preprocessing.apply(batch), tf.float32)),
            batch_size,
            images[part],
        )[0]
        return logits.argmax(axis=1)

    return answer


def _same(one: Any, other: Any) -> bool:
    if one.layer is not None or other.layer is not None:
        return False
    return (
        np.array_equal(np.ravel(one.scale), np.ravel(other.scale))
        and np.array_equal(np.ravel(one.offset), np.ravel(other.offset))
        and one.reverse_channels == other.reverse_channels
    )
