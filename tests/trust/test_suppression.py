"""Networks that forget: the reversed gradient, and what fresh probes find afterwards."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from kernel_lib.trust import suppress, suppression_curve
from kernel_lib.trust.suppression import _labels, _mean_loss, _targets, grown, reverse_gradient

QUICK = {"epochs": 1, "progress": False}


def weights(suppressed) -> list[bytes]:
    return [np.asarray(v).tobytes() for v in suppressed.classifier.model.variables]


def test_the_gradient_is_turned_round_and_nothing_else():
    values = tf.constant([[1.0, -2.0], [3.0, 0.5]])
    with tf.GradientTape() as tape:
        tape.watch(values)
        outcome = reverse_gradient(values, 0.25)
        loss = tf.reduce_sum(outcome**2)
    np.testing.assert_array_equal(outcome, values)
    np.testing.assert_array_equal(tape.gradient(loss, values), -0.25 * 2 * values)


def test_the_strength_grows_over_the_training():
    steps = [grown(0.4, progress) for progress in (0, 0.1, 0.5, 1)]
    assert steps == sorted(steps)
    assert steps[0] == 0
    assert steps[1] == pytest.approx(0.4 * np.tanh(0.5))
    assert steps[-1] == pytest.approx(0.4, abs=1e-4)


def test_missing_labels_do_not_count():
    scores = tf.constant([[2.0, 0.0], [0.0, 5.0]])
    only_first = _mean_loss(scores[:1], tf.constant([0], tf.int64))
    assert float(_mean_loss(scores, tf.constant([0, -1], tf.int64))) == pytest.approx(
        float(only_first)
    )
    assert float(_mean_loss(scores, tf.constant([-1, -1], tf.int64))) == 0


def test_random_labels_are_new_or_fixed(tiny_shapes):
    targets = _targets(tiny_shapes, "unknown", 4)
    draw = lambda seed: _labels(targets, tiny_shapes, 4, np.random.default_rng(seed))  # noqa: E731
    np.testing.assert_array_equal(draw(0), draw(0))
    assert not np.array_equal(draw(0), draw(1))
    np.testing.assert_array_equal(draw(0)[:, 0], tiny_shapes.labels)
    assert set(draw(0)[:, 1]) == {0, 1, 2, 3}


@pytest.mark.parametrize("against", ["unknown", ("color", "size")])
def test_the_same_seed_gives_the_same_bytes_and_the_cache_too(tiny_shapes, tmp_path, against):
    one = suppress("small_cnn", tiny_shapes, against, **QUICK)
    two = suppress("small_cnn", tiny_shapes, against, cache=tmp_path, **QUICK)
    three = suppress("small_cnn", tiny_shapes, against, cache=tmp_path, **QUICK)
    assert weights(one) == weights(two) == weights(three)
    assert one.adversary_accuracy == three.adversary_accuracy
    assert list(one.adversary_accuracy) == ([] if against == "unknown" else list(against))


def test_strength_changes_the_network(tiny_shapes):
    options = {"epochs": 2, "progress": False}
    weak, strong = (
        suppress("small_cnn", tiny_shapes, "color", strength=strength, **options)
        for strength in (0.1, 0.5)
    )
    assert weights(weak) != weights(strong)


def test_without_strength_adversaries_do_not_touch_the_network(tiny_shapes):
    for_color = suppress("small_cnn", tiny_shapes, "color", strength=0.0, **QUICK)
    for_size = suppress("small_cnn", tiny_shapes, "size", strength=0.0, **QUICK)
    assert weights(for_color) == weights(for_size)


@pytest.mark.slow
def test_a_misled_adversary_proves_nothing_and_fresh_probes_say_so():
    """As Elazar and Goldberg found: its own adversary reads nothing, another reader still much."""
    from kernel_lib.data import load

    images = load("shapes", size=24, num_images=1500, primary="size", seed=0)
    table = suppression_curve(
        "small_cnn", images, "quadrant", strengths=(0.0, 0.3), epochs=12, progress=False
    )
    plain, made = table.iloc[0], table.iloc[1]
    assert plain.adversary_leakage > 0.8
    assert made.adversary_leakage < 0.3
    assert made.leakage_of_suppressed > made.adversary_leakage + 0.3
    assert made.preservation > 0.7
    assert made.leakage < plain.leakage


def test_the_curve_has_a_row_for_each_strength_and_a_figure(tiny_shapes):
    from kernel_lib.trust.plots import plot_trade_off

    table = suppression_curve("small_cnn", tiny_shapes, ["color"], strengths=(0.0, 0.5), **QUICK)
    assert table.strength.tolist() == [0.0, 0.5]
    assert table.leakage.between(0, 1).all()
    assert table.adversary_leakage.between(0, 1).all()
    assert (table.leakage_low <= table.leakage_high).all()
    assert len(plot_trade_off(table).axes[0].texts) == 2


def test_bad_input_is_named(tiny_shapes):
    with pytest.raises(ValueError, match="`against` must be one of 'background', 'color'"):
        suppress("small_cnn", tiny_shapes, "shape")  # its own task
    with pytest.raises(ValueError, match="`against` is empty"):
        suppress("small_cnn", tiny_shapes, [])
    with pytest.raises(ValueError, match="`strength` must lie in"):
        suppress("small_cnn", tiny_shapes, strength=1.0)
    with pytest.raises(ValueError, match="`redraw` must be one of"):
        suppress("small_cnn", tiny_shapes, redraw="never")
