"""Conductance against hand-computed numbers, completeness and slower ways."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from error_networks import plain_network, residual_network
from kernel_lib import network
from kernel_lib.errors import conductance
from kernel_lib.models import Classifier

ONE = np.ones((1, 1, 1, 1), np.float32)


def one_pixel(*functions, head):
    """t in [0, 1] -> hidden units (each a function of t) -> head -> logits [0, F]."""
    inputs = keras.Input((1, 1, 1))
    t = layers.Flatten(name="flatten")(inputs)
    hidden = layers.Concatenate(name="hidden")([f(t) for f in functions])
    score = head(hidden)
    outputs = layers.Concatenate(name="logits")([layers.Subtract()([score, score]), score])
    return Classifier(keras.Model(inputs, outputs), head="logits")


def linear(weight, bias=0.0):
    kernel = keras.initializers.Constant(weight)
    offset = keras.initializers.Constant(bias)
    return layers.Dense(1, kernel_initializer=kernel, bias_initializer=offset)


@pytest.fixture(scope="module")
def quadratic():
    square = layers.Activation(keras.ops.square)
    return one_pixel(linear(3.0), linear(0.0), head=lambda h: square(linear([[1.0], [0.0]])(h)))


@pytest.mark.parametrize(
    ("rule", "steps", "expected"),
    [
        ("right", 10, 9.9), ("left", 10, 8.1), ("trapezoid", 10, 9.0),
        ("right", 3, 12.0), ("left", 3, 6.0), ("trapezoid", 1, 9.0),
    ],
)  # fmt: skip
def test_a_square_has_known_sums(quadratic, rule, steps, expected):
    found = conductance(quadratic, ONE, "hidden", 1, steps=steps, rule=rule)
    np.testing.assert_allclose(found.values["hidden"], [[expected, 0]], rtol=1e-5)
    np.testing.assert_allclose(found.change, [9], rtol=1e-6)
    np.testing.assert_allclose(found.gap("hidden"), [expected - 9], atol=1e-4)


@pytest.fixture(scope="module")
def kinked():
    relu = layers.ReLU()
    return one_pixel(
        linear(2.0),
        lambda t: layers.ReLU()(linear(1.0, -0.5)(t)),
        head=lambda h: relu(linear([[1.0], [-4.0]], -0.5)(h)),
    )


@pytest.mark.parametrize(
    ("rule", "expected"),
    [("trapezoid", [1.0, -1.0]), ("right", [1.0, -0.8]), ("left", [1.0, -1.2])],
)
def test_kinks_have_known_sums_though_the_score_ends_where_it_began(kinked, rule, expected):
    found = conductance(kinked, ONE, "hidden", 1, steps=10, rule=rule)
    np.testing.assert_allclose(found.values["hidden"][0], expected, atol=1e-5)
    np.testing.assert_allclose(found.change, [0], atol=1e-6)


@pytest.mark.parametrize("rule", ["right", "left", "trapezoid"])
def test_errors_at_kinks_fall_as_one_over_the_steps(kinked, rule):
    for steps in (7, 33, 101, 333):
        found = conductance(kinked, ONE, "hidden", 1, steps=steps, rule=rule)
        assert np.abs(found.values["hidden"][0] - [1, -1]).max() < 4 / steps


def test_one_hidden_layer_has_a_closed_form(pictures):
    inputs = keras.Input((8, 8, 1))
    x = layers.Flatten()(inputs)
    hidden = layers.Dense(5, "relu", name="hidden", bias_initializer="ones")(x)
    model = keras.Model(inputs, layers.Dense(3, name="logits")(hidden))
    found = conductance(model, pictures, "hidden", 2, baseline=0.25, steps=4)
    w, b = (np.asarray(v, np.float64) for v in model.get_layer("hidden").weights)
    v = np.asarray(model.get_layer("logits").kernel, np.float64)[:, 2]
    flat = pictures.reshape(len(pictures), -1).astype(np.float64)
    expected = v * (np.maximum(flat @ w + b, 0) - np.maximum(0.25 * w.sum(axis=0) + b, 0))
    assert found.is_closed_form["hidden"]
    np.testing.assert_allclose(found.values["hidden"], expected, atol=1e-5)


def test_a_linear_network_does_not_care_about_steps_or_rule(pictures):
    inputs = keras.Input((8, 8, 1))
    hidden = layers.Dense(4, name="hidden")(layers.Flatten(name="flatten")(inputs))
    model = keras.Model(inputs, layers.Dense(3, name="logits")(hidden))
    w = np.asarray(model.get_layer("hidden").kernel, np.float64)
    u = np.asarray(model.get_layer("logits").kernel, np.float64)[:, 1]
    expected = u * (pictures.reshape(len(pictures), -1) @ w)
    for rule, steps in (("right", 1), ("left", 7), ("trapezoid", 20)):
        found = conductance(model, pictures, ["flatten", "hidden"], 1, steps=steps, rule=rule)
        np.testing.assert_allclose(found.values["hidden"], expected, atol=1e-5)


@pytest.mark.parametrize("make", [plain_network, residual_network])
def test_completeness_holds_at_cuts_and_the_gap_falls(make, pictures):
    classifier = make()
    gaps = []
    for steps in (8, 64, 512):
        found = conductance(classifier, pictures, steps=steps, rule="right", batch_size=600)
        gaps.append(found.relative_gap().max())
    assert gaps[2] < gaps[1] < gaps[0]
    assert gaps[2] < 0.02
    np.testing.assert_allclose(found.totals["b_out" if "b_out" in found.totals else "dense1"],
                               found.change, atol=1e-4)  # fmt: skip


def test_an_affine_tail_is_exact_for_any_number_of_steps(residual, pictures):
    taps = ["a_out", "b_out", "pool"]
    one = conductance(residual, pictures, taps, steps=1)
    many = conductance(residual, pictures, taps, steps=40)
    alone = conductance(residual, pictures, ["b_out", "pool"])
    for tap in taps[1:]:
        np.testing.assert_allclose(one.gap(tap), 0, atol=1e-5)
        np.testing.assert_allclose(one.values[tap], many.values[tap], atol=1e-5)
        np.testing.assert_allclose(alone.values[tap], many.values[tap], atol=1e-5)
    assert alone.steps.tolist() == [1] * len(pictures)
    # The closed form of the published detector: W[j, c] * (pooled(x) - pooled(x0)).
    pooled = network.outputs(residual, pictures, ["pool"])["pool"]
    start = network.outputs(residual, np.zeros_like(pictures[:1]), ["pool"])["pool"]
    kernel = np.asarray(residual.model.get_layer("logits").kernel)
    expected = kernel[:, residual.predict(pictures)].T * (pooled - start)
    np.testing.assert_allclose(alone.values["b_out"], expected, atol=1e-5)


def test_an_inner_branch_need_not_be_complete(residual, pictures):
    found = conductance(residual, pictures, ["a_conv", "a_out"], steps=200)
    assert not found.is_cut["a_conv"]
    assert np.isnan(found.gap("a_conv")).all()
    missing = np.abs(found.totals["a_conv"] - found.change)
    assert (missing > 5 * np.abs(found.gap("a_out"))).all()


def test_completeness_is_refused_where_paths_go_around(residual, pictures):
    with pytest.raises(ValueError, match=r"go around a_conv.*without a way around: stem"):
        conductance(residual, pictures, ["a_conv"], complete=True)


def test_it_equals_brute_force_differences_one_layer_and_image_at_a_time(plain, pictures):
    """The rule's sum by hand, the gradient by central differences of the tail in float64."""
    taps = ["pool1", "conv2", "dense1"]
    steps = 5
    found = conductance(plain, pictures, taps, 1, steps=steps, rule="right", reduce="none")
    for image in range(2):
        points = np.linspace(0, 1, steps + 1)[:, None, None, None] * pictures[image]
        values = network.outputs(plain, points.astype(np.float32), taps)
        for tap in taps:
            y = values[tap].astype(np.float64)
            slopes = np.stack([numeric_gradient(plain, tap, point, 1) for point in y[1:]])
            by_hand = (slopes * (y[1:] - y[:-1])).sum(axis=0)
            np.testing.assert_allclose(found.values[tap][image], by_hand, atol=2e-6)


