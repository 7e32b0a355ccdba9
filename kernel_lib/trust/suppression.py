"""Train a network that keeps its task and forgets others.

An adversary reads the features that feed the head and learns the tasks to be forgotten; on the way
back into the network its gradient is turned round, so that the network learns to mislead it (Ganin
& Lempitsky 2015). Tasks that nobody can name are stood in for by random labels (arXiv 2005.10220).

With strength s, the network follows (1 - s) times the gradient of its own task less s times that of
the adversaries' mean loss; adversaries follow their own. s grows from 0 over the epochs as Ganin
and Lempitsky let it grow, because an adversary that has learned nothing yet has nothing to teach.

An adversary at chance proves nothing, for it is only one reader (Elazar & Goldberg 2018). So every
suppressed network is read again by fresh probes, which it has never met.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from kernel_lib import __version__
from kernel_lib._checks import check_choice, check_count, check_number
from kernel_lib._progress import progress as progress_bar
from kernel_lib._random import random_stream
from kernel_lib.data import ImageSet
from kernel_lib.models.adam import Adam
from kernel_lib.models.classifier import Classifier
from kernel_lib.models.networks.registry import build
from kernel_lib.network.compiled import in_batches
from kernel_lib.network.weights import value_of
from kernel_lib.tasks import cached_arrays
from kernel_lib.trust.auditing import audit
from kernel_lib.trust.columns import TaskColumn, columns_of, primary_task
from kernel_lib.trust.taps import penultimate

if TYPE_CHECKING:
    import pandas as pd

HIDDEN = 128
REDRAWS = ("epoch", "fixed")
_UNKNOWN = "random labels"


@dataclass(frozen=True)
class Suppressed:
    """A network trained to forget.

    Attributes:
        classifier: the network.
        adversary_accuracy: task -> what its own adversary reads off the test images; of random
            labels nothing can be said.
    """

    classifier: Classifier
    adversary_accuracy: dict[str, float]


def reverse_gradient(values: tf.Tensor, strength: tf.Tensor | float = 1.0) -> tf.Tensor:
    """Give values on as they are, and their gradient back times `-strength`."""

    @tf.custom_gradient
    def reverse(passed: tf.Tensor) -> tuple[tf.Tensor, Callable]:
        return tf.identity(passed), lambda gradient: -strength * gradient

    return reverse(values)


def grown(strength: float, progress: float) -> float:
    """The strength at a share of the training (Ganin & Lempitsky 2015, section 4)."""
    return float(strength * (2 / (1 + np.exp(-10 * progress)) - 1))


def suppress(
    network: str,
    images: ImageSet,
    against: str | Sequence[str] = "unknown",
    *,
    strength: float = 0.3,
    num_random: int = 10,
    redraw: str = "epoch",
    epochs: int = 10,
    batch_size: int = 64,
    learning_rate: float = 1e-3,
    seed: int = 0,
    cache: str | os.PathLike[str] | None = None,
    progress: bool = True,
) -> Suppressed:
    """Train a network on `images.labels` and make it forget other tasks.

    Args:
        network: a name of `kernel_lib.models.names()`.
        images: an `ImageSet` with tasks.
        against: names of tasks, whose labels are then used; or "unknown" for random labels.
        strength: weight of misleading the adversaries, 0 (plain training) to below 1, reached
            towards the end of training.
        num_random: classes of the random labels.
        redraw: draw random labels anew at each "epoch", or keep them "fixed".
        epochs: times to go through the train split.
        batch_size: images in a step.
        learning_rate: of Adam.
        seed: of weights, order, and random labels. The same seed gives the same bytes.
        cache: folder where the trained weights are kept by content.
        progress: show a progress bar.

    Returns:
        A `Suppressed` network.

    Raises:
        ValueError: an unknown task, the network's own task, or a strength outside [0, 1).
    """
    check_number("strength", strength, 0, 0.999)
    check_choice("redraw", redraw, REDRAWS)
    check_count("num_random", num_random, low=2)
    targets = _targets(images, against, num_random)
    classifier = build(network, images.image_shape, images.num_classes, seed=seed)
    pair = _Pair(classifier, targets, learning_rate, seed)
    recipe = {
        "network": [network, classifier.digest],
        "images": images.digest,
        "against": list(targets),
        "settings": [strength, num_random, redraw, epochs, batch_size, learning_rate, seed],
        "version": __version__,
    }

    def trained() -> dict[str, np.ndarray]:
        order = random_stream([seed, 0x0DE])
        for epoch in progress_bar(range(check_count("epochs", epochs)), "Epochs", enabled=progress):
            drawn = random_stream([seed, 0x7AB, epoch if redraw == "epoch" else 0])
            labels = _labels(targets, images, num_random, drawn)
            pair.strength.assign(grown(strength, epoch / epochs))
            pair.run_epoch(images, labels, order, check_count("batch_size", batch_size))
        return {str(place): value_of(v) for place, v in enumerate(pair.variables)}

    weights = cached_arrays(cache, "suppress", recipe, trained)
    for place, variable in enumerate(pair.variables):
        variable.assign(weights[str(place)])
    classifier.name = f"{network}, suppressed {strength:g}" if strength else network
    return Suppressed(classifier, pair.adversary_accuracy(images, targets))


def suppression_curve(
    network: str,
    images: ImageSet,
    against: str | Sequence[str] = "unknown",
    *,
    strengths: Sequence[float] = (0.0, 0.1, 0.3, 0.5),
    probes: Sequence[str] = ("ridge",),
    seed: int = 0,
    cache: str | os.PathLike[str] | None = None,
    progress: bool = True,
    **training: Any,
) -> pd.DataFrame:
    """Accuracy against leakage for growing strengths, each network read by fresh probes.

    Args:
        network, images, against, seed, cache, progress: see `suppress`.
        strengths: one network for each.
        probes: names from `probes()`; the first one's scores are given.
        **training: of `suppress`.

    Returns:
        A row for each strength: head_accuracy; trust, preservation and leakage (normalised) with
        intervals; leakage_of_suppressed, over the tasks that were named; adversary_leakage, what
        the network's own adversary still reads of them.
    """
    import pandas as pd

    rows = []
    for strength in strengths:
        made = suppress(
            network, images, against, strength=strength, seed=seed, cache=cache, progress=progress,
            **training,
        )  # fmt: skip
        result = audit(
            made.classifier, images, primary=primary_task(images), taps="penultimate",
            probes=probes, controls=(), seed=seed, progress=progress,
        )  # fmt: skip
        rows.append({"strength": float(strength)} | _outcome(result, made, images))
    return pd.DataFrame(rows)


def _outcome(result: Any, made: Suppressed, images: ImageSet) -> dict[str, float]:
    names = (
        "trust_normalised", "preservation", "leakage", "leakage_low", "leakage_high",
        "head_accuracy",
    )  # fmt: skip
    cells = result.tables["cells"].set_index("target")
    named = list(made.adversary_accuracy) or [t for t in cells.index if t != primary_task(images)]
    chance = cells.ideal[list(made.adversary_accuracy)]
    read = np.array(list(made.adversary_accuracy.values()))
    share = np.clip((read - chance) / (1 - chance), 0, 1)
    return {name: result.scores[name] for name in names} | {
        "leakage_of_suppressed": float(cells.share[named].clip(0, 1).mean()),
        "adversary_leakage": float(share.mean()) if len(share) else np.nan,
    }


class _Pair:
    """A network and its adversaries, trained together.

    Args:
        classifier: a fresh network; its weights are changed in place.
        targets: name -> number of classes, one adversary each.
        learning_rate: of both Adams.
        seed: of the adversaries' weights.
    """

    def __init__(
        self,
        classifier: Classifier,
        targets: dict[str, int],
        learning_rate: float,
        seed: int,
    ):
        self._classifier = classifier
        self.strength = tf.Variable(0.0, trainable=False)
        self._tap = penultimate(classifier)
        known = {tap.name: tap.shape for tap in classifier.network.taps()}
        size = int(np.prod([size or 1 for size in known[self._tap]]))
        self._readers = [
            _adversary(size, count, random_stream([seed, 0xAD7, place]))
            for place, count in enumerate(targets.values())
        ]
        self._weights = [
            variable.value
            for model in (classifier.model, *self._readers)
            for variable in model.trainable_variables
        ]
        self._optimizer = Adam(self._weights, learning_rate)
        self._step = self._compiled()

    @property
    def variables(self) -> list[keras.Variable]:
        """All variables of the network and its adversaries."""
        models = (self._classifier.model, *self._readers)
        return [variable for model in models for variable in model.variables]

    def run_epoch(
        self, images: ImageSet, labels: np.ndarray, order: np.random.Generator, batch_size: int
    ) -> None:
        """Go once through the train split; `labels` are (num_images, 1 + num_adversaries)."""
        rows = order.permutation(images.splits["train"])
        for start in range(0, len(rows), batch_size):
            chosen = rows[start : start + batch_size]
            loss = self._step(tf.constant(images.images[chosen]), tf.constant(labels[chosen]))
        if not np.isfinite(float(loss)):
            raise ValueError(
                "Training failed: the loss is not a finite number. Use a smaller learning rate or "
                f"strength. Received: strength={float(self.strength):g}."
            )

    def adversary_accuracy(self, images: ImageSet, targets: dict[str, int]) -> dict[str, float]:
        """What each adversary reads off the test images."""
        if _UNKNOWN in targets:
            return {}
        columns = columns_of(images)
        test = images.splits["test"]
        network = self._classifier.network
        function = network.function(
            "adversaries",
            lambda pixels: self._scores(self._forward(pixels, False)[1]),
            [network.image_spec],
        )
        answers = in_batches(function, 128, images.images[test])
        found = {}
        for name, scores in zip(targets, answers, strict=True):
            labels = columns[name].labels[test]
            known = labels >= 0
            found[name] = float((scores.argmax(axis=1) == labels)[known].mean())
        return found

    def _forward(self, pixels: tf.Tensor, training: bool) -> tuple[tf.Tensor, tf.Tensor]:
        """Logits of the network and the features that feed its head."""
        network = self._classifier.network
        logits, (features,) = network.forward(pixels, [self._tap], training=training)
        return logits, tf.reshape(features, (tf.shape(features)[0], -1))

    def _scores(self, features: tf.Tensor) -> list[tf.Tensor]:
        return [reader(features, training=False) for reader in self._readers]

    def _compiled(self) -> Callable:
        signature = [self._classifier.network.image_spec, tf.TensorSpec((None, None), tf.int64)]

        @tf.function(input_signature=signature, autograph=False)
        def step(pixels: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
            with tf.GradientTape() as tape:
                logits, features = self._forward(pixels, True)
                own = _mean_loss(logits, labels[:, 0])
                misled = reverse_gradient(features, self.strength)
                others = [
                    _mean_loss(scores, labels[:, place])
                    for place, scores in enumerate(self._scores(misled), start=1)
                ]
                loss = (1 - self.strength) * own + tf.add_n(others) / len(others)
            gradients = tape.gradient(loss, self._weights, unconnected_gradients="zero")
            self._optimizer.apply(gradients)
            return loss

        return step


def _adversary(size: int, num_classes: int, random: np.random.Generator) -> keras.Model:
    layers = [
        keras.layers.Dense(
            units, activation,
            kernel_initializer=keras.initializers.GlorotUniform(int(random.integers(2**31))),
        )
        for units, activation in ((HIDDEN, "relu"), (num_classes, None))
    ]  # fmt: skip
    return keras.Sequential([keras.Input((size,)), *layers])


def _mean_loss(scores: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Mean cross-entropy over the images that have a label."""
    known = tf.cast(labels >= 0, tf.float32)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.maximum(labels, 0), scores)
    return tf.reduce_sum(losses * known) / tf.maximum(tf.reduce_sum(known), 1)


def _targets(images: ImageSet, against: str | Sequence[str], num_random: int) -> dict[str, int]:
    """What is to be forgotten, and how many classes each has."""
    if against == "unknown":
        return {_UNKNOWN: num_random}
    columns: dict[str, TaskColumn] = columns_of(images)
    others = [name for name in columns if name != primary_task(images)]
    names = [against] if isinstance(against, str) else list(against)
    if not names:
        raise ValueError("`against` is empty. Name tasks to forget, or use 'unknown'.")
    return {check_choice("against", name, others): columns[name].num_classes for name in names}


def _labels(
    targets: dict[str, int], images: ImageSet, num_random: int, random: np.random.Generator
) -> np.ndarray:
    """(num_images, 1 + num_targets): the network's own labels, then what is to be forgotten."""
    columns = {} if _UNKNOWN in targets else columns_of(images)
    others = [
        random.integers(0, num_random, len(images)) if name == _UNKNOWN else columns[name].labels
        for name in targets
    ]
    return np.stack([images.labels, *others], axis=1)
