"""What a verdict may say of a loss: what is shown, and what so many images leave open."""

from __future__ import annotations

import numpy as np
import pytest

from kernel_lib.invariance.checklist import checklist_rows
from kernel_lib.invariance.grids import even_grid
from kernel_lib.invariance.loss import RulesCost, rules_cost, shown_loss
from kernel_lib.invariance.signals import Signals
from kernel_lib.invariance.truth import Truth
from kernel_lib.invariance.verdict import overall

ARGUMENTS = {
    "title": "Rotation",
    "invariant_below": 0.05,
    "broken_above": 0.15,
    "num_images": 60,
    "rules": {"mask": True, "resampling": "smooth"},
}


def signals_of(right: np.ndarray, num_classes: int = 4) -> Signals:
    """Signals (T, N) with a given pattern of right and wrong; the identity is in the middle."""
    half = len(right) // 2
    grid = even_grid(-half, half, len(right), 0)
    surety = np.full((2, *right.shape), 0.8, np.float32)
    labels = np.zeros(right.shape[1], np.int64)
    predictions = np.where(right, 0, 1)
    names = ("confidence", "original_class")
    return Signals(names, surety, predictions, grid, labels, None, num_classes)


def losing(count: int, lost: int, num_steps: int = 5) -> Signals:
    right = np.ones((num_steps, count), bool)
    right[-1, :lost] = False
    return signals_of(right)


def words(truth: Truth, cost: RulesCost | None = None, **changed: object):
    return overall(ARGUMENTS | changed, "from -15 to 15", "15", truth, None, 0.0, cost)


@pytest.mark.parametrize(
    ("count", "lost", "status"),
    [
        (8, 0, "undetermined"),  # 0 of 8 allows 37 %
        (71, 0, "undetermined"),
        (72, 0, "pass"),  # 1 - 0.025 ** (1 / 72) = 0.0499
        (1000, 8, "pass"),
        (60, 2, "undetermined"),
        (60, 6, "undetermined"),
        (400, 40, "warning"),
        (400, 90, "fail"),
        (16, 16, "fail"),
    ],
)
def test_a_verdict_is_what_the_whole_interval_bears_out(count, lost, status):
    found = words(shown_loss(losing(count, lost)), num_images=count)
    assert found.status == status
    assert found.headline.count("too few") == (status == "undetermined")


def test_too_few_images_and_a_loss_between_the_limits_are_told_apart():
    few = shown_loss(losing(60, 2))
    text = words(few).headline
    assert "The loss, 3.3 % [0.0, 11.5], lies below the limit of 5 %" in text
    assert f"but 60 images are too few to be sure: about {few.num_needed:,} would do." in text
    assert (
        "lies between the limits of 5 % and 15 %." in words(shown_loss(losing(1000, 100))).headline
    )
    above = shown_loss(losing(60, 6))
    assert "lies above the limit of 5 %" in words(above).headline
    wide = words(shown_loss(losing(100, 20)), num_images=100)
    assert wide.status == "warning"
    assert "100 images are too few to tell whether it reaches 15 %" in wide.headline


@pytest.mark.parametrize(("count", "lost"), [(30, 0), (60, 1), (100, 3)])
def test_as_many_images_as_asked_for_do_four_times_in_five(count, lost):
    needed = shown_loss(losing(count, lost)).num_needed
    assert needed is not None
    random = np.random.default_rng(count)
    settled = [
        shown_loss(losing(needed, random.binomial(needed, lost / count))).verdict == "invariant"
        for _ in range(25)
    ]
    assert np.mean(settled) >= 0.6
    fewer = count + (needed - count) // 4
    assert shown_loss(losing(fewer, round(fewer * lost / count))).verdict != "invariant"


def test_the_number_that_would_do_counts_images_of_the_audit():
    assert shown_loss(losing(40, 0)).num_needed == 72
    assert shown_loss(losing(40, 0), images_per_judged=2.0).num_needed == pytest.approx(144, abs=6)


@pytest.mark.parametrize("loss", [0.05, 0.15])
def test_networks_at_a_limit_pass_or_fail_one_time_in_forty(loss):
    """The worst of the null: a loss exactly at the limit, at every one of six steps."""
    random = np.random.default_rng(1)
    verdicts = []
    for _ in range(50):
        right = np.ones((7, 150), bool)
        right[[0, 1, 2, 4, 5, 6]] = random.random((6, 150)) >= loss
        verdicts.append(shown_loss(signals_of(right)).verdict)
    assert verdicts.count("invariant" if loss == 0.05 else "not invariant") <= 3


def test_what_the_rules_cost_stands_in_the_first_sentence():
    untouched = np.arange(200) < 190
    identity = np.arange(200) < 165
    cost = rules_cost(untouched, identity)
    assert cost.matters
    assert cost.loss == pytest.approx(25 / 190)
    assert cost.low < cost.loss < cost.high
    right = np.tile(identity, (3, 1))
    right[2, :20] = False
    found = words(shown_loss(signals_of(right)), cost, num_images=200)
    first = found.headline.split(". ")[0]
    assert "the test's own rules (mask and smoothing) lower its accuracy by 12.5 points" in first
    assert "from 95.0% to 82.5%" in first
    assert "falls from 82.5% to 72.5%" in first


def test_rules_that_cost_more_than_a_network_may_lose_take_the_pass():
    untouched = np.ones(400, bool)
    identity = np.arange(400) < 340
    flat = signals_of(np.tile(identity, (3, 1)))
    truth = shown_loss(flat)
    assert truth.verdict == "invariant"
    assert words(truth, None).status == "pass"
    costly = words(truth, rules_cost(untouched, identity))
    assert costly.status == "warning"
    assert "not for images as they come" in costly.headline
    assert words(truth, rules_cost(untouched, untouched)).status == "pass"


def test_a_network_that_the_rules_bring_near_guessing_is_not_said_to_guess():
    identity = np.arange(100) < 30
    truth = shown_loss(signals_of(np.tile(identity, (3, 1))))
    assert truth.verdict == "not assessable"
    cost = rules_cost(np.ones(100, bool), identity)
    text = words(truth, cost).headline
    assert text.startswith("The test's own rules (mask and smoothing) lower the network's accuracy")
    assert "right on only 30.0% of untouched images" in words(truth).headline


def test_nothing_is_checked_of_a_network_near_guessing():
    right = np.tile(np.arange(200) < 80, (3, 1))  # 40 % of four classes; the least is 50 %
    rows = checklist_rows(signals_of(right), "rotation")
    assert {row["status"] for row in rows} == {"undetermined"}
    assert "too near to guessing" in rows[0]["reason"]
    rows = checklist_rows(signals_of(np.ones((3, 200), bool)), "rotation")
    assert {row["status"] for row in rows} == {"pass"}


def test_rules_that_cost_nothing_are_not_spoken_of():
    right = np.ones(100, bool)
    cost = rules_cost(right, right)
    assert not cost.matters
    assert cost.high > 0
    assert "rules" not in words(shown_loss(losing(100, 0)), cost).headline
