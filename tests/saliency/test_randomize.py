"""Random weights: which change, how they are drawn, and that they can be drawn again."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers
from scipy import stats

from kernel_lib.models.classifier import as_classifier
from kernel_lib.saliency import add_noise, randomize
from weight_bytes import contents


def values(model):
    return {variable.path: np.asarray(variable).copy() for variable in model.variables}


def changed_paths(before, model):
    after = values(model)
    return {path for path in before if before[path].tobytes() != after[path].tobytes()}


def test_only_the_named_layers_change(model):
    before = values(model)
    changed = randomize(model, ["hidden"], seed=1)
    assert changed == ["hidden/kernel", "hidden/bias"]
    assert changed_paths(before, model) == {"hidden/kernel"}  # the bias was zero and stays so


def test_the_same_seed_gives_the_same_weights_in_any_order(model):
    randomize(model, ["hidden", "scores"], seed=4)
    first = contents(model)
    randomize(model, None, seed=9)
    randomize(model, ["scores"], seed=4)
    randomize(model, ["hidden"], seed=4)
    assert contents(model)[4:] == first[4:]


def test_layers_of_the_same_shape_get_different_draws():
    normal = keras.initializers.RandomNormal(seed=1)  # the very same initialiser twice
    model = keras.Sequential(
        [
            layers.Input((2, 2, 1)),
            layers.Flatten(),
            layers.Dense(4, kernel_initializer=normal, name="a"),
            layers.Dense(4, kernel_initializer=normal, name="b"),
        ]
    )
    randomize(model, None, seed=0)
    a, b = (np.asarray(model.get_layer(name).kernel) for name in "ab")
    assert np.abs(a - b).min() > 0


def test_native_weights_follow_the_layer_own_initialiser():
    model = keras.Sequential(
        [
            layers.Input((4, 4, 1)),
            layers.Flatten(),
            layers.Dense(
                4000,
                kernel_initializer=keras.initializers.TruncatedNormal(stddev=0.1),
                bias_initializer=keras.initializers.Constant(0.1),
            ),
            layers.Dense(2),
        ]
    )
    model.layers[1].bias.assign(np.ones(4000))
    randomize(model, None, seed=3)
    kernel = np.asarray(model.layers[1].kernel)
    # a normal of deviation 0.1 cut at two deviations has a deviation of 0.8796 * 0.1 left
    assert kernel.std() == pytest.approx(0.08796, rel=0.02)
    assert np.abs(kernel).max() <= 0.2
    assert (np.asarray(model.layers[1].bias) == np.float32(0.1)).all()


@pytest.mark.parametrize("operator", ["truncated_normal", "uniform", "matched", "permute"])
def test_operators_draw_what_they_say(operator):
    start = keras.initializers.RandomNormal(mean=0.5, stddev=0.3, seed=5)
    model = keras.Sequential(
        [layers.Input((10, 10, 1)), layers.Flatten(), layers.Dense(1500, kernel_initializer=start)]
    )
    before = np.asarray(model.layers[-1].kernel).copy()
    randomize(model, None, seed=1, operator=operator)
    after = np.asarray(model.layers[-1].kernel)
    assert abs(np.corrcoef(before.ravel(), after.ravel())[0, 1]) < 0.02
    if operator == "permute":
        np.testing.assert_array_equal(np.sort(after, axis=None), np.sort(before, axis=None))
    if operator == "matched":
        assert stats.kstest((after.ravel() - 0.5) / 0.3, "norm").statistic < 0.02
    if operator == "truncated_normal":
        assert np.abs(after).max() <= 0.02
        assert stats.kstest(after.ravel() / 0.01, stats.truncnorm(-2, 2).cdf).statistic < 0.01
    if operator == "uniform":
        edge = 0.01 * np.sqrt(3)
        assert stats.kstest(after.ravel(), stats.uniform(-edge, 2 * edge).cdf).statistic < 0.01


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("all", {"gamma", "moving_mean", "moving_variance"}),
        ("trainable", {"gamma"}),
        ("keep", set()),
        ("recalibrate", {"gamma", "moving_mean", "moving_variance"}),
    ],
)
def test_batch_norm_policies(normalised_model, images, policy, expected):
    before = values(normalised_model)
    randomize(
        normalised_model, ["conv1"], batch_norm=policy, calibration_images=images
    )  # the block holds both the convolution and its normalisation
    changed = {p.split("/")[1] for p in changed_paths(before, normalised_model) if "norm1" in p}
    assert changed == expected
    norm = normalised_model.get_layer("norm1")
    if policy == "all":
        assert (np.asarray(norm.moving_mean) == 0).all()
        assert (np.asarray(norm.moving_variance) == 1).all()


def test_recalibration_measures_the_layer_own_input(normalised_model, images):
    randomize(normalised_model, ["conv1"], batch_norm="recalibrate", calibration_images=images)
    before = np.asarray(normalised_model.get_layer("conv1")(images))
    norm = normalised_model.get_layer("norm1")
    np.testing.assert_allclose(norm.moving_mean, before.mean(axis=(0, 1, 2)), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(norm.moving_variance, before.var(axis=(0, 1, 2)), rtol=1e-4)


def test_recalibration_needs_images(normalised_model):
    with pytest.raises(ValueError, match="needs `calibration_images`"):
        randomize(normalised_model, ["conv1"], batch_norm="recalibrate")


def test_layers_inside_nested_models_are_found():
    inner = keras.Sequential(
        [layers.Input((6, 6, 1)), layers.Conv2D(2, 3, name="conv")], name="trunk"
    )
    inputs = layers.Input((6, 6, 1))
    model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(inner(inputs))))
    before = np.asarray(inner.layers[0].kernel).copy()
    randomize(model, ["trunk/conv"], seed=0)
    assert np.abs(np.asarray(inner.layers[0].kernel) - before).min() > 0


# --- noise ---------------------------------------------------------------------------------------


def test_no_noise_changes_nothing(model):
    before = contents(model)
    add_noise(model, 0.0, seed=1)
    assert contents(model) == before


def test_noise_of_a_seed_is_one_draw_scaled(model):
    before = values(model)
    add_noise(model, 0.1, seed=2)
    small = {path: value - before[path] for path, value in values(model).items()}
    for variable in model.variables:
        variable.assign(before[variable.path])
    add_noise(model, 0.2, seed=2)
    for path, value in values(model).items():
        np.testing.assert_allclose(value - before[path], 2 * small[path], atol=1e-6)


@pytest.mark.parametrize("mode", ["absolute", "relative", "multiplicative"])
def test_noise_has_the_stated_size(mode):
    start = keras.initializers.RandomNormal(stddev=0.05, seed=6)
    model = keras.Sequential(
        [layers.Input((16, 16, 1)), layers.Flatten(), layers.Dense(500, kernel_initializer=start)]
    )
    kernel = model.layers[-1].kernel
    before = np.asarray(kernel).copy()
    add_noise(model, 0.3, seed=0, mode=mode)
    noise = np.asarray(kernel) - before
    scale = {"absolute": 1.0, "relative": before.std(), "multiplicative": before}[mode]
    assert (noise / scale).std() == pytest.approx(0.3, rel=0.01)


def test_biases_can_be_spared_and_statistics_always_are(normalised_model):
    before = values(normalised_model)
    add_noise(normalised_model, 0.1, biases=False)
    names = {path.split("/")[1] for path in changed_paths(before, normalised_model)}
    assert names == {"kernel"}
    add_noise(normalised_model, 0.1, biases=True)
    names = {path.split("/")[1] for path in changed_paths(before, normalised_model)}
    assert names == {"kernel", "bias", "gamma", "beta"}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: randomize(m, ["lost"]), "no layer with weights named 'lost'.*conv1, conv2"),
        (lambda m: randomize(m, None, operator="zeros"), "`operator` must be one of"),
        (lambda m: randomize(m, None, batch_norm="off"), "`batch_norm` must be one of"),
        (lambda m: add_noise(m, -0.1), r"`std` must lie in \[0, inf\)"),
        (lambda m: add_noise(m, 0.1, mode="big"), "`mode` must be one of"),
    ],
)
def test_bad_input(model, call, message):
    before = contents(model)
    with pytest.raises(ValueError, match=message):
        call(model)
    assert contents(model) == before


def test_a_bare_string_is_no_list_of_layers(model):
    with pytest.raises(TypeError, match="must be a list of names. Received: the string 'conv1'"):
        randomize(as_classifier(model), "conv1")
