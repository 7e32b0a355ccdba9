"""Detectors: classifiers of right and wrong that are trained on calibration predictions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Self

import numpy as np

from kernel_lib._checks import check_choice, check_count
from kernel_lib._random import random_stream
from kernel_lib.errors.evidence import Evidence
from kernel_lib.errors.fitted import Arrays, Networks, from_arrays, to_arrays
from kernel_lib.errors.profiles import ClassProfiles
from kernel_lib.errors.scorers import Scorer, one_thread, votes_of

HEADS = ("logistic", "mlp", "forest", "lda", "qda")
LEAST_WRONG = 5

Features = Callable[[Evidence], np.ndarray]


class Head:
    """A classifier of right and wrong on plain columns.

    Args:
        name: "logistic" (L2, strength by cross-validation), "mlp" (three networks of 200 and 200
            units, each stopped where its held-out third is likeliest), "forest" (100 trees of
            depth 10), "lda" or "qda".
        seed: seed of the heads that draw.
    """

    def __init__(self, name: str = "logistic", seed: int = 0):
        self.name, self.seed = check_choice("head", name, HEADS), seed

    def fit(self, values: np.ndarray, wrong: np.ndarray) -> Self:
        """Learn from columns (num_images, num_features)."""
        wrong = check_enough(wrong)
        values = np.asarray(values, np.float64)
        # Columns to (x - mean) / (max - min), by statistics of the training predictions.
        self.mean, span = values.mean(axis=0), np.ptp(values, axis=0)
        self.span = np.where(span > 0, span, 1)
        self.classifier = _head(self.name, self.seed, int(wrong.sum()))
        with one_thread():
            self.classifier.fit(self._scaled(values), wrong.astype(int))
        return self

    def score(self, values: np.ndarray) -> np.ndarray:
        """Chance of being wrong, (num_images,)."""
        return self.classifier.predict_proba(self._scaled(np.asarray(values, np.float64)))[:, 1]

    def state(self) -> dict[str, np.ndarray]:
        """What was learned, as arrays by name.

        Raises:
            ValueError: a head that cannot be written as arrays.
        """
        learned = under("classifier", to_arrays(self.name, self.classifier))
        return {"mean": self.mean, "span": self.span} | learned

    def restore(self, state: Arrays) -> Self:
        """Take up what `state` of the same head gave."""
        self.mean, self.span = state["mean"], state["span"]
        self.classifier = from_arrays(self.name, below("classifier", state))
        return self

    def _scaled(self, values: np.ndarray) -> np.ndarray:
        return (values - self.mean) / self.span


class Learned:
    """A classifier on features of the evidence; its score is the chance of being wrong.

    Args:
        features: evidence -> (num_images, num_features).
        head: see `Head`.
        seed: see `Head`.
    """

    needs_fit = True

    def __init__(self, features: Features, head: str = "logistic", seed: int = 0):
        self.features, self.head = features, Head(head, seed)

    def fit(self, evidence: Evidence, wrong: np.ndarray) -> Self:
        self.head.fit(self.features(evidence), wrong)
        return self

    def score(self, evidence: Evidence) -> np.ndarray:
        return self.head.score(self.features(evidence))

    def state(self) -> dict[str, np.ndarray]:
        return self.head.state()

    def restore(self, state: Arrays) -> Self:
        self.head.restore(state)
        return self


class Profiled:
    """A classifier on how each prediction's conductance fits the profile of its class."""

    needs_fit = True

    def __init__(self, head: str = "logistic", seed: int = 0):
        self.head, self.seed = head, seed

    def fit(self, evidence: Evidence, wrong: np.ndarray) -> Self:
        wrong = check_enough(wrong)
        self.profiles = ClassProfiles().fit(evidence, wrong)
        self.learned = Learned(self.profiles.features, self.head, self.seed).fit(evidence, wrong)
        return self

    def score(self, evidence: Evidence) -> np.ndarray:
        return self.learned.score(evidence)

    def state(self) -> dict[str, np.ndarray]:
        return under("profiles", self.profiles.state()) | under("learned", self.learned.state())

    def restore(self, state: Arrays) -> Self:
        self.profiles = ClassProfiles().restore(below("profiles", state))
        self.learned = Learned(self.profiles.features, self.head, self.seed)
        self.learned.restore(below("learned", state))
        return self


