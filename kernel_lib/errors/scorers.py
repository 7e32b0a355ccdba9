"""Scores of suspicion that are fitted on calibration predictions, one class for each.

Every scorer has `fit(evidence, wrong)` and `score(evidence)`; a higher score is more suspicion.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict
from typing import Any, Protocol, Self

import numpy as np

from kernel_lib.errors import confidence
from kernel_lib.errors.evidence import Evidence
from kernel_lib.errors.sequential import (
    SequentialTest,
    SequentialVotes,
    default_threshold,
    from_votes,
    shuffled_order,
)
from kernel_lib.errors.votes import Votes

_NEIGHBOURS = 10


class Scorer(Protocol):
    """What gives each prediction its suspicion."""

    needs_fit: bool

    def fit(self, evidence: Evidence, wrong: np.ndarray) -> Self:
        """Learn from predictions that are known to be right or wrong."""
        ...

    def score(self, evidence: Evidence) -> np.ndarray:
        """Suspicion, (num_images,)."""
        ...

    def state(self) -> dict[str, np.ndarray]:
        """What was learned, as arrays by name."""
        ...

    def restore(self, state: Mapping[str, np.ndarray]) -> Self:
        """Take up what `state` of a scorer of the same kind gave."""
        ...


class Plain:
    """A function of the evidence that needs no fitting."""

    needs_fit = False

    def __init__(self, function: Callable[[Evidence], np.ndarray]):
        self.function = function

    def fit(self, evidence: Evidence, wrong: np.ndarray) -> Self:
        return self

    def score(self, evidence: Evidence) -> np.ndarray:
        return self.function(evidence)

    def state(self) -> dict[str, np.ndarray]:
        return {}

    def restore(self, state: Mapping[str, np.ndarray]) -> Self:
        return self


class Temperature:
    """Maximum softmax after one temperature, fitted on calibration predictions."""

    needs_fit = True

    def fit(self, evidence: Evidence, wrong: np.ndarray) -> Self:
        self.temperature = confidence.temperature(evidence.logits, ~wrong)
        return self

    def score(self, evidence: Evidence) -> np.ndarray:
        return confidence.msp(np.asarray(evidence.logits, np.float64) / self.temperature)

    def state(self) -> dict[str, np.ndarray]:
        return {"temperature": np.array(self.temperature)}

    def restore(self, state: Mapping[str, np.ndarray]) -> Self:
        self.temperature = float(state["temperature"])
        return self


class Mahalanobis:
    """Squared distance to the nearest class mean, with one covariance for all classes.

    Lee et al. 2018 on the penultimate features; `relative` subtracts the distance under a single
    Gaussian for all classes (Ren et al. 2021). The covariance is shrunk (Ledoit and Wolf).
    """

    needs_fit = True

    def __init__(self, relative: bool = False):
        self.relative = relative

    def fit(self, evidence: Evidence, wrong: np.ndarray) -> Self:
        features, classes = _right(evidence, wrong)
        known = np.unique(classes)
        self.means = np.stack([features[classes == c].mean(axis=0) for c in known])
        self.mean = features.mean(axis=0)
        self.within = _whitening(features - self.means[np.searchsorted(known, classes)])
        self.whole = _whitening(features - self.mean) if self.relative else None
        return self

    def score(self, evidence: Evidence) -> np.ndarray:
        features = np.asarray(evidence.features, np.float64)
        inside = features @ self.within.T
        near = np.min([_squared(inside - self.within @ m) for m in self.means], axis=0)
        if self.whole is None:
            return near
        return near - _squared((features - self.mean) @ self.whole.T)

    def state(self) -> dict[str, np.ndarray]:
        found = {"means": self.means, "mean": self.mean, "within": self.within}
        return found if self.whole is None else found | {"whole": self.whole}

    def restore(self, state: Mapping[str, np.ndarray]) -> Self:
        self.means, self.mean, self.within = state["means"], state["mean"], state["within"]
        self.whole = state["whole"] if self.relative else None
        return self


class NearestNeighbours:
    """Distance to the k-th nearest right calibration image, unit features (Sun et al. 2022)."""

    needs_fit = True

    def fit(self, evidence: Evidence, wrong: np.ndarray) -> Self:
        return self._search(_unit(_right(evidence, wrong)[0]))

    def score(self, evidence: Evidence) -> np.ndarray:
        with one_thread():
            return self.neighbours.kneighbors(_unit(evidence.features))[0][:, -1]

    def state(self) -> dict[str, np.ndarray]:
        return {"known": self.known}

    def restore(self, state: Mapping[str, np.ndarray]) -> Self:
        return self._search(state["known"])

    def _search(self, known: np.ndarray) -> Self:
        from sklearn.neighbors import NearestNeighbors

        self.known, count = known, min(_NEIGHBOURS, len(known))
        self.neighbours = NearestNeighbors(n_neighbors=count).fit(known)
        return self


class TrustScore:
    """Distance to the predicted class over distance to the nearest other (Jiang et al. 2018).

    Each class is represented by its right calibration images, less the tenth that lies in the
    thinnest places.
    """

    needs_fit = True

    def fit(self, evidence: Evidence, wrong: np.ndarray) -> Self:
        features, classes = _right(evidence, wrong)
        return self._search(
            {int(c): _without_thinnest(features[classes == c]) for c in np.unique(classes)}
        )

    def score(self, evidence: Evidence) -> np.ndarray:
        features = np.asarray(evidence.features, np.float64)
        distances = np.full((len(features), evidence.logits.shape[1]), np.inf)
        with one_thread():
            for c, tree in self.trees.items():
                distances[:, c] = tree.kneighbors(features)[0][:, 0]
        rows = np.arange(len(features))
        own = distances[rows, evidence.predicted].copy()
        distances[rows, evidence.predicted] = np.inf
        other = distances.min(axis=1)
        # A class never seen right is infinitely far: then only the other distance is known.
        return np.where(np.isinf(own), 1e6, own / np.maximum(other, 1e-12))

    def state(self) -> dict[str, np.ndarray]:
        return {str(c): dense for c, dense in self.dense.items()}

    def restore(self, state: Mapping[str, np.ndarray]) -> Self:
        return self._search({int(c): dense for c, dense in state.items()})

    def _search(self, dense: dict[int, np.ndarray]) -> Self:
        from sklearn.neighbors import NearestNeighbors

        self.dense = dense
        self.trees: dict[int, Any] = {
            c: NearestNeighbors(n_neighbors=1).fit(each) for c, each in dense.items()
        }
        return self


class SequentialRate:
    """Label change rate as the sequential test estimates it, with its threshold from calibration.

    Attributes:
        found: after `score`, what the test saw.
    """

    needs_fit = True

    def __init__(self, seed: int = 0):
        self.seed = seed

    def fit(self, evidence: Evidence, wrong: np.ndarray) -> Self:
        threshold = default_threshold(votes_of(evidence).rate[~wrong])
        # The upper rate must stay below one.
        ratio = min(SequentialTest.ratio, 0.9 * (1 - threshold) / threshold)
        self.test = SequentialTest(threshold, ratio)
        return self

    def score(self, evidence: Evidence) -> np.ndarray:
        said = votes_of(evidence)
        order = shuffled_order(len(said.predictions), self.seed)
        self.found: SequentialVotes = from_votes(said, self.test, order)
        return self.found.suspicion

    def state(self) -> dict[str, np.ndarray]:
        return {name: np.array(value) for name, value in asdict(self.test).items()}

    def restore(self, state: Mapping[str, np.ndarray]) -> Self:
        self.test = SequentialTest(**{name: float(value) for name, value in state.items()})
        return self


def one_thread() -> AbstractContextManager:
    """Many small fits lose more by waiting for one another's threads than they gain."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    return threadpool_limits(limits=1)


