"""Variance matrices agree with their definition, and with what is known of simple signals."""

from __future__ import annotations

import numpy as np
import pytest

from kernel_lib.invariance import bootstrap_matrices, flip_matrix, variance_matrix

STEPS, IMAGES = 9, 40


def brute_force(signal: np.ndarray) -> np.ndarray:
    rows = range(len(signal))
    return np.array([[np.sqrt(np.mean((signal[i] - signal[j]) ** 2)) for j in rows] for i in rows])


@pytest.fixture
def signal() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(STEPS, IMAGES))


def test_the_fast_form_is_the_plain_one(signal):
    np.testing.assert_allclose(variance_matrix(signal), brute_force(signal), atol=1e-12)


def test_small_differences_on_large_offsets_survive(signal):
    tiny = 1e6 + 1e-6 * signal
    np.testing.assert_allclose(variance_matrix(tiny), brute_force(tiny), atol=1e-12)
    mixed = signal.copy()
    mixed[3] = mixed[2] + 1e-9
    np.testing.assert_allclose(variance_matrix(mixed), brute_force(mixed), atol=1e-12, rtol=1e-9)


def test_a_linear_response_gives_the_distance_of_its_steps():
    random = np.random.default_rng(1)
    slope, level, value = random.normal(size=30), random.normal(size=30), np.linspace(-2, 3, 7)
    matrix = variance_matrix(slope * value[:, None] + level)
    rms = np.sqrt(np.mean(slope**2))
    np.testing.assert_allclose(matrix, rms * np.abs(value[:, None] - value), atol=1e-12)


def test_a_matrix_is_a_euclidean_distance(signal):
    matrix = variance_matrix(signal)
    assert np.array_equal(matrix, matrix.T)
    assert (np.diag(matrix) == 0).all()
    assert (matrix[:, None] + matrix[None] >= matrix[:, :, None].swapaxes(1, 2) - 1e-12).all()
    centring = np.eye(STEPS) - 1 / STEPS
    inner = -centring @ np.square(matrix) @ centring / 2
    assert np.linalg.eigvalsh(inner).min() > -1e-12


def test_what_does_not_change_a_matrix(signal):
    matrix = variance_matrix(signal)
    order = np.random.default_rng(2).permutation(IMAGES)
    np.testing.assert_allclose(variance_matrix(signal[:, order]), matrix, atol=1e-12)
    np.testing.assert_allclose(variance_matrix(np.tile(signal, 2)), matrix, atol=1e-12)
    shifted = signal + np.random.default_rng(3).normal(size=IMAGES)
    np.testing.assert_allclose(variance_matrix(shifted), matrix, atol=1e-12)
    np.testing.assert_allclose(variance_matrix(-3 * signal), 3 * matrix, atol=1e-12)
    steps = np.random.default_rng(4).permutation(STEPS)
    np.testing.assert_allclose(
        variance_matrix(signal[steps]), matrix[np.ix_(steps, steps)], atol=1e-12
    )


def test_even_and_periodic_responses():
    even = np.array([3.0, 1, 0, 1, 3])[:, None] * np.arange(1, 6)
    matrix = variance_matrix(even)
    assert [matrix[a, 4 - a] for a in range(5)] == [0] * 5
    turn = 2 * np.pi * np.arange(8) / 8
    both = np.concatenate([np.cos(turn)[:, None], np.sin(turn)[:, None]], axis=1)
    circulant = variance_matrix(both)
    for k in range(8):
        np.testing.assert_allclose(np.roll(circulant[0], k), circulant[k], atol=1e-12)


def test_many_matrices_at_once(signal):
    stack = np.stack([signal, 2 * signal, signal[::-1]])
    many = variance_matrix(stack[:, None])
    for one, matrix in zip(stack, many, strict=True):
        np.testing.assert_allclose(matrix[0], variance_matrix(one), atol=1e-12)


def test_a_constant_signal_gives_exact_zeros():
    constant = np.repeat(np.random.default_rng(0).random((1, 50)), 6, axis=0)
    assert (variance_matrix(constant) == 0).all()


def test_the_other_relations(signal):
    np.testing.assert_allclose(
        variance_matrix(signal, "correlation"), np.corrcoef(signal), atol=1e-12
    )
    cosine = variance_matrix(signal, "cosine")
    a, b = signal[1], signal[4]
    expected = 1 - a @ b / np.linalg.norm(a) / np.linalg.norm(b)
    assert cosine[1, 4] == pytest.approx(expected, abs=1e-12)
    flat = np.zeros((3, 5))
    assert np.isfinite(variance_matrix(flat, "correlation")).all()


def test_bootstrap_weighs_images_anew(signal):
    drawn = bootstrap_matrices(signal, 400, seed=1)
    assert np.array_equal(drawn, bootstrap_matrices(signal, 400, seed=1))
    counts = np.random.default_rng(1).multinomial(IMAGES, np.full(IMAGES, 1 / IMAGES), 400)
    again = np.repeat(signal, counts[5], axis=1)
    np.testing.assert_allclose(drawn[5], brute_force(again), atol=1e-12)
    low, high = np.quantile(drawn, (0.025, 0.975), axis=0)
    plain, off = variance_matrix(signal), ~np.eye(STEPS, dtype=bool)
    assert ((low < plain) & (plain < high))[off].all()


def test_flips_are_the_share_of_changed_classes():
    predictions = np.array([[0, 1, 2, 3], [0, 1, 2, 0], [1, 1, 2, 0]])
    expected = [[0, 0.25, 0.5], [0.25, 0, 0.25], [0.5, 0.25, 0]]
    assert flip_matrix(predictions).tolist() == expected


@pytest.mark.parametrize(
    ("signal", "message"),
    [
        (np.zeros((4, 1)), "at least 2 images"),
        (np.full((4, 3), np.nan), "NaN or infinite"),
        (np.zeros(5), "shape"),
    ],
)
def test_bad_signals_are_refused(signal, message):
    with pytest.raises(ValueError, match=message):
        variance_matrix(signal)


def test_an_unknown_relation_is_refused(signal):
    with pytest.raises(ValueError, match="`relation` must be one of"):
        variance_matrix(signal, "euclid")
