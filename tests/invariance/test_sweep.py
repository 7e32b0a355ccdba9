"""Signals are what they claim to be, whatever the batch, and the network stays as it was."""

from __future__ import annotations

import sys

import keras
import numpy as np
import pytest

from kernel_lib.invariance import sweep, sweep_weights, variance_matrix
from kernel_lib.invariance.signals import STATISTICS, default_taps
from kernel_lib.invariance.transforms import Rules
from kernel_lib.models import Classifier
from kernel_lib.network import outputs

EXACT = Rules(fill=0.0, mask=False, resampling="bilinear")
ANGLES = [-10, -5, 0, 5, 10]


def linear_network(weights: np.ndarray, bias: np.ndarray) -> Classifier:
    layers = keras.layers
    model = keras.Sequential([layers.Input((4, 4, 1)), layers.Flatten(), layers.Dense(2)])
    model.layers[-1].set_weights([weights, bias])
    return Classifier(model, head="logits")


def test_the_output_signals_follow_from_the_logits(small_network, labelled):
    signals = sweep(small_network, labelled, "brightness", [0.8, 1.0, 1.2], progress=False)
    for step, factor in enumerate((0.8, 1.0, 1.2)):
        moved = np.clip(labelled.images * np.float32(factor), 0, 1)
        logits = small_network.logits(moved).astype(np.float64)
        shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        ordered = np.sort(shares, axis=1)
        first = small_network.predict(labelled.images)
        rows = np.arange(20)
        expected = {
            "confidence": ordered[:, -1],
            "true_class": shares[rows, labelled.labels],
            "original_class": shares[rows, first],
            "margin": ordered[:, -1] - ordered[:, -2],
            "entropy": -(shares * np.log(shares)).sum(axis=1),
        }
        for name, values in expected.items():
            np.testing.assert_allclose(signals.signal(name)[step], values, atol=2e-6, err_msg=name)
        assert np.array_equal(signals.predictions[step], logits.argmax(axis=1))


def test_the_statistics_of_a_convolution(small_network, labelled):
    signals = sweep(small_network, labelled, "rotation", ANGLES, rules=EXACT, progress=False)
    values = outputs(small_network, labelled.images, ["conv2"])["conv2"].astype(np.float64)
    means, peaks = values.mean(axis=(1, 2)), values.max(axis=(1, 2))
    expected = {
        "mean": values.mean(axis=(1, 2, 3)),
        "std": values.std(axis=(1, 2, 3)),
        "max": values.max(axis=(1, 2, 3)),
        "min": values.min(axis=(1, 2, 3)),
        "mean_max": means.max(axis=1),
        "mean_std": means.std(axis=1),
        "max_mean": peaks.mean(axis=1),
        "max_std": peaks.std(axis=1),
    }
    assert tuple(expected) == STATISTICS
    for name, wanted in expected.items():
        np.testing.assert_allclose(signals.signal(f"conv2.{name}")[2], wanted, atol=1e-5)


def test_taps_are_read_before_the_activation(small_network, labelled):
    assert default_taps(small_network.network) == ("conv1", "conv2")
    signals = sweep(small_network, labelled, "rotation", ANGLES, progress=False)
    assert (signals.signal("conv2.min") < 0).any()


def test_confidence_of_known_logits():
    network = linear_network(np.zeros((16, 2), np.float32), np.array([0, np.log(3)], np.float32))
    signals = sweep(network, np.zeros((2, 4, 4, 1)), "brightness", taps=[], progress=False)
    np.testing.assert_allclose(signals.signal("confidence"), 0.75, atol=1e-6)


@pytest.mark.parametrize("batch_size", [1, 7])
def test_batch_size_and_order_change_nothing(small_network, labelled, batch_size):
    options = {"transform": "noise", "values": [0, 0.1, 0.2], "progress": False}
    whole = sweep(small_network, labelled, **options)
    parts = sweep(small_network, labelled, batch_size=batch_size, **options)
    np.testing.assert_allclose(parts.values, whole.values, atol=1e-5)
    order = np.random.default_rng(0).permutation(20)
    mixed = sweep(small_network, labelled.select(order), **options)
    np.testing.assert_allclose(mixed.values, whole.values[..., order], atol=1e-5)


def test_the_same_call_gives_the_same_bytes_and_leaves_the_network_alone(small_network, labelled):
    before = small_network.digest
    first, second = (
        sweep(small_network, labelled, "rotation", ANGLES, progress=False) for _ in range(2)
    )
    assert first.values.tobytes() == second.values.tobytes()
    assert small_network.digest == before


def test_a_constant_network_is_still_and_a_bias_cancels(pictures):
    quiet = linear_network(np.zeros((16, 2), np.float32), np.ones(2, np.float32))
    small = pictures[:, :4, :4]
    signals = sweep(quiet, small, "rotation", taps=[], progress=False)
    assert (variance_matrix(signals.values) == 0).all()


