"""What a check-up means, in words."""

from __future__ import annotations

from dataclasses import dataclass

from kernel_lib.report.result import Verdict

RELIANCE_CUT = 0.05  # decisions that a foreign class's background changes, beyond a like one
_FEWEST_SEEDS = 3

_DOES_NOT_MEAN = (
    "A channel that is blamed is not wrong by itself: other images may need it. A network that "
    "passes may be misled by something that these images do not show."
)


@dataclass(frozen=True)
class Findings:
    """The numbers a verdict rests on.

    Attributes:
        reliance: share of decisions that a foreign background changes, less a like one; with low
            and high of its 95 % interval. NaN without masks.
        ablation_gain: accuracy without the blamed channels, less before.
        ablation_p: p value of that difference.
        gain: accuracy of treated networks less that of the controls, with low and high; None
            without a treatment.
        accuracies: before, control and treated; the latter two NaN without a treatment.
        num_seeds: treatments that were run.
        num_blamed: blamed channels.
        failed: whether a treatment was stopped by a loss that was no number.
    """

    reliance: tuple[float, float, float]
    ablation_gain: float
    ablation_p: float
    gain: tuple[float, float, float] | None
    accuracies: tuple[float, float, float]
    num_seeds: int
    num_blamed: int
    failed: bool = False

    @property
    def region_misleads(self) -> bool:
        """Whether the background decides, beyond chance and beyond a small share."""
        return self.reliance[1] > 0 and self.reliance[0] >= RELIANCE_CUT

    @property
    def channels_mislead(self) -> bool:
        """Whether the network is better without the blamed channels."""
        return self.ablation_gain > 0 and self.ablation_p < 0.05


def judge(found: Findings) -> Verdict:
    """Sum the findings up.

    "pass": nothing that misleads was found. "warning": something was, and the treatment helped
    beyond plain fine-tuning. "fail": something was, and it is not cured. "undetermined": there
    are no masks to see regions by, and no channel stands out.
    """
    misled = found.region_misleads or found.channels_mislead
    if not misled:
        return _without_finding(found)
    helped = found.gain is not None and found.gain[1] > 0
    status = "warning" if helped and not found.failed else "fail"
    return Verdict(
        status,
        headline=f"{_named(found)} {_outcome(found)}",
        means=_meaning(found),
        does_not_mean=_DOES_NOT_MEAN,
        next_step=_next_step(found, helped),
    )


def _without_finding(found: Findings) -> Verdict:
    has_masks = found.reliance[0] == found.reliance[0]
    if not has_masks:
        return Verdict(
            "undetermined",
            headline="No channel stands out, and without masks no region can be judged. "
            + _outcome(found),
            means="Holding the blamed channels constant does not make the network better.",
            does_not_mean=_DOES_NOT_MEAN,
            next_step="Annotate some low-confidence samples (find_samples, LabelMe, "
            "import_labelme) and run the check-up again with their masks.",
        )
    return Verdict(
        "pass",
        headline="No region or channel was found that misleads the network: "
        f"{_reliance(found)}. {_outcome(found)}",
        means="The decision rests on the object, as far as these masks show.",
        does_not_mean=_DOES_NOT_MEAN,
        next_step="Nothing to treat. Repeat the check-up on images from where the network is used.",
    )


def _named(found: Findings) -> str:
    parts = []
    if found.region_misleads:
        parts.append(f"The background misleads the network: {_reliance(found)}.")
    if found.channels_mislead:
        parts.append(
            f"Without the {found.num_blamed} blamed channels it is "
            f"{100 * found.ablation_gain:.1f} points more accurate (p = {found.ablation_p:.2g})."
        )
    return " ".join(parts)


def _reliance(found: Findings) -> str:
    share, low, high = (100 * value for value in found.reliance)
    return (
        f"{share:.0f} % [{low:.0f}, {high:.0f}] of its decisions change on the background of "
        "another class, beyond those that change on one of the same class"
    )


def _outcome(found: Findings) -> str:
    if found.gain is None:
        return "It was not treated."
    before, control, treated = (f"{100 * value:.1f} %" for value in found.accuracies)
    gain, low, high = (100 * value for value in found.gain)
    return (
        f"Test accuracy: {before} before, {control} after plain fine-tuning, {treated} after "
        f"treatment of equal length ({gain:+.1f} points [{low:+.1f}, {high:+.1f}], "
        f"{found.num_seeds} seed{'s' if found.num_seeds != 1 else ''})."
    )


def _meaning(found: Findings) -> str:
    if found.gain is None:
        return "Some of what the network gets right, it gets right for a wrong reason."
    if found.gain[1] > 0:
        return "The constraints helped, beyond what more training alone does."
    if found.gain[2] < 0:
        return "The constraints did harm: plain fine-tuning of the same length is better."
    return (
        "The treatment cannot be told from plain fine-tuning: no gain is owed to the constraints."
    )


def _next_step(found: Findings, helped: bool) -> str:
    if found.failed:
        return "A loss was no number: lower the learning rate, alpha or beta, and treat again."
    if found.gain is None:
        return "Treat it: kernel_lib.doctor.treat, with masks for the spatial loss."
    if helped and found.num_seeds < _FEWEST_SEEDS:
        return f"Repeat with at least {_FEWEST_SEEDS} seeds before using the treated network."
    if helped:
        return "Use the treated network, and run the check-up on it once more."
    return "Try another tap, alpha or beta, more epochs, or training images without the shortcut."