def votes_of(evidence: Evidence) -> Votes:
    """The votes, or a clear line that there are none."""
    if evidence.votes is None:
        raise ValueError("This score needs the votes of mutants, and none were asked.")
    return evidence.votes


def _right(evidence: Evidence, wrong: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Features and classes of the right predictions."""
    right = ~np.asarray(wrong).astype(bool)
    return np.asarray(evidence.features, np.float64)[right], evidence.predicted[right]


def _whitening(centred: np.ndarray) -> np.ndarray:
    """W with W' W the inverse of the shrunk covariance, (num_features, num_features).

    By a triangular factor, as the pseudo-inverse of a thousand features takes minutes.
    """
    from scipy.linalg import cholesky, solve_triangular
    from sklearn.covariance import ledoit_wolf

    with one_thread():
        covariance, _ = ledoit_wolf(centred, assume_centered=True)
        # Where nothing was shrunk, a hair of the mean variance keeps it invertible.
        size = len(covariance)
        covariance.flat[:: size + 1] += 1e-10 * np.trace(covariance) / size + 1e-12
        factor = cholesky(covariance, lower=True)
        return solve_triangular(factor, np.eye(size), lower=True)


def _squared(offsets: np.ndarray) -> np.ndarray:
    return np.einsum("nd,nd->n", offsets, offsets)


def _unit(features: np.ndarray) -> np.ndarray:
    features = np.asarray(features, np.float64)
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)


def _without_thinnest(features: np.ndarray, share: float = 0.1) -> np.ndarray:
    from sklearn.neighbors import NearestNeighbors

    count = min(_NEIGHBOURS, len(features) - 1)
    if count < 1:
        return features
    with one_thread():
        tree = NearestNeighbors(n_neighbors=count + 1).fit(features)
        radius = tree.kneighbors(features)[0][:, -1]
    return features[radius <= np.quantile(radius, 1 - share)]
