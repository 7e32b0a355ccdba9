"""When a training ends."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kernel_lib._checks import check_count, check_number
from kernel_lib.data import ImageSet


@dataclass(frozen=True)
class StopRule:
    """When a training ends; it depends on the history alone. See `train` for the arguments."""

    epochs: int
    patience: int | None = None
    min_train_accuracy: float | None = None

    def check(self, images: ImageSet) -> None:
        """Refuse settings that make no sense, alone or together."""
        check_count("epochs", self.epochs)
        if self.patience is not None:
            check_count("patience", self.patience)
            if len(images.splits["calibration"]) == 0:
                raise ValueError(
                    "`patience` needs images in the calibration split, to tell when training no "
                    f"longer helps. Received: {images!r}."
                )
        if self.min_train_accuracy is not None:
            check_number("min_train_accuracy", self.min_train_accuracy, 0, 1)
            if self.patience is not None:
                raise ValueError(
                    "`patience` stops before the training images are learnt by heart, and "
                    "`min_train_accuracy` asks for it: give one of the two. "
                    f"Received: patience={self.patience}, "
                    f"min_train_accuracy={self.min_train_accuracy}."
                )

    def is_best(self, history: list[dict[str, float]]) -> bool:
        """Whether the last epoch is better than every one before it."""
        return _best_epoch(history) == len(history)

    def is_met(self, history: list[dict[str, float]]) -> bool:
        """Whether training ends after the last epoch of `history`."""
        if self.patience is not None and len(history) - _best_epoch(history) >= self.patience:
            return True
        return len(history) >= self.epochs or self._is_learnt(history)

    def check_reached(self, history: list[dict[str, float]], name: str) -> None:
        """Fail if the training images were not learnt as well as was asked for."""
        if self.min_train_accuracy is not None and not self._is_learnt(history):
            raise ValueError(
                f"{name!r} did not reach `min_train_accuracy`: its accuracy on the training images "
                f"is {history[-1]['accuracy']:.3f} after {len(history)} epochs. Give it more "
                f"epochs or a larger network. Received: epochs={self.epochs}, "
                f"min_train_accuracy={self.min_train_accuracy}."
            )

    def _is_learnt(self, history: list[dict[str, float]]) -> bool:
        target = self.min_train_accuracy
        return target is not None and history[-1]["accuracy"] >= target


def _best_epoch(history: list[dict[str, float]]) -> int:
    return 1 + int(np.argmax([entry["validation_accuracy"] for entry in history]))
