"""The network head learns what there is to learn: a plane, and what no plane can tell."""

from __future__ import annotations

import numpy as np
import pytest

from kernel_lib.errors.learned import Head
from kernel_lib.errors.metrics import auroc


def drawn(seed, task, count=1000):
    """Two columns; about one prediction in eight is wrong, with a chance that they tell."""
    random = np.random.default_rng(seed)
    values = random.normal(size=(count, 2))
    if task == "linear":
        odds = values @ [1.6, -1.0] - 3
    else:
        odds = np.where(values[:, 0] * values[:, 1] > 0, -0.5, -8.5)
    return values, random.random(count) < 1 / (1 + np.exp(-odds))


def area(name, seed, task):
    values, wrong = drawn(seed, task)
    asked, asked_wrong = drawn(seed + 100, task)
    return auroc(Head(name, seed).fit(values, wrong).score(asked), asked_wrong)


@pytest.mark.parametrize("seed", range(8))
def test_the_network_tells_a_plane_as_well_as_logistic_regression(seed):
    assert area("mlp", seed, "linear") == pytest.approx(area("logistic", seed, "linear"), abs=0.03)


@pytest.mark.parametrize("seed", range(2))
def test_the_network_tells_what_no_plane_can(seed):
    assert area("logistic", seed, "xor") < 0.6
    assert area("mlp", seed, "xor") > 0.75


def test_the_same_seed_gives_the_same_chances_and_units_do_not_matter():
    values, wrong = drawn(0, "linear", 120)
    first = Head("mlp", 3).fit(values, wrong).score(values)
    np.testing.assert_array_equal(Head("mlp", 3).fit(values, wrong).score(values), first)
    scaled = values * [1024, 2**-7]  # powers of two, so that nothing is rounded
    np.testing.assert_array_equal(Head("mlp", 3).fit(scaled, wrong).score(scaled), first)
    assert np.abs(Head("mlp", 4).fit(values, wrong).score(values) - first).max() > 0


def test_few_wrong_predictions_and_a_constant_column_are_no_trouble():
    values, wrong = drawn(0, "linear", 60)
    wrong[:] = False
    wrong[:4] = True
    chances = (
        Head("mlp")
        .fit(np.column_stack([values, np.ones(60)]), wrong)
        .score(np.column_stack([values, np.full(60, 1.0)]))
    )
    assert ((chances >= 0) & (chances <= 1)).all()
