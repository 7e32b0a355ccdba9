"""The scale a network was trained on, measured: accuracy under each candidate on labelled images.

A network that is fed at the wrong scale guesses, or worse, half guesses. Where labels are at hand
the scale need not be believed: candidates are tried on the same images, and one replaces another
only if a paired exact test says so.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from kernel_lib.audit.class_order import find_class_order
from kernel_lib.audit.standing import Standing, standing_of
from kernel_lib.audit.statistics import exact_mcnemar
from kernel_lib.models.classifier import Classifier
from kernel_lib.models.preprocessing import NAMED, Preprocessing
from kernel_lib.network.compiled import CompiledNetwork, in_batches

FIRST_LOOK = 48  # images on which candidates are tried; most questions end there
_NO_ROOM = 1  # wrong among the first images that leave nothing for a rarer scale to gain
SIGNIFICANCE = 0.001  # of the paired test, divided by the number of candidates
LEAST_GAIN = 0.03  # accuracy that another scale must gain to be worth a word


@dataclass(frozen=True)
class Candidate:
    """How one scale did.

    Attributes:
        name: of the preprocessing, as a person would call it.
        preprocessing: the scale itself.
        right: (num_images,) bool, whether each image is classified rightly.
        standing: accuracy beside chance.
        p_value: of the difference from the current scale, exact and paired; 1 for the current.
    """

    name: str
    preprocessing: Preprocessing
    right: np.ndarray
    standing: Standing
    p_value: float

    @property
    def as_argument(self) -> str:
        """What to write after ``preprocessing=`` to get this scale."""
        own = self.preprocessing
        if own.name != "affine":
            return repr(own.name)
        apart = ";" if len(own.scale) > 1 or len(own.offset) > 1 else ","
        text = apart.join(",".join(f"{x:g}" for x in part) for part in (own.scale, own.offset))
        if own.reverse_channels or text.startswith("-"):  # which a command line takes for an option
            parts = {"scale": list(own.scale), "offset": list(own.offset)}
            text = json.dumps(parts | ({"reverse_channels": True} if own.reverse_channels else {}))
        return repr(text)

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
    """Try each named scale on the same labelled images, and rarer ones where none of these does.

    All candidates see the first images. The others are looked at only where one of the candidates
    is not clearly behind, so a network that is fed rightly costs few passes.

    Args:
        classifier: the network as it is fed now.
        images: (num_images, height, width, channels) in [0, 1].
        labels: (num_images,) classes in the network's order.
        batch_size: images in memory at once.
    """
    current = classifier.preprocessing
    named = {
        name: way
        for name, way in NAMED.items()
        if (images.shape[-1] == 3 or not name.startswith("imagenet")) and not _same(way, current)
    }
    rarer = {name: way for name, way in _rarer(images).items() if not _same(way, current)}
    ways = {_CURRENT: current, **named, **rarer}
    taken = min(FIRST_LOOK, len(images))
    answer = _reader(classifier, images, batch_size)
    first = {name: answer(way, slice(0, taken)) for name, way in ways.items() if name not in rarer}
    wrong = {name: int((said != labels[:taken]).sum()) for name, said in first.items()}
    if min(wrong.values()) > _NO_ROOM:
        first |= {name: answer(way, slice(0, taken)) for name, way in rarer.items()}
        wrong = {name: int((said != labels[:taken]).sum()) for name, said in first.items()}
    close = [name for name in first if wrong[name] < wrong[_CURRENT]]
    if close and taken < len(images):
        rest = slice(taken, len(images))
        for name in (_CURRENT, *close):
            first[name] = np.concatenate([first[name], answer(ways[name], rest)])
    return _judged(first, ways, labels, classifier.num_classes, tuple(rarer))


_CURRENT = "as it is"


def _rarer(images: np.ndarray) -> dict[str, Preprocessing]:
    """Scales that have no name of their own: of a data set's statistics, inverted, blue first."""
    means, deviations = images.mean(axis=(0, 1, 2)), images.std(axis=(0, 1, 2))
    deviations = np.maximum(deviations, 1e-6)

    def affine(scale: Any, offset: Any, *, blue_first: bool = False) -> Preprocessing:
        scale, offset = (
            tuple(float(f"{x:.4g}") for x in np.atleast_1d(part)) for part in (scale, offset)
        )
        return Preprocessing("affine", scale, offset, reverse_channels=blue_first)

    found = {
        "standardized by the mean and deviation of these images": affine(
            1 / deviations, -means / deviations
        ),
        "less the mean of these images": affine(1.0, -means),
        "bytes less the mean of these images": affine(255.0, -255 * means),
        "inverted": affine(-1.0, 1.0),
        "symmetric, inverted": affine(-2.0, 1.0),
        "bytes, inverted": affine(-255.0, 255.0),
    }
    if images.shape[-1] == 3:
        found |= {
            "blue first": affine(1.0, 0.0, blue_first=True),
            "symmetric, blue first": affine(2.0, -1.0, blue_first=True),
            "bytes, blue first": affine(255.0, 0.0, blue_first=True),
        }
    return found


def _judged(
    said: dict[str, np.ndarray],
    ways: dict[str, Preprocessing],
    labels: np.ndarray,
    num_classes: int,
    rarer: tuple[str, ...],
) -> ScaleTest:
    right = {name: answers == labels[: len(answers)] for name, answers in said.items()}
    significance = SIGNIFICANCE / max(len(said) - 1, 1)

    def p_value(name: str, other: str) -> float:
        both = min(len(right[name]), len(right[other]))
        return exact_mcnemar(right[name][:both], right[other][:both])

    def beats(name: str, other: str) -> bool:
        return (
            len(right[name]) == len(right[other])
            and p_value(name, other) < significance
            and right[name].mean() > right[other].mean() + LEAST_GAIN
        )

    found = {}
    for name, answers in said.items():
        standing = standing_of(answers, labels[: len(answers)], num_classes)
        shown = ways[name].name if name == _CURRENT else name
        p = 1.0 if name == _CURRENT else p_value(name, _CURRENT)
        found[name] = Candidate(shown, ways[name], right[name], standing, p)
    decisive = [n for n in found if beats(n, _CURRENT) and not found[n].standing.is_guessing]
    usual = [name for name in decisive if name not in rarer]
    best = max(usual, key=lambda name: right[name].mean(), default=_CURRENT)
    # A scale with a name is preferred to one made up from the images, unless that one is better.
    best = max(
        [n for n in decisive if n in rarer and beats(n, best)],
        key=lambda name: right[name].mean(),
        default=best,
    )
    better = None if best == _CURRENT else found[best]
    if better is not None and _is_order(said[_CURRENT], labels, num_classes, better):
        better = None
    return ScaleTest(tuple(found.values()), better)


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
