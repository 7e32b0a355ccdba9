"""What the saliency audit found: tables, intervals, verdicts, and frames for the widget."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from kernel_lib.report.result import AuditResult
from kernel_lib.report.uncertainty import bootstrap_means, interval, mean_of
from kernel_lib.saliency.measure import Measurements, Setting
from kernel_lib.saliency.verdict import (
    Evidence,
    MethodVerdict,
    evidence_for,
    method_verdicts,
    overall,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from kernel_lib.models.classifier import Classifier

_VERDICT_METRICS = ("spearman_absolute_foreground", "spearman_absolute")


@dataclass(frozen=True)
class SaliencyResult(AuditResult):
    """Result of `kernel_lib.saliency.audit`.

    Tables:
        similarity: step, label, level, method, metric, mean, low, high, num_values, num_empty.
        network: step, label, accuracy, logit_correlation, and the activation size of each block.
        verdicts: method, status, retained share with its interval, text, and the numbers of images
            whose maps were judged and were blank.
        controls: method, ceiling and similarity with the edge detector at first and last step.
        noise: for the noise test, area under the curve and half-noise of each method and metric.

    Arrays:
        values: (seeds, steps, methods, metrics, images) similarity with the trained network's map.
        maps_absolute, maps_signed: (seeds, steps, methods, images, h, w) uint8 for display.
    """

    audit: ClassVar[str] = "saliency"
    question: ClassVar[str] = "Do explanation maps depend on what the network learned?"

    def figure_makers(self) -> dict[str, Callable[[], Figure]]:
        """Curves, maps, and what fits the test."""
        from kernel_lib.saliency.plots import figure_makers

        return figure_makers(self)

    def frames(self) -> dict[str, Any]:
        """What `kernel_widgets.CascadeStepper` shows."""
        from kernel_lib.saliency.frames import frames

        return frames(self)

    def long_table(self) -> pd.DataFrame:
        """One row a single similarity: seed, step, label, method, image, metric, value."""
        shape = self.arrays["values"].shape
        index = np.indices(shape).reshape(len(shape), -1)
        labels = [step["label"] for step in self.parameters["steps"]]
        return pd.DataFrame(
            {
                "seed": np.array(self.parameters["seeds"])[index[0]],
                "step": index[1],
                "label": np.array(labels)[index[1]],
                "method": np.array(self.parameters["methods"])[index[2]],
                "metric": np.array(self.parameters["metrics"])[index[3]],
                "image": index[4],
                "value": self.arrays["values"].ravel(),
            }
        )


def summarize(
    measured: Measurements,
    setting: Setting,
    arguments: dict[str, Any],
    origin: dict[str, Any],
    classifier: Classifier,
    images: np.ndarray,
    labels: np.ndarray,
    has_labels: bool,
) -> SaliencyResult:
    """Turn measurements into a result."""
    seed = setting.options.seed
    by_cell = np.moveaxis(measured.values, 0, -2)  # (steps, methods, metrics, seeds, images)
    low, high = interval(bootstrap_means(by_cell, seed=seed))
    mean = mean_of(by_cell)
    tables = {
        "similarity": _similarity_table(measured, setting, mean, low, high),
        "network": _network_table(measured, setting),
        "controls": _controls_table(measured, setting),
    }
    if arguments["test"] == "noise":
        tables["noise"] = _noise_table(setting, mean)
    evidence = _evidence(measured, setting, arguments["test"], classifier, has_labels)
    judged = _judged(measured, setting, evidence)
    tables["verdicts"] = pd.DataFrame([asdict(one) for one in judged])
    titles = {method.name: method.title for method in setting.methods}
    verdict = overall(
        judged,
        titles,
        evidence,
        arguments["test"],
        num_seeds=len(setting.seeds),
        has_labels=has_labels,
        is_multi_label=classifier.is_multi_label,
    )
    arrays = asdict(measured) | {"inputs": to_display(images[: measured.empty.shape[3]])}
    arrays |= {
        "mean": mean,
        "low": low,
        "high": high,
        "shown_labels": labels[: setting.num_display],
    }
    parameters = arguments | {
        "steps": [
            {"label": s.label, "sentence": s.sentence, "changed": list(s.changed), "level": s.level}
            for s in setting.steps
        ],
        "seeds": list(setting.seeds),
        "blocks": [block.name for block in setting.blocks],
        "has_labels": has_labels,
    }
    scores = {
        "methods_that_pass": float(sum(one.status == "pass" for one in judged)),
        "methods_judged": float(len(judged)),
        "accuracy_trained": float(measured.accuracy[:, 0].mean()) if has_labels else math.nan,
        "accuracy_last_step": float(measured.accuracy[:, -1].mean()) if has_labels else math.nan,
    }
    return SaliencyResult(scores, tables, arrays, verdict, parameters, origin)


def to_display(images: np.ndarray) -> np.ndarray:
    """Images in [0, 1] as uint8 RGB (num_images, height, width, 3)."""
    grey_to_rgb = np.repeat(images, 3, axis=-1) if images.shape[-1] == 1 else images[..., :3]
    return np.rint(grey_to_rgb * 255).astype(np.uint8)


def _similarity_table(
    measured: Measurements, setting: Setting, mean: np.ndarray, low: np.ndarray, high: np.ndarray
) -> pd.DataFrame:
    rows = []
    known = np.isfinite(measured.values).sum(axis=(0, -1))
    num_all = measured.values.shape[0] * measured.values.shape[-1]
    for k, step in enumerate(setting.steps):
        for m, method in enumerate(setting.methods):
            for q, metric in enumerate(setting.metrics):
                rows.append(
                    {
                        "step": k,
                        "label": step.label,
                        "level": np.nan if step.level is None else step.level,
                        "method": method.name,
                        "metric": metric.name,
                        "mean": mean[k, m, q],
                        "low": low[k, m, q],
                        "high": high[k, m, q],
                        "num_values": int(known[k, m, q]),
                        "num_empty": int(num_all - known[k, m, q]),
                    }
                )
    return pd.DataFrame(rows)


def _network_table(measured: Measurements, setting: Setting) -> pd.DataFrame:
    table = pd.DataFrame(
        {
            "step": range(len(setting.steps)),
            "label": [step.label for step in setting.steps],
            "accuracy": measured.accuracy.mean(axis=0),
            "logit_correlation": mean_of(np.moveaxis(measured.logit_correlation, 0, 1)),
        }
    )
    sizes = measured.activation_rms.mean(axis=0)
    names = [f"activation_size_{block.name}" for block in setting.blocks]
    return pd.concat([table, pd.DataFrame(sizes, columns=names)], axis=1)


def _controls_table(measured: Measurements, setting: Setting) -> pd.DataFrame:
    """Ceiling of stochastic methods, and likeness to the edge detector before and after."""
    edges = mean_of(np.moveaxis(measured.edges, 0, 2))  # (steps, methods)
    rows = []
    for m, method in enumerate(setting.methods):
        for q, metric in enumerate(setting.metrics):
            known = measured.ceilings[m, q][np.isfinite(measured.ceilings[m, q])]
            rows.append(
                {
                    "method": method.name,
                    "metric": metric.name,
                    "ceiling": known.mean() if known.size else np.nan,
                    "edge_similarity_trained": edges[0, m],
                    "edge_similarity_last": edges[-1, m],
                }
            )
    return pd.DataFrame(rows)


def _noise_table(setting: Setting, mean: np.ndarray) -> pd.DataFrame:
    """Area under the curve over log noise, and the noise at which similarity crosses one half.

    With noise on several block sets, similarity is first averaged over them (area over depth).
    """
    levels = sorted({step.level for step in setting.steps if step.level})
    by_level = np.stack(
        [
            mean[[k for k, step in enumerate(setting.steps) if step.level == level]].mean(axis=0)
            for level in levels
        ]
    )  # (levels, methods, metrics)
    rows = []
    for m, method in enumerate(setting.methods):
        for q, metric in enumerate(setting.metrics):
            curve = by_level[:, m, q]
            rows.append(
                {
                    "method": method.name,
                    "metric": metric.name,
                    "area_under_curve": area_over_log(levels, curve),
                    "half_noise": half_noise(levels, curve),
                }
            )
    return pd.DataFrame(rows)


def area_over_log(levels: list[float], curve: np.ndarray) -> float:
    """Mean height of the curve over the logarithm of the noise."""
    if len(levels) == 1:
        return float(curve[0])
    place = np.log(levels)
    return float(np.trapezoid(curve, place) / (place[-1] - place[0]))


def half_noise(levels: list[float], curve: np.ndarray) -> float:
    """Noise at which similarity falls through 0.5, on a log scale; NaN if it never does."""
    below = np.flatnonzero(curve < 0.5)
    if not len(below) or below[0] == 0:
        return math.nan
    right = below[0]
    left = right - 1
    share = (curve[left] - 0.5) / (curve[left] - curve[right])
    return float(np.exp(np.log(levels[left]) + share * np.log(levels[right] / levels[left])))


def verdict_metric(metrics: list[str]) -> str:
    """The metric that verdicts rest on: absolute maps over the foreground, if it was measured."""
    return next((name for name in _VERDICT_METRICS if name in metrics), metrics[0])


def _evidence(
    measured: Measurements, setting: Setting, test: str, classifier: Classifier, has_labels: bool
) -> Evidence:
    correlation = mean_of(np.moveaxis(measured.logit_correlation, 0, 1))
    accuracy = measured.accuracy.mean(axis=0) if has_labels else np.full(len(correlation), np.nan)
    labels = [step.label for step in setting.steps]
    return evidence_for(test, labels, accuracy, correlation, 1 / classifier.num_classes)


def _judged(measured: Measurements, setting: Setting, evidence: Evidence) -> list[MethodVerdict]:
    names = [method.name for method in setting.methods]
    metric = verdict_metric([metric.name for metric in setting.metrics])
    place = [metric.name for metric in setting.metrics].index(metric)
    values = measured.values[:, :, :, place]
    floors = {
        True: values[:, :, names.index("input_times_random")],
        False: values[:, :, names.index("random_map")],
    }
    return method_verdicts(list(setting.methods), values, floors, evidence)
