"""What the check-up found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from kernel_lib.report.result import AuditResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class DoctorResult(AuditResult):
    """Result of `kernel_lib.doctor.audit`.

    Tables:
        classes: a row a class: accuracy with its interval, confusions, confidence, samples found,
            gradient outside the object, channels used, suggestion.
        channels: a row a channel of the tap: share of classes that rely on it with an interval,
            push to errors, what comes from the background, whether it is blamed.
        ablation: accuracy with the blamed channels held constant, beside random ones.
        treatment: a row a network: before, and control and treated for each seed.
        comparison: a row a class: before, control, treated, gain with its interval.
        history: a row an epoch of each treatment.

    Arrays:
        averages: A (classes, channels) at the tap; relies: M, the same shape.
        averages_I: A at the I-th layer of parameters["layers"].
        energy: (classes, h, w) mean gradient over places at the tap.
        inputs, maps_before, maps_control, maps_treated: shown images and their saliency, uint8.
        right_before (images,), right_control and right_treated (seeds, images): bool.
    """

    audit: ClassVar[str] = "doctor"
    question: ClassVar[str] = "Which channels and regions mislead the network, and can it be cured?"

    def figure_makers(self) -> dict[str, Callable[[], Figure]]:
        """Comparison, regions, channels, ablation and training, as far as they were made."""
        from kernel_lib.doctor.plots import figure_makers

        return figure_makers(self)
