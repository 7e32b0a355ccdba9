"""No verdict without evidence: what every audit's verdict must get past, in one place."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from kernel_lib.audit.findings import Intake
from kernel_lib.report.result import AuditResult, Verdict

Result = TypeVar("Result", bound=AuditResult)


def conclude(result: Result, intake: Intake, *, stands: Collection[str] = ()) -> Result:
    """Put the intake on record, and take from the verdict what its findings do not carry.

    Args:
        result: what an audit found.
        intake: of the same network and images.
        stands: statuses that hold although the network only guesses at its own task, such as a
            leak that was shown. Nothing holds where the network is fed or judged wrongly.
    """
    verdict = guarded(result.verdict, intake, stands=stands)
    return dataclasses.replace(result, verdict=verdict, intake=intake.describe())


def guarded(verdict: Verdict, intake: Intake, *, stands: Collection[str] = ()) -> Verdict:
    """Return the verdict, or "undetermined" with the reason and its cure.

    See `conclude` for the arguments.
    """
    stops = intake.stops
    if not stops:
        return verdict
    reason = " ".join(each.text for each in stops)
    if verdict.status in stands and all(each.name == "guessing" for each in stops):
        return dataclasses.replace(verdict, does_not_mean=f"{verdict.does_not_mean} Note: {reason}")
    cures = " ".join(each.cure for each in stops if each.cure)
    return Verdict(
        "undetermined",
        reason,
        means=(
            "What was measured stands below, but nothing can be concluded from it before this is "
            "settled."
        ),
        does_not_mean=(
            "Good or bad numbers say little about a network that does not do its own task on these "
            "images, or that is fed or judged in another way than it was trained."
        ),
        next_step=cures or "See the intake for what was found.",
    )


@contextmanager
def stops_first(intake: Intake) -> Iterator[None]:
    """Where an audit cannot go on and the intake says why, let the intake's reason lead.

    A network that guesses has no confident right images, or makes no mutants that keep its
    accuracy; to lower a limit would hide what is wrong.

    Raises:
        ValueError: what was raised inside, after the intake's reasons and cures.
    """
    try:
        yield
    except ValueError as error:
        if not intake.stops:
            raise
        told = " ".join(f"{each.text} {each.cure}".strip() for each in intake.stops)
        raise ValueError(f"{told} The audit could not go on: {error}") from error


def need_one_class(classifier: Any, why: str) -> None:
    """Refuse a network that says yes or no to each class on its own (several sigmoid units).

    Args:
        classifier: the network.
        why: what the audit needs one class an image for, as a sentence.

    Raises:
        ValueError: with a cure for networks whose images show exactly one class each.
    """
    if getattr(classifier, "is_multi_label", False):
        raise ValueError(
            f"{why} The network {classifier.name!r} says yes or no to each of its "
            f"{classifier.num_classes} classes on its own ({classifier.num_classes} sigmoid "
            "units), so several can be right at once. If exactly one class is right for each "
            "image, share one whole among them: Classifier(keras.Model(model.inputs, "
            "keras.layers.UnitNormalization()(model.output)), head='probabilities')."
        )