def numeric_gradient(classifier, tap, value, target, width=1e-6):
    """Central differences of one logit through the layers after `tap`, in float64."""
    flat = value.ravel()
    moved = flat + width * np.concatenate([np.eye(flat.size), -np.eye(flat.size)])
    scores = tail(classifier, tap, moved.reshape(-1, *value.shape))[:, target]
    return ((scores[: flat.size] - scores[flat.size :]) / (2 * width)).reshape(value.shape)


def tail(classifier, tap, values):
    names = ["conv1", "pool1", "conv2", "flatten", "dense1", "logits"]
    for name in names[names.index(tap) + 1 :]:
        values = NUMPY_LAYERS[name](classifier.model.get_layer(name), values)
    return values


def _conv(layer, x):
    kernel, bias = (np.asarray(v, np.float64) for v in layer.weights)
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(1, 2))
    return np.maximum(np.einsum("nhwcab,abck->nhwk", windows, kernel) + bias, 0)


def _dense(layer, x):
    kernel, bias = (np.asarray(v, np.float64) for v in layer.weights)
    return x @ kernel + bias


NUMPY_LAYERS = {
    "pool1": lambda layer, x: x.reshape(len(x), 4, 2, 4, 2, -1).max(axis=(2, 4)),
    "conv2": _conv,
    "flatten": lambda layer, x: x.reshape(len(x), -1),
    "dense1": lambda layer, x: np.maximum(_dense(layer, x), 0),
    "logits": _dense,
}


