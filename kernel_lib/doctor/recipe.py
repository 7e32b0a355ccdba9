"""What a treatment constrains, and how strongly."""

from __future__ import annotations

from dataclasses import dataclass, replace

from kernel_lib._checks import check_choice, check_number
from kernel_lib.doctor.gradients import AGGREGATES, TARGETS

MODES = ("corrected", "paper")
READINGS = ("gradient", "gradient_x_activation")
SCALINGS = ("match", "none")


@dataclass(frozen=True)
class Recipe:
    """L = entropy CE + alpha L_c + beta L_s.

    Attributes:
        tap: where gradients are constrained.
        alpha: weight of the channel loss; 0 switches it off.
        beta: weight of the spatial loss; 0 switches it off.
        entropy: weight of the cross-entropy; 0 is for tests of the constraints alone.
        target: what is differentiated, "logit", "log_prob", "prob" or "loss".
        aggregate: what of the gradient counts in the channel loss, "absolute" or "relu".
        reading: what the spatial loss keeps off the background, the "gradient", or the
            "gradient_x_activation", which varies in space also right before global pooling.
        scaling: "match" multiplies each constraint so that it is as large as the cross-entropy
            before the treatment; "none" leaves it.
    """

    tap: str
    alpha: float = 1.0
    beta: float = 1.0
    entropy: float = 1.0
    target: str = "log_prob"
    aggregate: str = "absolute"
    reading: str = "gradient"
    scaling: str = "match"

    def __post_init__(self) -> None:
        for name in ("alpha", "beta", "entropy"):
            check_number(name, getattr(self, name), 0)
        check_choice("target", self.target, TARGETS)
        check_choice("aggregate", self.aggregate, AGGREGATES)
        check_choice("reading", self.reading, READINGS)
        check_choice("scaling", self.scaling, SCALINGS)

    @property
    def is_plain(self) -> bool:
        """Whether this is plain fine-tuning, the control."""
        return not self.alpha and not self.beta

    @property
    def control(self) -> Recipe:
        """The same without constraints."""
        return replace(self, alpha=0.0, beta=0.0)
