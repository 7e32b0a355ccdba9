"""What training added: untrained networks are seldom said to have been taught anything."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from kernel_lib.audit.statistics import holm
from kernel_lib.trust.added import added

BOTTOM = np.array([[0.2, 0.15, 0.33, 0.25, 0.33]])


def networks(random: np.random.Generator, count: int, num_images: int, spread: float) -> np.ndarray:
    """Hits (networks, 1, J, N): images differ in difficulty, networks in luck."""
    level = np.array([0.3, 0.6, 0.7, 0.9, 0.8]) + spread * random.standard_normal((count, 5))
    return (random.random((count, 1, 5, num_images)) < level[:, None, :, None]).astype(float)


@pytest.mark.parametrize("num_untrained", [2, 3, 5])
@pytest.mark.parametrize("spread", [0.0, 0.03, 0.06])
def test_untrained_networks_are_not_said_to_be_taught(num_untrained, spread):
    random = np.random.default_rng([num_untrained, int(100 * spread)])
    wrong = 0
    for _ in range(300):
        hits = networks(random, num_untrained + 1, 120, spread)
        p_values = added(hits[:1], hits[1:], BOTTOM).p_value[0, 1:]
        wrong += holm(p_values).min() <= 0.05
    assert wrong / 300 <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 300)


def test_a_leak_that_was_taught_is_found():
    random = np.random.default_rng(0)
    found = []
    for _ in range(40):
        blank = networks(random, 3, 120, 0.04)
        taught = blank[:1].copy()
        taught[0, 0, 1] = random.random(120) < 0.95
        result = added(taught, blank, BOTTOM)
        found.append(holm(result.p_value[0, 1:])[0] <= 0.05)
        assert result.low[0, 1] < result.value[0, 1] < result.high[0, 1]
    assert np.mean(found) >= 0.9


def test_with_networks_that_do_not_differ_the_test_is_the_paired_normal_one():
    random = np.random.default_rng(3)
    one = (random.random((1, 1, 2, 4000)) < 0.6).astype(float)
    blank = np.repeat((random.random((1, 1, 2, 4000)) < 0.58).astype(float), 3, axis=0)
    result = added(one, blank, np.full((1, 2), 0.25))
    difference = (one - blank[:1])[0, 0]
    error = difference.std(axis=1) / np.sqrt(4000)
    expected = stats.norm.sf(difference.mean(axis=1) / error)
    np.testing.assert_allclose(result.p_value[0], expected, rtol=0.1)


def test_six_images_show_little_and_one_untrained_network_nothing():
    right, wrong = np.ones((1, 1, 2, 6)), np.zeros((3, 1, 2, 6))
    few = added(right, wrong, np.full((1, 2), 0.2))
    assert few.p_value == pytest.approx(0.5**6)  # exact, not 0
    assert np.isnan(added(right, wrong[:1], np.full((1, 2), 0.2)).p_value).all()