@pytest.mark.parametrize("batch_size", [2, 5, 12, 400])
def test_batch_size_does_not_change_the_result(residual, pictures, batch_size):
    whole = conductance(residual, pictures, steps=9, baseline="blur", batch_size=1000)
    parts = conductance(residual, pictures, steps=9, baseline="blur", batch_size=batch_size)
    for tap, values in whole.values.items():
        np.testing.assert_allclose(parts.values[tap], values, atol=2e-6)
    np.testing.assert_allclose(parts.change, whole.change, atol=1e-6)


def test_all_layers_at_once_are_each_layer_alone(plain, pictures):
    together = conductance(plain, pictures, ["conv1", "conv2"], steps=6)
    for tap in ("conv1", "conv2"):
        alone = conductance(plain, pictures[::-1], tap, steps=6).values[tap][::-1]
        np.testing.assert_allclose(together.values[tap], alone, atol=1e-6)


def test_right_is_left_from_the_other_end(plain, pictures):
    right = conductance(plain, pictures, "conv1", 0, baseline=0.5, steps=8, rule="right")
    grey = np.full_like(pictures, 0.5)
    left = conductance(plain, grey, "conv1", 0, baseline=pictures, steps=8, rule="left")
    np.testing.assert_allclose(right.values["conv1"], -left.values["conv1"], atol=2e-6)


def test_targets_are_weightings_of_the_logits(plain, pictures):
    order = np.argsort(-plain.logits(pictures), axis=1)
    known = {
        name: conductance(plain, pictures, "conv2", name, steps=5).values["conv2"]
        for name in ("predicted", "runner_up", "difference")
    }
    by_class = [conductance(plain, pictures, "conv2", c, steps=5).values["conv2"] for c in range(3)]
    rows = np.arange(len(pictures))
    np.testing.assert_allclose(known["predicted"], np.stack(by_class)[order[:, 0], rows], atol=1e-6)
    np.testing.assert_allclose(known["runner_up"], np.stack(by_class)[order[:, 1], rows], atol=1e-6)
    np.testing.assert_allclose(
        known["difference"], known["predicted"] - known["runner_up"], atol=2e-6
    )
    one_each = conductance(plain, pictures, "conv2", order[:, 0], steps=5).values["conv2"]
    np.testing.assert_array_equal(one_each, known["predicted"])


def test_mean_is_sum_over_positions_divided(plain, pictures):
    found = {
        r: conductance(plain, pictures, "conv2", steps=5, reduce=r) for r in ("sum", "mean", "none")
    }
    np.testing.assert_allclose(
        found["sum"].values["conv2"], 4 * found["mean"].values["conv2"], rtol=1e-5
    )
    np.testing.assert_allclose(
        found["none"].values["conv2"].sum(axis=(1, 2)), found["sum"].values["conv2"], atol=1e-6
    )
    for one in found.values():
        np.testing.assert_allclose(one.totals["conv2"], found["sum"].totals["conv2"], atol=1e-6)


def test_baselines_can_be_averaged_over(plain, pictures):
    several = conductance(plain, pictures, "conv1", baseline=[0.0, "blur", pictures[0]], steps=5)
    singles = [
        conductance(plain, pictures, "conv1", baseline=one, steps=5).values["conv1"]
        for one in (0.0, "blur", pictures[0])
    ]
    np.testing.assert_allclose(several.values["conv1"], np.mean(singles, axis=0), atol=1e-7)


@pytest.mark.parametrize(
    "preprocessing", ["symmetric", "bytes", "imagenet_torch", "imagenet_caffe"]
)
def test_the_zero_of_the_input_is_what_preprocessing_makes_zero(preprocessing):
    inputs = keras.Input((2, 2, 3))
    x = layers.Flatten(name="flatten")(inputs)
    model = keras.Model(inputs, layers.Dense(2, name="logits", use_bias=False)(x))
    classifier = Classifier(model, preprocessing=preprocessing)
    image = np.random.default_rng(0).random((2, 2, 2, 3), np.float32)
    found = conductance(classifier, image, "flatten", 1, baseline="zero_input")
    np.testing.assert_allclose(found.change, classifier.logits(image)[:, 1], rtol=1e-3, atol=1e-3)


