"""What a network says about images at every step of a transformation: scalar signals.

| signal | meaning |
|---|---|
| confidence | largest class probability, of whatever class wins |
| true_class | probability of the label (only where images have labels) |
| original_class | probability of the class that wins at the identity step |
| margin | largest minus second largest probability |
| entropy | of the class probabilities, in nats |
| TAP.STATISTIC | of one convolution's output A (height, width, channels), for eight statistics |

With mu_c the spatial mean and M_c the spatial maximum of channel c: `mean`, `std`, `max`, `min`
over all of A; `mean_max` = max_c mu_c; `mean_std` = std_c mu_c; `max_mean` = mean_c M_c;
`max_std` = std_c M_c. Standard deviations are those of the whole (ddof 0).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from kernel_lib._checks import check_choice
from kernel_lib.invariance.grids import Grid

OUTPUT_SIGNALS = ("confidence", "true_class", "original_class", "margin", "entropy")
STATISTICS = ("mean", "std", "max", "min", "mean_max", "mean_std", "max_mean", "max_std")
SPLITS = ("all", "correct", "incorrect")


@dataclass(frozen=True)
class Signals:
    """Signals of N images at T steps.

    Attributes:
        names: (S,) names of the signals.
        values: (S, T, N) float32.
        predictions: (T, N) predicted classes.
        grid: the steps.
        labels: (N,) classes, or None.
        plateau: (T,) steps with the same number hold the same pixels in every image.
        num_classes: classes of the network.
        settings: how the pixels were made, see `Stepper.describe`.
    """

    names: tuple[str, ...]
    values: np.ndarray
    predictions: np.ndarray
    grid: Grid
    labels: np.ndarray | None = None
    plateau: np.ndarray | None = None
    num_classes: int = 0
    settings: dict[str, Any] | None = None

    def __len__(self) -> int:
        """Number of images."""
        return self.predictions.shape[1]

    def signal(self, name: str) -> np.ndarray:
        """One signal (T, N)."""
        return self.values[self.names.index(check_choice("signal", name, self.names))]

    @cached_property
    def right(self) -> np.ndarray:
        """(T, N) whether the predicted class is the label."""
        if self.labels is None:
            raise ValueError("These images have no labels: nothing can be called right or wrong.")
        return self.predictions == self.labels

    def split(self, name: str) -> Signals:
        """The images that are "correct" or "incorrect" at the identity step, or "class:K".

        Raises:
            ValueError: no such split, or fewer than two images in it.
        """
        if name == "all":
            chosen = np.ones(len(self), bool)
        elif self.labels is not None and re.fullmatch(r"class:\d+", name):
            chosen = self.labels == int(name.removeprefix("class:"))
        else:
            check_choice("split", name, SPLITS)
            chosen = self.right[self.grid.identity_index] == (name == "correct")
        return self.select(chosen, name)

    def select(self, chosen: np.ndarray, name: str = "chosen") -> Signals:
        """The same signals of some of the images, at least two."""
        chosen = np.arange(len(self))[np.asarray(chosen)]
        if len(chosen) < 2:
            raise ValueError(
                f"The split {name!r} holds {len(chosen)} of {len(self)} images; a variance matrix "
                "needs at least 2. Use more images, or another split."
            )
        return replace(
            self,
            values=self.values[..., chosen],
            predictions=self.predictions[:, chosen],
            labels=None if self.labels is None else self.labels[chosen],
        )

    def scaled(self, reference: Signals | None = None) -> Signals:
        """Convolution statistics divided by their deviation over images at the identity step.

        Convolution outputs have no natural unit, so unscaled they cannot be compared between
        networks. A statistic that is the same for every image stays as it is.
        """
        known = reference or self
        deviation = known.values[:, known.grid.identity_index].std(axis=1, dtype=np.float64)
        is_output = np.array([name in OUTPUT_SIGNALS for name in self.names])
        divisor = np.where(is_output | (deviation == 0), 1.0, deviation)
        return replace(self, values=(self.values / divisor[:, None, None]).astype(np.float32))


def signal_names(taps: Sequence[str], has_labels: bool) -> tuple[str, ...]:
    """Names of all signals, outputs first."""
    outputs = [name for name in OUTPUT_SIGNALS if has_labels or name != "true_class"]
    return (*outputs, *(f"{tap}.{statistic}" for tap in taps for statistic in STATISTICS))


def default_taps(network: Any) -> tuple[str, str]:
    """The last two convolutions; else the last two taps with axes between batch and channels.

    Raises:
        ValueError: a network without any (one of dense layers alone).
    """
    import keras

    convolutions = (
        keras.layers.Conv2D,
        keras.layers.DepthwiseConv2D,
        keras.layers.SeparableConv2D,
    )
    known = [tap for tap in network.taps() if len(tap.shape) >= 2]
    found = [tap.name for tap in known if isinstance(tap.layer, convolutions)]
    found = found if len(found) >= 2 else [tap.name for tap in known]
    if len(found) < 2:
        raise ValueError(
            "The network has fewer than two taps with spatial axes. Name two with `taps`, or use "
            "taps=[] to read its output alone."
        )
    return found[-2], found[-1]


def signals_function(network: Any, taps: Sequence[str], has_labels: bool) -> Callable:
    """Compile (images, labels, originals) -> [signals (batch, S), predictions (batch,)].

    All signals come from one forward pass. `originals` is the class each image has at the
    identity step; -1 takes the class that wins now.
    """
    import tensorflow as tf

    def body(images: Any, labels: Any, originals: Any) -> list[Any]:
        logits, values = network.forward(images, taps)
        probabilities, entropy = _shares(logits, network.is_multi_label)
        predictions = tf.argmax(logits, axis=1, output_type=tf.int32)
        best = tf.math.top_k(probabilities, 2).values
        first = tf.where(originals < 0, predictions, originals)
        found = [best[:, 0]]
        if has_labels:
            found.append(tf.gather(probabilities, labels, axis=1, batch_dims=1))
        found += [
            tf.gather(probabilities, first, axis=1, batch_dims=1),
            best[:, 0] - best[:, 1],
            entropy,
        ]
        for value in values:
            found += _statistics(value)
        return [tf.stack(found, axis=1), predictions]

    signature = [network.image_spec, network.target_spec, network.target_spec]
    return network.function(("invariance signals", tuple(taps), has_labels), body, signature)


def _shares(logits: Any, is_multi_label: bool) -> tuple[Any, Any]:
    """Probabilities (batch, classes), and the entropy (batch,) of the answer.

    Classes that are judged on their own have a probability each, and their entropies add up.
    """
    import tensorflow as tf

    if not is_multi_label:
        shares = tf.nn.softmax(logits)
        return shares, -tf.reduce_sum(shares * tf.nn.log_softmax(logits), axis=1)
    shares = tf.sigmoid(logits)
    entropy = tf.nn.sigmoid_cross_entropy_with_logits(labels=shares, logits=logits)
    return shares, tf.reduce_sum(entropy, axis=1)


def _statistics(value: Any) -> list[Any]:
    """The eight statistics of one activation, each (batch,)."""
    import tensorflow as tf

    middle = list(range(1, value.shape.rank - 1))
    everything = [*middle, value.shape.rank - 1]
    means, peaks = tf.reduce_mean(value, middle), tf.reduce_max(value, middle)
    mean = tf.reduce_mean(means, 1)  # channels have equally many places
    away = tf.math.squared_difference(value, tf.reshape(mean, [-1] + [1] * len(everything)))
    return [
        mean,
        tf.sqrt(tf.reduce_mean(away, everything)),
        tf.reduce_max(peaks, 1),
        tf.reduce_min(value, everything),
        tf.reduce_max(means, 1),
        tf.math.reduce_std(means, 1),
        tf.reduce_mean(peaks, 1),
        tf.math.reduce_std(peaks, 1),
    ]
