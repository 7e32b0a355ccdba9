"""What the numbers allow one to say: can wrong predictions be told, and was the effort worth it?"""

from __future__ import annotations

import pandas as pd

from kernel_lib.errors.registry import SUBJECTS
from kernel_lib.report.result import Verdict

LEAST = 10  # wrong test predictions, and right ones; fewer settle nothing
TELLS = 0.7  # AUROC whose interval must lie above this to say that errors can be told
SMALL = 0.01  # a lead in AUROC that is no lead in practice
SIGNIFICANCE = 0.05  # chance, over all scores under test, to call any better that is not


def verdict(
    scores: pd.DataFrame,
    comparison: pd.DataFrame,
    outcomes: pd.DataFrame,
    num_wrong: int,
    num_right: int,
) -> Verdict:
    """Judge by the published scores against maximum softmax, paired on the same images.

    | status | what was shown |
    |---|---|
    | pass | a score under test tells errors (its AUROC's interval lies above `TELLS`) and does so better than maximum softmax (interval above 0, Holm's p at most `SIGNIFICANCE`, lead above `SMALL`) |
    | warning | some score tells errors, but none under test is shown to be better than what is free |
    | fail | no score tells errors well: the intervals of all lie below `TELLS` |
    | undetermined | none of these, or fewer than `LEAST` wrong or right test predictions |

    Args:
        scores: see `ErrorResult`.
        comparison: differences from maximum softmax.
        outcomes: what thresholds from calibration do.
        num_wrong, num_right: predictions on the test images.
    """  # noqa: E501
    tested = comparison[comparison.score.isin(SUBJECTS)]
    better = better_scores(tested)
    best = scores.iloc[0]
    sentences = [_comparison_sentence(tested, better), *_baseline_sentence(scores, best)]
    tells = scores.score[scores.auroc_low > TELLS]
    if min(num_wrong, num_right) < LEAST:
        status, sentences = "undetermined", [_thin(num_wrong, num_right)]
    elif (scores.auroc_high < TELLS).all():
        status = "fail"
        sentences = ["No score tells wrong predictions from right ones well.", *sentences]
    elif not (scores.auroc_low_of_all > TELLS).any():
        status, sentences = "undetermined", [_unsettled(best, num_wrong, num_right)]
    else:
        status = "pass" if better.score.isin(tells).any() else "warning"
    return Verdict(
        status,
        " ".join(sentences),
        means=_means(outcomes, best),
        does_not_mean=(
            "The same thresholds may fail on other images than these: they rest on calibration "
            "images of the same kind. A prediction with low suspicion can still be wrong, and "
            "with one network and one split, small differences between scores are chance."
        ),
        next_step=_next_step(status, better, best),
    )


def error_rate(num_wrong: int, total: int) -> str:
    """The error rate with its exact interval (Clopper and Pearson), in words.

    Example:
        >>> error_rate(0, 200)
        'at most 1.8 %'
    """
    from scipy.stats import binomtest

    found = binomtest(num_wrong, total).proportion_ci(0.95, method="exact")
    if num_wrong == 0:
        return f"at most {100 * found.high:.1f} %"
    if num_wrong == total:
        return f"at least {100 * found.low:.1f} %"
    return f"{100 * num_wrong / total:.1f} % [{100 * found.low:.1f}, {100 * found.high:.1f}]"


def nothing_to_tell(
    num_calibration: int, calibration_wrong: int, num_test: int, test_wrong: int
) -> Verdict:
    """What can be said where the predictions of a split are all right, or all wrong."""
    sentences = []
    if calibration_wrong in (0, num_calibration):
        kind, other = ("wrong", "right") if calibration_wrong else ("right", "wrong")
        sentences.append(
            f"All {num_calibration:,} calibration predictions are {kind}: there is no {other} one "
            "to learn scores and thresholds from."
        )
    if test_wrong in (0, num_test):
        kind, other = ("wrong", "right") if test_wrong else ("right", "wrong")
        sentences.append(
            f"All {num_test:,} test predictions are {kind}: there are no {other} predictions to "
            "tell."
        )
    sentences.append(f"The error rate on test images is {error_rate(test_wrong, num_test)}.")
    return Verdict(
        "undetermined",
        " ".join(sentences),
        means=(
            "A score is judged by how it ranks wrong predictions against right ones; without both "
            "kinds no score is better than another."
        ),
        does_not_mean=(
            "Other images may hold predictions of the other kind, and nothing here says which."
        ),
        next_step=(
            f"Give more calibration and test images, or harder ones, until at least {LEAST} "
            "predictions of each split are wrong."
            if test_wrong != num_test
            else "Check how the network is fed and judged (see the intake), or train it further."
        ),
    )


