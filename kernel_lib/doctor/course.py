"""The training step of a treatment: cross-entropy and two constraints on gradients.

A gradient at the feature maps stands inside the loss, so the step differentiates twice: an inner
tape from the scores to the maps, an outer one from the loss to the weights.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kernel_lib.doctor.gradients import magnitude, scores, watching
from kernel_lib.doctor.losses import channel_loss, spatial_loss, strongest_wrong
from kernel_lib.doctor.recipe import Recipe
from kernel_lib.models.classifier import Classifier

Losses = dict[str, tf.Tensor]


class Course(keras.Model):
    """A Keras model whose `fit` treats the network inside it.

    It takes batches ``((images, background, has_mask), labels)``, see `Batches`, and can be
    compiled with any Keras optimizer and fitted with any callbacks.

    Args:
        classifier: its weights are trained in place.
        recipe: what is constrained, and how strongly.
        relies: M, bool (num_classes, num_channels) at the recipe's tap.
    """

    def __init__(self, classifier: Classifier, recipe: Recipe, relies: np.ndarray):
        super().__init__(name="course")
        self.network = classifier.model
        self.classifier, self.recipe = classifier, recipe
        self._relies = tf.constant(relies, tf.float32)
        # What the constraints are multiplied with, beside alpha and beta.
        self.scale = tf.Variable([1.0, 1.0], trainable=False, name="scale")
        names = ("loss", "cross_entropy", "channel", "spatial")
        self._means = {name: keras.metrics.Mean(name=name) for name in names}
        self._accuracy = keras.metrics.SparseCategoricalAccuracy(name="accuracy")

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """What `fit` shows, set back at each epoch."""
        return [*self._means.values(), self._accuracy]

    def call(self, images: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Images in [0, 1] -> logits."""
        return self._forward(images, training)[0]

    def train_step(self, data: tuple) -> dict[str, Any]:
        """One step of the optimizer; returns the running means that `fit` shows."""
        (images, background, has_mask), labels = data
        with tf.GradientTape() as tape:
            logits, losses = self.losses_of(images, background, has_mask, labels)
        weights = self.trainable_variables
        values = [variable.value for variable in weights]
        slopes = tape.gradient(losses["loss"], values, unconnected_gradients="zero")
        self.optimizer.apply_gradients(zip(slopes, weights, strict=True))
        for name, metric in self._means.items():
            metric.update_state(losses[name], sample_weight=tf.shape(labels)[0])
        self._accuracy.update_state(labels, logits)
        return {metric.name: metric.result() for metric in self.metrics}

    def losses_of(
        self, images: tf.Tensor, background: tf.Tensor, has_mask: tf.Tensor, labels: tf.Tensor
    ) -> tuple[tf.Tensor, Losses]:
        """Logits and L = CE + alpha L_c + beta L_s, with its parts, in training mode."""
        recipe = self.recipe
        if recipe.is_plain:
            logits, _ = self._forward(images, True)
            channel = spatial = tf.constant(0.0)
        else:
            logits, channel, spatial = self._constraints(images, background, has_mask, labels)
        entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        entropy = tf.reduce_mean(entropy)
        weighted = recipe.alpha * self.scale[0] * channel + recipe.beta * self.scale[1] * spatial
        loss = tf.add_n([recipe.entropy * entropy, weighted, *self.network.losses])
        parts = {"cross_entropy": entropy, "channel": channel, "spatial": spatial}
        return logits, {"loss": loss, **parts}

    def _constraints(
        self, images: tf.Tensor, background: tf.Tensor, has_mask: tf.Tensor, labels: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        recipe = self.recipe
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as inner:
            logits, maps = self._forward(images, True, inner)
            confusing = strongest_wrong(tf.stop_gradient(logits), labels)
            table = scores(logits, recipe.target)
            # The sum over the batch, so that an image's gradient does not depend on its company.
            own_score = tf.reduce_sum(tf.gather(table, labels, axis=1, batch_dims=1))
            wrong_score = tf.reduce_sum(tf.gather(table, confusing, axis=1, batch_dims=1))
        own = inner.gradient(own_score, maps)
        channel = spatial = tf.constant(0.0)
        if recipe.alpha:
            wrong = inner.gradient(wrong_score, maps)
            strengths = [
                tf.reduce_sum(magnitude(slopes, recipe.aggregate), axis=(1, 2))
                for slopes in (own, wrong)
            ]
            relied = [tf.gather(self._relies, each) for each in (labels, confusing)]
            channel = channel_loss(*strengths, *relied)
        if recipe.beta:
            slopes = own * maps if recipe.reading == "gradient_x_activation" else own
            spatial = spatial_loss(slopes, background, has_mask)
        return logits, channel, spatial

    def _forward(
        self, images: tf.Tensor, training: bool, tape: tf.GradientTape | None = None
    ) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Logits, and the maps at the tap if `tape` is to watch them."""
        network, tap = self.classifier.network, self.recipe.tap
        if tape is None:
            return network.forward(images, training=training)[0], None
        logits, maps = network.forward(images, [tap], watching(tape, tap), training=training)
        return logits, maps[0]