class Combined:
    """Label change rate and conductance: a second stage on out-of-fold scores of the first."""

    needs_fit = True

    def __init__(self, first: Callable[[], Scorer], head: str = "logistic", seed: int = 0):
        self.first, self.second, self.seed = first, Head(head, seed), seed

    def fit(self, evidence: Evidence, wrong: np.ndarray) -> Self:
        stage_one = out_of_fold(self.first, evidence, wrong, self.seed + 1)
        self.second.fit(_pairs(evidence, stage_one), wrong)
        self.scorer = self.first().fit(evidence, wrong)
        return self

    def score(self, evidence: Evidence) -> np.ndarray:
        return self.second.score(_pairs(evidence, self.scorer.score(evidence)))

    def state(self) -> dict[str, np.ndarray]:
        return under("second", self.second.state()) | under("first", self.scorer.state())

    def restore(self, state: Arrays) -> Self:
        self.second.restore(below("second", state))
        self.scorer = self.first().restore(below("first", state))
        return self


def under(name: str, state: Arrays) -> dict[str, np.ndarray]:
    """The arrays with `name` before each name."""
    return {f"{name}/{key}": value for key, value in state.items()}


def below(name: str, state: Arrays) -> dict[str, np.ndarray]:
    """The arrays that `under` put below `name`."""
    return {k.removeprefix(f"{name}/"): v for k, v in state.items() if k.startswith(f"{name}/")}


def _pairs(evidence: Evidence, chances: np.ndarray) -> np.ndarray:
    """Label change rate, and log-odds of the first stage."""
    chances = np.clip(chances, 1e-6, 1 - 1e-6)
    return np.column_stack([votes_of(evidence).rate, np.log(chances / (1 - chances))])


def last_conductance(evidence: Evidence) -> np.ndarray:
    """Conductances at the last tap, as in the published detector."""
    return evidence.conductance[list(evidence.conductance)[-1]]


def with_class(values: np.ndarray, evidence: Evidence) -> np.ndarray:
    """Append the predicted class, one-hot."""
    return np.column_stack([values, np.eye(evidence.logits.shape[1])[evidence.predicted]])


def sorted_logits(evidence: Evidence) -> np.ndarray:
    """The logits, and beside them the same in falling order."""
    return np.column_stack([evidence.logits, -np.sort(-evidence.logits, axis=1)])


def out_of_fold(
    make: Callable[[], Scorer],
    evidence: Evidence,
    wrong: np.ndarray,
    seed: int = 0,
    num_folds: int = 5,
) -> np.ndarray:
    """Score each prediction with a scorer fitted on the other folds, (num_images,)."""
    wrong = np.asarray(wrong).astype(bool)
    if not make().needs_fit:
        return make().score(evidence)
    check_enough(wrong)
    scores = np.empty(len(wrong))
    for held_out in folds(wrong, num_folds, seed):
        rest = np.setdiff1d(np.arange(len(wrong)), held_out)
        scorer = make().fit(evidence.select(rest), wrong[rest])
        scores[held_out] = scorer.score(evidence.select(held_out))
    return scores


def folds(wrong: np.ndarray, num_folds: int, seed: int) -> Iterator[np.ndarray]:
    """Indices of each fold, with right and wrong predictions spread evenly."""
    random = random_stream([check_count("seed", seed, 0), num_folds])
    place = np.empty(len(wrong), np.int64)
    for kind in (True, False):
        members = np.flatnonzero(wrong == kind)
        place[random.permutation(members)] = np.arange(len(members)) % num_folds
    for fold in range(num_folds):
        yield np.flatnonzero(place == fold)


def check_enough(wrong: np.ndarray) -> np.ndarray:
    """Refuse to learn what is wrong from too few examples."""
    wrong = np.asarray(wrong).astype(bool)
    for kind, count in (("wrong", int(wrong.sum())), ("right", int((~wrong).sum()))):
        if count < LEAST_WRONG - 1:
            raise ValueError(
                f"Only {count} of {len(wrong)} calibration predictions are {kind}; a detector "
                f"needs at least {LEAST_WRONG} to learn from. Use more calibration images, or "
                "ask for scores that learn nothing, such as scores=['msp', 'entropy']."
            )
    return wrong


