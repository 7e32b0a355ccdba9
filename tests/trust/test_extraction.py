"""Features: all taps at once, reductions, and a cache that is right, resumed and bounded."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from kernel_lib.models import Classifier
from kernel_lib.network import outputs, restored_weights, taps
from kernel_lib.trust import extraction, features
from kernel_lib.trust.reductions import parse, principal
from kernel_lib.trust.taps import penultimate, resolve

NAMES = ["conv1", "pool1", "conv2", "pool2", "conv3", "pool3", "flatten", "dense1", "logits"]


def test_all_taps_at_once_are_those_one_by_one(network, tiny_shapes):
    together = features(network, tiny_shapes, "all", progress=False)
    assert list(together) == NAMES
    for name, values in together.items():
        alone = features(network, tiny_shapes, name, progress=False)[name]
        np.testing.assert_array_equal(values, alone)


def test_reductions_are_what_they_say(network, tiny_shapes):
    images = tiny_shapes.images[:20]
    raw = outputs(network, images, ["conv2", "dense1"])
    pooled = features(network, images, ["conv2", "dense1"], progress=False)
    np.testing.assert_allclose(
        pooled["conv2"], raw["conv2"].mean(axis=(1, 2)), rtol=1e-4, atol=1e-6
    )
    np.testing.assert_allclose(pooled["dense1"], raw["dense1"], rtol=1e-5, atol=1e-6)
    flat = features(network, images, "conv2", reduction="flattened", progress=False)["conv2"]
    np.testing.assert_allclose(flat, raw["conv2"].reshape(20, -1), rtol=1e-5, atol=1e-6)


def test_an_identity_layer_gives_back_its_input():
    dense = keras.layers.Dense(12, kernel_initializer="identity", use_bias=False, name="same")
    inputs = keras.Input((2, 2, 3))
    flat = keras.layers.Flatten()(inputs)
    model = keras.Model(inputs, keras.layers.Dense(2, name="out")(dense(flat)))
    images = np.random.default_rng(0).random((5, 2, 2, 3), np.float32)
    found = features(Classifier(model), images, "same", progress=False)["same"]
    np.testing.assert_array_equal(found, images.reshape(5, -1))


def test_batch_size_and_order_do_not_matter(network, tiny_shapes):
    images = tiny_shapes.images[:70]
    expected = features(network, images, "all", batch_size=70, progress=False)
    order = np.random.default_rng(1).permutation(70)
    small = features(network, images[order], "all", batch_size=9, progress=False)
    for name in NAMES:
        np.testing.assert_allclose(small[name], expected[name][order], rtol=1e-4, atol=1e-5)


def test_random_projections_keep_distances_and_follow_the_seed(network, tiny_shapes):
    images = tiny_shapes.images[:40]
    flat = features(network, images, "conv1", reduction="flattened", progress=False)["conv1"]
    mixed = features(network, images, "conv1", reduction="random_projection:400", progress=False)
    mixed = mixed["conv1"]
    assert mixed.shape == (40, 400)
    apart = np.linalg.norm(flat[:20] - flat[20:], axis=1)
    np.testing.assert_allclose(np.linalg.norm(mixed[:20] - mixed[20:], axis=1), apart, rtol=0.2)
    again, other = (
        features(
            network, images, "conv1", reduction="random_projection:400", seed=s, progress=False
        )
        for s in (0, 1)
    )
    np.testing.assert_array_equal(again["conv1"], mixed)
    assert not np.allclose(other["conv1"], mixed)


def test_what_is_short_is_not_projected(network, tiny_shapes):
    images = tiny_shapes.images[:10]
    plain = features(network, images, "dense1", progress=False)["dense1"]
    for reduction in ("pca:64", "random_projection:64"):
        found = features(network, images, "dense1", reduction=reduction, progress=False)["dense1"]
        np.testing.assert_array_equal(found, plain)


def test_principal_directions_are_those_of_the_full_decomposition(random, monkeypatch):
    mixed = random.standard_normal((90, 12)) * np.geomspace(10, 0.1, 12)
    values = (mixed @ np.linalg.qr(random.standard_normal((40, 12)))[0].T + 3).astype(np.float32)
    rows = np.arange(60)
    centred = values - values[rows].mean(axis=0)
    directions = np.linalg.svd(centred[rows], full_matrices=False)[2][:4].T
    expected = centred @ directions
    found = principal(values, rows, 4, seed=0)
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=2e-3)
    monkeypatch.setattr("kernel_lib.trust.reductions._BLOCK_FLOATS", 300)
    np.testing.assert_allclose(principal(values, rows, 4, seed=0), found, atol=2e-3)


def test_pca_is_fitted_on_the_train_split_alone(network, tiny_shapes):
    found = features(network, tiny_shapes, "conv3", reduction="pca:5", progress=False)["conv3"]
    flat = features(network, tiny_shapes, "conv3", reduction="flattened", progress=False)["conv3"]
    expected = principal(flat, tiny_shapes.splits["train"], 5, 0)
    np.testing.assert_array_equal(found, expected)
    assert np.abs(found[tiny_shapes.splits["train"]].mean(axis=0)).max() < 1e-3


# --- cache --------------------------------------------------------------------------------------


def test_cached_features_are_the_fresh_ones_and_memory_mapped(network, tiny_shapes, tmp_path):
    fresh = features(network, tiny_shapes, "all", progress=False)
    cached = features(network, tiny_shapes, "all", progress=False, cache=tmp_path)
    for name in NAMES:
        assert isinstance(cached[name], np.memmap)
        np.testing.assert_array_equal(cached[name], fresh[name])
    assert len(list(tmp_path.glob("features-*.npy"))) == len(NAMES)
    assert not list(tmp_path.glob("*.rows"))


def test_a_second_call_computes_nothing(network, tiny_shapes, tmp_path, monkeypatch):
    first = features(
        network, tiny_shapes, "conv3", reduction="pca:8", progress=False, cache=tmp_path
    )

    def never(*arguments: object) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr(extraction, "_fill", never)
    monkeypatch.setattr(extraction, "principal", never)
    again = features(
        network, tiny_shapes, "conv3", reduction="pca:8", progress=False, cache=tmp_path
    )
    np.testing.assert_array_equal(again["conv3"], first["conv3"])


def test_one_changed_weight_or_pixel_is_another_table(network, tiny_shapes, tmp_path):
    images = tiny_shapes.images[:30].copy()
    features(network, images, "dense1", progress=False, cache=tmp_path)
    with restored_weights(network):
        kernel = network.model.get_layer("conv1").kernel
        value = np.asarray(kernel).copy()
        value.flat[3] += 1e-3
        kernel.assign(value)
        features(network, images, "dense1", progress=False, cache=tmp_path)
    assert len(list(tmp_path.glob("*.npy"))) == 2
    images[0, 0, 0, 0] = 1 - images[0, 0, 0, 0]
    features(network, images, "dense1", progress=False, cache=tmp_path)
    assert len(list(tmp_path.glob("*.npy"))) == 3


def test_a_killed_extraction_goes_on_where_it_was(network, tiny_shapes, tmp_path, monkeypatch):
    images = tiny_shapes.images[:90]
    options = {"batch_size": 10, "progress": False, "cache": tmp_path}
    expected = features(network, images, ["conv2", "dense1"], batch_size=10, progress=False)
    monkeypatch.setattr(extraction, "_SAVE_EVERY", 2)
    write = extraction.Table.write

    def killed_at_60(table: object, start: int, values: np.ndarray) -> None:
        if start == 60:
            raise KeyboardInterrupt
        write(table, start, values)

    monkeypatch.setattr(extraction.Table, "write", killed_at_60)
    with pytest.raises(KeyboardInterrupt):
        features(network, images, ["conv2", "dense1"], **options)
    assert {path.read_text().split()[0] for path in tmp_path.glob("*.rows")} == {"60"}

    starts = []

    def noted(table: object, start: int, values: np.ndarray) -> None:
        starts.append(start)
        write(table, start, values)

    monkeypatch.setattr(extraction.Table, "write", noted)
    found = features(network, images, ["conv2", "dense1"], **options)
    assert min(starts) == 60
    for name in expected:
        np.testing.assert_array_equal(found[name], expected[name])


def test_a_damaged_table_is_made_again(network, tiny_shapes, tmp_path):
    images = tiny_shapes.images[:30]
    fresh = features(network, images, "dense1", progress=False, cache=tmp_path)["dense1"].copy()
    path = next(tmp_path.glob("*.npy"))
    path.write_bytes(path.read_bytes()[:100])
    again = features(network, images, "dense1", progress=False, cache=tmp_path)["dense1"]
    np.testing.assert_array_equal(again, fresh)


# --- places -------------------------------------------------------------------------------------


def test_places_by_name_position_and_word(network):
    assert [tap.name for tap in taps(network)] == NAMES
    assert penultimate(network) == "dense1"
    assert resolve(network, "depth") == ["conv1", "conv2", "conv3", "dense1"]
    assert resolve(network, [-1, "penultimate", 0, "conv1"]) == ["conv1", "dense1", "logits"]
    assert resolve(network, 2) == ["conv2"]


def test_an_unknown_place_lists_those_there_are(network, tiny_shapes):
    with pytest.raises(ValueError, match="no tap named 'conv9'. Its taps are: conv1, pool1"):
        features(network, tiny_shapes, "conv9")
    with pytest.raises(ValueError, match="Received: 9. Its taps are: conv1"):
        features(network, tiny_shapes, 9)
    with pytest.raises(ValueError, match="`taps` is empty"):
        features(network, tiny_shapes, [])


@pytest.mark.parametrize("text", ["gap", "pca", "pca:", "pca:-3", "pca:x", "pooled:4", "pca:0"])
def test_an_unknown_reduction_is_named(text):
    with pytest.raises(ValueError, match="`reduction` must be"):
        parse(text)


def test_nan_at_a_tap_is_named(network, tiny_shapes):
    with restored_weights(network):
        kernel = network.model.get_layer("logits").kernel
        kernel.assign(np.full(kernel.shape, np.nan))
        with pytest.raises(ValueError, match="NaN or infinite values at the tap 'logits'"):
            features(network, tiny_shapes.images[:4], ["conv1", "logits"], progress=False)


def test_train_and_test_features_and_different_networks_differ(network, tiny_shapes):
    found = features(network, tiny_shapes, "dense1", progress=False)["dense1"]
    assert len(found) == len(tiny_shapes)
    train, test = (found[tiny_shapes.splits[name]] for name in ("train", "test"))
    assert not np.array_equal(train[: len(test)], test)
    before = found.copy()
    with restored_weights(network):
        bias = network.model.get_layer("conv1").bias
        bias.assign(np.ones(bias.shape))
        other = features(network, tiny_shapes, "dense1", progress=False)["dense1"]
    assert not np.allclose(before, other)
