"""How well a score tells wrong predictions from right ones.

A prediction that is wrong is the positive class; a higher score means more suspicion. Ties are
treated as what they are, never broken by position: curves over thresholds move by whole groups of
equal scores, and everything that depends on a ranking is the expectation over random orders within
a group. (A label change rate from N mutants has only N + 1 values.)

| name | meaning |
|---|---|
| auroc | chance that a wrong prediction scores higher than a right one, half for a tie |
| aupr_error, aupr_success | average precision, with wrong or right predictions as the positives |
| fpr_at_95_tpr | share of right predictions flagged when at least 95 % of the wrong ones are |
| aurc | mean error rate among the k most trusted predictions, k = 1..n (Geifman and El-Yaniv) |
| excess_aurc | aurc minus that of a perfect ranking |
| augrc | mean of (errors among the k most trusted) / n (Traub et al. 2024) |
| risk_at_80 | error rate among the 80 % most trusted |
"""

from __future__ import annotations

import numpy as np

from kernel_lib._checks import check_number

COVERAGES = (0.8, 0.9, 0.95)
METRICS = (
    "auroc", "aupr_error", "aupr_success", "fpr_at_95_tpr", "aurc", "excess_aurc", "augrc",
    *(f"risk_at_{100 * coverage:.0f}" for coverage in COVERAGES),
)  # fmt: skip


def check_scores(scores: np.ndarray, wrong: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return scores as float64 and wrong as bool, or say why no metric can be had.

    Raises:
        ValueError: lengths differ, scores are NaN, or all predictions are right, or all wrong.
    """
    scores, wrong = np.asarray(scores, np.float64), np.asarray(wrong).astype(bool)
    if scores.ndim != 1 or scores.shape != wrong.shape:
        raise ValueError(
            "There must be one score for each prediction. "
            f"Received: shapes {scores.shape} and {wrong.shape}."
        )
    if np.isnan(scores).any():
        raise ValueError(f"{int(np.isnan(scores).sum())} scores are not a number.")
    check_both_kinds(wrong, "these images")
    return scores, wrong


def has_both_kinds(wrong: np.ndarray) -> bool:
    """Whether some predictions are right and some wrong."""
    return 0 < int(np.sum(wrong)) < len(wrong)


def check_both_kinds(wrong: np.ndarray, where: str) -> None:
    """Refuse predictions that are all right or all wrong: there is nothing to tell apart."""
    if not has_both_kinds(wrong):
        count = int(np.sum(wrong))
        kind = "wrong" if count else "right"
        hint = "more images" if count else "more images, or a weaker network"
        raise ValueError(
            f"All {len(wrong)} predictions on {where} are {kind}: there is nothing to tell apart. "
            f"Use {hint}."
        )


def auroc(scores: np.ndarray, wrong: np.ndarray) -> float:
    """Area under the ROC curve, by ranks (Mann and Whitney), ties at half."""
    scores, wrong = check_scores(scores, wrong)
    num_wrong, num_right = wrong.sum(), (~wrong).sum()
    below = midranks(scores)[wrong].sum() - num_wrong * (num_wrong + 1) / 2
    return float(below / (num_wrong * num_right))


def midranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1; equal values share the mean of their ranks."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return ((ends - counts + 1 + ends) / 2)[inverse]


def average_precision(scores: np.ndarray, positive: np.ndarray) -> float:
    """Sum over thresholds of precision times gain in recall."""
    scores, positive = check_scores(scores, positive)
    hits, flagged = _cumulated(scores, positive)
    recall = hits / positive.sum()
    gains = np.diff(recall, prepend=0)
    return float(np.sum(gains * hits / flagged))


def fpr_at_tpr(scores: np.ndarray, wrong: np.ndarray, tpr: float = 0.95) -> float:
    """Share of right predictions flagged at the first threshold that flags `tpr` of the wrong."""
    scores, wrong = check_scores(scores, wrong)
    check_number("tpr", tpr, 0, 1)
    hits, flagged = _cumulated(scores, wrong)
    first = int(np.argmax(hits >= tpr * wrong.sum() - 1e-9))
    return float((flagged[first] - hits[first]) / (~wrong).sum())


def _cumulated(scores: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positives and items at or above each distinct score, from the highest score down."""
    _, inverse, counts = np.unique(-scores, return_inverse=True, return_counts=True)
    hits = np.bincount(inverse, weights=positive, minlength=len(counts))
    return np.cumsum(hits), np.cumsum(counts)


def expected_errors(scores: np.ndarray, wrong: np.ndarray) -> np.ndarray:
    """Expected errors among the k most trusted predictions, k = 1..n.

    Within a group of equal scores, errors are spread evenly.
    """
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    rates = np.bincount(inverse, weights=wrong, minlength=len(counts)) / counts
    return np.cumsum(np.repeat(rates, counts))


def risk_coverage(scores: np.ndarray, wrong: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coverage k / n and error rate among the k most trusted, k = 1..n."""
    scores, wrong = check_scores(scores, wrong)
    kept = np.arange(1, len(wrong) + 1)
    return kept / len(wrong), expected_errors(scores, wrong) / kept


def aurc(scores: np.ndarray, wrong: np.ndarray) -> float:
    """Area under the risk-coverage curve."""
    return float(risk_coverage(scores, wrong)[1].mean())


def excess_aurc(scores: np.ndarray, wrong: np.ndarray) -> float:
    """Area under the risk-coverage curve, less that of a perfect ranking."""
    scores, wrong = check_scores(scores, wrong)
    return aurc(scores, wrong) - aurc(wrong.astype(float), wrong)


def augrc(scores: np.ndarray, wrong: np.ndarray) -> float:
    """Area under the generalised risk-coverage curve: risk is errors kept over all images."""
    coverage, risk = risk_coverage(scores, wrong)
    return float((risk * coverage).mean())


def risk_at(scores: np.ndarray, wrong: np.ndarray, coverage: float) -> float:
    """Error rate among the ceil(coverage * n) most trusted predictions."""
    check_number("coverage", coverage, 0, 1)
    _, risk = risk_coverage(scores, wrong)
    return float(risk[max(1, int(np.ceil(coverage * len(risk) - 1e-9))) - 1])


def all_metrics(scores: np.ndarray, wrong: np.ndarray) -> dict[str, float]:
    """Every metric of this module that needs scores and outcomes only."""
    scores, wrong = check_scores(scores, wrong)
    return {
        "auroc": auroc(scores, wrong),
        "aupr_error": average_precision(scores, wrong),
        "aupr_success": average_precision(-scores, ~wrong),
        "fpr_at_95_tpr": fpr_at_tpr(scores, wrong),
        "aurc": aurc(scores, wrong),
        "excess_aurc": excess_aurc(scores, wrong),
        "augrc": augrc(scores, wrong),
        **{f"risk_at_{100 * c:.0f}": risk_at(scores, wrong, c) for c in COVERAGES},
    }
