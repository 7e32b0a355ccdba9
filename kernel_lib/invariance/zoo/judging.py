"""How well assessors judge networks they have not seen, against two simple yardsticks.

An assessor is worth something only if it beats both the majority class and one threshold on one
feature, the mean of the confidence matrix.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from kernel_lib._checks import check_choice, check_count
from kernel_lib._progress import progress as progress_bar
from kernel_lib.invariance.features import grouped
from kernel_lib.invariance.zoo.algorithms import ALGORITHMS, SEED_ALGORITHMS, make, probabilities
from kernel_lib.report.uncertainty import interval

if TYPE_CHECKING:
    import pandas as pd

    from kernel_lib.invariance.zoo.build import Zoo

YARDSTICKS = ("majority", "one_feature")
ONE_FEATURE = "confidence/mean"
Fold = tuple[np.ndarray, np.ndarray]  # positions to fit to, positions to test on


def judge(
    zoo: Zoo,
    *,
    protocol: str = "nested",
    algorithms: Sequence[str] | None = None,
    repeats: int = 5,
    num_folds: int = 5,
    seed: int = 0,
    progress: bool = True,
) -> pd.DataFrame:
    """Test algorithms on networks they were not fitted to.

    Args:
        zoo: measured networks; those that cannot be judged are left out.
        protocol: "nested" (repeated stratified cross-validation over all networks, tuning inside
            each fold) or "three_fold" (the original: regular networks in halves A and B, held-out
            ones H; fit A + B test H, fit A + H test B, fit B + H test A).
        algorithms: names of `ALGORITHMS`; None takes all ("three_fold": the original four).
        repeats: how often the folds are drawn anew.
        num_folds: folds of "nested"; fewer where a kind of network is rare.
        seed: seed of folds and algorithms.
        progress: show a progress bar.

    Returns:
        A row an algorithm and yardstick: algorithm, accuracy, low, high (95 % interval over
        networks), balanced_accuracy, kappa, brier, calibration_error, num_networks, repeats.

    Raises:
        ValueError: fewer than three networks of a kind.
    """
    check_choice("protocol", protocol, ("nested", "three_fold"))
    check_count("repeats", repeats)
    zoo = zoo.assessable()
    labels = checked_labels(zoo.is_invariant)
    if algorithms is None:
        algorithms = SEED_ALGORITHMS if protocol == "three_fold" else ALGORITHMS
    folds = list(_folds(zoo, labels, protocol, repeats, num_folds, seed))
    rows = []
    for name in progress_bar([*algorithms, *YARDSTICKS], "Assessors", enabled=progress):
        given = [_predicted(name, zoo, labels, fold, seed) for fold in folds]
        rows.append({"algorithm": name} | _scores(folds, given, labels, seed))
    import pandas as pd

    return pd.DataFrame(rows).assign(num_networks=len(labels), repeats=repeats)


def checked_labels(is_invariant: np.ndarray) -> np.ndarray:
    """The labels, if there are enough of both kinds."""
    count = int(is_invariant.sum())
    if min(count, len(is_invariant) - count) < 3:
        raise ValueError(
            "Judging assessors needs at least 3 networks that are invariant and 3 that are not. "
            f"Received: {count} and {len(is_invariant) - count}."
        )
    return is_invariant


def _folds(
    zoo: Zoo, labels: np.ndarray, protocol: str, repeats: int, num_folds: int, seed: int
) -> Iterator[Fold]:
    if protocol == "three_fold":
        yield from three_folds(zoo.models.held_out.to_numpy(bool), repeats, seed)
        return
    from sklearn.model_selection import RepeatedStratifiedKFold

    num_folds = int(min(num_folds, labels.sum(), (~labels).sum()))
    split = RepeatedStratifiedKFold(n_splits=num_folds, n_repeats=repeats, random_state=seed)
    yield from split.split(labels, labels)


def three_folds(held_out: np.ndarray, repeats: int, seed: int) -> Iterator[Fold]:
    """The original protocol; each regular network is tested exactly once a repeat.

    Args:
        held_out: (num_networks,) bool.
        repeats: how often the halves are drawn anew.
        seed: seed of the halves.
    """
    random = np.random.default_rng(seed)
    held, regular = np.flatnonzero(held_out), np.flatnonzero(~held_out)
    if len(held) < 1 or len(regular) < 2:
        raise ValueError(
            "The three-fold protocol needs regular and held-out networks. "
            f"Received: {len(regular)} and {len(held)}."
        )
    for _ in range(repeats):
        shuffled = random.permutation(regular)
        a, b = shuffled[: len(shuffled) // 2], shuffled[len(shuffled) // 2 :]
        yield np.concatenate([a, b]), held
        yield np.concatenate([a, held]), b
        yield np.concatenate([b, held]), a


def _predicted(name: str, zoo: Zoo, labels: np.ndarray, fold: Fold, seed: int) -> np.ndarray:
    """Probabilities of the networks that a fold tests."""
    fit, test = fold
    if name == "majority":
        return np.full(len(test), float(labels[fit].mean() >= 0.5))
    if name == "one_feature":
        feature = zoo.features[:, zoo.names.index(ONE_FEATURE)]
        return one_threshold(feature[fit], labels[fit], feature[test])
    rarer = int(min(labels[fit].sum(), (~labels[fit]).sum()))
    if rarer == 0:
        return np.full(len(test), float(labels[fit][0]))
    if rarer < 4 and name not in SEED_ALGORITHMS:
        return np.full(len(test), float(labels[fit].mean() >= 0.5))  # too few to tune on
    model = make(name, seed, folds=min(3, rarer)).fit(zoo.features[fit], labels[fit])
    return probabilities(model, zoo.features[test])


def one_threshold(feature: np.ndarray, labels: np.ndarray, tested: np.ndarray) -> np.ndarray:
    """The best cut on one feature: below it a network counts as invariant."""
    order = np.unique(feature)
    cuts = np.concatenate([[-np.inf], (order[1:] + order[:-1]) / 2, [np.inf]])
    right = ((feature[None] <= cuts[:, None]) == labels).mean(axis=1)
    return (tested <= cuts[int(right.argmax())]).astype(float)


def _scores(
    folds: Sequence[Fold], given: Sequence[np.ndarray], labels: np.ndarray, seed: int
) -> dict[str, float]:
    """Scores over all tested networks; the interval draws networks again, with their repeats."""
    tested = np.concatenate([test for _, test in folds])
    probability = np.concatenate(given)
    truth, said = labels[tested], probability >= 0.5
    low, high = _accuracy_interval(tested, truth == said, seed)
    return {
        "accuracy": float((truth == said).mean()),
        "low": low,
        "high": high,
        "balanced_accuracy": float(np.mean([(said == k)[truth == k].mean() for k in (0, 1)])),
        "kappa": kappa(truth, said),
        "brier": float(np.square(probability - truth).mean()),
        "calibration_error": calibration_error(probability, truth),
    }


def _accuracy_interval(tested: np.ndarray, right: np.ndarray, seed: int) -> tuple[float, float]:
    number = np.bincount(tested)
    known = np.flatnonzero(number)
    share = np.bincount(tested, right)[known] / number[known]
    drawn = np.random.default_rng(seed).integers(len(known), size=(2000, len(known)))
    low, high = interval(share[drawn].mean(axis=1))
    return float(low), float(high)


def kappa(first: np.ndarray, second: np.ndarray) -> float:
    """Cohen's kappa of two lists of verdicts: 1 for the same, about 0 for unrelated ones."""
    first, second = np.asarray(first), np.asarray(second)
    seen = float((first == second).mean())
    kinds = np.union1d(first, second)
    chance = float(sum((first == k).mean() * (second == k).mean() for k in kinds))
    return 1.0 if chance == 1 else (seen - chance) / (1 - chance)


