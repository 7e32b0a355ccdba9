"""Tables of a check-up: classes, channels, ablations, and the treatment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from kernel_lib.audit.intervals import mean_interval
from kernel_lib.audit.statistics import expected_calibration_error, wilson_interval
from kernel_lib.data import ImageSet
from kernel_lib.doctor.diagnosis import Diagnosis
from kernel_lib.doctor.measure import (
    CALIBRATION_BINS,
    Measured,
    mcnemar,
    stacked,
)
from kernel_lib.doctor.samples import Samples

_MUCH_OUTSIDE = 0.5  # reliance on backgrounds above which masks are suggested
_MUCH_OVERLAP = 0.5


@dataclass(frozen=True)
class Blame:
    """Which channels are blamed, and why.

    Attributes:
        push: (num_channels,) mean contribution to the margin of misclassified images; positive
            pushes towards the wrong class. NaN without a misclassified image.
        from_background: (num_channels,) mean size of what the background contributes; NaN without
            masks.
        channels: numbers of the blamed channels, the most blamed first.
        reason: "background" or "errors".
    """

    push: np.ndarray
    from_background: np.ndarray
    channels: np.ndarray
    reason: str


def blame(
    push: np.ndarray, outside: np.ndarray, wrong: np.ndarray, has_mask: np.ndarray, count: int
) -> Blame:
    """Blame the channels that the background speaks through; without masks, those that err.

    Args:
        push, outside: (num_images, num_channels), see `contributions`.
        wrong, has_mask: (num_images,) bool.
        count: how many are blamed at most.
    """
    nothing = np.full(push.shape[1], np.nan)
    mean_push = push[wrong].mean(axis=0, dtype=np.float64) if wrong.any() else nothing
    background = outside[has_mask].mean(axis=0, dtype=np.float64) if has_mask.any() else nothing
    reason = "background" if has_mask.any() else "errors"
    rank = np.nan_to_num(background if has_mask.any() else mean_push)
    order = np.argsort(-rank, kind="stable")[:count]
    return Blame(mean_push, background, order[rank[order] > 0], reason)


def channels_table(diagnosis: Diagnosis, blamed: Blame, seed: int) -> pd.DataFrame:
    """The channels of the tap with what is held against them, the blamed ones first."""
    table = diagnosis.channels(seed)
    channel = table.channel.to_numpy()
    place = np.full(len(channel), len(channel))
    place[blamed.channels] = np.arange(len(blamed.channels))
    table["push_to_error"] = blamed.push[channel]
    table["from_background"] = blamed.from_background[channel]
    table["blamed"] = np.isin(channel, blamed.channels)
    order = np.lexsort((np.arange(len(channel)), place[channel]))
    return table.iloc[order].reset_index(drop=True)


def classes_table(
    measured: Measured, images: ImageSet, diagnosis: Diagnosis, samples: Samples
) -> pd.DataFrame:
    """One row a class: how often and how it errs, what it leans on, and what to try."""
    counts = np.bincount(images.labels, minlength=images.num_classes)
    num_right = np.bincount(images.labels[measured.right], minlength=images.num_classes)
    low, high = wilson_interval(num_right / np.maximum(counts, 1), counts)
    confusion = np.zeros((images.num_classes, images.num_classes), int)
    np.add.at(confusion, (images.labels, measured.predictions), 1)
    relies, overlap = diagnosis.relies(), diagnosis.overlap()
    rows = []
    for label, name in enumerate(images.class_names):
        own = images.labels == label
        errors = confusion[label].copy()
        errors[label] = 0
        other = int(errors.argmax())
        row = {
            "class": name,
            "images": int(counts[label]),
            "accuracy": num_right[label] / max(counts[label], 1),
            "low": low[label],
            "high": high[label],
            "confused_with": images.class_names[other] if errors.any() else "",
            "confused_share": errors[other] / max(counts[label], 1),
            "confidence": _mean(measured.confidence[own]),
            "calibration_error": expected_calibration_error(
                measured.confidence[own], measured.right[own], CALIBRATION_BINS
            ),
            "high_samples": int(samples.counts.high[label]),
            "low_samples": int(samples.counts.low[label]),
            "gradient_outside": _mean(measured.outside[own]),
            "channels_used": float(relies[label].mean()),
            "overlap": float(overlap[label, other]) if errors.any() else np.nan,
        }
        rows.append(row | {"suggestion": _suggestion(row, measured.background_reliance)})
    return pd.DataFrame(rows)


def _suggestion(row: dict[str, Any], background_reliance: float) -> str:
    if row["images"] == 0:
        return "no test images"
    if row["low"] > 0.95:
        return "nothing"
    if background_reliance > 0.1 and row["gradient_outside"] > _MUCH_OUTSIDE:
        return "spatial loss, with masks"
    if row["overlap"] > _MUCH_OVERLAP:
        return f"channel loss, against {row['confused_with']}"
    return "more training images"


def ablation_table(found: dict[str, Any], labels: np.ndarray) -> pd.DataFrame:
    """Accuracy with the blamed channels held constant, beside random ones."""
    before, after = (predictions == labels for predictions in found["predictions"])
    test = mcnemar(before, after)
    random = found["accuracy_random"]
    rows = [
        {"held": "none", "accuracy": found["accuracy_before"], "low": np.nan, "high": np.nan},
        {"held": "blamed", "accuracy": found["accuracy_blamed"], **test},
        {
            "held": "random",
            "accuracy": _mean(random),
            "low": random.min() if len(random) else np.nan,
            "high": random.max() if len(random) else np.nan,
        },
    ]
    return pd.DataFrame(rows)


def treatment_table(
    before: Measured, controls: Sequence[Measured], treated: Sequence[Measured], seeds: list[int]
) -> pd.DataFrame:
    """One row a network: the untreated one, and for each seed the control and the treated one."""
    rows = [_network_row("before", -1, before, before)]
    for kind, networks in (("control", controls), ("treated", treated)):
        for seed, network in zip(seeds, networks, strict=True):
            rows.append(_network_row(kind, seed, network, before))
    return pd.DataFrame(rows)


def _network_row(kind: str, seed: int, network: Measured, before: Measured) -> dict[str, Any]:
    return {
        "network": kind,
        "seed": seed,
        "accuracy": network.accuracy,
        "calibration_error": network.calibration_error,
        "gradient_outside": _mean(network.outside),
        "background_reliance": network.background_reliance,
        **mcnemar(before.right, network.right),
    }


def comparison_table(
    before: Measured,
    controls: Sequence[Measured],
    treated: Sequence[Measured],
    images: ImageSet,
) -> pd.DataFrame:
    """Accuracy of each class and of all: before, control, treated, and the gain with an interval.

    The gain is treated less control. Its 95 % interval is Student's t over seeds and images (see
    `kernel_lib.audit.intervals.mean_interval`): a bootstrap of three seeds would be too narrow.
    """
    control, after = stacked(controls, "right"), stacked(treated, "right")
    rows = []
    for label, name in [(None, "all classes"), *enumerate(images.class_names)]:
        own = np.ones(len(images), bool) if label is None else images.labels == label
        if not own.any():
            continue
        gain = after[:, own].astype(float) - control[:, own]
        mean, low, high = np.clip(mean_interval(gain, (-1.0, 1.0)), -1, 1)
        rows.append(
            {
                "class": name,
                "images": int(own.sum()),
                "before": before.right[own].mean(),
                "control": control[:, own].mean(),
                "treated": after[:, own].mean(),
                "gain": float(mean),
                "low": float(low),
                "high": float(high),
            }
        )
    return pd.DataFrame(rows)


def _mean(values: np.ndarray) -> float:
    known = values[np.isfinite(values)] if len(values) else values
    return float(known.mean()) if len(known) else float("nan")