def _head(name: str, seed: int, num_wrong: int) -> Any:
    from sklearn.discriminant_analysis import (
        LinearDiscriminantAnalysis,
        QuadraticDiscriminantAnalysis,
    )
    from sklearn.ensemble import RandomForestClassifier

    if name == "logistic":
        return _Logistic(min(3, num_wrong), seed)
    return {
        "mlp": lambda: _Networks(min(3, num_wrong), seed),
        "forest": lambda: RandomForestClassifier(100, max_depth=10, random_state=seed),
        "lda": lambda: LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"),
        "qda": lambda: QuadraticDiscriminantAnalysis(reg_param=0.1),
    }[name]()


class _Logistic:
    """Logistic regression whose penalty has the best cross-validated likelihood."""

    _STRENGTHS = (0.03, 0.3, 3.0, 30.0)

    def __init__(self, num_folds: int, seed: int):
        self.num_folds, self.seed = num_folds, seed

    def fit(self, values: np.ndarray, wrong: np.ndarray) -> Self:
        from sklearn.linear_model import LogisticRegression

        losses = np.zeros(len(self._STRENGTHS))
        for held_out in folds(wrong.astype(bool), self.num_folds, self.seed):
            rest = np.setdiff1d(np.arange(len(wrong)), held_out)
            for place, strength in enumerate(self._STRENGTHS):
                model = LogisticRegression(C=strength, max_iter=500).fit(values[rest], wrong[rest])
                chance = np.clip(model.predict_proba(values[held_out])[:, 1], 1e-9, 1 - 1e-9)
                losses[place] -= np.sum(np.log(np.where(wrong[held_out], chance, 1 - chance)))
        best = self._STRENGTHS[int(losses.argmin())]
        self.model = LogisticRegression(C=best, max_iter=500).fit(values, wrong)
        return self

    def predict_proba(self, values: np.ndarray) -> np.ndarray:
        return self.model.predict_proba(values)


class _Networks(Networks):
    """Networks of 200 and 200 units, each stopped by another part of the images; their mean.

    Layers, Adam's rate and the size of batches are the published detector's; weight decay and the
    mean of three stand for its dropout. What stops a network is the likelihood of its held-out
    part. Accuracy would not do: where one prediction in ten is wrong, a network that calls all of
    them right has 90 %, and stays for long the best that was seen.
    """

    _BATCH, _RATE, _DECAY = 100, 1e-3, 0.1
    _MOST_EPOCHS, _PATIENCE = 40, 5
    _GAIN = 5e-4  # nats an image; less is no progress

    def __init__(self, num_folds: int, seed: int):
        super().__init__(np.zeros(0), [])
        self.num_folds, self.seed = num_folds, seed

    def fit(self, values: np.ndarray, wrong: np.ndarray) -> Self:
        deviation = values.std(axis=0)
        self.deviation = np.where(deviation > 0, deviation, 1)
        values = self.scaled(values)
        parts = folds(wrong.astype(bool), self.num_folds, self.seed)
        self.networks = [
            self._fitted(values, wrong, held_out, word) for word, held_out in enumerate(parts)
        ]
        return self

    def _fitted(
        self, values: np.ndarray, wrong: np.ndarray, held_out: np.ndarray, word: int
    ) -> Any:
        from sklearn.neural_network import MLPClassifier

        rest = np.setdiff1d(np.arange(len(wrong)), held_out)
        start = random_stream([self.seed, word, len(wrong)]).integers(2**31)
        network = MLPClassifier(
            (200, 200),
            alpha=self._DECAY,
            batch_size=min(self._BATCH, len(rest)),
            learning_rate_init=self._RATE,
            random_state=int(start),
        )
        best, kept, since = np.inf, [], 0
        for _ in range(self._MOST_EPOCHS):
            network.partial_fit(values[rest], wrong[rest], classes=[0, 1])  # one epoch
            chance = np.clip(network.predict_proba(values[held_out])[:, 1], 1e-9, 1 - 1e-9)
            loss = -np.mean(np.log(np.where(wrong[held_out], chance, 1 - chance)))
            since += 1
            if loss < best - self._GAIN:
                best, since = loss, 0
                kept = [weight.copy() for weight in (*network.coefs_, *network.intercepts_)]
            if since >= self._PATIENCE:
                break
        depth = len(network.coefs_)
        network.coefs_, network.intercepts_ = kept[:depth], kept[depth:]
        return network
