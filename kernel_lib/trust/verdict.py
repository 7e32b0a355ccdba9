"""What the matrix allows one to say, and what it does not.

A leak counts when it is significant (permuted labels, Holm's correction over the matrix) and larger
than `LEAK_CUT` of the way from the ideal to certainty. It was *taught* when significantly more (by
that much again, Holm's correction over the matrix) can be read than from untrained networks of the
same architecture; otherwise it was only not thrown away.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from kernel_lib.report.result import Verdict

LEAK_CUT = 0.05
SIGNIFICANCE = 0.05
LEARNED_CUT = 0.5  # of the way from chance to certainty, for the network's own task
CAVEATS = (
    "That a task can be read off a network does not mean that the network uses it "
    "(Ravichander, Belinkov and Hovy 2021).",
    "Untrained networks let much be read already: a leak is no proof of learning by itself.",
    "Another layer, reduction or probe gives another score; compare scores of one setting only.",
    "A probe that reads nothing has not shown that nothing is there, only that it is not there "
    "for a probe of its kind.",
)
_MOST_NAMED = 3


def judge(
    cells: pd.DataFrame,
    scores: dict[str, float],
    arguments: dict[str, Any],
    *,
    untrained: bool,
    permutation: bool,
) -> Verdict:
    """Sum up the matrix at the headline tap.

    Args:
        cells: the table of cells.
        scores: the headline numbers.
        arguments: of the audit.
        untrained, permutation: whether these controls were run.
    """
    here = cells[(cells.tap == arguments["tap"]) & (cells.probe == arguments["probes"][0])]
    others = here[here.primary != here.target]
    significant = others.p_holm <= SIGNIFICANCE if permutation else others.share_low > 0
    leaking = others[significant & (others.share > LEAK_CUT)].sort_values("share", ascending=False)
    added = (leaking.added > LEAK_CUT) & (leaking.added_p_holm <= SIGNIFICANCE)
    taught = leaking[added] if untrained else None
    if scores["preservation"] < LEARNED_CUT:
        return _not_learned(scores)
    if not len(leaking):
        return _clean(others, scores)
    if taught is not None and len(taught):
        return _overlearned(taught, leaking, others, arguments)
    return _kept(leaking, others, arguments, untrained)


def _not_learned(scores: dict[str, float]) -> Verdict:
    return Verdict(
        "undetermined",
        "The networks do not hold their own task at this layer "
        f"({_percent(scores['preservation'])} of the way from chance to certainty), so what else "
        "they hold cannot be judged.",
        means="A network that learned nothing keeps no secrets: its trust score says nothing.",
        does_not_mean="Low leakage here is no sign of a trustworthy network.",
        next_step="Train the networks until they know their own task, or read a later layer.",
    )


def _clean(others: pd.DataFrame, scores: dict[str, float]) -> Verdict:
    return Verdict(
        "pass",
        f"Nothing beyond its own task can be read off the network at this layer: none of "
        f"{len(others)} cells leaks more than {_percent(LEAK_CUT)} of the way to certainty.",
        means=(
            f"The network keeps its task ({_percent(scores['preservation'])}) and tells "
            f"{_percent(scores['leakage'])} of the others."
        ),
        does_not_mean=CAVEATS[3],
        next_step="Look at earlier layers and other probes before you rely on it.",
    )


def _overlearned(
    taught: pd.DataFrame, leaking: pd.DataFrame, others: pd.DataFrame, arguments: dict[str, Any]
) -> Verdict:
    cells = (
        f"Training taught what it was not asked for in {len(taught)} of {len(others)} cells. "
        if len(others) > len(arguments["tasks"]) - 1
        else "The network learned more than it was asked. "
    )
    return Verdict(
        "fail",
        cells + _named(taught) + " Untrained networks tell less.",
        means=(
            f"{len(leaking)} of {len(others)} cells leak; in {len(taught)} of them training added "
            "to what the architecture lets through."
        ),
        does_not_mean=f"{CAVEATS[0]} {CAVEATS[2]}",
        next_step=(
            "If these tasks are sensitive, suppress them while training "
            "(kernel_lib.trust.suppress), and read the new network with fresh probes."
        ),
    )


def _kept(
    leaking: pd.DataFrame, others: pd.DataFrame, arguments: dict[str, Any], untrained: bool
) -> Verdict:
    where = (
        " Untrained networks tell as much: it was not learned, but neither was it thrown away."
        if untrained
        else " Whether training put it there is not known: no untrained network was read."
    )
    return Verdict(
        "warning",
        f"{len(leaking)} of {len(others)} cells leak. " + _named(leaking) + where,
        means="Whoever gets these features can read more from them than the network's task.",
        does_not_mean=f"{CAVEATS[0]} {CAVEATS[2]}",
        next_step=(
            "Do not hand out features of this layer if these tasks are sensitive; read a later "
            "layer, or suppress them while training (kernel_lib.trust.suppress)."
            if untrained
            else "Run the audit again with the control 'untrained'."
        ),
    )


def _named(cells: pd.DataFrame) -> str:
    """The strongest leaks in words; shares are of the way from the ideal to certainty."""
    named = [
        f"a network trained for {row.primary} tells {row.target} ({_percent(row.share)})"
        for row in cells.head(_MOST_NAMED).itertuples()
    ]
    text = ", ".join(named) if len(named) < 2 else ", ".join(named[:-1]) + " and " + named[-1]
    rest = f", and {len(cells) - len(named)} more" if len(cells) > len(named) else ""
    return f"{text[0].upper()}{text[1:]} of the way from chance to certainty{rest}."


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
