"""Wald's test: known steps and bounds, honest error rates, and the live run equal to the replay."""

from __future__ import annotations

import numpy as np
import pytest

from error_networks import centred, plain_network
from kernel_lib.errors import SequentialTest, label_change_rate
from kernel_lib.errors.recipes import Recipe
from kernel_lib.errors.sequential import (
    ACCEPTED,
    OPEN,
    SUSPECT,
    default_threshold,
    from_votes,
    shuffled_order,
)
from kernel_lib.errors.units import mutable_layers
from kernel_lib.errors.votes import Votes, votes


def as_votes(changed):
    """Mutants that are sure of themselves: doubt is one where the label changes."""
    base = np.zeros(changed.shape[1], np.int64)
    return Votes(base, changed.astype(np.int32), changed.astype(np.float32))


def test_steps_and_bounds_are_the_published_ones():
    test = SequentialTest(0.0441, ratio=0.1, alpha=0.05, beta=0.05)
    assert test.up == pytest.approx(0.20067, abs=1e-5)
    assert test.down == pytest.approx(-0.009227, abs=1e-6)
    assert test.bounds == pytest.approx((-2.94444, 2.94444), abs=1e-5)


@pytest.mark.parametrize(("threshold", "changes", "keeps"), [(0.0441, 15, 320), (0.169, 15, 73)])
def test_a_run_of_one_answer_decides_after_a_known_number(threshold, changes, keeps):
    test = SequentialTest(threshold, ratio=0.1, alpha=0.05, beta=0.05)
    table = np.column_stack([np.ones(400, bool), np.zeros(400, bool)])
    found = from_votes(as_votes(table), test, np.arange(400))
    assert found.asked.tolist() == [changes, keeps]
    assert found.decision.tolist() == [SUSPECT, ACCEPTED]


@pytest.mark.parametrize("ratio", [0.1, 0.3])
def test_error_rates_are_those_asked_for(ratio):
    test = SequentialTest(0.2, ratio=ratio, alpha=0.05, beta=0.05)
    random = np.random.default_rng(0)
    for share, wrong in ((0.2 * (1 - ratio), SUSPECT), (0.2 * (1 + ratio), ACCEPTED)):
        table = random.random((9000 if ratio == 0.1 else 2000, 400)) < share
        found = from_votes(as_votes(table), test, np.arange(len(table)))
        assert (found.decision == OPEN).mean() < 0.01
        assert (found.decision == wrong).mean() < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 400)


def test_images_are_decided_one_by_one_by_hand():
    test = SequentialTest(0.5, ratio=0.5, alpha=0.2, beta=0.2)
    # up = ln 3, down = -ln 3, bounds +- ln 4: two answers more on one side decide.
    table = np.array([[1, 0, 1], [1, 0, 0], [0, 0, 1], [0, 1, 0]], bool)
    found = from_votes(as_votes(table), test, np.arange(4))
    assert found.decision.tolist() == [SUSPECT, ACCEPTED, OPEN]
    assert found.asked.tolist() == [2, 2, 4]
    assert found.changes.tolist() == [2, 0, 2]
    np.testing.assert_allclose(found.rate, [3 / 4, 1 / 4, 3 / 6])
    assert found.is_suspect.tolist() == [True, False, False]
    np.testing.assert_allclose(found.doubt, [1, 0, 0.5])
    np.testing.assert_allclose(found.suspicion, [7 / 8, 1 / 8, 1 / 2])


def test_the_live_run_is_the_replay_and_asks_no_more(monkeypatch):
    images = np.random.default_rng(8).random((60, 8, 8, 1), np.float32)
    network = centred(plain_network(), images)
    drawn = [Recipe("gf", 0.12).draw(mutable_layers(network, "all"), 0, i) for i in range(40)]
    test = SequentialTest(0.3, ratio=0.4, alpha=0.05, beta=0.05)
    table = votes(network, drawn, images)
    full_rate = label_change_rate(network, images, drawn)
    replay = from_votes(table, test, shuffled_order(40, 2))
    for batch_size in (60, 11):
        live = label_change_rate(
            network, images, drawn, method="sequential", test=test, seed=2, batch_size=batch_size
        )
        np.testing.assert_array_equal(live.asked, replay.asked)
        np.testing.assert_array_equal(live.changes, replay.changes)
        np.testing.assert_array_equal(live.decision, replay.decision)
        np.testing.assert_allclose(live.doubt, replay.doubt, atol=1e-6)
    assert {SUSPECT, ACCEPTED} <= set(live.decision.tolist())
    assert live.asked.mean() < 40
    np.testing.assert_array_equal(label_change_rate(network, images, drawn), full_rate)


def test_the_default_threshold_is_the_upper_end_of_the_mean():
    rates = np.array([0.0, 0.1, 0.2, 0.1])
    expected = 0.1 + 2.58 * np.sqrt(0.005) / 2
    assert default_threshold(rates) == pytest.approx(expected)
    with pytest.raises(ValueError, match="larger gamma"):
        default_threshold(np.zeros(5))


@pytest.mark.parametrize(
    "settings",
    [{"threshold": 0.0}, {"threshold": 0.8}, {"threshold": 0.2, "alpha": 0.6},
     {"threshold": 0.2, "ratio": 0.0}],
)  # fmt: skip
def test_settings_that_make_no_test_are_named(settings):
    with pytest.raises(ValueError, match="sequential test needs"):
        SequentialTest(**settings)
