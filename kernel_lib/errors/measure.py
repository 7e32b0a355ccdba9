"""Score the same predictions in every way, and hold the ways against one another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from kernel_lib._progress import progress as progress_bar
from kernel_lib.audit.statistics import expected_calibration_error, holm
from kernel_lib.errors import thresholds
from kernel_lib.errors.comparison import auroc_intervals, delong, paired_bootstrap
from kernel_lib.errors.evidence import Evidence, Reading
from kernel_lib.errors.graph import places
from kernel_lib.errors.learned import out_of_fold
from kernel_lib.errors.metrics import all_metrics, auroc
from kernel_lib.errors.mutants import MutantSet
from kernel_lib.errors.registry import Options, Score, cost
from kernel_lib.errors.scorers import Scorer, SequentialRate
from kernel_lib.errors.sequential import shuffled_order
from kernel_lib.models.classifier import Classifier

COMPARED = (
    "score", "title", "under_test", "difference", "low", "high", "p_value", "p_holm",
    "p_value_bootstrap", "times_the_cost",
)  # fmt: skip
CALIBRATION_BINS = 15
_COUNTS = (1, 2, 5, 10, 20, 40, 60, 100, 200, 500)


@dataclass
class Scored:
    """One score after it was fitted and asked.

    Attributes:
        score: its definition.
        scorer: fitted on all calibration predictions.
        calibration: (num_calibration,) suspicion of each calibration image by a scorer that was
            fitted without it.
        test: (num_test,) suspicion of the test images.
        cost: forward passes an image.
    """

    score: Score
    scorer: Scorer
    calibration: np.ndarray
    test: np.ndarray
    cost: float


@dataclass
class Measured:
    """Everything the audit measured.

    Attributes:
        calibration, test: the evidence.
        calibration_wrong, test_wrong: which predictions are wrong.
        scored: one entry a score, maximum softmax first.
        mutants: those that were asked, if any.
    """

    calibration: Evidence
    test: Evidence
    calibration_wrong: np.ndarray
    test_wrong: np.ndarray
    scored: list[Scored]
    mutants: MutantSet | None


def score_all(
    classifier: Classifier,
    reading: Reading,
    wanted: Sequence[Score],
    options: Options,
    calibration: tuple[Evidence, np.ndarray],
    test: tuple[Evidence, np.ndarray],
    mutants: MutantSet | None,
) -> Measured:
    """Fit every score on calibration and ask it about the test images.

    Test labels are used for nothing but metrics.
    """
    (known, known_wrong), (asked, asked_wrong) = calibration, test
    scored = []
    for score in progress_bar(wanted, "Scores", enabled=reading.progress):
        make = partial(score.make, options)
        out = out_of_fold(make, known, known_wrong, options.seed)
        scorer = make().fit(known, known_wrong)
        values = scorer.score(asked)
        price = _price(classifier, reading, score, scorer, 0 if mutants is None else len(mutants))
        scored.append(Scored(score, scorer, out, values, price))
    return Measured(known, asked, known_wrong, asked_wrong, scored, mutants)


def _price(
    classifier: Classifier, reading: Reading, score: Score, scorer: Scorer, num_mutants: int
) -> float:
    taps = reading.taps(classifier)
    closed = [places(classifier)[tap].has_affine_tail for tap in taps]
    path = 3.0 * (reading.steps + 1)  # a forward and a backward pass at each point
    return cost(
        score,
        path_passes=0.0 if all(closed) else path,
        conductance_passes=0.0 if closed and closed[-1] else path,
        num_mutants=num_mutants,
        asked=scorer.found.asked.mean() if isinstance(scorer, SequentialRate) else 0,
        dropout_passes=reading.dropout_passes,
    )


# --- tables --------------------------------------------------------------------------------------


def scores_table(measured: Measured, seed: int) -> pd.DataFrame:
    """Every metric of every score on the test images, best first, with what it costs.

    `auroc_low` and `auroc_high` are each score's own interval; `auroc_low_of_all` is a lower end
    that holds for all scores at once, so that the best may be picked.
    """
    rows = []
    count, wrong = len(measured.scored), measured.test_wrong
    for one in measured.scored:
        (low, high), of_all = auroc_intervals(one.test, wrong, (1, count), seed=seed)
        stated = one.score.is_chance
        rows.append(
            {
                "score": one.score.name,
                "title": one.score.title,
                "under_test": one.score.is_subject,
                **all_metrics(one.test, measured.test_wrong),
                "auroc_low": low,
                "auroc_high": high,
                "auroc_low_of_all": of_all[0],
                "auroc_calibration": auroc(one.calibration, measured.calibration_wrong),
                "calibration_error": expected_calibration_error(one.test, wrong, CALIBRATION_BINS)
                if stated
                else np.nan,
                "forward_passes": one.cost,
            }
        )
    return pd.DataFrame(rows).sort_values("auroc", ascending=False, ignore_index=True)


def comparison_table(measured: Measured, seed: int) -> pd.DataFrame:
    """Each score's AUROC less that of maximum softmax on the same test images.

    `p_holm` corrects the p-values of the scores under test for their number; the baselines, which
    no verdict rests on, have none.
    """
    rows = []
    plain = measured.scored[0]
    for one in measured.scored[1:]:
        exact = delong(one.test, plain.test, measured.test_wrong)
        drawn = paired_bootstrap(one.test, plain.test, measured.test_wrong, seed=seed)
        rows.append(
            {
                "score": one.score.name,
                "title": one.score.title,
                "under_test": one.score.is_subject,
                "difference": exact.value,
                "low": drawn.low,
                "high": drawn.high,
                "p_value": exact.p_value,
                "p_value_bootstrap": drawn.p_value,
                "times_the_cost": one.cost / plain.cost,
            }
        )
    table = pd.DataFrame(rows, columns=COMPARED)
    tested = table.under_test.astype(bool)
    table.loc[tested, "p_holm"] = holm(table.p_value[tested].to_numpy())
    return table


def outcomes_table(measured: Measured, coverage: float, risk: float) -> pd.DataFrame:
    """What thresholds from calibration do on the test images."""
    rows = []
    rules = (("equal_recall", None), ("coverage", coverage), ("risk", risk))
    for one in measured.scored:
        for rule, value in rules:
            line = thresholds.threshold(one.calibration, measured.calibration_wrong, rule, value)
            found = thresholds.outcome(one.test, measured.test_wrong, line)
            rows.append({"score": one.score.name, "rule": rule, "value": value, **found})
    return pd.DataFrame(rows)


def mutants_table(measured: Measured, seed: int) -> pd.DataFrame:
    """AUROC of the label change rate against the number of mutants asked."""
    said = measured.test.votes
    if said is None:
        return pd.DataFrame({"num_mutants": [], "auroc": []})
    changed = said.predictions != said.base
    total = len(changed)
    order = shuffled_order(total, seed)
    counts = sorted({count for count in _COUNTS if count < total} | {total})
    values = [auroc(changed[order[:c]].mean(axis=0), measured.test_wrong) for c in counts]
    return pd.DataFrame({"num_mutants": counts, "auroc": values})


def taps_table(classifier: Classifier, measured: Measured) -> pd.DataFrame:
    """The taps of conductance: their size, and what completeness can be expected."""
    found = places(classifier)
    rows = [
        {
            "tap": tap,
            "channels": values.shape[1],
            "is_cut": found[tap].is_cut,
            "closed_form": found[tap].has_affine_tail,
        }
        for tap, values in measured.test.conductance.items()
    ]
    return pd.DataFrame(rows, columns=["tap", "channels", "is_cut", "closed_form"])


def shifts_table(
    measured: Measured,
    classifier: Classifier,
    reading: Reading,
    shifted: dict[tuple[str, float], np.ndarray],
    labels: np.ndarray,
    names: Sequence[str],
) -> pd.DataFrame:
    """What the frozen detectors and their frozen equal-recall thresholds do on shifted images.

    Args:
        shifted: (name of the shift, severity or eps) -> images.
        labels: their classes.
        names: scores to follow.
    """
    rows: list[dict[str, Any]] = []
    followed = [one for one in measured.scored if one.score.name in names]
    recipes = () if measured.mutants is None else tuple(measured.mutants)
    quiet = replace(reading, progress=False)
    items = progress_bar(shifted.items(), "Shifts", enabled=reading.progress)
    for (shift, severity), images in items:
        evidence = quiet.gather(classifier, images, recipes)
        wrong = evidence.predicted != labels
        for one in followed:
            line = thresholds.threshold(one.calibration, measured.calibration_wrong)
            scores = one.scorer.score(evidence)
            known = 0 < wrong.sum() < len(wrong)
            found = thresholds.outcome(scores, wrong, line)
            rows.append(
                {
                    "shift": shift,
                    "severity": severity,
                    "accuracy": float((~wrong).mean()),
                    "score": one.score.name,
                    "auroc": auroc(scores, wrong) if known else np.nan,
                    "coverage": found["coverage"],
                    "accuracy_of_kept": found["accuracy_of_kept"],
                }
            )
    return pd.DataFrame(rows)
