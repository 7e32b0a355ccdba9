"""Numbers of the report, by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from kernel_lib.audit.statistics import expected_calibration_error
from kernel_lib.doctor.measure import CALIBRATION_BINS, mcnemar, outside_share
from kernel_lib.doctor.report import blame


def test_mcnemar_counts_and_takes_the_exact_binomial():
    before = np.array([1, 1, 1, 0, 0, 0, 0, 0, 1, 1], bool)
    after = np.array([0, 1, 1, 1, 1, 1, 1, 0, 1, 1], bool)
    found = mcnemar(before, after)
    assert (found["fixed"], found["broken"]) == (4, 1)
    assert after.mean() - before.mean() == pytest.approx((4 - 1) / 10)
    assert found["p_value"] == pytest.approx(2 * binom.cdf(1, 5, 0.5))
    assert mcnemar(before, before) == {"fixed": 0, "broken": 0, "p_value": 1.0}


def test_calibration_error_of_two_bins():
    confidence = np.array([0.95, 0.95, 0.55, 0.55])
    right = np.array([1, 1, 1, 0], bool)
    found = expected_calibration_error(confidence, right, CALIBRATION_BINS)
    assert found == pytest.approx(0.5 * 0.05 + 0.5 * 0.05)
    assert expected_calibration_error(np.array([1.0, 1.0]), np.array([True, True]), 10) == 0
    assert np.isnan(expected_calibration_error(confidence[:0], right[:0], 10))  # not a good 0


def test_outside_share_of_a_map():
    slopes = np.ones((3, 4, 4))
    masks = np.zeros((3, 4, 4), bool)
    masks[:2, :1] = True
    slopes[1, 1:] = 0
    found = outside_share(slopes, masks)
    assert found[:2].tolist() == [0.75, 0.0]
    assert np.isnan(found[2])
    assert np.isnan(outside_share(slopes, None)).all()


def test_blame_goes_to_the_background_where_there_are_masks():
    push = np.array([[0.0, 5, 1], [0, 1, 1]])
    outside = np.array([[1.0, 0, 3], [9, 9, 9]])
    with_masks = blame(push, outside, np.array([True, False]), np.array([True, False]), 2)
    assert (with_masks.reason, with_masks.channels.tolist()) == ("background", [2, 0])
    without = blame(push, outside, np.array([True, False]), np.zeros(2, bool), 2)
    assert (without.reason, without.channels.tolist()) == ("errors", [1, 2])
    nothing = blame(push, outside, np.zeros(2, bool), np.zeros(2, bool), 2)
    assert nothing.channels.tolist() == []