def calibration_error(probability: np.ndarray, truth: np.ndarray, num_bins: int = 10) -> float:
    """Expected calibration error: mean gap between probability and share, over equal bins."""
    bins = np.minimum((probability * num_bins).astype(int), num_bins - 1)
    number = np.bincount(bins, minlength=num_bins)
    gap = np.bincount(bins, truth, num_bins) - np.bincount(bins, probability, num_bins)
    return float(np.abs(gap[number > 0]).sum() / len(probability))


def importance(
    zoo: Zoo,
    *,
    algorithm: str = "logistic",
    by: str = "matrix",
    repeats: int = 10,
    num_folds: int = 5,
    seed: int = 0,
) -> pd.DataFrame:
    """What accuracy is lost when features that belong together are shuffled, on held-out folds.

    Features of one matrix, or one measurement over all matrices, tell much the same; shuffled one
    by one, each would seem to matter little. So they are shuffled together.

    Args:
        zoo: measured networks.
        algorithm: one of `ALGORITHMS`.
        by: "matrix" or "measurement".
        repeats: shuffles of each fold.
        num_folds: of the cross-validation.
        seed: seed of folds and shuffles.

    Returns:
        A row a group: group, loss (of accuracy), low, high (over folds and shuffles).
    """
    import pandas as pd

    check_choice("by", by, ("matrix", "measurement"))
    zoo = zoo.assessable()
    labels = checked_labels(zoo.is_invariant)
    groups = grouped(zoo.names, by)
    losses: dict[str, list[float]] = {name: [] for name in groups}
    for number, (fit, test) in enumerate(_folds(zoo, labels, "nested", 1, num_folds, seed)):
        rarer = int(min(labels[fit].sum(), (~labels[fit]).sum()))
        model = make(algorithm, seed, max(2, min(3, rarer))).fit(zoo.features[fit], labels[fit])
        whole = _accuracy(model, zoo.features[test], labels[test])
        random = np.random.default_rng([seed, number])
        for _ in range(repeats):
            mixed = random.permutation(test)
            for name, columns in groups.items():
                table = zoo.features[test].copy()
                table[:, columns] = zoo.features[mixed][:, columns]
                losses[name].append(whole - _accuracy(model, table, labels[test]))
    rows = []
    for name, values in losses.items():
        low, high = interval(np.array(values))
        rows.append(
            {"group": name, "loss": float(np.mean(values)), "low": float(low), "high": float(high)}
        )
    return pd.DataFrame(rows).sort_values("loss", ascending=False, ignore_index=True)


