"""Look at the constraints once before training: their sizes, and whether they can do anything."""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from kernel_lib.doctor.course import Course
from kernel_lib.doctor.gradients import scores
from kernel_lib.doctor.places import convolutions

_FLAT = 1e-4  # relative spread over places below which a gradient is the same everywhere


@dataclass(frozen=True)
class Survey:
    """What a first batch shows.

    Attributes:
        cross_entropy, channel, spatial: the parts of the loss.
        spread: how much the constrained reading varies over the places of a map, relative to its
            size; 0 if it is the same everywhere.
        reaches_trunk: whether the constraints have a gradient at any convolution's weights; None if
            that was not asked.
    """

    cross_entropy: float
    channel: float
    spatial: float
    spread: float
    reaches_trunk: bool | None = None


def survey(course: Course, batch: tuple, with_trunk: bool) -> Survey:
    """Measure the constraints of `course` on one batch, without changing a weight."""
    state = [tf.identity(variable.value) for variable in course.network.non_trainable_variables]
    (images, background, has_mask), labels = batch
    values = _measured(course, with_trunk)(images, background, has_mask, labels)
    # A forward pass in training mode moves the averages of batch normalisation: put them back.
    for variable, value in zip(course.network.non_trainable_variables, state, strict=True):
        variable.assign(value)
    entropy, channel, spatial, spread, reach = (float(value) for value in values)
    return Survey(entropy, channel, spatial, spread, reach > 0 if with_trunk else None)


def _measured(course: Course, with_trunk: bool) -> tf.types.experimental.PolymorphicFunction:
    @tf.function(autograph=False, jit_compile=False)
    def measure(
        images: tf.Tensor, background: tf.Tensor, has_mask: tf.Tensor, labels: tf.Tensor
    ) -> list[tf.Tensor]:
        with tf.GradientTape(persistent=True) as tape:
            _, losses = course.losses_of(images, background, has_mask, labels)
            constraint = losses["channel"] + losses["spatial"]
            slopes = _reading(course, images, labels)
        reach = tf.constant(0.0)
        if with_trunk:
            kernels = [each.value for each in _convolution_weights(course)]
            found = tape.gradient(constraint, kernels, unconnected_gradients="zero")
            reach = tf.add_n([tf.reduce_sum(tf.abs(slope)) for slope in found])
        parts = [losses[name] for name in ("cross_entropy", "channel", "spatial")]
        return [*parts, _spread(slopes), reach]

    return measure


def _convolution_weights(course: Course) -> list[keras.Variable]:
    taps = convolutions(course.classifier.network)
    return [weight for tap in taps for weight in tap.layer.trainable_weights]


def _reading(course: Course, images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """What the spatial loss looks at."""
    with tf.GradientTape(watch_accessed_variables=False) as inner:
        logits, maps = course._forward(images, True, inner)
        table = scores(logits, course.recipe.target)
        score = tf.reduce_sum(tf.gather(table, labels, axis=1, batch_dims=1))
    slopes = inner.gradient(score, maps)
    return slopes * maps if course.recipe.reading == "gradient_x_activation" else slopes


def _spread(slopes: tf.Tensor) -> tf.Tensor:
    size = tf.abs(slopes)
    middle = tf.reduce_mean(size, axis=(1, 2), keepdims=True)
    deviation = tf.reduce_mean(tf.abs(size - middle))
    return tf.math.divide_no_nan(deviation, tf.reduce_mean(size))


def is_flat(found: Survey) -> bool:
    """Whether the reading is the same at every place of a map."""
    return bool(np.isfinite(found.spread) and found.spread < _FLAT)
