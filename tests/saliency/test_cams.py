"""Class activation maps by hand, and where they are read."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from kernel_lib.models.classifier import as_classifier
from kernel_lib.saliency import cams


def test_gradcam_by_hand():
    maps = np.array([[[[1.0, 2.0]], [[3.0, -1.0]]]])  # (1, 2, 1, 2)
    slopes = np.array([[[[1.0, 0.0]], [[3.0, -4.0]]]])  # weights 2 and -2
    np.testing.assert_array_equal(cams.gradcam(maps, slopes), [[[0.0], [8.0]]])


def test_layercam_by_hand():
    maps = np.array([[[[1.0, 2.0]], [[3.0, -1.0]]]])
    slopes = np.array([[[[1.0, 5.0]], [[-3.0, 4.0]]]])
    np.testing.assert_array_equal(cams.layercam(maps, slopes), [[[11.0], [0.0]]])


def test_gradcam_plus_plus_by_hand():
    """One channel, A = [1, 3], G = [1, 2]: alpha = [1/6, 4/40] scaled to sum 1."""
    maps, slopes = (
        np.array([1.0, 3.0]).reshape(1, 2, 1, 1),
        np.array([1.0, 2.0]).reshape(1, 2, 1, 1),
    )
    alpha = np.array([1 / (2 + 4), 4 / (8 + 4 * 8)])
    weight = (alpha / alpha.sum() * [1, 2]).sum()
    np.testing.assert_allclose(
        cams.gradcam_plus_plus(maps, slopes).ravel(), weight * np.array([1, 3])
    )


def test_dead_maps_stay_zero_without_warnings():
    zero = np.zeros((1, 3, 3, 2))
    for method in (cams.gradcam, cams.gradcam_plus_plus, cams.layercam):
        assert (method(zero, zero) == 0).all()


def test_upsampling_keeps_constants_and_centres():
    assert cams.upsampled(np.full((1, 3, 4), 2.0), (9, 8)) == pytest.approx(2.0)
    ramp = cams.upsampled(np.array([[[0.0, 1.0]]]), (1, 4))
    np.testing.assert_allclose(ramp, [[[0.0, 0.25, 0.75, 1.0]]])
    assert cams.upsampled(np.ones((1, 1, 1)), (5, 5)) == pytest.approx(1.0)


def test_upsampling_equals_tensorflow():
    import tensorflow as tf

    maps = np.random.default_rng(0).normal(size=(2, 5, 7))
    expected = tf.image.resize(maps[..., None], (13, 20), "bilinear")[..., 0]
    np.testing.assert_allclose(cams.upsampled(maps, (13, 20)), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("build", "tap"),
    [
        (lambda x: layers.MaxPooling2D()(layers.Conv2D(2, 3, name="conv")(x)), "conv"),
        (
            lambda x: layers.ReLU(name="relu")(layers.BatchNormalization()(layers.Conv2D(2, 3)(x))),
            "relu",
        ),
        (lambda x: layers.Conv2D(2, 8, name="last")(layers.Conv2D(2, 1, name="wide")(x)), "wide"),
        (lambda x: layers.Dropout(0.1)(layers.Conv2D(2, 3, name="conv")(x)), "conv"),
    ],
)
def test_the_default_tap_is_the_last_map_before_pooling(build, tap):
    inputs = layers.Input((8, 8, 1))
    model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(build(inputs))))
    assert cams.default_tap(as_classifier(model).network) == tap


def test_the_default_tap_lies_inside_nested_models():
    inner = keras.Sequential(
        [layers.Input((8, 8, 1)), layers.Conv2D(2, 3, name="conv")], name="trunk"
    )
    inputs = layers.Input((8, 8, 1))
    model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(inner(inputs))))
    assert cams.default_tap(as_classifier(model).network) == "trunk/conv"


def test_scorecam_keeps_the_channels_that_vary(model, images):
    from kernel_lib.saliency import Options, explain

    few = explain(model, images, 0, "scorecam", options=Options(scorecam_channels=1))
    all_four = explain(model, images, 0, "scorecam", options=Options(scorecam_channels=4))
    np.testing.assert_allclose(explain(model, images, 0, "scorecam"), all_four)
    assert np.abs(few - all_four).max() > 0
