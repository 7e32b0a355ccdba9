"""What the invariance audit found: matrices, measurements, curves, verdict, widget frames."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from kernel_lib.audit.statistics import wilson_interval
from kernel_lib.invariance.assessor import Assessment
from kernel_lib.invariance.checklist import checklist_rows
from kernel_lib.invariance.extras import extra_measurements, sensitivity
from kernel_lib.invariance.loss import RulesCost
from kernel_lib.invariance.matrices import bootstrap_matrices, flip_matrix, variance_matrix
from kernel_lib.invariance.measure import measure
from kernel_lib.invariance.signals import SPLITS, Signals
from kernel_lib.invariance.truth import Truth
from kernel_lib.invariance.verdict import overall
from kernel_lib.report.result import AuditResult
from kernel_lib.report.uncertainty import interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_NUM_RESAMPLES = 200


@dataclass(frozen=True)
class InvarianceResult(AuditResult):
    """Result of `kernel_lib.invariance.audit`.

    Tables:
        measurements: split, signal, measurement, value, low, high (intervals for all images).
        curve: step, value, label, accuracy with its interval, confidence, flip_rate,
            distance_from_identity.
        classes: class, num_images, identity_accuracy, worst_accuracy, flip_rate.
        checklist: transform, test, slice, failure_rate, low, high, limit, status, passed, reason,
            num_images.
        truth: verdict, drop with its interval, accuracies; empty without labels.
        reasons: kind ("reason" or "warning") and text of the assessor.

    Arrays:
        matrices: (splits, signals, T, T); flip_matrix (T, T); signals (signals, T, N).
        pictures: (shown, T, h, w, 3) uint8; probabilities (shown, T, classes).
    """

    audit: ClassVar[str] = "invariance"
    question: ClassVar[str] = "Does the network say the same when the image is slightly changed?"

    def figure_makers(self) -> dict[str, Callable[[], Figure]]:
        """Curves, matrices, images and classes."""
        from kernel_lib.invariance.plots import figure_makers

        return figure_makers(self)

    def frames(self) -> dict[str, Any]:
        """What `kernel_widgets.InvarianceExplorer` shows."""
        from kernel_lib.invariance.frames import frames

        return frames(self)

    def matrix(self, signal: str, split: str = "all") -> np.ndarray:
        """One variance matrix (T, T)."""
        given = self.parameters
        return self.arrays["matrices"][given["splits"].index(split), given["signals"].index(signal)]


@dataclass(frozen=True)
class Measured:
    """What the audit measured, before it is summed up. I shown images, T steps, C classes.

    Attributes:
        signals: of all images; `for_features` and `for_truth` are disjoint halves of them where an
            assessor judges, and all of them where none does.
        truth: finding from labels, or None. `assessment`: finding without labels, or None.
        shown: (I,) which images are kept for display.
        pictures: (I, T, h, w, 3) uint8. `probabilities`: (I, T, C).
        cost: what the test's own rules cost, where there are labels.
    """

    signals: Signals
    for_features: Signals
    for_truth: Signals | None
    truth: Truth | None
    assessment: Assessment | None
    shown: np.ndarray
    pictures: np.ndarray
    probabilities: np.ndarray
    cost: RulesCost | None = None


def main_signals(taps: list[str]) -> list[str]:
    """The signals that assessors and figures look at."""
    inner = [f"{tap}.{statistic}" for tap in taps[-2:] for statistic in ("max", "max_mean")]
    return ["confidence", *inner]


def summarize(
    measured: Measured,
    arguments: dict[str, Any],
    origin: dict[str, Any],
    seed: int,
    blocked: str = "",
) -> InvarianceResult:
    """Turn what was measured into a result; `blocked` says why no check can pass or fail."""
    clean = arguments["mode"] == "clean"
    signals = measured.for_features.scaled() if clean else measured.for_features
    splits = {name: part for name in SPLITS if (part := _split(signals, name)) is not None}
    matrices = np.stack([variance_matrix(part.values) for part in splits.values()])
    parameters = arguments | {"splits": list(splits), "signals": list(signals.names)}
    checks = checklist_rows(
        measured.signals, arguments["transform"], class_names=arguments["class_names"],
        blocked=blocked,
    )  # fmt: skip
    tables = {
        "measurements": _measurement_table(splits, matrices, arguments, seed),
        "curve": _curve_table(measured, matrices),
        "checklist": pd.DataFrame(checks),
        "reasons": _reasons_table(measured.assessment),
    }
    if measured.truth is not None:
        tables["classes"] = _class_table(measured.signals, arguments["class_names"])
        tables["truth"] = pd.DataFrame([measured.truth.describe()])
    labels = measured.signals.labels
    arrays: dict[str, Any] = {
        "matrices": matrices,
        "flip_matrix": flip_matrix(measured.signals.predictions),
        "signals": measured.signals.values,
        "predictions": measured.signals.predictions,
        "plateau": measured.signals.plateau,
        "pictures": measured.pictures,
        "probabilities": measured.probabilities,
        "shown": measured.shown,
        "shown_labels": np.full(len(measured.shown), -1)
        if labels is None
        else labels[measured.shown],
    }
    scores = _scores(measured, tables["measurements"], arrays["flip_matrix"])
    grid = measured.signals.grid
    verdict = overall(
        arguments,
        f"from {grid.label(0)} to {grid.label(len(grid) - 1)}",
        "" if measured.truth is None else grid.label(measured.truth.worst_step),
        measured.truth,
        measured.assessment,
        scores["flip_rate"],
        measured.cost,
    )
    return InvarianceResult(scores, tables, arrays, verdict, parameters, origin)


def _split(signals: Signals, name: str) -> Signals | None:
    """A split, or None where there are no labels or too few images."""
    try:
        return signals.split(name)
    except ValueError:
        return None


def _scores(measured: Measured, measurements: pd.DataFrame, flips: np.ndarray) -> dict[str, float]:
    truth, cost, h = measured.truth, measured.cost, measured.signals.grid.identity_index
    confidence = measurements.query("split == 'all' and signal == 'confidence'")
    found = {"flip_rate": float(np.delete(flips[h], h).mean())}
    found["confidence_variance"] = float(confidence.set_index("measurement").value["mean"])
    if measured.assessment is not None:
        found["probability_invariant"] = measured.assessment.probability
    if truth is None:
        return found
    return {
        "drop": truth.drop,
        "identity_accuracy": truth.identity_accuracy,
        "worst_accuracy": truth.worst_accuracy,
        "robust_accuracy": truth.robust_accuracy,
        "untouched_accuracy": np.nan if cost is None else cost.untouched_accuracy,
        "chance_accuracy": 1 / measured.signals.num_classes,
    } | found


def _measurement_table(
    splits: dict[str, Signals], matrices: np.ndarray, arguments: dict[str, Any], seed: int
) -> pd.DataFrame:
    rows = []
    for (split, signals), of_split in zip(splits.items(), matrices, strict=True):
        values = _measured(of_split, signals, arguments["mode"])
        values["sstv"] = sensitivity(signals.values, arguments["mode"])
        for s, signal in enumerate(signals.names):
            limits = {}
            if split == "all" and signal in main_signals(arguments["taps"]):
                limits = _intervals(signals, signal, arguments["mode"], seed)
            for name, of_signals in values.items():
                low, high = limits.get(name, (np.nan, np.nan))
                rows.append(
                    {
                        "split": split,
                        "signal": signal,
                        "measurement": name,
                        "value": float(of_signals[s]),
                        "low": float(low),
                        "high": float(high),
                    }
                )
    return pd.DataFrame(rows)


def _measured(matrices: np.ndarray, signals: Signals, mode: str) -> dict[str, np.ndarray]:
    grid = signals.grid
    found = measure(matrices, mode, plateau=signals.plateau, symmetric=grid.is_symmetric)
    return found | extra_measurements(matrices, grid)


def _intervals(
    signals: Signals, name: str, mode: str, seed: int
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """95 % intervals of all measurements of one signal, images drawn again."""
    drawn = bootstrap_matrices(signals.signal(name), _NUM_RESAMPLES, seed)
    return {
        measurement: interval(values.astype(float))
        for measurement, values in _measured(drawn, signals, mode).items()
        if measurement not in ("sstv", "degenerate")
    }


def _curve_table(measured: Measured, matrices: np.ndarray) -> pd.DataFrame:
    signals, grid = measured.signals, measured.signals.grid
    h = grid.identity_index
    table = pd.DataFrame(
        {
            "step": range(len(grid)),
            "value": grid.values,
            "label": [grid.label(step) for step in range(len(grid))],
            "confidence": signals.signal("confidence").mean(axis=1, dtype=float),
            "original_class": signals.signal("original_class").mean(axis=1, dtype=float),
            "flip_rate": (signals.predictions != signals.predictions[h]).mean(axis=1),
            "distance_from_identity": matrices[0, 0, h],
        }
    )
    if measured.for_truth is None:
        return table
    right = measured.for_truth.right
    low, high = wilson_interval(right.mean(axis=1), right.shape[1])
    return table.assign(accuracy=right.mean(axis=1), accuracy_low=low, accuracy_high=high)


def _class_table(signals: Signals, class_names: list[str]) -> pd.DataFrame:
    h, labels = signals.grid.identity_index, np.asarray(signals.labels)
    changed = np.delete(signals.predictions != signals.predictions[h], h, axis=0)
    rows = []
    for label in np.unique(labels):
        chosen = labels == label
        accuracy = signals.right[:, chosen].mean(axis=1)
        rows.append(
            {
                "class": class_names[label],
                "num_images": int(chosen.sum()),
                "identity_accuracy": float(accuracy[h]),
                "worst_accuracy": float(accuracy.min()),
                "worst_label": signals.grid.label(int(accuracy.argmin())),
                "flip_rate": float(changed[:, chosen].mean()),
            }
        )
    return pd.DataFrame(rows).sort_values("worst_accuracy", ignore_index=True)


def _reasons_table(assessment: Assessment | None) -> pd.DataFrame:
    rows = []
    if assessment is not None:
        rows += [{"kind": "reason", "text": text} for text in assessment.reasons]
        rows += [{"kind": "warning", "text": text} for text in assessment.warnings]
    return pd.DataFrame(rows, columns=["kind", "text"])


def finite(value: float) -> float | None:
    """A number as JSON can hold it."""
    return float(value) if math.isfinite(value) else None
