"""The sixteen measurements against figures worked out by hand and against plain loops."""

from __future__ import annotations

import numpy as np
import pytest

from kernel_lib.invariance import extra_measurements, measure, robust_accuracy, sensitivity
from kernel_lib.invariance.grids import even_grid
from kernel_lib.invariance.measure import MEASUREMENTS, fill, window
from plain_measurements import plain_paper

INDEX = np.arange(31)


def toeplitz(num_steps: int, slope: float = 1.0) -> np.ndarray:
    steps = np.arange(num_steps)
    return slope * np.abs(steps[:, None] - steps)


def distances(signal: np.ndarray) -> np.ndarray:
    return np.abs(signal[:, None] - signal[None])


def ones_plus(num_steps: int, extra: float, pair: tuple[int, int]) -> np.ndarray:
    matrix = 1 - np.eye(num_steps)
    matrix[pair] += extra
    matrix[pair[::-1]] += extra
    return matrix


# Worked out from the original functions, T = 31.
PAPER_CASES = {
    "ramp": (
        toeplitz(31) * 0.01,
        {
            "mean": 0.103621, "s_mean": 0.01600541, "std": 0.072581, "robusterror": 0.249740,
            "discnty": 0.050156, "asymm": 0.0, "grad_overall": 3.339042, "grad_v_mean": 0.009309,
            "grad_v_std": 0.002626, "grad_v_wstd": 0.002849, "grad_h_mean": 0.009309,
            "grad_h_std": 0.002626, "grad_h_wstd": 0.002849, "grad_d_mean": 0.009286,
            "grad_d_std": 0.002666,
        },
    ),
    "even": (
        distances(0.001 * (INDEX - 15.0) ** 2),
        {"mean": 0.080267, "discnty": 8.692063, "asymm": 0.0, "grad_overall": 0.916793},
    ),
    "one side": (
        distances(0.02 * np.maximum(INDEX - 15, 0)),
        {"discnty": 8.299655, "asymm": 1.001004, "grad_overall": 3.195960},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", PAPER_CASES)
def test_the_originals_own_figures(case):
    matrix, expected = PAPER_CASES[case]
    found = measure(matrix, "paper")
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-6), name


def test_one_raised_pair_in_paper_mode():
    """T = 31, 0.5 at (25, 5): its own mirror, so only the discontinuity sees it."""
    found = measure(ones_plus(31, 0.5, (25, 5)), "paper")
    assert found["discnty"] == pytest.approx(0.0493079, abs=1e-7)
    assert found["asymm"] == 0


@pytest.mark.parametrize("mode", ["paper", "clean"])
def test_many_matrices_at_once_are_each_measured_alone(mode):
    random = np.random.default_rng(0)
    stack = np.stack([distances(random.normal(size=31)) for _ in range(6)]).reshape(2, 3, 31, 31)
    together = measure(stack, mode)
    for place in np.ndindex(2, 3):
        alone = measure(stack[place], mode)
        for name in MEASUREMENTS[1:]:
            assert together[name][place] == pytest.approx(alone[name], abs=1e-12), name


def test_paper_mode_agrees_with_plain_loops():
    random = np.random.default_rng(1)
    for _ in range(3):
        matrix = np.abs(distances(random.normal(size=31)) + random.normal(size=(31, 31)) * 0.01)
        matrix = (matrix + matrix.T) / 2
        np.fill_diagonal(matrix, 0)
        found, plain = measure(matrix, "paper"), plain_paper(matrix)
        for name, value in plain.items():
            assert found[name] == pytest.approx(value, rel=1e-12, abs=1e-12), name


def test_filling_is_idempotent_and_leaves_the_input_alone():
    matrix = distances(np.random.default_rng(0).normal(size=31))
    before = matrix.copy()
    once = fill(matrix)
    assert np.array_equal(matrix, before)
    assert np.array_equal(fill(once), once)


@pytest.mark.parametrize("num_steps", [5, 31])
def test_toeplitz_in_clean_mode(num_steps):
    found = measure(toeplitz(num_steps, 0.01))
    assert found["mean"] == pytest.approx(0.01 * (num_steps + 1) / 3)
    for name in ("discnty", "asymm", "grad_v_std", "grad_h_std", "grad_d_std"):
        assert found[name] == pytest.approx(0, abs=1e-12), name
    assert found["grad_v_mean"] == pytest.approx(0.01)
    assert found["grad_h_mean"] == pytest.approx(0.01)
    assert found["grad_d_mean"] == pytest.approx(0.02)


def test_ones_off_the_diagonal():
    found = measure(1 - np.eye(7))
    assert found["mean"] == found["robusterror"] == 1
    for name in ("std", "discnty", "asymm", "grad_v_mean", "grad_h_mean", "grad_d_mean"):
        assert found[name] == 0, name


@pytest.mark.parametrize(
    ("num_steps", "discontinuity", "asymmetry"),
    [(5, 0.134687, 0.0952381), (31, 0.0852551, None)],
)
def test_one_raised_pair_in_clean_mode(num_steps, discontinuity, asymmetry):
    found = measure(ones_plus(num_steps, 0.5, (0, 2)))
    assert found["discnty"] == pytest.approx(discontinuity, abs=1e-6)
    mean = 1 + 1 / (num_steps * (num_steps - 1))
    expected = 2 / (num_steps * (num_steps - 1) * mean)
    assert found["asymm"] == pytest.approx(asymmetry or expected, abs=1e-7)


def test_a_step_response():
    found = measure(distances((INDEX > 15).astype(float)))
    assert found["mean"] == found["robusterror"] == pytest.approx(0.516129, abs=1e-6)
    assert found["asymm"] == pytest.approx(0.125)


@pytest.mark.parametrize("num_steps", [3, 5, 31])
def test_a_one_sided_ramp_is_wholly_asymmetric(num_steps):
    half = num_steps // 2
    matrix = distances(np.maximum(np.arange(num_steps) - half, 0.0))
    assert measure(matrix)["asymm"] == pytest.approx(1)


@pytest.mark.parametrize("mode", ["paper", "clean"])
def test_a_zero_matrix_measures_zero_and_says_so(mode):
    found = measure(np.zeros((2, 31, 31)), mode)
    assert found["degenerate"].all()
    for name in MEASUREMENTS[1:]:
        assert (found[name] == 0).all(), name


def test_plateaus_do_not_count():
    """Repeating a step as it is changes nothing but the grid."""
    signal = np.array([0.0, 1.0, 3.0, 4.0, 9.0])
    doubled = np.repeat(signal, [1, 1, 3, 1, 1])
    plateau = np.repeat(np.arange(5), [1, 1, 3, 1, 1])
    found = measure(distances(doubled), plateau=plateau)
    pairs = [abs(a - b) for a in doubled for b in doubled if a != b]
    assert found["mean"] == pytest.approx(np.mean(pairs))
    assert measure(distances(doubled))["mean"] < found["mean"]


def test_a_grid_with_one_side_has_no_asymmetry():
    assert np.isnan(measure(toeplitz(5), symmetric=False)["asymm"])


def test_a_window_is_the_middle_of_the_matrix():
    matrix = distances(np.random.default_rng(0).normal(size=31))
    inner = window(matrix, 5)
    assert np.array_equal(inner, matrix[10:21, 10:21])
    plain = plain_paper(matrix[10:21, 10:21])
    assert measure(inner, "paper")["mean"] == pytest.approx(plain["mean"])


def test_sensitivity_is_nothing_when_all_images_move_alike():
    same = np.random.default_rng(0).normal(size=(7, 1)) * np.ones(30)
    assert sensitivity(same, "paper") == pytest.approx(0, abs=1e-12)
    assert sensitivity(same, "clean") == pytest.approx(0, abs=1e-8)
    other = np.random.default_rng(0).normal(size=(7, 30))
    assert sensitivity(other, "paper") > 0
    assert sensitivity(np.tile(other, 4), "clean") < 0.7 * sensitivity(other, "clean")


def test_extra_measurements_of_known_matrices():
    grid = even_grid(-2, 2, 5, 0)
    ramp = extra_measurements(toeplitz(5), grid)
    assert ramp["toeplitz_r2"] == pytest.approx(1)
    assert ramp["lipschitz"] == 1
    assert ramp["monotonicity"] == pytest.approx(1)
    assert ramp["identity_area"] == pytest.approx(1)  # mean of |t| over [-2, 2]
    flat = extra_measurements(1 - np.eye(5), grid)
    assert (flat["toeplitz_r2"], flat["monotonicity"]) == (0, 0)


def test_robust_accuracy_over_shrinking_windows():
    """One image that is wrong only at the outermost steps."""
    right = np.ones((7, 1), bool)
    right[[0, 6]] = False
    assert robust_accuracy(right, [3, 2, 1, 0]).tolist() == [0, 1, 1, 1]
    many = np.random.default_rng(0).random((7, 50)) < 0.9
    curve = robust_accuracy(many, [3, 2, 1, 0])
    assert (np.diff(curve) >= 0).all()
    assert curve[-1] == many[3].mean()


@pytest.mark.parametrize(
    ("matrix", "mode", "message"),
    [
        (np.zeros((4, 5)), "clean", "shape"),
        (np.zeros((5, 5)), "paper", "at least 7 steps"),
        (np.full((5, 5), np.nan), "clean", "NaN"),
    ],
)
def test_bad_matrices_are_refused(matrix, mode, message):
    with pytest.raises(ValueError, match=message):
        measure(matrix, mode)


def test_a_plateau_needs_a_number_for_each_step():
    with pytest.raises(ValueError, match="one number a step"):
        measure(toeplitz(5), plateau=np.zeros(4))
