"""Statistics against numbers by hand and from elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from kernel_lib.audit.statistics import (
    exact_mcnemar,
    expected_calibration_error,
    smallest_detectable_effect,
    wilson_interval,
)


def test_wilson_has_width_also_at_the_ends():
    low, high = wilson_interval(np.array([0.0, 1.0]), 16)
    assert low[0] == 0 and high[0] == pytest.approx(0.1936, abs=1e-4)
    assert high[1] == 1 and low[1] == pytest.approx(1 - 0.1936, abs=1e-4)


def test_wilson_of_nothing_is_everything():
    low, high = wilson_interval(np.array([0.0, 0.5]), np.array([0, 10]))
    assert (low[0], high[0]) == (0, 1)
    assert 0.2 < low[1] < 0.5 < high[1] < 0.8


def test_exact_mcnemar_is_a_fair_coin_on_the_discordant_pairs():
    one = np.array([1, 1, 1, 1, 1, 1, 0, 1, 0], bool)
    other = np.array([0, 0, 0, 0, 0, 0, 0, 1, 0], bool)
    assert exact_mcnemar(one, other) == pytest.approx(2 * 0.5**6)
    assert exact_mcnemar(one, one) == 1


def test_the_smallest_effect_is_detected_four_times_in_five():
    effect = smallest_detectable_effect(60)
    draws = np.random.default_rng(0).binomial(60, effect, 20_000)
    shown = np.array([stats.binomtest(k, k).pvalue < 0.05 for k in range(1, 61)])
    assert shown[np.maximum(draws, 1) - 1].mean() == pytest.approx(0.8, abs=0.01)


def test_six_images_show_an_effect_only_if_all_flip():
    assert smallest_detectable_effect(5) == 1
    assert smallest_detectable_effect(6) > 0.9
    assert smallest_detectable_effect(1000) < 0.01


def test_calibration_error_by_hand():
    # Bin (0.8, 0.8667]: two at 0.85, one right; bin (0.5333, 0.6]: one at 0.6, right.
    value = expected_calibration_error(np.array([0.85, 0.85, 0.6]), np.array([True, False, True]))
    assert value == pytest.approx((abs(1 - 1.7) + 0.4) / 3)
