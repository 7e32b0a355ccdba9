"""Code lengths of labels that are plain, hidden, or absent."""

from __future__ import annotations

import numpy as np
import pytest

from kernel_lib.trust import online_code
from kernel_lib.trust.codes import label_entropy, usable_information


def test_plain_labels_have_a_short_code(factorial_shapes):
    colors = factorial_shapes.tasks["color"][:5040]
    code = online_code(np.eye(7)[colors], colors, 7)
    assert code.uniform_bits == pytest.approx(5040 * np.log2(7))
    assert code.uniform_bits == pytest.approx(14_149, abs=1)
    assert code.compression > 15


def test_noise_does_not_compress(random):
    labels = random.integers(0, 4, 1500)
    code = online_code(random.standard_normal((1500, 12)), labels, 4)
    assert 0.7 < code.compression <= 1


def test_the_first_block_costs_the_uniform_code(random):
    labels = random.integers(0, 3, 2)
    assert online_code(random.random((2, 2)), labels, 3).bits == pytest.approx(2 * np.log2(3))


def test_more_readable_is_shorter(random):
    labels = random.integers(0, 3, 1500)
    lengths = [
        online_code(np.eye(3)[labels] + noise * random.standard_normal((1500, 3)), labels, 3).bits
        for noise in (0.1, 0.5, 1.0, 3.0)
    ]
    assert lengths == sorted(lengths)


def test_the_same_seed_gives_the_same_code(random):
    features, labels = random.standard_normal((300, 3)), random.integers(0, 3, 300)
    assert online_code(features, labels, 3, seed=2) == online_code(features, labels, 3, seed=2)


def test_usable_information_by_hand():
    labels = np.array([0, 1, 2, 3, -1])
    assert label_entropy(labels) == 2
    np.testing.assert_allclose(usable_information(np.array([0.0, 0.5, 3.0]), labels), [2, 1.5, 0])


def test_lengths_that_differ_are_refused():
    with pytest.raises(ValueError, match="one label for each row"):
        online_code(np.zeros((3, 2)), np.zeros(4, int), 2)
