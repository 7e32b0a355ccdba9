"""What accuracies, flips and the assessor allow one to say."""

from __future__ import annotations

from kernel_lib.invariance.assessor import Assessment
from kernel_lib.invariance.truth import Truth
from kernel_lib.report.result import Verdict

_STATUS = {
    "invariant": "pass",
    "borderline": "warning",
    "not invariant": "fail",
    "not assessable": "undetermined",
}
CAVEATS = (
    "The matrices show how much the network's answers move, not whether they are right.",
    "A network that always says the same is perfectly invariant, and useless.",
    "What holds on this range of values and on these images may not hold beyond them.",
)


def overall(
    title: str,
    span: str,
    worst_label: str,
    truth: Truth | None,
    assessment: Assessment | None,
    flip_rate: float,
) -> Verdict:
    """Sum up in one verdict; accuracy on labelled images outranks the assessor's guess.

    Args:
        title: the transformation, for people.
        span: its range, for people.
        worst_label: the value of the worst step.
        truth: the finding from labels, or None.
        assessment: the finding without labels, or None.
        flip_rate: mean share of images whose class changes.
    """
    what = f"{title.lower()} {span}"
    if truth is not None:
        headline, status = _from_truth(truth, what, worst_label), _STATUS[truth.verdict]
    elif assessment is not None:
        headline, status = _from_assessment(assessment, what), _guess_status(assessment)
    else:
        headline = f"Under {what}, {flip_rate:.1%} of the images change their class on average."
        status = "undetermined"
    if truth is not None and assessment is not None and truth.verdict != "not assessable":
        headline += _beside(truth, assessment)
    return Verdict(
        status,
        headline,
        means=_means(status, what),
        does_not_mean=f"{CAVEATS[1]} {CAVEATS[2]}",
        next_step=_next_step(status, title.lower(), truth is not None),
    )


def _from_truth(truth: Truth, what: str, worst_label: str) -> str:
    if truth.verdict == "not assessable":
        return (
            f"The network is right on only {truth.identity_accuracy:.1%} of untouched images, too "
            f"near to guessing: whether it is invariant to {what} cannot be assessed."
        )
    is_word = {"invariant": "is", "borderline": "is not clearly", "not invariant": "is not"}
    return (
        f"The network {is_word[truth.verdict]} invariant to {what}: its accuracy falls from "
        f"{truth.identity_accuracy:.1%} to {truth.worst_accuracy:.1%} at {worst_label}, a loss of "
        f"{100 * truth.drop:.1f} % [{100 * truth.drop_low:.1f}, {100 * truth.drop_high:.1f}], and "
        f"{truth.robust_accuracy:.1%} of images are right at every step."
    )


def _from_assessment(assessment: Assessment, what: str) -> str:
    return (
        f"Without labels, the assessor gives a probability of {assessment.probability:.0%} that "
        f"the network is invariant to {what}."
    )


def _guess_status(assessment: Assessment) -> str:
    if assessment.warnings:
        return "undetermined"  # outside its training range an assessor only guesses
    return {"invariant": "pass", "not invariant": "fail"}.get(assessment.verdict, "undetermined")


def _beside(truth: Truth, assessment: Assessment) -> str:
    agrees = truth.verdict == assessment.verdict
    word = "agrees" if agrees else "says otherwise"
    return f" The assessor, without labels, {word} ({assessment.probability:.0%} invariant)."


def _means(status: str, what: str) -> str:
    return {
        "pass": f"In this range, {what} hardly changes what the network says.",
        "warning": f"Some of the network's answers do change under {what}; more images may settle "
        "how many.",
        "fail": f"Ordinary variation such as {what} changes what the network says.",
        "undetermined": f"How the network takes {what} is not settled by this test.",
    }[status]


def _next_step(status: str, title: str, has_labels: bool) -> str:
    if status == "pass":
        return "Test further transformations that occur in use, and wider ranges."
    if status == "fail":
        return (
            f"Train with {title} in the augmentation, over at least this range, and test again; "
            "look first at the images and classes that flip."
        )
    if status == "warning":
        return "Test on more images, and look at the classes that lose most."
    if not has_labels:
        return "Label some images: accuracy at each step says more than an assessor can."
    return "Train the network further, or check its preprocessing, before asking for invariance."
