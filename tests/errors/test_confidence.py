"""Scores from logits: closed forms, equal ranks, and no loss of order near certainty."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import entropy as scipy_entropy

from kernel_lib.errors import confidence
from kernel_lib.errors.metrics import auroc, midranks


@pytest.fixture
def logits():
    return np.random.default_rng(0).normal(0, 3, (200, 5)).astype(np.float32)


def softmax(logits):
    shares = np.exp(np.asarray(logits, np.float64))
    return shares / shares.sum(axis=1, keepdims=True)


def test_closed_forms(logits):
    p = softmax(logits)
    top = np.sort(p, axis=1)
    s = (p**2).sum(axis=1)
    expected = {
        "msp": 1 - top[:, -1],
        "margin": top[:, -2] - top[:, -1],
        "entropy": scipy_entropy(p, axis=1),
        "max_logit": -logits.max(axis=1),
        "energy": -np.log(np.exp(np.asarray(logits, np.float64)).sum(axis=1)),
        "doctor_alpha": (1 - s) / s,
        "doctor_beta": (1 - top[:, -1]) / top[:, -1],
    }
    for name, function in confidence.SCORES.items():
        np.testing.assert_allclose(function(logits), expected[name], rtol=1e-6, atol=1e-9)


def test_doctor_beta_ranks_like_maximum_softmax(logits):
    wrong = np.random.default_rng(1).random(200) < 0.3
    assert auroc(confidence.doctor_beta(logits), wrong) == auroc(confidence.msp(logits), wrong)


def test_with_two_classes_all_shares_rank_alike(logits):
    two = logits[:, :2]
    ranks = [
        midranks(confidence.SCORES[name](two))
        for name in ("msp", "entropy", "doctor_alpha", "margin")
    ]
    for other in ranks[1:]:
        np.testing.assert_array_equal(ranks[0], other)


def test_near_certainty_keeps_its_order():
    logits = np.array([[0.0, z] for z in (30.0, 40.0, 60.0)])
    assert (np.diff(confidence.msp(logits)) < 0).all()
    assert (np.diff(confidence.doctor_alpha(logits)) < 0).all()


@pytest.mark.parametrize("true", [0.5, 2.0, 4.0])
def test_the_temperature_that_made_the_labels_is_found(true):
    random = np.random.default_rng(2)
    logits = random.normal(0, 3, (20000, 5))
    shares = softmax(logits / true)
    labels = (shares.cumsum(axis=1) > random.random((20000, 1))).argmax(axis=1)
    found = confidence.temperature(logits, logits.argmax(axis=1) == labels)
    assert found == pytest.approx(true, rel=0.08)
