"""Adam (Kingma & Ba 2014) as one fused operation for each weight."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf


class Adam:
    """The optimizer with its usual constants and its state in `variables`.

    Keras builds some fifteen operations for each weight, which doubles the time a deep network
    takes to be compiled; the kernel of TensorFlow does the same sums in one.

    Args:
        weights: What is optimised.
        learning_rate: Size of a step.
    """

    def __init__(self, weights: Sequence[tf.Variable], learning_rate: float):
        self.learning_rate = learning_rate
        self.steps = tf.Variable(0, trainable=False)
        self._weights = list(weights)
        self._means = [tf.Variable(tf.zeros_like(weight)) for weight in weights]
        self._squares = [tf.Variable(tf.zeros_like(weight)) for weight in weights]

    @property
    def variables(self) -> list[tf.Variable]:
        """The whole state: number of steps, then both running averages of each gradient."""
        return [self.steps, *self._means, *self._squares]

    def apply(self, gradients: Sequence[tf.Tensor]) -> None:
        """Take one step; `gradients` stand in the order of the weights."""
        self.steps.assign_add(1)
        steps = tf.cast(self.steps, tf.float32)
        powers = {"beta1_power": 0.9**steps, "beta2_power": 0.999**steps}
        states = zip(self._weights, self._means, self._squares, gradients, strict=True)
        for weight, mean, square, gradient in states:
            tf.raw_ops.ResourceApplyAdam(
                var=weight.handle,
                m=mean.handle,
                v=square.handle,
                lr=self.learning_rate,
                beta1=0.9,
                beta2=0.999,
                epsilon=1e-7,
                grad=gradient,
                **powers,
            )
