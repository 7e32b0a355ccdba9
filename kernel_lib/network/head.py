"""Find the logits of a network whose last step is a softmax or a sigmoid.

A softmax flattens gradients and hides margins, so audits read the logits before it. In a traced
graph they are simply the input of the final ``Softmax`` operation, whatever layer it came from: a
fused activation, an ``Activation`` or ``Softmax`` layer, a nested or subclassed head.
"""

from __future__ import annotations

import tensorflow as tf

_PASS_THROUGH = {"Identity", "Cast", "StopGradient", "Reshape", "Squeeze", "EnsureShape"}

HEADS = ("auto", "logits", "probabilities")


def linear_logits(output: tf.Tensor, head: str) -> tuple[tf.Tensor, str]:
    """Return the logits behind `output` and the kind of head that was found.

    Args:
        output: (batch, num_classes) symbolic tensor, the model's output; (batch, 1) for a
            two-class network with one sigmoid unit, which becomes the logits ``[0, z]``.
        head: "auto" looks for a softmax or sigmoid and otherwise takes the output as logits;
            "logits" takes the output as it is; "probabilities" takes the logarithm where no
            softmax can be found.

    Returns:
        The logits (batch, num_classes) and "softmax", "sigmoid", "linear" or "log_probabilities".
    """
    kind, before = ("linear", output) if head == "logits" else _before_activation(output)
    if kind == "linear" and head == "probabilities":
        kind, before = "log_probabilities", tf.math.log(tf.maximum(output, 1e-30))
    if output.shape[-1] == 1 and kind != "log_probabilities":
        before = tf.reshape(before, (-1, 1))
        before = tf.concat([tf.zeros_like(before), before], axis=-1)
    return tf.cast(before, tf.float32), kind


def _before_activation(output: tf.Tensor) -> tuple[str, tf.Tensor]:
    tensor = output
    while tensor.op.type in _PASS_THROUGH and tensor.op.inputs:
        tensor = tensor.op.inputs[0]
    kinds = {"Softmax": "softmax", "Sigmoid": "sigmoid"}
    kind = kinds.get(tensor.op.type, "linear")
    if kind == "linear" or (kind == "sigmoid" and output.shape[-1] != 1):
        return "linear", output
    before = tensor.op.inputs[0]
    # The softmax may have run on a reshaped view; logits come back in the output's own shape.
    before = before if before.shape.rank == 2 else tf.reshape(before, tf.shape(output))
    return kind, tf.ensure_shape(before, output.shape)
