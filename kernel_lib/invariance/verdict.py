"""What accuracies, flips and the assessor allow one to say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kernel_lib.audit.paired import needed_words
from kernel_lib.invariance.assessor import Assessment, named
from kernel_lib.invariance.loss import TOO_FEW, RulesCost
from kernel_lib.invariance.truth import Truth
from kernel_lib.report.result import Verdict

_STATUS = {
    "invariant": "pass",
    "borderline": "warning",
    "not invariant": "fail",
    "not assessable": "undetermined",
    TOO_FEW: "undetermined",
}
MULTI_LABEL = (
    "The network judges each class on its own: this test follows the class with the highest score, "
    "and says nothing of the other labels of an image."
)
CAVEATS = (
    "The matrices show how much the network's answers move, not whether they are right.",
    "A network that always says the same is perfectly invariant, and useless.",
    "What holds on this range of values and on these images may not hold beyond them.",
)


def overall(
    arguments: Mapping[str, Any],
    span: str,
    worst_label: str,
    truth: Truth | None,
    assessment: Assessment | None,
    flip_rate: float,
    cost: RulesCost | None = None,
) -> Verdict:
    """Sum up in one verdict; accuracy on labelled images outranks the assessor's guess.

    Args:
        arguments: of the audit: title, limits, rules, number of images.
        span: the range of the transformation, for people.
        worst_label: the value of the worst step.
        truth: the finding from labels, or None.
        assessment: the finding without labels, or None.
        flip_rate: mean share of images whose class changes.
        cost: what the test's own rules cost, where there are labels.
    """
    title = arguments["title"].lower()
    what = f"{title} {span}"
    if truth is not None:
        headline = _from_truth(truth, what, worst_label, cost, arguments)
        status = _truth_status(truth, cost, arguments)
    elif assessment is not None:
        headline, status = _from_assessment(assessment, what), _guess_status(assessment)
    else:
        headline = f"Under {what}, {flip_rate:.1%} of the images change their class on average."
        status = "undetermined"
    if truth is not None and assessment is not None and _is_settled(truth):
        headline += _beside(truth, assessment)
    return Verdict(
        status,
        headline,
        means=_means(status, what),
        does_not_mean=" ".join(
            [*CAVEATS[1:], *([MULTI_LABEL] if arguments.get("is_multi_label") else [])]
        ),
        next_step=_next_step(status, title, truth),
    )


def _is_settled(truth: Truth) -> bool:
    return truth.verdict not in ("not assessable", TOO_FEW)


def _truth_status(truth: Truth, cost: RulesCost | None, arguments: Mapping[str, Any]) -> str:
    status = _STATUS[truth.verdict]
    return "warning" if status == "pass" and _costs_too_much(cost, arguments) else status


def _costs_too_much(cost: RulesCost | None, arguments: Mapping[str, Any]) -> bool:
    """Whether the test's own rules cost more than a network may lose."""
    return cost is not None and cost.loss > arguments["invariant_below"]


def _from_truth(
    truth: Truth,
    what: str,
    worst_label: str,
    cost: RulesCost | None,
    arguments: Mapping[str, Any],
) -> str:
    if truth.verdict == "not assessable":
        return _not_assessable(truth, what, cost, arguments)
    is_word = {
        "invariant": "is",
        "borderline": "is not clearly",
        "not invariant": "is not",
        TOO_FEW: "may or may not be",
    }[truth.verdict]
    falls = (
        f"from {truth.identity_accuracy:.1%} to {truth.worst_accuracy:.1%} at {worst_label}, a "
        f"loss of {_interval(truth)}, and {truth.robust_accuracy:.1%} of images are right at every "
        "step."
    )
    told = f"The network {is_word} invariant to {what}: "
    if cost is not None and cost.matters:
        told += (
            f"{_rules_words(cost, arguments)} before anything is transformed, and from there it "
            f"falls {falls}"
        )
    else:
        told += f"its accuracy falls {falls}"
    told += _where_it_lies(truth, arguments)
    if _costs_too_much(cost, arguments):
        told += (
            " The rules cost more than a network may lose: what is said here holds for images "
            "under these rules, not for images as they come."
        )
    return told


def _not_assessable(
    truth: Truth, what: str, cost: RulesCost | None, arguments: Mapping[str, Any]
) -> str:
    near = f"too near to guessing: whether it is invariant to {what} cannot be assessed."
    if cost is not None and cost.matters:
        rules = _rules_words(cost, arguments, whose="the network's")
        return f"{_capital(rules)}, {near}"
    return f"The network is right on only {truth.identity_accuracy:.1%} of untouched images, {near}"


