"""What an audit will cost here, from a timed batch and the number of passes it needs.

An audit says how many images must pass through the network (`Work`, in the module `work` of each);
one forward and one backward batch on this machine say how long a pass takes.
"""

from __future__ import annotations

import importlib
import inspect
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kernel_lib._checks import check_choice
from kernel_lib.audit.findings import Finding
from kernel_lib.data import ImageSet
from kernel_lib.models.classifier import Classifier
from kernel_lib.network.compiled import fitting_batch_size

AUDITS = ("doctor", "errors", "invariance", "saliency", "trust")
WORTH_A_WORD = 120.0  # seconds; shorter audits start without one
_CERTAINLY_SHORT = 2e8  # pixels through the network; not even timed
_BACKWARD = 3.0  # forward passes a forward and backward pass takes, before it is timed


@dataclass(frozen=True)
class Work:
    """What an audit asks of a network.

    Attributes:
        forward: images that pass forward.
        gradient: images that pass forward and backward.
        other: seconds of work beside the network.
        held: bytes of arrays that are kept to the end.
        cheaper: option -> value that makes the audit markedly cheaper.
    """

    forward: float
    gradient: float = 0.0
    other: float = 0.0
    held: float = 0.0
    cheaper: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Speed:
    """Seconds an image takes in batches, forward, and forward and backward."""

    forward: float
    gradient: float

    def seconds(self, work: Work) -> float:
        """How long so much work takes."""
        return work.forward * self.forward + work.gradient * self.gradient + work.other


def forecast(
    audit: str,
    classifier: Classifier,
    images: ImageSet | np.ndarray,
    options: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Time and memory that an audit needs on this machine; good to a factor of about two.

    Args:
        audit: "doctor", "errors", "invariance", "saliency" or "trust".
        classifier: the network.
        images: what it is audited on.
        options: of the audit, where they differ from its defaults.

    Returns:
        "seconds", "memory" (bytes beyond what the process holds now), "forward", "gradient" (images
        that pass), "cheaper" (an option that saves much) with "cheaper_seconds", and "summary".
    """
    work = work_of(audit, classifier, images, options)
    speed = measured_speed(classifier, _pixels(images), (options or {}).get("batch_size"))
    seconds = speed.seconds(work)
    found: dict[str, Any] = {
        "audit": audit,
        "seconds": round(seconds, 1),
        "memory": round(_memory(classifier, images, work)),
        "forward": round(work.forward),
        "gradient": round(work.gradient),
        "cheaper": dict(work.cheaper),
        "cheaper_seconds": None,
    }
    cheaper = ""
    if work.cheaper and seconds > WORTH_A_WORD:
        less = work_of(audit, classifier, images, {**(options or {}), **work.cheaper})
        found["cheaper_seconds"] = round(speed.seconds(less), 1)
        told = ", ".join(f"{name}={value!r}" for name, value in work.cheaper.items())
        cheaper = f"; {told} takes {duration(speed.seconds(less))}"
    found["summary"] = (
        f"the {audit} audit takes about {duration(seconds)} on this machine "
        f"({passes(work)}) and {found['memory'] / 1e6:,.0f} MB{cheaper}"
    )
    return found


def announce(
    audit: str,
    classifier: Classifier,
    images: ImageSet | np.ndarray,
    options: Mapping[str, Any],
    *,
    progress: bool,
    stops: Sequence[Finding] = (),
) -> None:
    """Say what a long audit will cost, before it starts; short ones start without a word.

    Args:
        audit, classifier, images, options: as in `forecast`.
        progress: whether anybody wants to know.
        stops: of the intake. Nothing can be concluded with them, so there is no need to wait.
    """
    if not progress:
        return
    for each in stops:
        print(f"No verdict can stand: {each.text} {each.cure}", file=sys.stderr, flush=True)
    work = work_of(audit, classifier, images, options)
    pixels = float(np.prod(_pixels(images).shape[1:3]))
    if (work.forward + _BACKWARD * work.gradient) * pixels < _CERTAINLY_SHORT and not work.other:
        return
    found = forecast(audit, classifier, images, options)
    if found["seconds"] > WORTH_A_WORD:
        text = found["summary"]
        print(f"{text[0].upper()}{text[1:]}.", file=sys.stderr, flush=True)


def work_of(
    audit: str,
    classifier: Classifier,
    images: ImageSet | np.ndarray,
    options: Mapping[str, Any] | None = None,
) -> Work:
    """The work of an audit with these options; those left out take the audit's defaults."""
    check_choice("audit", audit, AUDITS)
    count: Callable[..., Work] = importlib.import_module(f"kernel_lib.{audit}.work").work
    signature = inspect.signature(importlib.import_module(f"kernel_lib.{audit}").audit)
    defaults = {
        name: parameter.default
        for name, parameter in signature.parameters.items()
        if parameter.default is not parameter.empty
    }
    given = dict(options or {})
    for name in given:
        check_choice("options", name, defaults)
    return count(classifier, images, **(defaults | given))


def measured_speed(
    classifier: Classifier, pixels: np.ndarray, batch_size: int | None = None
) -> Speed:
    """Time a batch, forward and backward, once everything is compiled."""
    import tensorflow as tf

    size = min(batch_size or fitting_batch_size(pixels.shape[1:], classifier.network), len(pixels))
    batch = tf.constant(np.ascontiguousarray(pixels[:size], np.float32))
    targets = tf.zeros(size, tf.int32)
    forward = classifier.network.logits_function()
    seconds = _timed(lambda: forward(batch)) / size
    if not classifier.network.has_gradient:  # audits that need none go on
        return Speed(seconds, seconds)
    gradient = classifier.network.image_gradient_function()
    return Speed(seconds, _timed(lambda: gradient(batch, targets)) / size)


def _timed(run: Callable[[], Any]) -> float:
    run().numpy()  # the first run compiles
    best = np.inf
    for _ in range(2):
        start = time.perf_counter()
        run().numpy()
        best = min(best, time.perf_counter() - start)
    return float(best)


def _memory(classifier: Classifier, images: ImageSet | np.ndarray, work: Work) -> float:
    """Bytes: a copy of the weights, a batch's outputs forward and backward, what is kept."""
    pixels = _pixels(images)
    weights = sum(int(np.prod(v.shape)) * 4 for v in classifier.model.weights)
    outputs = classifier.network.output_bytes(pixels.shape[1:])
    size = fitting_batch_size(pixels.shape[1:], classifier.network)
    return weights + 2.0 * size * outputs + work.held


def _pixels(images: ImageSet | np.ndarray) -> np.ndarray:
    return images.images if isinstance(images, ImageSet) else np.asarray(images)


def passes(work: Work) -> str:
    """The passes in words."""
    parts = [f"{round(work.forward):,} forward passes"] if work.forward >= 1 else []
    parts += [f"{round(work.gradient):,} gradient passes"] if work.gradient >= 1 else []
    return " and ".join(parts) or "no pass"


def duration(seconds: float) -> str:
    """A time as people say it: "40 s", "12 min", "3.2 h"."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 5400:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"
