"""What a check-up means, in words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kernel_lib.audit.intervals import paired_difference_interval
from kernel_lib.audit.statistics import exact_mcnemar, holm
from kernel_lib.report.result import Verdict

RELIANCE_CUT = 0.05  # decisions that a foreign class's background changes, beyond a like one
GAIN_CUT = 0.05  # accuracy that a network may lose through channels that mislead it, and pass
SIGNIFICANCE = (
    0.05  # chance, over both searches, to find something that misleads where nothing does
)
# Images with which an interval can end below a cut of 5 % at all: z^2 (1 - 0.05) / 0.05, z = 1.96.
LEAST_IMAGES = 73
_FEWEST_SEEDS = 3

_DOES_NOT_MEAN = (
    "A channel that is blamed is not wrong by itself: other images may need it. A network that "
    "passes may be misled by something that these images do not show."
)


@dataclass(frozen=True)
class Findings:
    """The numbers a verdict rests on; every interval holds with 95 %.

    Attributes:
        reliance: share of decisions that a foreign background changes, less a like one; with low
            and high. NaN, -1 and 1 without masks.
        reliance_p: p value of that difference.
        ablation_gain: accuracy without the blamed channels, less before; with low and high.
        ablation_p: p value of that difference.
        gain: accuracy of treated networks less that of the controls, with low and high; None
            without a treatment.
        accuracies: before, control and treated; the latter two NaN without a treatment.
        num_seeds: treatments that were run.
        num_blamed: blamed channels.
        num_masked: held-out images with a mask, whose backgrounds were exchanged.
        num_test: test images.
        failed: whether a treatment was stopped by a loss that was no number.
    """

    reliance: tuple[float, float, float]
    reliance_p: float
    ablation_gain: tuple[float, float, float]
    ablation_p: float
    gain: tuple[float, float, float] | None
    accuracies: tuple[float, float, float]
    num_seeds: int
    num_blamed: int
    num_masked: int
    num_test: int
    failed: bool = False

    @property
    def has_masks(self) -> bool:
        """Whether regions could be judged."""
        return self.num_masked > 0

    @property
    def corrected(self) -> tuple[float, float]:
        """Both p values by Holm: two things are searched for, and either would be a finding."""
        if not self.has_masks:
            return 1.0, self.ablation_p
        both = holm(np.array([self.reliance_p, self.ablation_p]))
        return float(both[0]), float(both[1])

    @property
    def region_misleads(self) -> bool:
        """Whether the background decides, beyond chance and beyond a small share."""
        is_real = self.reliance[1] > 0 and self.corrected[0] < SIGNIFICANCE
        return is_real and self.reliance[0] >= RELIANCE_CUT

    @property
    def channels_mislead(self) -> bool:
        """Whether the network is better without the blamed channels."""
        return self.ablation_gain[0] > 0 and self.corrected[1] < SIGNIFICANCE

    @property
    def is_region_clear(self) -> bool:
        """Whether the background decides at most a small share, at the interval's worse end."""
        return self.has_masks and self.reliance[2] < RELIANCE_CUT

    @property
    def are_channels_clear(self) -> bool:
        """Whether the blamed channels cost at most little, at the interval's worse end."""
        return self.ablation_gain[2] < GAIN_CUT

    @property
    def is_helped(self) -> bool:
        """Whether the treatment helped more than plain fine-tuning, over more than one seed."""
        return self.gain is not None and self.gain[1] > 0 and self.num_seeds > 1


def paired_evidence(one: np.ndarray, other: np.ndarray) -> tuple[tuple[float, float, float], float]:
    """How much more often one thing happens than the other to the same images.

    Args:
        one, other: (num_images,) bool.

    Returns:
        The difference of shares with low and high (Newcombe 1998, never of zero width), and the
        exact two-sided p value.
    """
    return paired_difference_interval(one, other), exact_mcnemar(one, other)


def judge(found: Findings) -> Verdict:
    """Sum the findings up.

    "pass": neither region nor channels mislead, at the worse ends of both intervals, which takes
    at least `LEAST_IMAGES` masked and as many test images. "warning": something misleads, and the
    treatment helped beyond plain fine-tuning. "fail": something misleads, and no cure is shown.
    "undetermined": there are no masks to see regions by, or too few images to tell.
    """
    if not (found.region_misleads or found.channels_mislead):
        return _without_finding(found)
    status = "warning" if found.is_helped and not found.failed else "fail"
    return Verdict(
        status,
        headline=f"{_named(found)} {_outcome(found)}",
        means=_meaning(found),
        does_not_mean=_DOES_NOT_MEAN,
        next_step=_next_step(found),
    )


