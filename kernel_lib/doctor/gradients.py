"""Gradients of class scores at feature maps.

| symbol | meaning |
|---|---|
| F (n, h, w, k) | feature maps at a tap |
| z, p (n, c) | logits and their softmax |
| g_c = ds_c / dF | gradient of the score of class c |
| G_c (n, k) | sum over places of \\|g_c\\|, or of relu(g_c) |

A score s_c is the logit z_c, its log-probability, its probability, or the loss -log p_c. In a
network whose layers after the tap are piecewise linear, the logit's gradient does not see how sure
the network is, which suits a diagnosis; log p_c vanishes as p_c nears 1 and so minds the hard
images, which suits a treatment.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kernel_lib._checks import check_choice, check_count
from kernel_lib.doctor.places import check_tap
from kernel_lib.models.classifier import Classifier, as_classifier
from kernel_lib.network.compiled import Alteration, CompiledNetwork, fitting_batch_size, in_batches

TARGETS = ("logit", "log_prob", "prob", "loss")
AGGREGATES = ("absolute", "relu")
_MOST_UNROLLED = 20  # classes; with more, a loop keeps the graph small


def scores(logits: tf.Tensor, target: str) -> tf.Tensor:
    """The score of every class, (n, c)."""
    match check_choice("target", target, TARGETS):
        case "logit":
            return logits
        case "prob":
            return tf.nn.softmax(logits)
        case "loss":
            return -tf.nn.log_softmax(logits)
    return tf.nn.log_softmax(logits)


def magnitude(slopes: tf.Tensor, aggregate: str) -> tf.Tensor:
    """What of a gradient counts: its size, or only what raises the score."""
    slopes = tf.cast(slopes, tf.float32)
    return tf.nn.relu(slopes) if aggregate == "relu" else tf.abs(slopes)


def watching(tape: tf.GradientTape, tap: str, then: Alteration | None = None) -> Alteration:
    """Let `tape` record from `tap` on; nothing before it is differentiated."""

    def alter(name: str, layer: keras.Operation, output: tf.Tensor) -> tf.Tensor:
        output = then(name, layer, output) if then else output
        if name == tap:
            tape.watch(output)
        return output

    return alter


def class_gradients(
    model: Any,
    images: np.ndarray,
    *,
    tap: str | None = None,
    target: str = "logit",
    aggregate: str = "absolute",
    batch_size: int | None = None,
) -> np.ndarray:
    """How strongly every class depends on every channel, image by image.

    One forward pass a batch; only the layers after the tap are run backwards, once for each
    class.

    Args:
        model: a Keras model or a `Classifier`.
        images: (num_images, height, width, channels) in [0, 1].
        tap: where; None for the last convolution, see `kernel_lib.doctor.default_tap`.
        target: "logit", "log_prob", "prob" or "loss".
        aggregate: "absolute" or "relu".
        batch_size: images in memory at once; None fits the image size.

    Returns:
        (num_images, num_classes, num_channels) float32: the sum over places of the gradient's
        size.

    Example:
        >>> strengths = class_gradients(model, images.test.images)
        >>> strengths.mean(axis=0)  # classes x channels
    """
    classifier = as_classifier(model)
    images = classifier.check_images(images)
    check_choice("aggregate", aggregate, AGGREGATES)
    name = check_tap(classifier.network, tap).name
    function = class_gradients_function(classifier, name, target, aggregate)
    fitting = fitting_batch_size(images.shape[1:], classifier.network)
    batch_size = check_count("batch_size", batch_size or fitting)
    return in_batches(function, batch_size, images)[0]


def class_gradients_function(
    classifier: Classifier, tap: str, target: str, aggregate: str
) -> Callable[..., tf.Tensor]:
    """Images -> (batch, num_classes, num_channels); see `class_gradients`."""
    network: CompiledNetwork = classifier.network

    def body(images: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
            logits, (maps,) = network.forward(images, [tap], watching(tape, tap))
            each = tf.unstack(scores(logits, target), axis=1)
            columns = tf.transpose(scores(logits, target)) if len(each) > _MOST_UNROLLED else None

        def strength(score: tf.Tensor, weights: tf.Tensor | None = None) -> tf.Tensor:
            slopes = tape.gradient(score, maps, weights, unconnected_gradients="zero")
            return tf.reduce_sum(magnitude(slopes, aggregate), axis=(1, 2))

        if columns is None:
            return tf.stack([strength(score) for score in each], axis=1)

        def of_class(index: tf.Tensor) -> tf.Tensor:
            chosen = tf.one_hot(index, len(each))[:, None] * tf.ones_like(columns)
            return strength(columns, chosen)

        found = tf.map_fn(of_class, tf.range(len(each)), fn_output_signature=tf.float32)
        return tf.transpose(found, [1, 0, 2])

    key = ("class gradients", tap, target, aggregate)
    return network.function(key, body, [network.image_spec])
