"""A result for predictions that are all right, or all wrong: what can be said is said in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from kernel_lib.data import ImageSet
from kernel_lib.errors import measure, thresholds
from kernel_lib.errors.display import display_arrays
from kernel_lib.errors.evidence import Reading
from kernel_lib.errors.measure import Measured, Scored
from kernel_lib.errors.metrics import METRICS
from kernel_lib.errors.registry import SCORES, Options
from kernel_lib.errors.result import ErrorResult
from kernel_lib.errors.verdict import nothing_to_tell
from kernel_lib.models.classifier import Classifier


def without_both_kinds(
    classifier: Classifier,
    reading: Reading,
    known: ImageSet,
    asked: ImageSet,
    class_names: Sequence[str],
    num_display: int,
    parameters: dict[str, Any],
    origin: dict[str, Any],
) -> ErrorResult:
    """Rank by maximum softmax alone, which learns nothing; its metrics are NaN.

    No mutants are made and no conductance is read, as nothing could be said of them.

    Args:
        classifier: the network.
        reading: how evidence is gathered; its layers are left out.
        known, asked: calibration and test images.
        class_names: in the order of the network's outputs.
        num_display: images that the widget shows.
        parameters, origin: of the result.
    """
    plain = replace(reading, layers=[], dropout_passes=0)
    calibration, test = (plain.gather(classifier, each.images) for each in (known, asked))
    wrong = [
        evidence.predicted != each.labels
        for evidence, each in ((calibration, known), (test, asked))
    ]
    score = SCORES["msp"]
    scorer = score.make(Options(seed=reading.seed))
    scored = Scored(score, scorer, scorer.score(calibration), scorer.score(test), 1.0)
    measured = Measured(calibration, test, wrong[0], wrong[1], [scored], None)
    shown = display_arrays(measured, known, asked, scored.test, num_display)
    arrays = shown | {
        "test_scores": scored.test[None],
        "calibration_scores": scored.calibration[None],
        "test_wrong": wrong[1],
        "calibration_wrong": wrong[0],
        "predicted": test.predicted,
        "labels": asked.labels,
        "gap": test.gap,
        "probability": test.probabilities.max(axis=1),
    }
    parameters = parameters | {
        "scores": [score.name],
        "titles": {score.name: score.title},
        "taps": [],
        "class_names": list(class_names),
        "num_mutants_asked": 0,
        "acceptance": None,
    }
    num_wrong = int(wrong[1].sum())
    finding = nothing_to_tell(len(known), int(wrong[0].sum()), len(asked), num_wrong)
    scores = {
        "accuracy": float((~wrong[1]).mean()),
        "num_wrong": float(num_wrong),
        "best_auroc": float("nan"),
        "auroc_msp": float("nan"),
    }
    tables = _tables(classifier, measured, scored, wrong[1])
    return ErrorResult(scores, tables, arrays, finding, parameters, origin)


def _tables(
    classifier: Classifier, measured: Measured, scored: Scored, wrong: np.ndarray
) -> dict[str, pd.DataFrame]:
    """The tables of every error result, with what is unknown as NaN; nothing is withheld."""
    row = {
        "score": scored.score.name,
        "title": scored.score.title,
        "under_test": False,
        **dict.fromkeys(METRICS, np.nan),
        "auroc_low": 0.0,
        "auroc_high": 1.0,
        "auroc_low_of_all": 0.0,
        "auroc_calibration": np.nan,
        "calibration_error": np.nan,
        "forward_passes": 1.0,
    }
    line = float(scored.test.max())
    outcome = thresholds.outcome(scored.test, wrong, line)
    return {
        "scores": pd.DataFrame([row]),
        "comparison": pd.DataFrame(columns=measure.COMPARED).astype({"under_test": bool}),
        "outcomes": pd.DataFrame(
            [{"score": scored.score.name, "rule": "equal_recall", "value": None, **outcome}]
        ),
        "mutants": measure.mutants_table(measured, 0),
        "taps": measure.taps_table(classifier, measured),
    }
