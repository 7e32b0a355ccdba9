"""Which feature maps carry a class, and how well a single prediction fits its class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import numpy as np

from kernel_lib.errors.evidence import Evidence

TOP = 4  # maps that stand for a class


class ClassProfiles:
    """Mean conductance of each feature map for each predicted class, over right predictions.

    Attributes:
        mean, deviation: tap -> (num_classes, channels). A class that was never predicted rightly
            has the profile of all classes together.
        specific: tap -> (num_classes, channels) class mean less the mean over classes.
    """

    def fit(self, evidence: Evidence, wrong: np.ndarray) -> Self:
        """Read the profiles off the right predictions."""
        right = ~np.asarray(wrong).astype(bool)
        classes, num_classes = evidence.predicted[right], evidence.logits.shape[1]
        self.mean: dict[str, np.ndarray] = {}
        self.deviation: dict[str, np.ndarray] = {}
        self.specific: dict[str, np.ndarray] = {}
        for tap, values in evidence.conductance.items():
            mean, deviation = _by_class(values[right], classes, num_classes)
            self.mean[tap], self.deviation[tap] = mean, deviation
            self.specific[tap] = mean - mean.mean(axis=0)
        return self

    def state(self) -> dict[str, np.ndarray]:
        """What was read, as arrays by name; places, not names of taps, tell them apart."""
        found = {"taps": np.array(list(self.mean))}
        for place, tap in enumerate(self.mean):
            found |= {f"mean_{place}": self.mean[tap], f"deviation_{place}": self.deviation[tap]}
        return found

    def restore(self, state: Mapping[str, np.ndarray]) -> Self:
        """Take up what `state` gave."""
        self.mean, self.deviation, self.specific = {}, {}, {}
        for place, tap in enumerate(state["taps"].tolist()):
            mean = state[f"mean_{place}"]
            self.mean[tap], self.deviation[tap] = mean, state[f"deviation_{place}"]
            self.specific[tap] = mean - mean.mean(axis=0)
        return self

    def top_maps(self, tap: str, count: int = TOP) -> np.ndarray:
        """The maps most specific to each class, (num_classes, count), the first the most."""
        count = min(count, self.specific[tap].shape[1])
        return np.argsort(-self.specific[tap], axis=1, kind="stable")[:, :count]

    def features(self, evidence: Evidence) -> np.ndarray:
        """How each prediction fits its class, at each tap, then the class one-hot.

        Four numbers a tap: mean squared z-score over maps, its share on the class's own top maps,
        the cosine with the class's profile, and the share of positive conductance that the top
        maps carry.
        """
        columns = []
        classes = evidence.predicted
        for tap, values in evidence.conductance.items():
            values = np.asarray(values, np.float64)
            mean, deviation = self.mean[tap][classes], self.deviation[tap][classes]
            squared = ((values - mean) / deviation) ** 2
            top = self.top_maps(tap)[classes]
            cosine = (values * mean).sum(axis=1) / np.maximum(
                np.linalg.norm(values, axis=1) * np.linalg.norm(mean, axis=1), 1e-12
            )
            positive = np.maximum(values, 0)
            carried = np.take_along_axis(positive, top, axis=1).sum(axis=1)
            columns += [
                np.log1p(squared.mean(axis=1)),
                np.log1p(np.take_along_axis(squared, top, axis=1).mean(axis=1)),
                cosine,
                carried / np.maximum(positive.sum(axis=1), 1e-12),
            ]
        one_hot = np.eye(evidence.logits.shape[1])[classes]
        return np.column_stack([*columns, one_hot])


def _by_class(
    values: np.ndarray, classes: np.ndarray, num_classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Means and deviations by class; deviations are drawn towards that of all, as if by 5 more."""
    values = np.asarray(values, np.float64)
    whole_mean = values.mean(axis=0)
    whole_variance = values.var(axis=0)
    means, variances = [], []
    for c in range(num_classes):
        own = values[classes == c]
        means.append(own.mean(axis=0) if len(own) else whole_mean)
        variance = own.var(axis=0) if len(own) else whole_variance
        variances.append((len(own) * variance + 5 * whole_variance) / (len(own) + 5))
    return np.stack(means), np.sqrt(np.maximum(variances, 1e-12))