def test_invariant_networks_have_zero_matrices(pictures):
    """Global means after a 1x1 convolution do not feel quarter turns; ratios feel no brightness."""
    layers = keras.layers
    inputs = keras.Input((12, 12, 1))
    x = layers.Conv2D(3, 1)(inputs)
    x = layers.GlobalAveragePooling2D()(layers.ReLU()(x))
    turned = Classifier(keras.Model(inputs, layers.Dense(3)(x)), head="logits")
    signals = sweep(turned, pictures, "rotation", [-90, 0, 90, 180], rules=EXACT, taps=[],
                    progress=False)  # fmt: skip
    assert variance_matrix(signals.signal("confidence")).max() < 1e-6

    flat = layers.Flatten()(inputs)
    ratio = flat / keras.ops.sum(flat, axis=1, keepdims=True)
    bright = Classifier(keras.Model(inputs, layers.Dense(3)(ratio)), head="logits")
    dim = sweep(bright, pictures, "brightness", [0.25, 0.5, 1.0], taps=[], progress=False)
    assert variance_matrix(dim.signal("confidence")).max() < 1e-6


def test_many_weights_are_swept_as_each_alone(small_network, labelled):
    own = [np.asarray(v) for v in small_network.model.variables]
    other = [v * 0.5 for v in own]
    before = small_network.digest
    both = sweep_weights(small_network, [own, other], labelled, "rotation", ANGLES, progress=False)
    assert small_network.digest == before
    alone = sweep(small_network, labelled, "rotation", ANGLES, progress=False)
    assert np.array_equal(both[0].values, alone.values)
    assert not np.array_equal(both[1].values, alone.values)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_weights_come_back_after_an_error(small_network, labelled, monkeypatch, error):
    before = small_network.digest

    def broken(*arguments):
        raise error("stopped")

    monkeypatch.setattr(sys.modules["kernel_lib.invariance.sweep"]._Job, "read", broken)
    weights = [[np.asarray(v) * 0 for v in small_network.model.variables]]
    with pytest.raises(error, match="stopped"):
        sweep_weights(small_network, weights, labelled, "rotation", ANGLES, progress=False)
    assert small_network.digest == before


def test_a_transformation_that_fails_is_heard_and_the_network_is_left_alone(
    small_network, labelled
):
    """Steps are made in a thread of their own: what goes wrong there must come out here."""
    before = small_network.digest

    def moody(images, value):
        if value > 5:
            raise RuntimeError("too far")
        return images

    with pytest.raises(RuntimeError, match="too far"):
        sweep(small_network, labelled, moody, ANGLES, progress=False)
    assert small_network.digest == before


def test_plateaus_are_found_in_the_pixels(small_network, pictures):
    signals = sweep(
        small_network, pictures, "rotation", [-20, -0.1, 0, 0.1, 20], rules="paper",
        progress=False,
    )  # fmt: skip
    assert signals.plateau.tolist() == [0, 1, 1, 1, 2]


def test_signals_can_be_kept_in_a_file(small_network, labelled, tmp_path):
    path = tmp_path / "signals.npy"
    stored = sweep(small_network, labelled, "rotation", ANGLES, store=path, progress=False)
    plain = sweep(small_network, labelled, "rotation", ANGLES, progress=False)
    assert isinstance(stored.values, np.memmap)
    assert np.array_equal(np.load(path), plain.values)


def test_splits(small_network, labelled):
    signals = sweep(small_network, labelled, "rotation", ANGLES, progress=False)
    right, wrong = signals.right[2].sum(), (~signals.right[2]).sum()
    for name, count in (("correct", right), ("incorrect", wrong), ("class:1", 5), ("all", 20)):
        if count >= 2:
            assert len(signals.split(name)) == count
    with pytest.raises(ValueError, match="needs at least 2"):
        signals.select([3])
    for unknown in ("right", "class:one"):
        with pytest.raises(ValueError, match="`split` must be one of"):
            signals.split(unknown)


def test_scaled_statistics_have_unit_spread(small_network, labelled):
    scaled = sweep(small_network, labelled, "rotation", ANGLES, progress=False).scaled()
    assert scaled.signal("conv1.max")[2].std() == pytest.approx(1, abs=1e-4)


def test_bad_input_gets_one_clear_line(small_network, pictures, labelled):
    with pytest.raises(ValueError, match="must hold its identity step"):
        sweep(small_network, labelled, "rotation", [1, 2, 3])
    with pytest.raises(ValueError, match="at least 2 images"):
        sweep(small_network, pictures[:1])
    with pytest.raises(ValueError, match=r"lie in \[0, 1\]"):
        sweep(small_network, pictures * 255)
    with pytest.raises(ValueError, match="no tap named 'conv9'"):
        sweep(small_network, pictures, taps=["conv9"])
    with pytest.raises(ValueError, match="no labels"):
        _ = sweep(small_network, pictures, values=ANGLES, progress=False).right


def test_a_network_that_gives_nan_is_refused(pictures):
    broken = linear_network(np.full((16, 2), 1e38, np.float32), np.zeros(2, np.float32))
    with pytest.raises(ValueError, match="gives NaN or infinite values.*confidence"):
        sweep(broken, pictures[:, :4, :4], taps=[], progress=False)


def test_networks_without_two_convolutions(pictures):
    network = linear_network(np.zeros((16, 2), np.float32), np.zeros(2, np.float32))
    with pytest.raises(ValueError, match="fewer than two taps"):
        sweep(network, pictures[:, :4, :4])