def _rules_words(cost: RulesCost, arguments: Mapping[str, Any], whose: str = "its") -> str:
    points = 100 * (cost.untouched_accuracy - cost.identity_accuracy)
    return (
        f"the test's own rules ({_rule_names(arguments['rules'])}) lower {whose} accuracy by "
        f"{points:.1f} points, from {cost.untouched_accuracy:.1%} to {cost.identity_accuracy:.1%}"
    )


def _rule_names(rules: Mapping[str, Any]) -> str:
    names = ["mask"] if rules.get("mask") else []
    if rules.get("resampling") not in ("nearest", "none", None):
        names.append("smoothing" if rules["resampling"] == "smooth" else "resampling")
    return " and ".join(names) or "borders"


def _interval(truth: Truth) -> str:
    return f"{100 * truth.drop:.1f} % [{100 * truth.drop_low:.1f}, {100 * truth.drop_high:.1f}]"


def _where_it_lies(truth: Truth, arguments: Mapping[str, Any]) -> str:
    """Why the verdict is not a plain yes or no, and how many images would settle it."""
    below, above = arguments["invariant_below"], arguments["broken_above"]
    lower, upper = f"{100 * below:g} %", f"{100 * above:g} %"
    few = f"{arguments['num_images']:,} images are too few to"
    would = needed_words(truth.num_needed)
    if truth.verdict == TOO_FEW:
        side = "below" if truth.drop < below else "above" if truth.drop > below else "at"
        return (
            f" The loss, {_interval(truth)}, lies {side} the limit of {lower}, but {few} be sure: "
            f"{would}."
        )
    if truth.verdict != "borderline":
        return ""
    if truth.drop_high < above:
        return f" The loss lies between the limits of {lower} and {upper}."
    return (
        f" The loss lies above the limit of {lower}, but {few} tell whether it reaches {upper}: "
        f"{would}."
    )


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _from_assessment(assessment: Assessment, what: str) -> str:
    if assessment.outside:
        number = len(assessment.outside)
        lie = "measurement lies" if number == 1 else "measurements lie"
        return (
            f"Whether the network is invariant to {what} is not known: {number} of "
            f"{assessment.num_features} {lie} outside what the assessor was trained on "
            f"({named(assessment.outside)}), so it cannot judge without labels."
        )
    return (
        f"Without labels, the assessor gives a probability of {assessment.probability:.0%} that "
        f"the network is invariant to {what}."
    )


def _guess_status(assessment: Assessment) -> str:
    if assessment.warnings:
        return "undetermined"  # outside its training range an assessor only guesses
    return {"invariant": "pass", "not invariant": "fail"}.get(assessment.verdict, "undetermined")


def _beside(truth: Truth, assessment: Assessment) -> str:
    if assessment.outside:
        return " The assessor, without labels, cannot judge this network."
    agrees = truth.verdict == assessment.verdict
    word = "agrees" if agrees else "says otherwise"
    return f" The assessor, without labels, {word} ({assessment.probability:.0%} invariant)."


def _means(status: str, what: str) -> str:
    return {
        "pass": f"In this range, {what} hardly changes what the network says.",
        "warning": f"Some of the network's answers do change under {what}, or under the rules of "
        "the test itself.",
        "fail": f"Ordinary variation such as {what} changes what the network says.",
        "undetermined": f"How the network takes {what} is not settled by this test.",
    }[status]


def _next_step(status: str, title: str, truth: Truth | None) -> str:
    if status == "pass":
        return "Test further transformations that occur in use, and wider ranges."
    if status == "fail":
        return (
            f"Train with {title} in the augmentation, over at least this range, and test again; "
            "look first at the images and classes that flip."
        )
    if status == "warning" and truth is not None and truth.verdict == "invariant":
        return (
            "Test under rules that cost less, such as rules=Rules(mask=False) or rules='paper', "
            "or train the network on images under these rules."
        )
    if status == "warning":
        return "Look at the images that flip and at the classes that lose most."
    if status == "undetermined" and truth is not None and truth.verdict == "not assessable":
        return "Train the network further, or check its preprocessing and the rules of the test."
    if truth is None:
        return "Label some images: accuracy at each step says more than an assessor can."
    return f"Test on more labelled images: {needed_words(truth.num_needed)}."
