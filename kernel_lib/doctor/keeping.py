"""Callbacks of a treatment: what is kept, when it stops, and where it goes on."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import keras
import numpy as np

from kernel_lib.doctor.course import Course
from kernel_lib.network.weights import value_of
from kernel_lib.tasks import read_arrays, write_arrays


class Keeper(keras.callbacks.Callback):
    """Write the whole state after each epoch, so that a killed treatment can go on.

    Args:
        course: what is fitted, compiled and built.
        path: the file; None keeps nothing.
    """

    def __init__(self, course: Course, path: Path | None):
        super().__init__()
        self.course, self.path = course, path
        self.history: list[dict[str, float]] = []
        self.message = ""
        self.best: list[np.ndarray] = []  # weights of the best epoch, where one is looked for

    @property
    def variables(self) -> list:
        """Everything the next step depends on."""
        return [*self.course.network.variables, *self.course.optimizer.variables]

    def resume(self) -> None:
        """Go back to the state that was written last, if any."""
        arrays = None if self.path is None else read_arrays(self.path)
        if arrays is None:
            return
        # What was written by something else counts as missing, as what is damaged does.
        with contextlib.suppress(KeyError, TypeError, ValueError):
            self._restore(arrays)

    def _restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Go back to a state, or change nothing."""
        state = json.loads(str(arrays["state"]))
        history, message = state["history"], str(state["message"])
        values = [arrays[f"variable {number}"] for number in range(len(self.variables))]
        num_best = sum(name.startswith("best ") for name in arrays)
        best = [arrays[f"best {number}"] for number in range(num_best)]
        if [tuple(each.shape) for each in self.variables] != [each.shape for each in values]:
            raise ValueError("the weights are those of another network")
        if not isinstance(history, list) or not all(isinstance(each, dict) for each in history):
            raise ValueError("the history is no list of epochs")
        for variable, value in zip(self.variables, values, strict=True):
            variable.assign(value)
        self.history, self.message, self.best = history, message, best

    def save(self) -> None:
        """Write the state, whole or not at all."""
        if self.path is None:
            return
        state = json.dumps({"history": self.history, "message": self.message})
        values = {f"variable {i}": value_of(v) for i, v in enumerate(self.variables)}
        best = {f"best {i}": value for i, value in enumerate(self.best)}
        write_arrays(self.path, {"state": np.array(state), **values, **best})

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Note the epoch's means and write the state, unless something went wrong."""
        if not self.message:
            entry = {name: float(value) for name, value in (logs or {}).items()}
            self.history.append({"epoch": epoch + 1, **entry})
            self.save()


class StopAtNaN(keras.callbacks.Callback):
    """Stop when the loss is no number, and put the last good weights back.

    Args:
        keeper: its message says what happened.
    """

    def __init__(self, keeper: Keeper):
        super().__init__()
        self.keeper = keeper
        self._good = self._values()

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """The running mean stays NaN once the loss was."""
        if not self.keeper.message and not np.isfinite((logs or {}).get("loss", 0.0)):
            self._stop("loss", f", step {batch + 1}")

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Remember sound weights. A ReLU can hide a weight that is no number from the loss."""
        values = self._values()
        if not all(np.isfinite(value).all() for value in values):
            self._stop("weights", "")
        if not self.keeper.message:
            self._good = values

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """Put the last good weights back after a bad end."""
        if self.keeper.message:
            for variable, value in zip(self.keeper.variables, self._good, strict=True):
                variable.assign(value)

    def _stop(self, what: str, step: str) -> None:
        epoch = len(self.keeper.history) + 1
        self.keeper.message = self.keeper.message or (
            f"The {what} held no finite number in epoch {epoch}{step}: training stopped, and the "
            f"weights after epoch {epoch - 1} were kept. Use a smaller learning rate, or smaller "
            "alpha and beta."
        )
        self.keeper.course.stop_training = True

    def _values(self) -> list[np.ndarray]:
        return [value_of(variable) for variable in self.keeper.variables]


class Validation(keras.callbacks.Callback):
    """Note the accuracy on images that are not trained on, and stop when it no longer grows.

    Args:
        keeper: holds the history and the best weights.
        images, labels: the images.
        patience: epochs without a better accuracy after which training stops and the best weights
            come back; None never stops and keeps the last weights.
    """

    def __init__(
        self, keeper: Keeper, images: np.ndarray, labels: np.ndarray, patience: int | None
    ):
        super().__init__()
        self._keeper, self._images, self._labels = keeper, images, labels
        self._patience = patience

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Measure, and compare with the epochs before."""
        if self._keeper.message:
            return
        accuracy = self._keeper.course.classifier.accuracy(self._images, self._labels)
        if logs is not None:
            logs["validation_accuracy"] = accuracy
        seen = [*self._accuracies(), accuracy]
        if self._patience is not None and np.argmax(seen) == len(seen) - 1:
            self._keeper.best = [value_of(v) for v in self._keeper.course.network.variables]
        self._keeper.course.stop_training |= self._is_enough(seen)

    @property
    def is_over(self) -> bool:
        """Whether the epochs so far already say that training should stop."""
        return self._is_enough(self._accuracies())

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """Bring the best weights back."""
        for variable, value in zip(
            self._keeper.course.network.variables if self._keeper.best else (),
            self._keeper.best,
            strict=True,
        ):
            variable.assign(value)

    def _accuracies(self) -> list[float]:
        return [entry["validation_accuracy"] for entry in self._keeper.history]

    def _is_enough(self, seen: list[float]) -> bool:
        if self._patience is None or not seen:
            return False
        return len(seen) - 1 - int(np.argmax(seen)) >= self._patience
