"""Find the logits of a network whose last step is a softmax or a sigmoid.

A softmax flattens gradients and hides margins, so audits read the logits before it. In a traced
graph they are simply the input of the final ``Softmax`` operation, whatever layer it came from: a
fused activation, an ``Activation`` or ``Softmax`` layer, a nested or subclassed head.

What holds of every kind of head: the softmax of the logits (for several sigmoid units, their
sigmoids) are the probabilities that the model itself gives, except where a person says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass

import tensorflow as tf

_PASS_THROUGH = {"Identity", "Cast", "StopGradient", "Reshape", "Squeeze", "EnsureShape"}
_ACTIVATIONS = {"Softmax": "softmax", "LogSoftmax": "log_softmax", "Sigmoid": "sigmoid"}
_SMALLEST = 1e-30

HEADS = ("auto", "logits", "probabilities", "multi_label", "multi_label_probabilities")

# Kind of head that was found -> how the logits came about, in words.
KINDS = {
    "linear": "the model's output, which has no softmax or sigmoid",
    "softmax": "the values before the final softmax",
    "log_softmax": "the values before the final log-softmax",
    "sigmoid": "the values z before the final sigmoid",
    "log_probabilities": "the logarithm of the probabilities that the model gives",
    "log_odds": "the log-odds z = log(p / (1 - p)) of the probabilities that the model gives",
}


class ReadingError(ValueError):
    """The model's output cannot be read as class scores; the message says why, and the cure."""


@dataclass(frozen=True)
class Scores:
    """What was read off a model's output.

    Attributes:
        logits: (batch, num_classes) float32.
        kind: how they were found, one of `KINDS`.
        source: the tensor they were taken from, in the network's own type.
        is_multi_label: whether each class has a probability of its own (several sigmoid units).
        num_units: units of the output: one for two classes.
    """

    logits: tf.Tensor
    kind: str
    source: tf.Tensor
    is_multi_label: bool
    num_units: int

    @property
    def is_squashed_twice(self) -> bool:
        """Whether what goes into the final softmax has been through a softmax or sigmoid."""
        is_softmax = self.kind in ("softmax", "log_softmax")
        return is_softmax and _behind(self.source).op.type in ("Softmax", "Sigmoid")

    @property
    def names(self) -> set[str]:
        """Names of the tensors that hold these scores, also in another shape or type.

        None outside a trace, where tensors have no names.
        """
        if tf.executing_eagerly():
            return set()
        tensor, names = self.source, {self.logits.name, self.source.name}
        while tensor.op.type in _PASS_THROUGH and tensor.op.inputs:
            tensor = tensor.op.inputs[0]
            names.add(tensor.name)
        return names


def linear_logits(output: tf.Tensor, head: str) -> tuple[tf.Tensor, str]:
    """Return the logits behind `output` and the kind of head; see `read_scores`."""
    scores = read_scores(output, head)
    return scores.logits, scores.kind


def read_scores(output: tf.Tensor, head: str) -> Scores:
    """Find the logits behind `output`.

    Args:
        output: symbolic tensor, the model's output: (batch, num_classes), also with axes of
            length one in between; (batch, 1) or (batch,) for a two-class network with one unit
            z, which becomes the logits ``[-z / 2, z / 2]``: their softmax is the sigmoid of z,
            and both classes have a gradient.
        head: "auto" looks for a softmax or sigmoid and otherwise takes the output as logits;
            "logits" takes the output as it is; "probabilities" takes the logarithm where no
            softmax can be found (of one unit, the log-odds); "multi_label" reads one independent
            score a class, before the sigmoid where there is one; "multi_label_probabilities"
            takes the log-odds of each class where no sigmoid can be found.

    Raises:
        ReadingError: `output` is not one score a class.
    """
    output = _flat(output)
    num_units = output.shape[-1]
    kind, before = ("linear", output) if head == "logits" else _before_activation(output)
    if num_units == 1 and kind in ("softmax", "log_softmax"):
        raise ReadingError(
            "The model ends in a softmax over one unit, which is 1 for every image: it has learned "
            "nothing. Replace its head by Dense(1, activation='sigmoid') or "
            "Dense(2, activation='softmax') and train it again."
        )
    if kind == "linear" and head in ("probabilities", "multi_label_probabilities"):
        is_share = head == "probabilities" and num_units != 1
        kind = "log_probabilities" if is_share else "log_odds"
        before = _log(output) if is_share else _log(output) - _log(1 - tf.cast(output, tf.float32))
    logits = tf.cast(before, tf.float32)
    if num_units == 1:
        logits = tf.concat([-logits / 2, logits / 2], axis=-1)
    is_independent = head.startswith("multi_label") or kind in ("sigmoid", "log_odds")
    return Scores(logits, kind, before, num_units != 1 and is_independent, num_units)


def _flat(output: tf.Tensor) -> tf.Tensor:
    """(batch, num_classes): axes of length one are left out."""
    if output.shape.rank is None or output.shape.rank == 2:
        return output
    lengths = [length for length in output.shape[1:] if length != 1]
    if output.shape.rank == 0 or len(lengths) > 1 or lengths == [None]:
        raise ReadingError(_not_scores(output))
    return tf.reshape(output, (-1, lengths[0] if lengths else 1))


def _not_scores(output: tf.Tensor) -> str:
    shape = ("num_images", *output.shape[1:])
    message = (
        "An image classifier gives one score a class, shape (num_images, num_classes). "
        f"The model gives shape {shape}."
    )
    if output.shape.rank == 4:
        message += (
            " Where these are maps of class scores, average them: keras.Sequential([model, "
            "keras.layers.GlobalAveragePooling2D()])."
        )
    if output.shape.rank == 4 and None in output.shape[1:3]:
        message += " Where the maps are one pixel at your image size, say it: input_size=224."
    return message


def _before_activation(output: tf.Tensor) -> tuple[str, tf.Tensor]:
    tensor = _behind(output)
    kind = _ACTIVATIONS.get(tensor.op.type, "linear")
    # A softmax over some of the classes only (several heads in one output) is none over all.
    over_classes = kind == "sigmoid" or tensor.shape[-1] == output.shape[-1]
    if kind == "linear" or not over_classes:
        return "linear", output
    before = tensor.op.inputs[0]
    # The softmax may have run on a reshaped view; logits come back in the output's own shape.
    before = before if before.shape.rank == 2 else tf.reshape(before, tf.shape(output))
    return kind, tf.ensure_shape(before, output.shape)


def _behind(tensor: tf.Tensor) -> tf.Tensor:
    """The tensor whose values `tensor` holds, before changes of shape and type."""
    while tensor.op.type in _PASS_THROUGH and tensor.op.inputs:
        tensor = tensor.op.inputs[0]
    return tensor


def _log(values: tf.Tensor) -> tf.Tensor:
    return tf.math.log(tf.maximum(tf.cast(values, tf.float32), _SMALLEST))
