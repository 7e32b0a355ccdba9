"""One network being fitted: compiled steps, and a state that can be saved and put back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping

import keras
import numpy as np
import tensorflow as tf

from kernel_lib.models.adam import Adam
from kernel_lib.models.classifier import Classifier

Augment = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
Steps = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]

# Steps in one call of the compiled loop: enough to hide the cost of the call, few enough for an
# interrupt and the progress bar to come through.
_STEPS_IN_CALL = 10


class Fit:
    """A classifier with its optimizer and its history, brought forward epoch by epoch.

    Args:
        classifier: Its weights are changed in place.
        images: (num_images, height, width, channels) float32 in [0, 1].
        labels: (num_images,) class ids.
        batch_size: Images in a step.
        learning_rate: Of Adam.
        seed: Names the order of the images and what `augment` draws.
        augment: Changes a batch of images; see `kernel_lib.models.train`.

    Attributes:
        history: One dict an epoch.
        finished: Whether no further epoch will be run.
    """

    def __init__(
        self,
        classifier: Classifier,
        images: np.ndarray,
        labels: np.ndarray,
        *,
        batch_size: int,
        learning_rate: float,
        seed: int,
        augment: Augment | None = None,
    ):
        self.classifier = classifier
        self.history: list[dict[str, float]] = []
        self.finished = False
        self._images, self._labels = tf.constant(images), tf.constant(labels, tf.int32)
        self._batch_size, self._seed = batch_size, seed
        weights = [variable.value for variable in classifier.model.trainable_variables]
        self._optimizer = Adam(weights, learning_rate)
        self._steps = compiled_steps(classifier, self._optimizer, batch_size, seed, augment)
        self._best: list[np.ndarray] = []

    def order(self) -> list[np.ndarray]:
        """Return the image indices of the next epoch, in parts of a few steps each."""
        shuffled = np.random.default_rng([self._seed, len(self.history)])
        indices = shuffled.permutation(len(self._images)).astype(np.int32)
        size = self._batch_size * _STEPS_IN_CALL
        return [indices[start : start + size] for start in range(0, len(indices), size)]

    def run(self, parts: Iterable[np.ndarray]) -> dict[str, float]:
        """Run one epoch over `parts`; return its mean loss and its accuracy on the way.

        Raises:
            ValueError: The loss is no longer a number.
        """
        epoch, loss, num_right, num_seen = len(self.history) + 1, 0.0, 0, 0
        for part in parts:
            part_loss, part_right = self._steps(self._images, self._labels, tf.constant(part))
            loss, num_right = loss + float(part_loss), num_right + int(part_right)
            num_seen += len(part)
            if not np.isfinite(loss):
                raise ValueError(
                    f"Training of {self.classifier.name!r} failed in epoch {epoch}: the loss is "
                    "not a finite number. Use a smaller learning rate. "
                    f"Received: learning_rate={self._optimizer.learning_rate:g}."
                )
        return {"epoch": epoch, "loss": loss / num_seen, "accuracy": num_right / num_seen}

    def keep_best(self) -> None:
        """Remember the weights as they are now; `restore_best` puts them back."""
        self._best = _values(self.classifier.model.variables)

    def restore_best(self) -> None:
        """Put back what `keep_best` remembered, if anything."""
        if self._best:
            _assign(self.classifier.model.variables, self._best)

    def state(self) -> dict[str, np.ndarray]:
        """Everything the next epoch depends on; once finished, the weights alone."""
        history = np.array(json.dumps(self.history))
        arrays = {"history": history, "finished": np.array(self.finished)}
        arrays |= _numbered("model", _values(self.classifier.model.variables))
        if not self.finished:
            arrays |= _numbered("optimizer", _values(self._optimizer.variables))
            arrays |= _numbered("best", self._best)
        return arrays

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Return to a `state`, or change nothing.

        Raises:
            KeyError, TypeError, ValueError: It is the state of something else.
        """
        history, finished = json.loads(str(arrays["history"])), bool(arrays["finished"])
        if not isinstance(history, list) or not all(isinstance(each, dict) for each in history):
            raise ValueError("the history is no list of epochs")
        variables, values = list(self.classifier.model.variables), _listed(arrays, "model")
        if not finished:
            variables += self._optimizer.variables
            values += _listed(arrays, "optimizer")
        if [tuple(each.shape) for each in variables] != [each.shape for each in values]:
            raise ValueError("the weights are those of another network")
        _assign(variables, values)
        self.history, self.finished = history, finished
        self._best = [] if finished else _listed(arrays, "best")


def compiled_steps(
    classifier: Classifier,
    optimizer: Adam,
    batch_size: int,
    seed: int,
    augment: Augment | None,
) -> Steps:
    """Compile a loop of training steps.

    Returns:
        A function of images (num_images, height, width, channels), labels (num_images,) and the
        order (num_steps * batch_size,) in which to take them. It changes the weights, and returns
        the sum of the losses of all images and the number that were classified rightly.
    """
    model = classifier.model
    weights = [variable.value for variable in model.trainable_variables]

    def logits_of(images: tf.Tensor) -> tf.Tensor:
        if augment is not None:
            images = augment(images, tf.stack([seed % 2**31, optimizer.steps]))
        return classifier.network.forward(images, training=True)[0]

    signature = [
        tf.TensorSpec((None, *classifier.input_shape), tf.float32),
        tf.TensorSpec((None,), tf.int32),
        tf.TensorSpec((None,), tf.int32),
    ]

    # Without XLA: on CPU it is slower for convolutions.
    @tf.function(input_signature=signature, jit_compile=False)
    def steps(
        images: tf.Tensor, labels: tf.Tensor, order: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        loss_sum, num_right = tf.constant(0.0), tf.constant(0)
        for start in tf.range(0, tf.size(order), batch_size):
            batch = order[start : start + batch_size]
            targets = tf.gather(labels, batch)
            with tf.GradientTape() as tape:
                logits = logits_of(tf.gather(images, batch))
                losses = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)
                loss = tf.add_n([tf.reduce_mean(losses), *model.losses])
            optimizer.apply(tape.gradient(loss, weights, unconnected_gradients="zero"))
            loss_sum += loss * tf.cast(tf.size(batch), tf.float32)
            right = tf.argmax(logits, axis=1, output_type=tf.int32) == targets
            num_right += tf.reduce_sum(tf.cast(right, tf.int32))
        return loss_sum, num_right

    return steps.get_concrete_function()


def _values(variables: Iterable[keras.Variable | tf.Variable]) -> list[np.ndarray]:
    tensors = (tf.convert_to_tensor(variable) for variable in variables)
    return [np.array(tensor.numpy()) for tensor in tensors]


def _numbered(kind: str, values: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
    return {f"{kind} {index}": value for index, value in enumerate(values)}


def _listed(arrays: Mapping[str, np.ndarray], kind: str) -> list[np.ndarray]:
    names = (f"{kind} {index}" for index in range(len(arrays)))
    return [arrays[name] for name in names if name in arrays]


def _assign(
    variables: Iterable[keras.Variable | tf.Variable], values: Iterable[np.ndarray]
) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
