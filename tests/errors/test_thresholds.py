"""Thresholds and the arithmetic of what they keep."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from kernel_lib.errors.thresholds import outcome, threshold, upper_bound

SCORES = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8])
WRONG = np.array([0, 0, 0, 1, 0, 1, 0, 1], bool)


def test_equal_recall_by_hand():
    # Keeping up to 0.4: 3 of 5 rights kept, 2 of 3 errors withheld, the closest pair.
    line = threshold(SCORES, WRONG)
    found = outcome(SCORES, WRONG, line)
    assert line == 0.4
    assert (found["rights_kept"], found["errors_detected"]) == (3 / 5, 2 / 3)


@pytest.mark.parametrize(("share", "line"), [(0.5, 0.4), (0.51, 0.5), (1.0, 0.8), (0.01, 0.1)])
def test_coverage_keeps_at_least_the_share(share, line):
    assert threshold(SCORES, WRONG, "coverage", share) == line
    assert outcome(SCORES, WRONG, line)["coverage"] >= share


def test_a_score_at_the_threshold_is_kept():
    assert outcome(SCORES, WRONG, 0.4)["wrong_kept"] == 1


def test_counts_rebuild_every_share():
    random = np.random.default_rng(0)
    wrong = random.random(500) < 0.3
    scores = np.round(random.normal(size=500) + wrong, 1)
    found = outcome(scores, wrong, threshold(scores, wrong))
    counts = [found[name] for name in
              ("right_kept", "right_withheld", "wrong_kept", "wrong_withheld")]  # fmt: skip
    assert sum(counts) == 500
    assert all(isinstance(count, int) for count in counts)
    assert found["errors_detected"] * wrong.sum() == pytest.approx(counts[3])
    assert found["rights_kept"] * (~wrong).sum() == pytest.approx(counts[0])
    assert found["accuracy_of_kept"] == counts[0] / (counts[0] + counts[2])
    assert found["coverage"] == (counts[0] + counts[2]) / 500
    whole = found["coverage"] * found["accuracy_of_kept"]
    whole += (1 - found["coverage"]) * found["accuracy_of_withheld"]
    assert whole == pytest.approx(found["accuracy_of_all"])


def test_published_counts_follow_from_published_recalls():
    """ImageNet-100, both scores: 556 errors at .890, 4,444 rights at .858."""
    scores = np.repeat([0.0, 1.0, 0.0, 1.0], [3814, 630, 61, 495])
    wrong = np.repeat([False, False, True, True], [3814, 630, 61, 495])
    found = outcome(scores, wrong, 0.5)
    assert round(found["errors_detected"], 3) == 0.890
    assert round(found["rights_kept"], 3) == 0.858
    assert round(found["coverage"], 3) == 0.775
    assert round(found["accuracy_of_kept"], 3) == 0.984


@pytest.mark.parametrize(("errors", "kept"), [(0, 30), (3, 50), (10, 12)])
def test_the_bound_is_where_so_few_errors_become_unlikely(errors, kept):
    bound = upper_bound(errors, kept, 0.05)
    assert binom.cdf(errors, kept, bound) == pytest.approx(0.05)


def test_bounded_risk_holds_on_fresh_data():
    broken = 0
    for seed in range(100):
        random = np.random.default_rng(seed)
        scores = random.random(3000)
        wrong = random.random(3000) < 0.3 * scores**2
        line = threshold(scores, wrong, "risk", 0.05)
        assert line > 0
        true_risk = 0.1 * min(line, 1) ** 2  # mean of 0.3 s^2 over s <= line
        broken += true_risk > 0.05
    assert broken <= 5


def test_no_bound_low_enough_keeps_nothing():
    line = threshold(SCORES, WRONG, "risk", 0.01)
    assert line == -np.inf
    assert outcome(SCORES, WRONG, line)["coverage"] == 0


def test_bad_rules_are_named():
    with pytest.raises(ValueError, match="`rule` must be one of"):
        threshold(SCORES, WRONG, "best")
    with pytest.raises(ValueError, match="`value` must lie in"):
        threshold(SCORES, WRONG, "coverage", 80)
    with pytest.raises(ValueError, match="are right"):
        threshold(SCORES, np.zeros(8))
