"""Orders of classes against permutations made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from kernel_lib.audit.class_order import find_class_order


def answers(labels: np.ndarray, order: list[int], accuracy: float, seed: int = 0) -> np.ndarray:
    """Outputs of a network whose output k stands for the label `order[k]`."""
    random = np.random.default_rng(seed)
    output_of = np.argsort(order)
    noise = random.integers(0, len(order), len(labels))
    return np.where(random.random(len(labels)) < accuracy, output_of[labels], noise)


@pytest.mark.parametrize("accuracy", [0.95, 0.6])
def test_a_permutation_is_found(accuracy):
    order = [3, 0, 4, 1, 2]
    labels = np.arange(400) % 5
    found = find_class_order(answers(labels, order, accuracy), labels, 5)
    assert list(found.label_of) == order
    assert found.shift is None
    assert found.names("abcde") == list("daebc")
    assert found.matched_accuracy == pytest.approx(accuracy + (1 - accuracy) / 5, abs=0.08)


@pytest.mark.parametrize(("order", "shift"), [([1, 2, 3, 4, 0], 1), ([4, 0, 1, 2, 3], -1)])
def test_an_off_by_one_is_named(order, shift):
    labels = np.arange(200) % 5
    assert find_class_order(answers(labels, order, 0.9), labels, 5).shift == shift


def test_an_off_by_one_of_a_thousand_classes_needs_no_image_of_each():
    labels = np.random.default_rng(0).integers(0, 999, 80)
    found = find_class_order(labels + 1, labels, 1000)
    assert found.shift == -1
    assert found.label_of[5] == 4


def test_two_swapped_classes():
    labels = np.arange(300) % 3
    found = find_class_order(answers(labels, [1, 0, 2], 0.9), labels, 3)
    assert found.label_of == (1, 0, 2)


@pytest.mark.parametrize("accuracy", [0.0, 0.2, 0.5, 0.95])
def test_networks_in_the_right_order_are_left_alone(accuracy):
    found = 0
    for seed in range(100):
        labels = np.random.default_rng([seed, 7]).integers(0, 7, 150)
        found += (
            find_class_order(answers(labels, list(range(7)), accuracy, seed), labels, 7) is not None
        )
    assert found <= 1


def test_a_network_that_says_one_class_has_no_order():
    labels = np.arange(200) % 4
    assert find_class_order(np.full(200, 2), labels, 4) is None


def test_one_answer_for_all_is_no_order_however_common_its_new_class():
    labels = np.r_[np.zeros(20, int), np.ones(380, int)]
    assert find_class_order(np.zeros(400, int), labels, 2) is None


def test_an_order_in_which_most_answers_are_wrong_does_not_explain_them():
    random = np.random.default_rng(0)
    labels = random.integers(0, 10, 1000)
    predicted = np.where(random.random(1000) < 0.35, (labels + 3) % 10, (labels + 5) % 10)
    predicted = np.where(random.random(1000) < 0.6, random.integers(0, 10, 1000), predicted)
    order = find_class_order(predicted, labels, 10)
    assert order is not None
    assert not order.is_near_permutation
