"""Where to draw the line: thresholds chosen on calibration scores alone.

An image is withheld when its score lies above the threshold, and kept when it is at or below.

| rule | threshold |
|---|---|
| equal_recall | where as large a share of wrong predictions is withheld as of right ones is kept |
| coverage | the smallest that keeps at least this share of images |
| risk | the largest among twenty whose error rate among kept images is, with 95 % confidence, at most this (Clopper-Pearson bound, shared evenly among the twenty looks) |
"""  # noqa: E501

from __future__ import annotations

import numpy as np
from scipy.stats import beta

from kernel_lib._checks import check_choice, check_number
from kernel_lib.errors.metrics import check_scores

RULES = ("equal_recall", "coverage", "risk")
_LOOKS = 20


def threshold(
    scores: np.ndarray,
    wrong: np.ndarray,
    rule: str = "equal_recall",
    value: float | None = None,
    confidence: float = 0.95,
) -> float:
    """Choose a threshold on calibration scores.

    Args:
        scores: (num_images,) suspicion, higher for more.
        wrong: (num_images,) whether each prediction is wrong.
        rule: "equal_recall", "coverage" or "risk".
        value: the share to keep, or the error rate to allow.
        confidence: of the bound of "risk".

    Returns:
        The threshold; for "risk" minus infinity (keep nothing) where no bound is low enough.

    Raises:
        ValueError: all predictions right, or all wrong; a value out of range.
    """
    scores, wrong = check_scores(scores, wrong)
    check_choice("rule", rule, RULES)
    if rule == "equal_recall":
        return _equal_recall(scores, wrong)
    share = check_number("value", value, 0, 1)
    if rule == "coverage":
        kept = max(1, int(np.ceil(share * len(scores) - 1e-9)))
        return float(np.sort(scores)[kept - 1])
    return _bounded_risk(scores, wrong, share, check_number("confidence", confidence, 0, 1))


def _equal_recall(scores: np.ndarray, wrong: np.ndarray) -> float:
    """The candidate with the smallest gap between both recalls; the larger sum settles a tie."""
    candidates = np.unique(scores)
    kept_right = np.searchsorted(np.sort(scores[~wrong]), candidates, side="right") / (~wrong).sum()
    flagged = 1 - np.searchsorted(np.sort(scores[wrong]), candidates, side="right") / wrong.sum()
    gap = np.abs(kept_right - flagged)
    best = np.lexsort((-(kept_right + flagged), np.round(gap, 12)))[0]
    return float(candidates[best])


def _bounded_risk(scores: np.ndarray, wrong: np.ndarray, risk: float, confidence: float) -> float:
    ordered = np.sort(scores)
    places = np.ceil(np.arange(1, _LOOKS + 1) / _LOOKS * len(scores)).astype(int) - 1
    allowed = -np.inf
    for candidate in np.unique(ordered[places]):
        kept = scores <= candidate
        bound = upper_bound(int(wrong[kept].sum()), int(kept.sum()), (1 - confidence) / _LOOKS)
        if bound <= risk:
            allowed = float(candidate)
    return allowed


def upper_bound(errors: int, kept: int, doubt: float) -> float:
    """Clopper-Pearson upper bound of an error rate: exceeded with at most the chance `doubt`."""
    return 1.0 if errors >= kept else float(beta.ppf(1 - doubt, errors + 1, kept - errors))


def outcome(scores: np.ndarray, wrong: np.ndarray, line: float) -> dict[str, float]:
    """What a threshold does: the four counts and what follows from them.

    The counts add up to the images; every share is a count over a count.
    """
    scores, wrong = np.asarray(scores, np.float64), np.asarray(wrong).astype(bool)
    flagged = scores > line
    counts = {
        "right_kept": int((~flagged & ~wrong).sum()),
        "right_withheld": int((flagged & ~wrong).sum()),
        "wrong_kept": int((~flagged & wrong).sum()),
        "wrong_withheld": int((flagged & wrong).sum()),
    }
    kept = counts["right_kept"] + counts["wrong_kept"]
    withheld = len(wrong) - kept
    recalls = (
        _share(counts["wrong_withheld"], int(wrong.sum())),
        _share(counts["right_kept"], int((~wrong).sum())),
    )
    return counts | {
        "threshold": float(line),
        "errors_detected": recalls[0],
        "rights_kept": recalls[1],
        "mean_recall": float(np.mean(recalls)),
        "coverage": _share(kept, len(wrong)),
        "accuracy_of_all": _share(int((~wrong).sum()), len(wrong)),
        "accuracy_of_kept": _share(counts["right_kept"], kept),
        "accuracy_of_withheld": _share(counts["right_withheld"], withheld),
    }


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
