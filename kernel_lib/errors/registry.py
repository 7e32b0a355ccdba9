"""Every score of suspicion by name: what it is called, what it costs, how it is made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from kernel_lib._checks import check_choice
from kernel_lib.errors import confidence
from kernel_lib.errors.evidence import Evidence
from kernel_lib.errors.learned import (
    Combined,
    Learned,
    Profiled,
    last_conductance,
    sorted_logits,
    with_class,
)
from kernel_lib.errors.scorers import (
    Mahalanobis,
    NearestNeighbours,
    Plain,
    Scorer,
    SequentialRate,
    Temperature,
    TrustScore,
    votes_of,
)

SUBJECTS = (
    "conductance",
    "conductance_profile",
    "label_change_rate",
    "soft_label_change_rate",
    "sequential_label_change_rate",
    "both",
)


@dataclass(frozen=True)
class Options:
    """What scorers are made with: the classifier on top of features, and a seed."""

    head: str = "logistic"
    seed: int = 0


@dataclass(frozen=True)
class Score:
    """One way to suspect a prediction.

    Attributes:
        name, title: for code and for people.
        make: gives a fresh scorer.
        needs: which evidence beyond logits and features: any of "conductance", "path", "votes",
            "dropout".
        is_chance: whether the score is a stated chance of being wrong.
    """

    name: str
    title: str
    make: Callable[[Options], Scorer]
    needs: tuple[str, ...] = ()
    is_chance: bool = False

    @property
    def is_subject(self) -> bool:
        """Whether it is under test here; otherwise it is a baseline."""
        return self.name in SUBJECTS


def _plain(function: Callable[[np.ndarray], np.ndarray]) -> Callable[[Options], Scorer]:
    return lambda options: Plain(lambda evidence: function(evidence.logits))


def _dropout(evidence: Evidence) -> np.ndarray:
    """Chance, over sub-networks, of another class than the whole network's."""
    if evidence.dropout is None:
        raise ValueError("This network has no dropout, so it has no sub-networks to ask.")
    return 1 - evidence.dropout[np.arange(len(evidence)), evidence.predicted]


def _learned(features: Callable[[Evidence], np.ndarray]) -> Callable[[Options], Scorer]:
    return lambda options: Learned(features, options.head, options.seed)


_ALL = (
    Score("msp", "Maximum softmax", _plain(confidence.msp), is_chance=True),
    Score("margin", "Margin of probabilities", _plain(confidence.margin)),
    Score("entropy", "Entropy", _plain(confidence.entropy)),
    Score("max_logit", "Maximum logit", _plain(confidence.max_logit)),
    Score("energy", "Energy", _plain(confidence.energy)),
    Score("temperature", "Softmax with temperature", lambda options: Temperature(), (), True),
    Score("doctor_alpha", "DOCTOR alpha", _plain(confidence.doctor_alpha)),
    Score("doctor_beta", "DOCTOR beta", _plain(confidence.doctor_beta)),
    Score("mc_dropout", "MC dropout", lambda options: Plain(_dropout), ("dropout",), True),
    Score("mahalanobis", "Mahalanobis distance", lambda options: Mahalanobis()),
    Score(
        "relative_mahalanobis", "Relative Mahalanobis", lambda options: Mahalanobis(relative=True)
    ),
    Score("nearest_neighbours", "Nearest neighbours", lambda options: NearestNeighbours()),
    Score("trust_score", "Trust score", lambda options: TrustScore()),
    Score("logits", "Classifier on logits", _learned(sorted_logits), (), True),
    Score(
        "penultimate",
        "Classifier on features + class",
        _learned(lambda evidence: with_class(evidence.features, evidence)),
        (),
        True,
    ),
    Score("conductance", "Conductance", _learned(last_conductance), ("conductance",), True),
    Score(
        "conductance_profile",
        "Conductance, class profile",
        lambda options: Profiled(options.head, options.seed),
        ("conductance", "path"),
        True,
    ),
    Score(
        "label_change_rate",
        "Label change rate",
        lambda options: Plain(lambda evidence: votes_of(evidence).rate),
        ("votes",),
    ),
    Score(
        "soft_label_change_rate",
        "Soft label change rate",
        lambda options: Plain(lambda evidence: votes_of(evidence).soft_rate),
        ("votes",),
    ),
    Score(
        "sequential_label_change_rate",
        "Label change rate, sequential",
        lambda options: SequentialRate(options.seed),
        ("votes",),
    ),
    Score(
        "both",
        "Label change rate + conductance",
        lambda options: Combined(_learned_conductance(options), options.head, options.seed),
        ("conductance", "votes"),
        True,
    ),
)
SCORES = {score.name: score for score in _ALL}


def _learned_conductance(options: Options) -> Callable[[], Scorer]:
    return lambda: Learned(last_conductance, options.head, options.seed)


def names() -> tuple[str, ...]:
    """Names of all scores: the baselines first, then what is under test."""
    return tuple(SCORES)


def chosen(wanted: Sequence[str] | None, *, has_votes: bool, has_dropout: bool) -> list[Score]:
    """The scores asked for, or all that the network allows; maximum softmax always first."""
    if wanted is not None:
        found = [SCORES[check_choice("score", name, SCORES)] for name in wanted]
        if "mc_dropout" in wanted and not has_dropout:
            raise ValueError("'mc_dropout' needs a network with dropout; this one has none.")
    else:
        lacking = {
            kind for kind, has in (("votes", has_votes), ("dropout", has_dropout)) if not has
        }
        found = [score for score in _ALL if not lacking & set(score.needs)]
    rest = [score for score in found if score.name != "msp"]
    return [SCORES["msp"], *rest]


def cost(
    score: Score, *, path_passes: float, conductance_passes: float, num_mutants: float,
    asked: float, dropout_passes: int
) -> float:  # fmt: skip
    """Cost of one image in forward passes; a backward pass counts as two.

    Args:
        score: the score.
        path_passes: of conductances at all taps.
        conductance_passes: of the conductances at the last tap alone.
        num_mutants: mutants of the full rate.
        asked: mutants the sequential test asks on average.
        dropout_passes: sub-networks asked.
    """
    total = 1.0
    if "path" in score.needs:
        total += path_passes
    elif "conductance" in score.needs:
        total += conductance_passes
    if "votes" in score.needs:
        total += asked if score.name.startswith("sequential") else num_mutants
    if "dropout" in score.needs:
        total += dropout_passes
    return total