def _thin(num_wrong: int, num_right: int) -> str:
    kind, count = ("wrong", num_wrong) if num_wrong <= num_right else ("right", num_right)
    return (
        f"Only {count} test predictions are {kind}, of {num_wrong + num_right:,}; at least {LEAST} "
        "are needed to compare scores. The error rate is "
        f"{error_rate(num_wrong, num_wrong + num_right)}."
    )


def _unsettled(best: pd.Series, num_wrong: int, num_right: int) -> str:
    return (
        "Whether any score tells wrong predictions from right ones is not settled: the best, "
        f"{_within(best.title)}, has an AUROC of {best.auroc:.2f} [{best.auroc_low_of_all:.2f}, "
        f"{best.auroc_high:.2f}] over {num_wrong} wrong and {num_right:,} right predictions, and "
        f"the interval must lie above {TELLS} (or, to say that none does, below)."
    )


def better_scores(tested: pd.DataFrame) -> pd.DataFrame:
    """The rows of `comparison` whose lead over maximum softmax is neither chance nor tiny.

    The best of several scores leads by chance more often than a single one would, so p-values are
    corrected for the number of scores (Holm 1979).
    """
    is_real = (tested.low > 0) & (tested.p_holm <= SIGNIFICANCE)
    return tested[is_real & (tested.difference > SMALL)]


def _comparison_sentence(tested: pd.DataFrame, better: pd.DataFrame) -> str:
    if not len(tested):
        return "Neither conductance nor label change rate was measured."
    if not len(better):
        top = tested.sort_values("difference", ascending=False).iloc[0]
        lead = (
            f"the best of them, {_within(top.title)}, differs by {top.difference:+.3f} AUROC "
            f"[{top.low:+.3f}, {top.high:+.3f}] {_at_cost(top.times_the_cost)}"
        )
        if top.low > 0 and top.difference > SMALL:
            lead += f", as the best of {len(tested)} scores may by chance (p = {top.p_holm:.2f})"
        return (
            "Conductance and label change rate do not find wrong predictions better than the "
            f"maximum softmax probability; {lead}."
        )
    parts = [
        f"{row.title} beats it by {row.difference:.3f} AUROC [{row.low:+.3f}, {row.high:+.3f}] "
        f"{_at_cost(row.times_the_cost)}"
        for row in better.sort_values("difference", ascending=False).itertuples()
    ]
    equal = better[better.times_the_cost <= 1.5]
    at_cost = "" if len(equal) else " None of them beats it at equal cost."
    return f"Held against the maximum softmax probability: {'; '.join(parts)}.{at_cost}"


def _baseline_sentence(scores: pd.DataFrame, best: pd.Series) -> list[str]:
    if best.under_test or best.score == "msp":
        return []
    others = scores[scores.under_test]
    lead = f" ({best.auroc:.3f} against {others.auroc.max():.3f})" if len(others) else ""
    return [f"The best score of all is a baseline, {_within(best.title)}{lead}."]


def _means(outcomes: pd.DataFrame, best: pd.Series) -> str:
    row = outcomes[(outcomes.score == best.score) & (outcomes.rule == "equal_recall")].iloc[0]
    return (
        f"{best.title} ranks a wrong prediction above a right one {100 * best.auroc:.0f} % of the "
        f"time. With a threshold from calibration it withholds {100 * (1 - row.coverage):.0f} % of "
        f"the test images and with them {int(row.wrong_withheld)} of "
        f"{int(row.wrong_withheld + row.wrong_kept)} errors; accuracy of the rest is "
        f"{100 * row.accuracy_of_kept:.1f} %, up from {100 * row.accuracy_of_all:.1f} %."
    )


def _next_step(status: str, better: pd.DataFrame, best: pd.Series) -> str:
    if status == "undetermined":
        return "Audit more test images, until at least a few dozen predictions are wrong."
    if status == "fail":
        return (
            "Do not withhold predictions by these scores. Train the network further, or on images "
            "like those it gets wrong, and audit it again."
        )
    if status == "warning" and not best.under_test and best.score != "msp":
        return (
            f"Rank predictions by {_within(best.title)}, or by the maximum softmax probability "
            "where one forward pass is all there is, and look at the most suspicious images."
        )
    if status == "warning":
        return (
            "Rank predictions by the maximum softmax probability: it is free. Keep mutants for "
            "a second look at single images."
        )
    return (
        f"Rank predictions by {_within(best.title)} if its cost is acceptable; confirm the gain "
        "with networks trained from other seeds before relying on it."
    )


def _within(title: str) -> str:
    """A title as it stands within a sentence; names keep their capitals."""
    first = title.split()[0]
    is_name = first == "Mahalanobis" or first[1:] != first[1:].lower()
    return title if is_name else title[0].lower() + title[1:]


def _at_cost(factor: float) -> str:
    return "at the same cost" if factor < 1.05 else f"at {factor:.0f} times the cost"