def _accuracy(model: Any, table: np.ndarray, labels: np.ndarray) -> float:
    return float(((probabilities(model, table) >= 0.5) == labels).mean())


def transfer(
    source: Zoo, target: Zoo, *, algorithms: Sequence[str] = ALGORITHMS, seed: int = 0
) -> pd.DataFrame:
    """Fit to one zoo, test on another: other transformation, other data, other networks.

    Returns:
        A row an algorithm and yardstick, with the scores of `judge`.

    Raises:
        ValueError: the zoos have other features.
    """
    import pandas as pd

    source, target = source.assessable(), target.assessable()
    if source.names != target.names:
        raise ValueError("The two zoos have other features: nothing learnt on one fits the other.")
    checked_labels(source.is_invariant)
    both = replace(
        source,
        models=pd.concat([source.models, target.models], ignore_index=True),
        features=np.concatenate([source.features, target.features]),
    )
    labels = both.is_invariant
    fold = (np.arange(len(source.models)), np.arange(len(source.models), len(labels)))
    rows = []
    for name in [*algorithms, *YARDSTICKS]:
        given = _predicted(name, both, labels, fold, seed)
        rows.append({"algorithm": name} | _scores([fold], [given], labels, seed))
    return pd.DataFrame(rows).assign(num_networks=len(target.models))