def test_steps_double_until_the_gap_is_small(plain, pictures):
    rough = conductance(plain, pictures, steps=2, rule="right")
    found = conductance(plain, pictures, steps=2, rule="right", tolerance=0.02)
    assert rough.relative_gap().max() > 0.02
    assert found.relative_gap().max() <= 0.02
    assert len(set(found.steps.tolist())) > 1
    for steps in np.unique(found.steps):
        same = found.steps == steps
        alone = conductance(plain, pictures[same], steps=int(steps), rule="right")
        np.testing.assert_allclose(found.values["conv1"][same], alone.values["conv1"], atol=2e-6)


def test_the_model_is_untouched_and_may_change_between_calls(plain, pictures):
    before = plain.digest
    first = conductance(plain, pictures, "conv2", 0, steps=4).values["conv2"]
    assert plain.digest == before
    layer = plain.model.get_layer("logits")
    layer.kernel.assign(2 * np.asarray(layer.kernel))
    second = conductance(plain, pictures, "conv2", 0, steps=4).values["conv2"]
    np.testing.assert_allclose(second, 2 * first, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layers": "conv9"}, "no tap named 'conv9'"),
        ({"layers": []}, "`layers` is empty"),
        ({"rule": "middle"}, "`rule` must be one of"),
        ({"reduce": "max"}, "`reduce` must be one of"),
        ({"target": "second"}, "`target` must be one of"),
        ({"target": 3}, "run from 0 to 2"),
        ({"steps": 0}, "`steps` must be at least 1"),
        ({"batch_size": 1}, "`batch_size` must be at least 2"),
        ({"baseline": "noise"}, "`baseline` must be one of"),
        ({"baseline": np.zeros((4, 4, 1))}, "an array of shape"),
        ({"baseline": float("nan")}, "must be finite"),
        ({"baseline": []}, "empty list"),
    ],
)
def test_bad_arguments_are_named(plain, pictures, arguments, message):
    with pytest.raises(ValueError, match=message):
        conductance(plain, pictures, **arguments)


def test_logits_that_are_not_finite_are_named(plain, pictures):
    plain.model.get_layer("logits").bias.assign([np.nan, 0, 0])
    with pytest.raises(ValueError, match="not finite"):
        conductance(plain, pictures)


def test_it_agrees_with_captum_on_the_same_weights(plain, pictures):
    torch = pytest.importorskip("torch")
    attr = pytest.importorskip("captum.attr")
    mirror = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3, padding="same"), torch.nn.ReLU(), torch.nn.MaxPool2d(2),
        torch.nn.Conv2d(4, 6, 3), torch.nn.ReLU(), torch.nn.Flatten(),
        torch.nn.Linear(24, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3),
    ).double()  # fmt: skip
    for index, name in ((0, "conv1"), (3, "conv2"), (6, "dense1"), (8, "logits")):
        kernel, bias = (np.asarray(v, np.float64) for v in plain.model.get_layer(name).weights)
        if name == "dense1":  # flattened with channels first there
            kernel = kernel.reshape(2, 2, 6, 8).transpose(2, 0, 1, 3).reshape(24, 8)
        kernel = kernel.transpose(3, 2, 0, 1) if kernel.ndim == 4 else kernel.T
        mirror[index].weight.data = torch.tensor(kernel.copy())
        mirror[index].bias.data = torch.tensor(bias)
    images = torch.tensor(pictures.transpose(0, 3, 1, 2).astype(np.float64))
    for index, tap in ((1, "conv1"), (4, "conv2"), (7, "dense1")):
        theirs = attr.LayerConductance(mirror, mirror[index]).attribute(
            images, target=1, n_steps=9, method="riemann_trapezoid"
        )
        theirs = theirs.detach().numpy()
        ours = conductance(plain, pictures, tap, 1, steps=9, rule="left", reduce="none").values[tap]
        ours = ours.transpose(0, 3, 1, 2) if ours.ndim == 4 else ours
        np.testing.assert_allclose(ours, theirs, atol=5e-6)


def test_gradients_flow_through_one_trace_only(plain, pictures):
    conductance(plain, pictures, "conv1", 0, steps=3)
    known = len(plain.network._functions)
    conductance(plain, pictures[:2], "conv1", "difference", steps=11, baseline=0.3, batch_size=7)
    assert len(plain.network._functions) == known
    assert tf.executing_eagerly()
