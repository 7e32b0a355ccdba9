"""What each operator does to weights, held against the forward pass and plain arithmetic."""

from __future__ import annotations

import json

import numpy as np
import pytest

from error_networks import plain_network
from kernel_lib import network
from kernel_lib.errors.recipes import OPERATORS, Mutant, Recipe, mutated
from kernel_lib.errors.runner import MutantRunner
from kernel_lib.errors.units import mutable_layers
from kernel_lib.models import build
from kernel_lib.network import restored_weights


def changed_outputs(classifier, mutant, images, tap):
    with restored_weights(classifier) as snapshot:
        MutantRunner(classifier, [mutant], snapshot).apply(mutant)
        return network.outputs(classifier, images, [tap])[tap]


def weights_of(classifier):
    return [np.asarray(variable).copy() for variable in classifier.model.variables]


@pytest.mark.parametrize("operator", OPERATORS)
def test_int_of_total_times_gamma_filters_are_touched_and_nothing_else(plain, operator):
    layers = mutable_layers(plain, "all")
    total = sum(layer.num_filters for layer in layers)
    assert total == 4 + 6 + 8
    mutant = Recipe(operator, 0.5).draw(layers, seed=1, index=2)
    if operator != "ns":
        assert sum(map(len, mutant.places.values())) == int(0.5 * total)
    before = weights_of(plain)
    with restored_weights(plain) as snapshot:
        runner = MutantRunner(plain, [mutant], snapshot)
        runner.apply(mutant)
        for layer in layers:
            kernel, original = (
                np.asarray(layer.variables["kernel"]), snapshot.value(layer.variables["kernel"])
            )  # fmt: skip
            changed = (kernel != original).reshape(-1, kernel.shape[-1]).any(axis=0)
            assert set(np.flatnonzero(changed)) == set(mutant.places.get(layer.name, ()))
        runner.restore()
        for one, other in zip(before, weights_of(plain), strict=True):
            np.testing.assert_array_equal(one, other)


def test_resnet20_has_784_filters_of_which_one_percent_is_7():
    layers = mutable_layers(build("resnet20", (8, 8, 3), 10))
    assert (len(layers), sum(layer.num_filters for layer in layers)) == (21, 784)
    for gamma, count in ((0.01, 7), (0.015, 11)):
        mutant = Recipe("nai", gamma).draw(layers, 0, 0)
        assert sum(map(len, mutant.places.values())) == count


def test_an_inverted_filter_twice_is_itself(plain, pictures):
    mutant = Mutant("nai", {"conv1": (1, 3)})
    with restored_weights(plain) as snapshot:
        MutantRunner(plain, [mutant], snapshot).apply(mutant)
        once = weights_of(plain)
        with restored_weights(plain) as changed:
            MutantRunner(plain, [mutant], changed).apply(mutant)
            twice = weights_of(plain)
    assert any((a != b).any() for a, b in zip(once, weights_of(plain), strict=True))
    for a, b in zip(twice, weights_of(plain), strict=True):
        np.testing.assert_array_equal(a, b)


def test_preact_negates_what_the_nonlinearity_reads(residual, pictures):
    before = network.outputs(residual, pictures, ["stem_bn"])["stem_bn"]
    after = changed_outputs(residual, Mutant("nai_preact", {"stem": (2,)}), pictures, "stem_bn")
    np.testing.assert_allclose(after[..., 2], -before[..., 2], atol=1e-5)
    np.testing.assert_array_equal(after[..., [0, 1, 3]], before[..., [0, 1, 3]])


def test_the_other_form_of_preact_is_to_flip_scale_and_shift(residual, pictures):
    after = changed_outputs(residual, Mutant("nai_preact", {"stem": (2,)}), pictures, "stem_bn")
    norm = residual.model.get_layer("stem_bn")
    with restored_weights(residual):
        for variable in (norm.gamma, norm.beta):
            value = np.asarray(variable).copy()
            value[2] *= -1
            variable.assign(value)
        other = network.outputs(residual, pictures, ["stem_bn"])["stem_bn"]
    np.testing.assert_allclose(after, other, atol=1e-5)


def test_flipping_the_kernel_alone_is_not_that(residual, pictures):
    before = network.outputs(residual, pictures, ["stem_bn"])["stem_bn"]
    after = changed_outputs(residual, Mutant("nai", {"stem": (2,)}), pictures, "stem_bn")
    assert np.abs(after[..., 2] + before[..., 2]).max() > 0.1


def test_preact_without_normalisation_flips_kernel_and_bias(plain, pictures):
    layer = plain.model.get_layer("conv1")
    layer.activation = None
    linear = plain_network()
    linear.model.get_layer("conv1").activation = lambda x: x
    before = network.outputs(linear, pictures, ["conv1"])["conv1"]
    after = changed_outputs(linear, Mutant("nai_preact", {"conv1": (0,)}), pictures, "conv1")
    np.testing.assert_allclose(after[..., 0], -before[..., 0], atol=1e-6)


@pytest.mark.parametrize("layer", ["stem", "a_conv"])
def test_a_blocked_filter_says_nothing(residual, pictures, layer):
    norm = layer.replace("_conv", "") + "_bn"
    after = changed_outputs(residual, Mutant("neb", {layer: (1,)}), pictures, norm)
    np.testing.assert_allclose(after[..., 1], 0, atol=1e-6)


