"""eMPRT: entropies by hand, and weights that come back."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from kernel_lib.saliency import efficient_mprt
from kernel_lib.saliency.efficient import histogram_entropy
from weight_bytes import contents


def test_entropy_by_hand():
    maps = np.array([[[0.0, 0.0, 0.0, 1.0]], [[0.0, 1.0, 2.0, 3.0]], [[5.0, 5.0, 5.0, 5.0]]])
    expected = [stats.entropy([3, 1]), np.log(4), 0]
    np.testing.assert_allclose(histogram_entropy(maps, 4), expected, atol=1e-12)


def test_entropy_equals_numpy_histograms():
    maps = np.random.default_rng(0).gamma(1.0, size=(5, 9, 9))
    expected = [stats.entropy(np.histogram(one, bins=100)[0]) for one in maps]
    np.testing.assert_allclose(histogram_entropy(maps, 100), expected)


def test_a_control_gains_nothing_and_the_model_is_left_alone(model, images):
    before = contents(model)
    table = efficient_mprt(model, images, methods=["gradient", "edge_detector"], num_seeds=2)
    assert contents(model) == before
    assert (table.query("method == 'edge_detector'").gain == 0).all()
    assert table.num_bins.tolist() == [50, 100, 200] * 2
    assert np.isfinite(table.gain).all()


def test_weights_come_back_after_an_interrupt(model, images):
    before = contents(model)
    calls = []

    def interrupts(classifier, pixels, targets):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return pixels

    with pytest.raises(KeyboardInterrupt):
        efficient_mprt(model, images, methods=[interrupts])
    assert contents(model) == before
