"""Metrics against numbers worked out by hand and against scikit-learn."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from kernel_lib.audit.statistics import expected_calibration_error
from kernel_lib.errors import metrics


@pytest.fixture(params=[False, True], ids=["distinct", "tied"])
def case(request):
    random = np.random.default_rng(1)
    wrong = random.random(300) < 0.2
    scores = random.normal(0, 1, 300) + wrong
    return (np.round(scores, 1) if request.param else scores), wrong


def test_known_values():
    y, s = np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8])
    assert metrics.auroc(s, y) == pytest.approx(0.75)
    assert metrics.average_precision(s, y) == pytest.approx(0.8333, abs=1e-4)
    y, s = np.array([1, 0, 1, 0, 0]), np.array([0.9, 0.5, 0.5, 0.2, 0.1])
    assert metrics.auroc(s, y) == pytest.approx(0.9167, abs=1e-4)
    assert metrics.average_precision(s, y) == pytest.approx(0.8333, abs=1e-4)
    assert metrics.auroc(np.ones(5), y) == 0.5


def test_known_areas_under_risk():
    wrong, scores = np.array([0, 0, 1, 0]), np.array([1.0, 2, 3, 4])
    assert metrics.aurc(scores, wrong) == pytest.approx(0.14583, abs=1e-5)
    assert metrics.aurc(wrong, wrong) == pytest.approx(0.0625)
    assert metrics.excess_aurc(scores, wrong) == pytest.approx(0.08333, abs=1e-5)
    assert metrics.augrc(scores, wrong) == pytest.approx(0.125)
    assert metrics.risk_at(scores, wrong, 0.5) == 0
    assert metrics.risk_at(scores, wrong, 0.75) == pytest.approx(1 / 3)
    assert metrics.risk_at(scores, wrong, 1.0) == 0.25


def test_they_agree_with_scikit_learn(case):
    scores, wrong = case
    assert metrics.auroc(scores, wrong) == pytest.approx(
        sklearn_metrics.roc_auc_score(wrong, scores)
    )
    assert metrics.average_precision(scores, wrong) == pytest.approx(
        sklearn_metrics.average_precision_score(wrong, scores)
    )
    assert metrics.average_precision(-scores, ~wrong) == pytest.approx(
        sklearn_metrics.average_precision_score(~wrong, -scores)
    )
    fpr, tpr, _ = sklearn_metrics.roc_curve(wrong, scores, drop_intermediate=False)
    assert metrics.fpr_at_tpr(scores, wrong) == pytest.approx(fpr[np.argmax(tpr >= 0.95)])


def test_turning_the_score_around_turns_the_area_around(case):
    scores, wrong = case
    assert metrics.auroc(-scores, wrong) == pytest.approx(1 - metrics.auroc(scores, wrong))


def test_ties_are_the_mean_over_all_orders():
    wrong, scores = np.array([1, 0, 0, 1, 0]), np.array([0, 1, 1, 1, 2.0])
    orders = []
    for order in itertools.permutations([1, 2, 3]):
        broken = scores.copy()
        broken[list(order)] += [0.0, 0.1, 0.2]
        orders.append(
            [metrics.aurc(broken, wrong), metrics.augrc(broken, wrong),
             metrics.risk_at(broken, wrong, 0.6)]
        )  # fmt: skip
    tied = [metrics.aurc(scores, wrong), metrics.augrc(scores, wrong),
            metrics.risk_at(scores, wrong, 0.6)]  # fmt: skip
    np.testing.assert_allclose(tied, np.mean(orders, axis=0))


def test_calibration_error_by_hand():
    chances, wrong = np.array([0.1, 0.15, 0.9, 0.95]), np.array([0, 1, 1, 1])
    expected = (abs(0.25 - 1) + abs(1.85 - 2)) / 4
    assert expected_calibration_error(chances, wrong, num_bins=2) == pytest.approx(expected)


def test_the_names_of_all_metrics(case):
    assert tuple(metrics.all_metrics(*case)) == metrics.METRICS


def test_what_cannot_be_measured_is_named():
    with pytest.raises(ValueError, match="All 3 predictions on these images are right"):
        metrics.auroc(np.arange(3), np.zeros(3))
    with pytest.raises(ValueError, match="All 3 predictions on these images are wrong"):
        metrics.aurc(np.arange(3), np.ones(3))
    with pytest.raises(ValueError, match="1 scores are not a number"):
        metrics.auroc([0, np.nan], [0, 1])
    with pytest.raises(ValueError, match="one score for each"):
        metrics.auroc([0, 1, 2], [0, 1])
