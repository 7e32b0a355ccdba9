"""Scores against hand-computed numbers, the published matrix, and their own invariances."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from kernel_lib.trust import TaskMatrix, ideal_matrix, trust_score

TASKS = ("color", "shape", "size", "quadrant", "background")
CHANCE = np.array([1 / 7, 1 / 5, 1 / 3, 1 / 4, 1 / 3])
# The published DenseNet121 matrix, read off its figure.
DENSENET = np.array(
    [
        [1.0000, 0.2283, 0.9883, 1.0000, 0.9756],
        [0.2927, 1.0000, 0.9457, 0.9998, 0.9749],
        [0.2902, 0.4270, 1.0000, 1.0000, 0.9998],
        [0.9603, 0.4033, 0.9813, 1.0000, 0.9990],
        [0.1998, 0.3922, 0.7137, 0.9785, 1.0000],
    ]
)


def ideal(chance: np.ndarray = CHANCE) -> TaskMatrix:
    values = np.where(np.eye(5, dtype=bool), 1.0, chance)
    return TaskMatrix(values, TASKS, TASKS, chance)


def matrix(values: np.ndarray) -> TaskMatrix:
    return TaskMatrix(values, TASKS, TASKS)


def score(values: np.ndarray, **options: object) -> float:
    return trust_score(matrix(values), ideal(), **options).total


def test_the_published_matrix_gives_the_published_score():
    found = trust_score(matrix(DENSENET), ideal())
    assert found.total == pytest.approx(0.757192, abs=5e-7)
    assert found.preservation == 1
    assert found.leakage == pytest.approx(0.485615, abs=5e-7)
    assert found.rows == pytest.approx(
        {"color": 0.740558, "shape": 0.730803, "size": 0.776149, "quadrant": 0.708203,
         "background": 0.830249}, abs=5e-7,
    )  # fmt: skip


def test_the_published_matrix_with_the_rounded_ideal_file():
    rounded = ideal(np.array([0.1429, 0.2, 0.33, 0.25, 0.33]))
    assert trust_score(matrix(DENSENET), rounded).total == pytest.approx(0.75653, abs=5e-7)


def test_the_published_matrix_normalised():
    found = trust_score(matrix(DENSENET), ideal(), mode="normalised")
    assert found.leakage == pytest.approx(0.675943, abs=5e-7)
    assert found.total == pytest.approx(0.662029, abs=5e-7)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.ones((5, 5)), 0.6259524),
        (np.tile(CHANCE, (5, 1)), 0.6259524),
        (1 - np.eye(5), 0.1259524),
        (np.zeros((5, 5)), 0.3740476),
        (np.where(np.eye(5, dtype=bool), CHANCE, 1.0), 0.2519048),
        # One frozen network for every task: what it leaks does not matter to the score.
        (np.tile([0.6198, 0.2579, 0.6786, 0.9960, 0.9881], (5, 1)), 0.6259524),
    ],
)
def test_extreme_matrices(values: np.ndarray, expected: float):
    assert score(values) == pytest.approx(expected, abs=5e-8)


def test_the_ideal_itself_scores_one_in_every_mode():
    for mode in ("absolute", "hinge", "normalised", "relative"):
        assert score(ideal().values, mode=mode, untrained=matrix(np.full((5, 5), 0.9))) == 1


def test_extremes_of_the_normalised_score():
    collapsed, leaking, worst = (
        np.tile(CHANCE, (5, 1)),
        np.ones((5, 5)),
        np.where(np.eye(5, dtype=bool), CHANCE, 1.0),
    )
    assert score(collapsed, mode="normalised") == pytest.approx(0.5)
    assert score(leaking, mode="normalised") == pytest.approx(0.5)
    assert score(worst, mode="normalised") == pytest.approx(0)


WORKED = np.array([[0.95, 0.40, 0.30], [0.60, 0.90, 0.25], [0.50, 0.25, 0.85]])
WORKED_IDEAL = np.array([[1, 0.25, 0.2], [0.5, 1, 0.2], [0.5, 0.25, 1]])


def test_the_worked_example():
    found = trust_score(WORKED, WORKED_IDEAL)
    assert found.total == pytest.approx(0.9166667)
    assert list(found.rows.values()) == pytest.approx([0.9125, 0.9125, 0.925])
    assert found.preservation == pytest.approx(0.9)
    assert found.leakage == pytest.approx(0.0666667)
    assert np.mean(list(found.rows.values())) == pytest.approx(found.total)
    assert trust_score(WORKED, WORKED_IDEAL, weight=4).total == pytest.approx(0.9111111)


def test_one_row_alone():
    row = TaskMatrix(np.array([[1, 0.2004, 0.6166, 1, 0.4159]]), ("color",), TASKS)
    shipped = ideal(np.array([0.1429, 0.2, 0.33, 0.25, 0.33]))
    assert trust_score(row, shipped).total == pytest.approx(0.859638, abs=5e-7)


def test_order_of_tasks_does_not_matter():
    order = np.random.default_rng(3).permutation(5)
    names = tuple(np.array(TASKS)[order])
    permuted = TaskMatrix(DENSENET[np.ix_(order, order)], names, names)
    assert trust_score(permuted, ideal()).total == pytest.approx(score(DENSENET), abs=1e-12)
    columns_only = matrix(DENSENET).to_frame()[list(names)]
    assert trust_score(columns_only, ideal()).total == pytest.approx(score(DENSENET), abs=1e-12)


@pytest.mark.parametrize(("row", "column", "slope"), [(0, 2, -1 / 40), (3, 3, 4 / 40)])
def test_slopes(row: int, column: int, slope: float):
    changed = DENSENET * 0.9
    before = score(changed)
    changed[row, column] += 0.01
    assert (score(changed) - before) / 0.01 == pytest.approx(slope)


def test_hinge_forgives_noise_below_chance_and_absolute_does_not():
    below = ideal().values.copy()
    below[0, 2] -= 0.1
    assert score(below) < 1
    assert score(below, mode="hinge") == 1


def test_relative_counts_only_what_training_added():
    values = ideal().values.copy()
    values[0, 2] = 0.8  # normalised: (0.8 - 1/3) / (2/3) = 0.7
    untrained = np.tile(CHANCE, (5, 1))
    untrained[:, 2] = 0.6  # normalised: 0.4
    found = trust_score(matrix(values), ideal(), mode="relative", untrained=matrix(untrained))
    assert found.leakage == pytest.approx(0.3 / 20)
    untrained[:, 2] = 0.9
    found = trust_score(matrix(values), ideal(), mode="relative", untrained=matrix(untrained))
    assert found.leakage == 0


def test_normalised_takes_chance_from_the_other_rows_where_it_is_not_given():
    plain = TaskMatrix(ideal().values, TASKS, TASKS)
    with_chance = score(DENSENET * 0.9, mode="normalised")
    found = trust_score(matrix(DENSENET * 0.9), plain, mode="normalised")
    assert found.total == pytest.approx(with_chance)


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="Missing rows: \\['shape'\\]"):
        trust_score(
            matrix(DENSENET),
            TaskMatrix(np.eye(5)[[0, 2, 3, 4]], [TASKS[i] for i in (0, 2, 3, 4)], TASKS),
        )
    with pytest.raises(ValueError, match="must be square"):
        trust_score(np.ones((2, 3)), np.ones((2, 3)))
    with pytest.raises(ValueError, match="needs `untrained`"):
        score(DENSENET, mode="relative")
    with pytest.raises(ValueError, match="`mode` must be one of"):
        score(DENSENET, mode="hinged")
    with pytest.raises(ValueError, match="accuracies in \\[0, 1\\]"):
        matrix(DENSENET * 2)
    with pytest.raises(ValueError, match="accuracies in \\[0, 1\\]"):
        matrix(np.where(np.eye(5, dtype=bool), np.nan, DENSENET))
    with pytest.raises(ValueError, match="Every row needs a column"):
        TaskMatrix(np.ones((1, 2)), ("taste",), ("shape", "color"))
    with pytest.raises(ValueError, match="Received twice"):
        TaskMatrix(np.ones((1, 2)), ("shape",), ("shape", "shape"))
    with pytest.raises(ValueError, match="`weight` must lie in"):
        score(DENSENET, weight=-1)


def test_a_frame_with_names_is_taken_as_it_is():
    frame = pd.DataFrame(WORKED, index=list("abc"), columns=list("abc"))
    truth = pd.DataFrame(WORKED_IDEAL, index=list("abc"), columns=list("abc"))
    assert trust_score(frame, truth.loc[list("cab"), list("bca")]).total == pytest.approx(0.9166667)


# --- ideals -------------------------------------------------------------------------------------


def test_uniform_ideal_counts_declared_classes(tiny_shapes):
    found = ideal_matrix(tiny_shapes)
    assert found.columns == ("shape", "color", "size", "quadrant", "background")
    assert found.chance.tolist() == [1 / 5, 1 / 7, 1 / 3, 1 / 4, 1 / 3]
    assert found.value("size", "size") == 1


def test_all_ideals_agree_on_balanced_independent_labels(factorial_shapes):
    kinds = [
        ideal_matrix(factorial_shapes, kind).values
        for kind in ("uniform", "majority", "conditional")
    ]
    np.testing.assert_allclose(kinds[1], kinds[0], atol=1e-12)
    np.testing.assert_allclose(kinds[2], kinds[0], atol=1e-12)


def test_majority_and_conditional_by_hand():
    labels = {
        "a": np.array([0, 0, 0, 1, 1, 1]),
        "b": np.array([0, 0, 1, 1, 1, 1]),
    }
    majority = ideal_matrix(labels, "majority")
    assert majority.values.tolist() == [[1, 4 / 6], [3 / 6, 1]]
    conditional = ideal_matrix(labels, "conditional")
    # Given a: 0 -> b is 0 in two of three, 1 -> b is 1 in three of three.
    assert conditional.value("a", "b") == pytest.approx(5 / 6)
    # Given b: 0 -> a is 0 in two of two, 1 -> a is 1 in three of four.
    assert conditional.value("b", "a") == pytest.approx(5 / 6)


def test_missing_labels_are_left_out_of_the_ideal():
    labels = {"a": np.array([0, 0, 1, 1, -1]), "b": np.array([0, 1, 1, -1, 1])}
    assert ideal_matrix(labels, "majority").value("a", "b") == pytest.approx(3 / 4)
    assert ideal_matrix(labels, "conditional").value("a", "b") == pytest.approx(2 / 3)


def test_ideal_of_some_rows():
    labels = {"a": np.array([0, 1]), "b": np.array([0, 1])}
    assert ideal_matrix(labels, rows=["b"]).rows == ("b",)
    with pytest.raises(ValueError, match="`rows` must be one of 'a', 'b'"):
        ideal_matrix(labels, rows=["c"])
    with pytest.raises(ValueError, match="at least two label columns"):
        ideal_matrix({"a": np.array([0, 1])})
    with pytest.raises(ValueError, match="same length"):
        ideal_matrix({"a": np.array([0, 1]), "b": np.array([0, 1, 1])})
    with pytest.raises(ValueError, match="has 1 class"):
        ideal_matrix({"a": np.array([0, 1]), "b": np.array([1, 1])})