def test_gf_draws_from_the_layers_statistics_at_each_position(plain):
    layer = mutable_layers(plain, "conv1")[0]
    originals = {role: np.asarray(v) for role, v in layer.variables.items()}
    drawn = [
        mutated(Mutant("gf", {"conv1": (0, 1, 2, 3)}, index=i), layer, originals)["kernel"]
        for i in range(2500)
    ]
    drawn = np.concatenate(drawn, axis=-1)  # 10,000 draws at each position
    kernel = originals["kernel"]
    error = 5 * kernel.std(axis=-1) / 100
    assert (np.abs(drawn.mean(axis=-1) - kernel.mean(axis=-1)) < error).all()
    np.testing.assert_allclose(drawn.std(axis=-1), kernel.std(axis=-1), rtol=0.05)


def test_additive_noise_has_the_strength_asked_for(plain):
    layer = mutable_layers(plain, "dense1")[0]
    originals = {role: np.asarray(v) for role, v in layer.variables.items()}
    places = {"dense1": tuple(range(8))}
    noise = np.concatenate([
        mutated(Mutant("gf_additive", places, index=i, strength=0.3), layer, originals)["kernel"]
        - originals["kernel"] for i in range(50)
    ])  # fmt: skip
    assert noise.std() == pytest.approx(0.3 * originals["kernel"].std(), rel=0.03)


def test_shuffling_keeps_each_filters_weights(plain):
    layer = mutable_layers(plain, "conv2")[0]
    originals = {role: np.asarray(v) for role, v in layer.variables.items()}
    kernel = mutated(Mutant("ws", {"conv2": (4,)}), layer, originals)["kernel"]
    assert (kernel[..., 4] != originals["kernel"][..., 4]).any()
    np.testing.assert_array_equal(
        np.sort(kernel[..., 4], axis=None), np.sort(originals["kernel"][..., 4], axis=None)
    )


def test_swapping_rotates_kernels_and_biases(plain):
    layer = mutable_layers(plain, "conv2")[0]
    originals = {role: np.asarray(v) for role, v in layer.variables.items()}
    changed = mutated(Mutant("ns", {"conv2": (5, 0, 2)}), layer, originals)
    for role in ("kernel", "bias"):
        np.testing.assert_array_equal(changed[role][..., 5], originals[role][..., 2])
        np.testing.assert_array_equal(changed[role][..., 0], originals[role][..., 5])
        np.testing.assert_array_equal(changed[role][..., 2], originals[role][..., 0])
        np.testing.assert_array_equal(changed[role][..., 1], originals[role][..., 1])


@pytest.mark.parametrize("operator", ["nai", "neb", "gf", "gf_additive"])
def test_a_share_of_single_weights(plain, operator):
    layers = mutable_layers(plain)
    mutant = Recipe(operator, 0.1, unit="weights").draw(layers, 0, 0)
    assert sum(map(len, mutant.places.values())) == int(0.1 * (36 + 216))
    for layer in layers:
        originals = {role: np.asarray(v) for role, v in layer.variables.items()}
        kernel = mutated(mutant, layer, originals)["kernel"]
        changed = np.flatnonzero(kernel != originals["kernel"])
        np.testing.assert_array_equal(changed, mutant.places[layer.name])


def test_recipes_are_named_by_seed_and_index_alone(plain):
    layers = mutable_layers(plain)
    recipe = Recipe("gf", 0.3)
    assert recipe.draw(layers, 7, 3) == recipe.draw(layers, 7, 3)
    assert recipe.draw(layers, 7, 3) != recipe.draw(layers, 7, 4)
    assert recipe.draw(layers, 7, 3) != recipe.draw(layers, 8, 3)


def test_a_recipe_survives_json(plain):
    mutant = Recipe("gf_additive", 0.3, strength=0.5).draw(mutable_layers(plain), 7, 3)
    assert Mutant.from_description(json.loads(json.dumps(mutant.describe()))) == mutant


def test_layers_are_chosen_by_kind_or_name(plain):
    names = lambda choice: [layer.name for layer in mutable_layers(plain, choice)]  # noqa: E731
    assert names(None) == names("conv") == ["conv1", "conv2"]
    assert names("dense") == ["dense1"]
    assert names("all") == ["conv1", "conv2", "dense1"]
    assert names(["logits", "conv2"]) == ["conv2", "logits"]


def test_each_layer_knows_where_to_resume(plain, residual):
    assert {each.name: each.resume_tap for each in mutable_layers(plain, "all")} == {
        "conv1": "", "conv2": "pool1", "dense1": "flatten"
    }  # fmt: skip
    assert {each.name: each.resume_tap for each in mutable_layers(residual)} == {
        "stem": "", "a_conv": "stem_relu", "b_conv": "a_out"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"gamma": 0.05}, r"touches nothing: 0.05 of 10 filters in 2 layers"),
        ({"operator": "ns", "gamma": 0.2}, "not one pair in any layer"),
        ({"gamma": 1.7}, "`gamma` must lie in"),
        ({"operator": "nia"}, "Did you mean 'nai'"),
        ({"operator": "ws", "unit": "weights"}, "must be one of"),
        ({"unit": "neurons"}, "`unit` must be one of"),
    ],
)
def test_bad_recipes_are_named(plain, settings, message):
    with pytest.raises(ValueError, match=message):
        Recipe(**settings).draw(mutable_layers(plain), 0, 0)


def test_layers_without_filters_are_named(plain):
    with pytest.raises(ValueError, match="no filters to mutate: pool1"):
        mutable_layers(plain, "pool1")
