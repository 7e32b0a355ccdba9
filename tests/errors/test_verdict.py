"""The verdict calls no score better that is not: scores of no worth, drawn many times."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from kernel_lib.audit.statistics import holm
from kernel_lib.errors.comparison import delong
from kernel_lib.errors.registry import SUBJECTS
from kernel_lib.errors.verdict import better_scores, verdict

DRAWS = 400


def compared(size: int, share_wrong: float, gain: float = 0.0) -> list[pd.DataFrame]:
    """Six scores beside maximum softmax in many audits: the same signal, noise of their own.

    Without a gain all seven can be exchanged, so none is better. `low` is that of DeLong's
    interval, which the bootstrap's resembles.
    """
    random = np.random.default_rng(0)
    num_wrong = round(share_wrong * size)
    is_wrong = np.arange(size) < num_wrong
    signal = random.normal(size=(DRAWS, 1, size)) + 1.5 * is_wrong
    scores = signal + random.normal(0, 0.6, (DRAWS, 7, size))
    scores[:, 1] += gain * is_wrong
    values, deviations = _differences(scores, num_wrong)
    p_values = 2 * stats.norm.sf(np.abs(values) / deviations)
    return [
        pd.DataFrame(
            {
                "score": SUBJECTS, "title": SUBJECTS, "difference": value,
                "low": value - 1.96 * deviation, "high": value + 1.96 * deviation,
                "p_value": p_value, "p_holm": holm(p_value), "times_the_cost": 2.0,
            }
        )
        for value, deviation, p_value in zip(values, deviations, p_values, strict=True)
    ]  # fmt: skip


def _differences(scores: np.ndarray, num_wrong: int) -> tuple[np.ndarray, np.ndarray]:
    """AUROC less that of the first score, and DeLong's deviation of it, of all draws at once."""
    num_right = scores.shape[-1] - num_wrong
    ranks = stats.rankdata(scores, axis=-1)
    wrong, right = scores[..., :num_wrong], scores[..., num_wrong:]
    by_wrong = (ranks[..., :num_wrong] - stats.rankdata(wrong, axis=-1)) / num_right
    by_right = 1 - (ranks[..., num_wrong:] - stats.rankdata(right, axis=-1)) / num_wrong
    areas = by_wrong.mean(axis=-1)
    variance = sum(
        (part[:, 1:] - part[:, :1]).var(axis=-1, ddof=1) / part.shape[-1]
        for part in (by_wrong, by_right)
    )
    return areas[:, 1:] - areas[:, :1], np.sqrt(variance)


def test_all_draws_at_once_are_compared_as_one_alone():
    scores = np.random.default_rng(1).normal(size=(2, 3, 50))
    values, deviations = _differences(scores, 12)
    found = delong(scores[1, 2], scores[1, 0], np.arange(50) < 12)
    assert found.value == pytest.approx(values[1, 1])
    assert found.low == pytest.approx(values[1, 1] - 1.96 * deviations[1, 1])


@pytest.mark.parametrize(("size", "share_wrong"), [(120, 0.1), (500, 0.2)])
def test_scores_of_no_worth_are_called_better_in_at_most_one_audit_of_twenty(size, share_wrong):
    tables = compared(size, share_wrong)
    called = sum(len(better_scores(table)) > 0 for table in tables)
    alone = sum(((table.low > 0) & (table.difference > 0.01)).any() for table in tables)
    assert stats.binomtest(called, DRAWS, 0.05, "greater").pvalue > 0.05
    # Interval by interval, as if there were one score alone, it would be too often.
    assert stats.binomtest(int(alone), DRAWS, 0.05, "greater").pvalue < 0.01


def test_a_real_gain_is_still_found():
    found = [list(better_scores(table).score) for table in compared(500, 0.2, gain=0.8)[:100]]
    assert sum("conductance" in names for names in found) >= 95


def test_a_lead_that_chance_explains_is_called_chance():
    table = compared(100, 0.2)[0].assign(low=-0.1, difference=0.0, p_holm=1.0)
    table.loc[2, ["difference", "low", "high", "p_holm"]] = (0.03, 0.002, 0.06, 0.21)
    scores = pd.DataFrame(
        [{"score": "msp", "title": "Maximum softmax", "auroc": 0.9, "auroc_low": 0.8,
          "auroc_low_of_all": 0.79, "auroc_high": 0.95, "under_test": False}]
    )  # fmt: skip
    outcome = {"rule": "equal_recall", "coverage": 0.8, "wrong_withheld": 40, "wrong_kept": 10,
               "accuracy_of_kept": 0.97, "accuracy_of_all": 0.9}  # fmt: skip
    found = verdict(scores, table, pd.DataFrame([{"score": "msp", **outcome}]), 50, 350)
    assert found.status == "warning"
    assert "as the best of 6 scores may by chance (p = 0.21)" in found.headline
