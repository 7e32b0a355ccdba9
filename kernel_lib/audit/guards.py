"""No verdict without evidence: what every audit's verdict must get past, in one place."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from typing import TypeVar

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
