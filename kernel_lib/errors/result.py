"""What the error audit found: metrics, comparisons, outcomes, and frames for the widget."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from kernel_lib.errors import measure
from kernel_lib.errors.measure import Measured
from kernel_lib.errors.mutants import MutantSet
from kernel_lib.errors.verdict import verdict
from kernel_lib.report.result import AuditResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from kernel_lib.models.classifier import Classifier


@dataclass(frozen=True)
class ErrorResult(AuditResult):
    """Result of `kernel_lib.errors.audit`.

    Tables:
        scores: score, title, under_test, every metric of `kernel_lib.errors.metrics` on the test
            images, the AUROC's interval, AUROC and error of stated chances, forward_passes.
        comparison: AUROC less that of maximum softmax, with interval, p-values (p_holm is corrected
            for the number of scores under test) and relative cost.
        outcomes: score, rule, counts and shares of what thresholds from calibration do.
        mutants: AUROC of the label change rate against the number of mutants.
        taps: where conductance was read.
        shifts: accuracy, AUROC, coverage and accuracy of kept images on shifted images.

    Arrays:
        test_scores, calibration_scores: (num_scores, num_images) suspicion, in the order of
            `parameters["scores"]`; test_wrong, calibration_wrong: (num_images,) bool.
        predicted, labels: (num_test,) classes of the test images.
        votes: (num_mutants, num_test) predictions of the mutants.
        gap: (num_test,) relative completeness gap; probability: (num_test,) largest softmax.
        and those of `kernel_lib.errors.display`.
    """

    audit: ClassVar[str] = "errors"
    question: ClassVar[str] = "Which predictions are likely wrong?"

    def figure_makers(self) -> dict[str, Callable[[], Figure]]:
        """Ranking of scores, ROC and risk-coverage curves, and what thresholds do."""
        from kernel_lib.errors.plots import figure_makers

        return figure_makers(self)

    def frames(self) -> dict[str, Any]:
        """What `kernel_widgets.ErrorTriage` shows."""
        from kernel_lib.errors.frames import frames

        return frames(self)

    def suspicion(self, score: str, of: str = "test") -> np.ndarray:
        """Suspicion of the "test" or "calibration" images by one score, (num_images,)."""
        names = self.parameters["scores"]
        if score not in names:
            raise ValueError(f"`score` must be one of {', '.join(names)}. Received: {score!r}.")
        return self.arrays[f"{of}_scores"][names.index(score)]


def summarize(
    classifier: Classifier,
    measured: Measured,
    shown: dict[str, np.ndarray],
    labels: np.ndarray,
    class_names: Sequence[str],
    shifts: pd.DataFrame | None,
    parameters: dict[str, Any],
    origin: dict[str, Any],
) -> ErrorResult:
    """Turn measurements into a result."""
    seed = parameters["seed"]
    tables = {
        "scores": measure.scores_table(measured, seed),
        "comparison": measure.comparison_table(measured, seed),
        "outcomes": measure.outcomes_table(measured, parameters["coverage"], parameters["risk"]),
        "mutants": measure.mutants_table(measured, seed),
        "taps": measure.taps_table(classifier, measured),
    }
    if shifts is not None:
        tables["shifts"] = shifts
    wrong = measured.test_wrong
    finding = verdict(
        tables["scores"],
        tables["comparison"],
        tables["outcomes"],
        int(wrong.sum()),
        int((~wrong).sum()),
    )
    arrays = shown | {
        "test_scores": np.stack([one.test for one in measured.scored]),
        "calibration_scores": np.stack([one.calibration for one in measured.scored]),
        "test_wrong": wrong,
        "calibration_wrong": measured.calibration_wrong,
        "predicted": measured.test.predicted,
        "labels": labels,
        "gap": measured.test.gap,
        "probability": measured.test.probabilities.max(axis=1),
    }
    if measured.test.votes is not None:
        arrays["votes"] = measured.test.votes.predictions
    parameters = parameters | {
        "scores": [one.score.name for one in measured.scored],
        "titles": {one.score.name: one.score.title for one in measured.scored},
        "taps": list(measured.test.conductance),
        "class_names": list(class_names),
        "num_mutants_asked": 0 if measured.mutants is None else len(measured.mutants),
        "acceptance": _acceptance(measured.mutants),
    }
    return ErrorResult(_scores(measured, tables), tables, arrays, finding, parameters, origin)


def _acceptance(found: MutantSet | None) -> dict[str, float] | None:
    if found is None:
        return None
    return {
        "original_accuracy": found.original_accuracy,
        "num_attempts": found.num_attempts,
        "acceptance_rate": found.acceptance_rate,
        "lowest_accuracy": float(found.accuracy.min()),
    }


def _scores(measured: Measured, tables: dict[str, pd.DataFrame]) -> dict[str, float]:
    by_name = tables["scores"].set_index("score").auroc
    found = {
        "accuracy": float((~measured.test_wrong).mean()),
        "num_wrong": float(measured.test_wrong.sum()),
        "best_auroc": float(by_name.max()),
    }
    for name in ("msp", "conductance", "label_change_rate", "both"):
        if name in by_name:
            found[f"auroc_{name}"] = float(by_name[name])
    if len(measured.test.gap) and np.isfinite(measured.test.gap).any():
        found["worst_completeness_gap"] = float(np.nanmax(measured.test.gap))
    return found
