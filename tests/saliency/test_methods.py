"""Explanation methods against closed forms, brute force, and two other libraries."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from kernel_lib.models.classifier import Classifier
from kernel_lib.saliency import Options, explain, methods, register
from kernel_lib.saliency.methods import METHODS, as_method


@pytest.fixture
def small(linear_model):
    images = np.random.default_rng(0).random((4, 6, 6, 2), np.float32)
    kernel = np.asarray(linear_model.layers[-1].kernel)
    targets = np.array([0, 1, 2, 0])
    weights = kernel[:, targets].T.reshape(images.shape)
    return linear_model, images, targets, weights


# --- a linear network: every gradient is the weight ----------------------------------------------


def test_gradient_of_a_linear_network_is_its_weight(small):
    model, images, targets, weights = small
    np.testing.assert_array_equal(explain(model, images, targets, "gradient"), weights)


@pytest.mark.parametrize("spread", [0.0, 0.15, 3.0])
def test_smoothgrad_of_a_linear_network_is_its_weight_whatever_the_noise(small, spread):
    model, images, targets, weights = small
    options = Options(smoothgrad_samples=7, smoothgrad_spread=spread)
    found = explain(model, images, targets, "smoothgrad", options=options)
    np.testing.assert_allclose(found, weights, rtol=1e-6)


def test_vargrad_of_a_linear_network_is_zero(small):
    model, images, targets, _ = small
    assert np.abs(explain(model, images, targets, "vargrad")).max() < 1e-6


@pytest.mark.parametrize("baseline", [0.0, 0.5])
def test_integrated_gradients_of_a_linear_network(small, baseline):
    model, images, targets, weights = small
    found = explain(
        model, images, targets, "integrated_gradients", options=Options(baseline=baseline)
    )
    np.testing.assert_allclose(found, (images - baseline) * weights, rtol=1e-5, atol=1e-7)


def test_input_times_gradient(small):
    model, images, targets, weights = small
    found = explain(model, images, targets, "input_times_gradient")
    np.testing.assert_allclose(found, images * weights, rtol=1e-6)


def test_noisy_integrated_gradients_average_the_noisy_inputs(small):
    """Linear: mean over e of (x + e) w = (x + mean e) w, and mean e falls with the draws."""
    model, images, targets, weights = small
    options = Options(noisy_path_samples=400, path_steps=2)
    found = explain(model, images, targets, "integrated_gradients_smoothgrad", options=options)
    noise = (found / weights - images).std()
    spread = 0.15 * np.ptp(images.reshape(4, -1), axis=1).mean()
    assert noise == pytest.approx(spread / np.sqrt(400), rel=0.15)


# --- one convolution by hand ---------------------------------------------------------------------


def test_gradient_through_one_convolution_is_the_sum_of_active_weights():
    inputs = layers.Input((7, 7, 1))
    x = layers.Conv2D(1, 3, activation="relu", name="conv")(inputs)
    x = layers.Flatten()(x)
    ones = keras.initializers.Ones()
    model = keras.Model(inputs, layers.Dense(2, kernel_initializer=ones)(x))
    model.get_layer("conv").kernel.assign(
        np.random.default_rng(3).normal(size=(3, 3, 1, 1)).astype("f")
    )
    image = np.random.default_rng(4).random((1, 7, 7, 1), np.float32)
    kernel = np.asarray(model.get_layer("conv").kernel)[:, :, 0, 0]
    expected = np.zeros((7, 7))
    for row in range(5):
        for column in range(5):
            window = image[0, row : row + 3, column : column + 3, 0]
            if (window * kernel).sum() > 0:
                expected[row : row + 3, column : column + 3] += kernel
    for method in ("gradient", "guided_backprop"):  # the signal from above is +1 everywhere
        found = explain(model, image, 0, method)[0, :, :, 0]
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_guided_backprop_stops_where_only_negative_weights_lead_up():
    inputs = layers.Input((6, 6, 1))
    x = layers.Conv2D(2, 3, activation="relu", kernel_initializer="ones")(inputs)
    x = layers.Flatten()(x)
    below = keras.initializers.Constant(-1.0)
    model = keras.Model(inputs, layers.Dense(2, kernel_initializer=below)(x))
    image = np.random.default_rng(5).random((1, 6, 6, 1), np.float32)
    assert (explain(model, image, 0, "guided_backprop") == 0).all()
    assert np.abs(explain(model, image, 0, "gradient")).max() > 0


@pytest.mark.parametrize("kind", ["fused", "activation", "layer", "capped", "nested"])
def test_guided_backprop_reaches_every_kind_of_relu(kind, images):
    """Against the same network written out by hand with the guided rule."""
    relu = {
        "fused": None,
        "activation": layers.Activation("relu"),
        "layer": layers.ReLU(),
        "capped": layers.ReLU(6.0),
        "nested": keras.Sequential([layers.Input((10, 10, 3)), layers.ReLU()]),
    }[kind]
    normal = keras.initializers.RandomNormal(seed=7)
    conv = layers.Conv2D(
        3, 3, kernel_initializer=normal, activation="relu" if relu is None else None
    )
    inputs = layers.Input((12, 12, 1))
    x = conv(inputs)
    x = x if relu is None else relu(x)
    head = layers.Dense(3, kernel_initializer=keras.initializers.RandomNormal(seed=8))
    model = keras.Model(inputs, head(layers.Flatten()(x)))

    @tf.custom_gradient
    def guided_relu(values):
        active = tf.nn.relu6(values) if kind == "capped" else tf.nn.relu(values)

        def backward(upstream):
            open_gate = (values > 0) & ((values < 6) | (kind != "capped"))
            return upstream * tf.cast(open_gate & (upstream > 0), upstream.dtype)

        return active, backward

    pixels = tf.constant(images)
    with tf.GradientTape() as tape:
        tape.watch(pixels)
        before = tf.nn.conv2d(pixels, conv.kernel, 1, "VALID") + conv.bias
        flat = tf.reshape(guided_relu(before), (len(images), -1))
        score = (flat @ head.kernel + head.bias)[:, 1]
    expected = tape.gradient(score, pixels)
    found = explain(model, images, 1, "guided_backprop")
    np.testing.assert_allclose(found, expected, atol=1e-7)
    assert np.abs(found - explain(model, images, 1, "gradient")).max() > 1e-4


def test_guided_backprop_follows_a_change_of_weights(model, images):
    before = explain(model, images, 0, "guided_backprop")
    kernel = model.get_layer("scores").kernel
    kernel.assign(-np.asarray(kernel))
    assert np.abs(explain(model, images, 0, "guided_backprop") - before).max() > 0


def test_guided_backprop_refuses_a_network_without_relu(linear_model):
    images = np.zeros((1, 6, 6, 2), np.float32)
    with pytest.raises(ValueError, match="needs ReLU activations; this network has none"):
        explain(linear_model, images, 0, "guided_backprop")


def test_guided_backprop_refuses_relus_it_cannot_reach(images):
    class Hidden(layers.Layer):
        def call(self, x):
            return tf.nn.relu(x)

    model = keras.Sequential(
        [
            layers.Input((12, 12, 1)),
            layers.Conv2D(2, 3, activation="relu"),
            Hidden(),
            layers.Flatten(),
            layers.Dense(2),
        ]
    )
    with pytest.raises(ValueError, match="reach 1 of the network's 2 ReLUs"):
        explain(model, images, 0, "guided_backprop")


# --- integrated gradients ------------------------------------------------------------------------


def smooth_model() -> keras.Model:
    normal = keras.initializers.RandomNormal(seed=9, stddev=0.5)
    return keras.Sequential(
        [
            layers.Input((4, 4, 1)),
            layers.Flatten(),
            layers.Dense(5, activation="tanh", kernel_initializer=normal),
            layers.Dense(2, kernel_initializer=normal),
        ]
    )


def completeness_gap(model, image, num_steps, rule):
    options = Options(path_steps=num_steps, path_rule=rule)
    maps = explain(model, image, 0, "integrated_gradients", options=options)
    logits = model(np.concatenate([image, np.zeros_like(image)])).numpy()[:, 0]
    return float(maps.sum() - (logits[0] - logits[1]))


def test_integrated_gradients_sum_to_the_change_of_the_logit():
    image = np.random.default_rng(6).random((1, 4, 4, 1), np.float32)
    gaps = [abs(completeness_gap(smooth_model(), image, n, "midpoint")) for n in (5, 10, 20)]
    assert gaps[0] / gaps[1] == pytest.approx(4, rel=0.3)  # falls with the square of the steps
    assert gaps[2] < 1e-3


def test_the_pair_rule_errs_in_proportion_to_the_step():
    image = np.random.default_rng(6).random((1, 4, 4, 1), np.float32)
    gaps = [completeness_gap(smooth_model(), image, n, "pair") for n in (50, 100)]
    assert gaps[0] / gaps[1] == pytest.approx(2, rel=0.1)


# --- invariances ---------------------------------------------------------------------------------


@pytest.mark.parametrize("method", sorted(METHODS))
def test_batch_size_and_order_do_not_matter(model, images, method):
    options = Options(smoothgrad_samples=5, path_steps=6, noisy_path_samples=3)
    targets = np.array([0, 1, 2, 0, 1, 2])
    whole = explain(model, images, targets, method, options=options, batch_size=64)
    chunked = explain(model, images, targets, method, options=options, batch_size=4)
    # Neither order is its own mirror image: a filter along the images could hide behind that.
    order = np.array([3, 0, 5, 1, 4, 2])
    turned = explain(model, images[order], targets[order], method, options=options, batch_size=64)
    alone = np.concatenate(
        [
            explain(model, images[i : i + 1], targets[i : i + 1], method, options=options)
            for i in range(len(images))
        ]
    )
    scale = np.abs(whole).max()
    np.testing.assert_allclose(chunked, whole, atol=1e-5 * scale)
    np.testing.assert_allclose(turned, whole[order], atol=1e-5 * scale)
    np.testing.assert_allclose(alone, whole, atol=1e-5 * scale)
    assert whole.dtype == np.float32 and whole.shape[:3] == images.shape[:3]


@pytest.mark.parametrize("method", ["smoothgrad", "vargrad", "random_map"])
def test_the_seed_names_the_noise(model, images, method):
    def maps(seed):
        return explain(model, images, 0, method, options=Options(seed=seed, smoothgrad_samples=4))

    np.testing.assert_array_equal(maps(3), maps(3))
    assert np.abs(maps(3) - maps(4)).max() > 0


def test_noise_has_the_stated_size(linear_model):
    """x + e read back through a squaring network would be slow; the points themselves are read."""
    from kernel_lib.saliency.points import NoisyPoints

    images = np.zeros((1, 40, 40, 1), np.float32)
    images[0, 0, 0] = 0.5
    points = NoisyPoints(images, [[1, 2]], 0.15, 100)
    drawn = np.empty((100, 40, 40, 1), np.float32)
    points.fill(0, 0, drawn)
    assert (drawn - images).std() == pytest.approx(0.15 * 0.5, rel=0.01)


# --- other libraries -----------------------------------------------------------------------------


def pair_call(model):
    def call(batch, call_model_args=None, expected_keys=None):
        pixels = tf.constant(batch, tf.float32)
        with tf.GradientTape() as tape:
            tape.watch(pixels)
            score = model(pixels)[:, call_model_args["target"]]
        return {"INPUT_OUTPUT_GRADIENTS": tape.gradient(score, pixels).numpy()}

    return call


def test_gradient_and_integrated_gradients_agree_with_pair(model, images):
    saliency = pytest.importorskip("saliency.core")
    call, arguments = pair_call(model), {"target": 1}
    plain = saliency.GradientSaliency().GetMask(images[0], call, arguments)
    np.testing.assert_allclose(explain(model, images[:1], 1, "gradient")[0], plain, atol=1e-5)
    path = saliency.IntegratedGradients().GetMask(
        images[0], call, arguments, x_steps=20, x_baseline=np.zeros_like(images[0]), batch_size=20
    )
    # PAIR takes 20 points with both ends among them, and divides by 20.
    options = Options(path_steps=20, path_rule="pair")
    found = explain(model, images[:1], 1, "integrated_gradients", options=options)[0]
    np.testing.assert_allclose(found, path, atol=1e-5)


def test_smoothgrad_agrees_with_pair_on_the_same_noise(model, images, monkeypatch):
    saliency = pytest.importorskip("saliency.core")
    from kernel_lib.saliency.explainer import Explainer

    explainer = Explainer(Classifier(model), images[:1], np.array([1], np.int32))
    points = explainer.noisy_points("smoothgrad", 8)
    noisy = np.empty((8, 12, 12, 1), np.float32)
    points.fill(0, 0, noisy)
    draws = iter(noisy - images[0])
    monkeypatch.setattr(np.random, "normal", lambda *args, **kwargs: next(draws))
    expected = saliency.GradientSaliency().GetSmoothedMask(
        images[0], pair_call(model), {"target": 1}, nsamples=8, magnitude=False
    )
    options = Options(smoothgrad_samples=8)
    found = explain(model, images[:1], 1, "smoothgrad", options=options)[0]
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("method", ["gradient", "gradcam", "gradcam_plus_plus", "layercam"])
def test_maps_agree_with_tf_keras_vis(model, images, method):
    ours = explain(model, images, 1, method)
    theirs = explain(model, images, 1, method, backend="tf_keras_vis")

    def scaled(maps):
        return maps / np.abs(maps).max(axis=(1, 2, 3), keepdims=True).clip(1e-12)

    np.testing.assert_allclose(scaled(ours), scaled(theirs), atol=2e-5)


def test_scorecam_agrees_with_tf_keras_vis_where_nothing_is_resized(images):
    inputs = layers.Input((12, 12, 1))
    x = layers.Conv2D(3, 3, padding="same", activation="relu", name="conv")(inputs)
    model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x)))
    ours = explain(model, images, 1, "scorecam")
    theirs = explain(model, images, 1, "scorecam", backend="tf_keras_vis")
    np.testing.assert_allclose(ours, theirs, atol=1e-5 * np.abs(theirs).max() + 1e-6)


def test_the_other_library_leaves_global_random_state_alone(model, images):
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    explain(
        model,
        images[:1],
        0,
        "smoothgrad",
        backend="tf_keras_vis",
        options=Options(smoothgrad_samples=2),
    )
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_the_other_library_refuses_what_it_would_get_wrong(images):
    inner = keras.Sequential([layers.Input((12, 12, 1)), layers.Conv2D(2, 3)])
    inputs = layers.Input((12, 12, 1))
    model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(inner(inputs))))
    with pytest.raises(ValueError, match="flat Functional"):
        explain(model, images, 0, "gradcam", backend="tf_keras_vis")


# --- controls ------------------------------------------------------------------------------------


def test_edges_are_those_of_each_grey_image(model, images):
    """By hand: differences of neighbors but one, smoothed by 1, 2, 1 across; edges reflected."""
    colour = np.repeat(images, 3, axis=-1) * np.array([0.5, 1.0, 1.5], np.float32)
    network = keras.Sequential([layers.Input((12, 12, 3)), layers.Flatten(), layers.Dense(2)])
    found = explain(network, np.clip(colour, 0, 1), 0, "edge_detector")[..., 0]
    grey = np.pad(np.clip(colour, 0, 1).mean(axis=-1), [(0, 0), (1, 1), (1, 1)], mode="symmetric")
    down, across = grey[:, 2:] - grey[:, :-2], grey[:, :, 2:] - grey[:, :, :-2]
    down = down[:, :, :-2] + 2 * down[:, :, 1:-1] + down[:, :, 2:]
    across = across[:, :-2] + 2 * across[:, 1:-1] + across[:, 2:]
    np.testing.assert_allclose(found, np.hypot(down, across), atol=1e-5)


# --- registry and bad input ----------------------------------------------------------------------


def test_a_callable_is_a_method(model, images):
    def brightness(classifier, pixels, targets):
        return pixels * targets[:, None, None, None]

    found = explain(model, images, 2, brightness)
    np.testing.assert_array_equal(found, 2 * images)
    assert as_method(brightness).title == "brightness"


def test_a_callable_of_another_shape_is_refused(model, images):
    with pytest.raises(ValueError, match="'<lambda>' must return one map for each image"):
        explain(model, images, 2, lambda classifier, pixels, targets: pixels[:, :3])


def test_a_registered_method_is_found_by_name(model, images):
    @register("test_sign", "Sign")
    def sign(explainer):
        return np.sign(explainer.gradient)

    try:
        assert "test_sign" in methods()
        assert set(np.unique(explain(model, images, 0, "test_sign"))) <= {-1, 0, 1}
    finally:
        del METHODS["test_sign"]


def test_controls_come_last():
    assert methods()[-3:] == ["edge_detector", "input_times_random", "random_map"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "gradiant"}, "`method` must be one of .*'vargrad'.*mean 'gradient'"),
        (
            {"x": np.zeros((2, 9, 9, 1), np.float32)},
            r"takes images of shape \(num_images, 12, 12, 1\)",
        ),
        ({"x": np.full((2, 12, 12, 1), np.nan, np.float32)}, "NaN or infinite"),
        ({"x": np.full((2, 12, 12, 1), 255.0, np.float32)}, "look like 0..255: divide by 255"),
        ({"x": np.zeros((0, 12, 12, 1), np.float32)}, "the batch is empty"),
        ({"target": 3}, "run from 0 to 2. Received: 3"),
        ({"target": [0, 1]}, "one class for each of the 6 images"),
        ({"options": {"smoothgrad_samples": 0}}, "at least 1. Received: smoothgrad_samples=0"),
        ({"options": {"path_rule": "simpson"}}, "`path_rule` must be one of"),
        ({"method": "gradcam", "options": {"tap": "hidden"}}, "'hidden' is no feature map"),
        ({"method": "gradcam", "options": {"tap": "nowhere"}}, "no tap named 'nowhere'"),
        ({"backend": "torch"}, "`backend` must be one of"),
    ],
)
def test_bad_input_gets_one_clear_line(model, images, change, message):
    arguments = {"x": images, "target": 0, "method": "gradient"} | change
    with pytest.raises(ValueError, match=message):
        if "options" in arguments:
            arguments["options"] = Options(**arguments["options"])
        explain(model, **arguments)


def test_class_activation_maps_need_a_convolution():
    model = keras.Sequential(
        [layers.Input((6, 6, 1)), layers.Rescaling(0.5), layers.Flatten(), layers.Dense(2)]
    )
    with pytest.raises(ValueError, match="need a convolution; this network has none"):
        explain(model, np.zeros((1, 6, 6, 1), np.float32), 0, "gradcam")