def _without_finding(found: Findings) -> Verdict:
    if not found.has_masks:
        return Verdict(
            "undetermined",
            headline="No channel stands out, and without masks no region can be judged. "
            + _outcome(found),
            means="Holding the blamed channels constant is not shown to make the network better: "
            f"{_ablation(found)}.",
            does_not_mean=_DOES_NOT_MEAN,
            next_step="Annotate some low-confidence samples (find_samples, LabelMe, "
            "import_labelme) and run the check-up again with their masks.",
        )
    if not (found.is_region_clear and found.are_channels_clear):
        return Verdict(
            "undetermined",
            headline=f"Whether something misleads the network is not settled: {_open(found)}. "
            + _outcome(found),
            means="Nothing that misleads was shown, nor that nothing does.",
            does_not_mean=_DOES_NOT_MEAN,
            next_step="Run the check-up again with more held-out images that have masks, and more "
            f"test images: at least {LEAST_IMAGES} of each, better some hundreds.",
        )
    return Verdict(
        "pass",
        headline="No region or channel was found that misleads the network: "
        f"{_reliance(found)}; {_ablation(found)}. {_outcome(found)}",
        means="The decision rests on the object, as far as these masks show.",
        does_not_mean=_DOES_NOT_MEAN,
        next_step="Nothing to treat. Repeat the check-up on images from where the network is used.",
    )


def _open(found: Findings) -> str:
    """What an interval leaves open, with the least number of images where it bites."""
    parts = []
    if not found.is_region_clear:
        parts.append(
            f"{_reliance(found)}, and the interval must end below {100 * RELIANCE_CUT:.0f} %"
            + _few(found.num_masked, "masked images")
        )
    if not found.are_channels_clear:
        parts.append(
            f"{_ablation(found)}, and the interval must end below {100 * GAIN_CUT:.0f} points"
            + _few(found.num_test, "test images")
        )
    return "; ".join(parts)


def _few(count: int, what: str) -> str:
    few = f", at least {LEAST_IMAGES} are needed" if count < LEAST_IMAGES else ""
    return f" ({count:,} {what}{few})"


def _named(found: Findings) -> str:
    parts = []
    if found.region_misleads:
        parts.append(f"The background misleads the network: {_reliance(found)}.")
    if found.channels_mislead:
        parts.append(
            f"Without the {found.num_blamed} blamed channels it is "
            f"{100 * found.ablation_gain[0]:.1f} points more accurate "
            f"(p = {found.corrected[1]:.2g})."
        )
    return " ".join(parts)


def _reliance(found: Findings) -> str:
    share, low, high = (100 * value for value in found.reliance)
    return (
        f"{share:.0f} % [{low:.0f}, {high:.0f}] of its decisions change on the background of "
        "another class, beyond those that change on one of the same class"
    )


def _ablation(found: Findings) -> str:
    if not found.num_blamed:
        return "no channel is blamed"
    gain, low, high = (100 * value for value in found.ablation_gain)
    return (
        f"without the {found.num_blamed} blamed channels it is {gain:+.1f} points "
        f"[{low:+.1f}, {high:+.1f}] more accurate"
    )


def _outcome(found: Findings) -> str:
    if found.gain is None:
        return "It was not treated."
    before, control, treated = (f"{100 * value:.1f} %" for value in found.accuracies)
    gain, low, high = (100 * value for value in found.gain)
    return (
        f"Test accuracy: {before} before, {control} after plain fine-tuning, {treated} after "
        f"treatment of equal length ({gain:+.1f} points [{low:+.1f}, {high:+.1f}], "
        f"{found.num_seeds} seed{'s' if found.num_seeds != 1 else ': for other images only'})."
    )


def _meaning(found: Findings) -> str:
    if found.gain is None:
        return "Some of what the network gets right, it gets right for a wrong reason."
    if found.gain[1] > 0 and found.num_seeds == 1:
        return "The constraints helped in one training; nothing is known of other seeds."
    if found.gain[1] > 0:
        return "The constraints helped, beyond what more training alone does."
    if found.gain[2] < 0:
        return "The constraints did harm: plain fine-tuning of the same length is better."
    return (
        "The treatment cannot be told from plain fine-tuning: no gain is owed to the constraints."
    )


def _next_step(found: Findings) -> str:
    if found.failed:
        return "A loss was no number: lower the learning rate, alpha or beta, and treat again."
    if found.gain is None:
        return "Treat it: kernel_lib.doctor.treat, with masks for the spatial loss."
    if found.gain[1] > 0 and found.num_seeds < _FEWEST_SEEDS:
        return f"Repeat with at least {_FEWEST_SEEDS} seeds before using the treated network."
    if found.is_helped:
        return "Use the treated network, and run the check-up on it once more."
    return "Try another tap, alpha or beta, more epochs, or training images without the shortcut."
