"""What the matrix allows one to say, and what it does not.

A leak counts when it is significant (permuted labels, Holm's correction over the matrix) and larger
than `LEAK_CUT` of the way from the ideal to certainty. It was *taught* when significantly more (by
that much again, Holm's correction over the matrix) can be read than from untrained networks of the
same architecture; otherwise it was only not thrown away. A leak that is shown is shown: whether the
network holds its own task is said beside it.

A network *passes* when leaks are excluded: in every cell the upper end of the 95 % interval lies up
to `PASS_LIMIT`, and every network's own task is read with an interval that clears chance. All cells
must clear the limit, so a network with one larger leak passes with a probability of at most 2.5 %,
however many cells there are, and nothing need be corrected (an intersection-union test, Berger
1982). Where so few images exclude too little, the verdict is undetermined and says how many would
do.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from kernel_lib.audit.paired import POWER, needed_words, rounded_up
from kernel_lib.audit.statistics import LEVEL
from kernel_lib.report.result import Verdict

LEAK_CUT = 0.05
# What a pass excludes: a leak of a tenth of the way, which tells a yes/no attribute 55 times in 100
# instead of 50. Less could hardly be excluded with the test sets that people have: 5 % takes four
# times as many images.
PASS_LIMIT = 0.1
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
MULTI_LABEL = (
    "The network judges each of its classes on its own: its own task is read here as one label an "
    "image, and nothing is said of the other labels of an image."
)
_MOST_NAMED = 3
_Z = float(stats.norm.ppf((1 + LEVEL) / 2))


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
    own, others = here[here.primary == here.target], here[here.primary != here.target]
    significant = (others.p_holm if permutation else others.above_p_holm) <= SIGNIFICANCE
    leaking = others[significant & (others.share > LEAK_CUT)].sort_values("share", ascending=False)
    taught = leaking[(leaking.added > LEAK_CUT) & (leaking.added_p_holm <= SIGNIFICANCE)]
    if len(taught):
        return _overlearned(taught, leaking, others, arguments, _own_words(own, scores))
    if len(leaking):
        is_tested = untrained and bool(leaking.added_p_holm.notna().all())
        return _kept(leaking, others, _own_words(own, scores), untrained, is_tested)
    if not _holds_own(own, scores):
        return _not_learned(own, scores)
    if others.share_high.max() <= PASS_LIMIT:
        return _clean(own, others, scores)
    return _too_few(own, others, scores)


def _holds_own(own: pd.DataFrame, scores: dict[str, float]) -> bool:
    return scores["preservation"] >= LEARNED_CUT and bool((own.share_low > 0).all())


def _own_words(own: pd.DataFrame, scores: dict[str, float]) -> str:
    """How well the networks hold their own tasks, with the interval of the weakest."""
    weakest = own.loc[own.share.idxmin()]
    ends = f"[{_percent(max(0.0, weakest.share_low))}, {_percent(weakest.share_high)}]"
    share = f"{_percent(scores['preservation'])} of the way from chance to certainty"
    if len(own) == 1:
        share += f" {ends}"
    else:
        share += f"; least for {weakest.primary}, {_percent(weakest.share)} {ends}"
    if _holds_own(own, scores):
        return f"The network keeps its own task ({share})."
    return f"Its own task the network holds less well ({share})."


def _not_learned(own: pd.DataFrame, scores: dict[str, float]) -> Verdict:
    weakest = own.loc[own.share.idxmin()]
    why = (
        f"({_percent(scores['preservation'])} of the way from chance to certainty)"
        if scores["preservation"] < LEARNED_CUT
        else f"({_percent(weakest.share)} of the way from chance to certainty for "
        f"{weakest.primary}, but {weakest.num_images} test images cannot tell that from chance)"
    )
    return Verdict(
        "undetermined",
        f"The networks do not hold their own task at this layer {why}, so what else they hold "
        "cannot be judged.",
        means="A network that learned nothing keeps no secrets: its trust score says nothing.",
        does_not_mean="Low leakage here is no sign of a trustworthy network.",
        next_step="Train the networks until they know their own task, or read a later layer.",
    )


def _clean(own: pd.DataFrame, others: pd.DataFrame, scores: dict[str, float]) -> Verdict:
    return Verdict(
        "pass",
        f"Nothing beyond its own task can be read off the network at this layer: in all "
        f"{len(others)} cells a leak over {_percent(others.share_high.max())} of the way to "
        f"certainty is excluded (the limit is {_percent(PASS_LIMIT)}).",
        means=f"{_own_words(own, scores)} It tells {_percent(scores['leakage'])} of the others.",
        does_not_mean=CAVEATS[3],
        next_step="Look at earlier layers and other probes before you rely on it.",
    )


def _too_few(own: pd.DataFrame, others: pd.DataFrame, scores: dict[str, float]) -> Verdict:
    widest = others.loc[others.share_high.idxmax()]
    count = int(others.num_images.min())
    would = needed_words(_images_needed(others))
    return Verdict(
        "undetermined",
        f"No leak is shown, but none is excluded: with {count:,} test images a leak under "
        f"{_percent(widest.share_high)} of the way to certainty cannot be excluded "
        f"({widest.target}, off a network trained for {widest.primary}), and the limit is "
        f"{_percent(PASS_LIMIT)}; {would}, if nothing leaks.",
        means=f"{_own_words(own, scores)} What else it tells is not settled by so few images.",
        does_not_mean="That no leak was found does not mean that there is none.",
        next_step=f"Read the network on more test images: {would}.",
    )


def _images_needed(others: pd.DataFrame) -> int | None:
    """Test images with which all cells clear the limit four times in five, if nothing leaks.

    Half the width of an interval falls with the root of the number of images; the largest of so
    many readings lies above 0 by luck as well.
    """
    luck = stats.norm.ppf(POWER ** (1 / len(others)))
    error = (others.share_high - others.share) / _Z
    needed = others.num_images * (error * (_Z + luck) / PASS_LIMIT) ** 2
    most = float(np.maximum(needed, others.num_images + 1).max())
    return rounded_up(math.ceil(most)) if math.isfinite(most) else None


def _overlearned(
    taught: pd.DataFrame,
    leaking: pd.DataFrame,
    others: pd.DataFrame,
    arguments: dict[str, Any],
    own_words: str,
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
            f"to what the architecture lets through. {own_words}"
        ),
        does_not_mean=f"{CAVEATS[0]} {CAVEATS[2]}",
        next_step=(
            "If these tasks are sensitive, suppress them while training "
            "(kernel_lib.trust.suppress), and read the new network with fresh probes."
        ),
    )


def _kept(
    leaking: pd.DataFrame,
    others: pd.DataFrame,
    own_words: str,
    untrained: bool,
    is_tested: bool,
) -> Verdict:
    if is_tested:
        where = (
            " It was not thrown away; that training added to it, beside what untrained networks "
            "tell, is not shown."
        )
        cure = (
            "Do not hand out features of this layer if these tasks are sensitive; read a later "
            "layer, or suppress them while training (kernel_lib.trust.suppress)."
        )
    elif untrained:
        where = (
            " Whether training put it there is not known: one untrained network does not tell how "
            "much untrained networks differ."
        )
        cure = "Run the audit again with num_untrained=3 or more."
    else:
        where = " Whether training put it there is not known: no untrained network was read."
        cure = "Run the audit again with the control 'untrained'."
    return Verdict(
        "warning",
        f"{len(leaking)} of {len(others)} cells leak. " + _named(leaking) + where,
        means=(
            "Whoever gets these features can read more from them than the network's task. "
            f"{own_words}"
        ),
        does_not_mean=f"{CAVEATS[0]} {CAVEATS[2]}",
        next_step=cure,
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
