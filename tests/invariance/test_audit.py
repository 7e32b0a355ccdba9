"""The whole audit: what it finds, saves, shows and refuses."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import keras
import numpy as np
import pytest

from kernel_lib.data import ImageSet
from kernel_lib.invariance import (
    InvarianceResult,
    assert_invariant,
    audit,
    checklist,
    ground_truth,
    junit_xml,
    read_features,
    read_results,
    write_results,
)
from kernel_lib.invariance.features import MATRICES
from kernel_lib.invariance.grids import even_grid
from kernel_lib.invariance.measure import MEASUREMENTS
from kernel_lib.invariance.signals import Signals
from kernel_lib.models import Classifier
from whole_results import check_it_comes_back, with_odd_names

ANGLES = [-15, -5, 0, 5, 15]


def side_network() -> Classifier:
    """Says 1 where the right half is brighter than the left; blind to brightness."""
    layers = keras.layers
    inputs = keras.Input((8, 8, 1))
    x = layers.Conv2D(1, 1, use_bias=False, name="first")(inputs)
    x = layers.Conv2D(1, 1, use_bias=False, name="second")(x)
    outputs = layers.Dense(2, use_bias=False)(layers.Flatten()(x))
    model = keras.Model(inputs, outputs)
    for layer in model.layers[1:3]:
        layer.set_weights([np.ones((1, 1, 1, 1), np.float32)])
    side = np.where(np.arange(8) < 4, -1.0, 1.0)[None].repeat(8, 0).reshape(-1)
    model.layers[-1].set_weights([np.stack([-side, side], 1).astype(np.float32)])
    return Classifier(model, head="logits")


@pytest.fixture(scope="module")
def sides() -> ImageSet:
    random = np.random.default_rng(0)
    labels = np.arange(120) % 2
    images = random.random((120, 8, 8, 1), np.float32) * 0.2
    images[labels == 0, :, 1:3] += 0.3
    images[labels == 1, :, 5:7] += 0.3
    everything = {"train": [], "calibration": [], "test": np.arange(120)}
    return ImageSet(images, labels, ("left", "right"), name="sides", splits=everything)


@pytest.fixture(scope="module")
def result(sides) -> InvarianceResult:
    return audit(side_network(), sides, values=ANGLES, progress=False, num_display=4)


def hand_made(right: np.ndarray, num_classes: int = 2) -> Signals:
    """Signals (T, N) with a given pattern of right and wrong; the label is 0."""
    half = len(right) // 2
    predictions = np.where(right, 0, 1)
    confidence = np.full((1, *right.shape), 0.8, np.float32)
    labels = np.zeros(right.shape[1], np.int64)
    grid = even_grid(-half, half, len(right), 0)
    return Signals(("confidence",), confidence, predictions, grid, labels, None, num_classes)


def test_an_invariant_network_passes(result):
    assert result.verdict.status == "pass"
    assert result.scores["drop"] == 0
    assert result.scores["robust_accuracy"] == 1
    assert result.scores["untouched_accuracy"] == 1
    assert "is invariant to rotation" in result.verdict.headline


def test_a_network_fails_where_it_must(sides):
    found = audit(side_network(), sides, transform="rotation", values=[-180, 0, 180],
                  progress=False)  # fmt: skip
    assert found.verdict.status == "fail"
    assert found.scores["worst_accuracy"] == 0
    assert found.scores["flip_rate"] == 1
    assert set(found.tables["classes"].worst_accuracy) == {0}


def test_a_guessing_network_cannot_be_assessed(sides):
    network = side_network()
    network.model.layers[-1].set_weights([np.zeros((64, 2), np.float32)])
    found = audit(network, sides, values=ANGLES, progress=False)
    assert found.verdict.status == "undetermined"
    assert "The network is guessing" in found.verdict.headline
    checks = found.tables["checklist"]
    assert set(checks.status) == {"undetermined"}  # a constant network never flips
    assert not checks.passed.any()


def test_eight_images_pass_nothing(sides):
    found = audit(side_network(), sides, values=ANGLES, progress=False, num_images=8)
    assert found.scores["drop"] == 0
    assert found.tables["truth"].drop_high.item() == pytest.approx(1 - 0.025 ** (1 / 8))
    assert found.verdict.status == "undetermined"
    assert "8 images are too few to be sure: about 72 would do" in found.verdict.headline
    assert set(found.tables["checklist"].status) == {"undetermined"}


def many_labels() -> Classifier:
    """The network of sides with one sigmoid a class."""
    network = side_network()
    outputs = keras.layers.Activation("sigmoid")(network.model.output)
    return Classifier(keras.Model(network.model.inputs, outputs), head="multi_label")


def test_of_a_multi_label_network_only_the_highest_score_is_followed(sides):
    network = many_labels()
    assert network.is_multi_label
    found = audit(network, sides, transform="brightness", progress=False, num_display=4)
    assert found.verdict.status == "pass"
    assert "says nothing of the other labels of an image" in found.verdict.does_not_mean
    assert found.parameters["assessor"] is None
    shown = sides.test.images[found.arrays["shown"]]
    identity = found.parameters["identity_index"]
    expected = network.probabilities(shown)
    np.testing.assert_allclose(found.arrays["probabilities"][:, identity], expected, atol=1e-5)
    place = found.parameters["signals"].index("confidence")
    np.testing.assert_allclose(
        found.arrays["signals"][place, identity, found.arrays["shown"]],
        expected.max(axis=1), atol=1e-5,
    )  # fmt: skip
    entropy = -(expected * np.log(expected) + (1 - expected) * np.log1p(-expected)).sum(axis=1)
    place = found.parameters["signals"].index("entropy")
    np.testing.assert_allclose(
        found.arrays["signals"][place, identity, found.arrays["shown"]], entropy, rtol=1e-3
    )
    with pytest.raises(ValueError, match="assessor=None"):
        audit(network, sides, transform="brightness", assessor="brightness", progress=False)


def test_images_without_labels(sides):
    found = audit(side_network(), sides.images, values=ANGLES, progress=False)
    assert "truth" not in found.tables
    assert found.verdict.status == "undetermined"
    assert "accuracy" not in found.tables["curve"]
    assert set(found.figures()) == {"curves", "matrices", "images"}


def test_saving_and_loading(result, tmp_path):
    loaded = InvarianceResult.load(result.save(tmp_path))
    assert loaded.scores == pytest.approx(result.scores)
    assert loaded.verdict == result.verdict
    for name, array in result.arrays.items():
        assert np.array_equal(loaded.arrays[name], array), name
    assert len(list((tmp_path / "figures").glob("*.png"))) == 4
    again = loaded.frames()
    for name, value in result.frames().items():
        if isinstance(value, np.ndarray):
            assert np.array_equal(again[name], value), name


def test_the_same_seed_gives_the_same_bytes_whatever_the_batch(sides, result):
    again = audit(side_network(), sides, values=ANGLES, progress=False, num_display=4)
    assert again.arrays["signals"].tobytes() == result.arrays["signals"].tobytes()
    parts = audit(
        side_network(), sides, values=ANGLES, progress=False, num_display=4, batch_size=13
    )
    np.testing.assert_allclose(parts.arrays["matrices"], result.arrays["matrices"], atol=1e-6)
    assert parts.verdict == result.verdict


def test_the_table_of_measurements(result):
    table = result.tables["measurements"]
    assert set(MEASUREMENTS) <= set(table.measurement)
    row = table.query("split == 'all' and signal == 'confidence' and measurement == 'mean'")
    matrix = result.matrix("confidence")
    off = ~np.eye(5, dtype=bool)
    assert row.value.item() == pytest.approx(matrix[off].mean())
    assert row.low.item() <= row.value.item() <= row.high.item()


@pytest.mark.parametrize(
    ("wrong", "verdict"), [(0, "invariant"), (90, "not invariant"), (40, "borderline")]
)
def test_verdicts_of_known_accuracies(wrong, verdict):
    right = np.ones((5, 400), bool)
    right[4, :wrong] = False
    truth = ground_truth(hand_made(right))
    assert truth.verdict == verdict
    assert truth.drop == pytest.approx(wrong / 400)
    assert truth.robust_accuracy <= truth.worst_accuracy <= truth.identity_accuracy


def test_a_wide_interval_makes_a_verdict_borderline():
    right = np.ones((5, 40), bool)
    right[0, :7] = False  # 17.5 %, but on 40 images only
    assert ground_truth(hand_made(right)).verdict == "borderline"


def test_chance_is_not_assessable():
    right = np.ones((5, 100), bool)
    right[:, :70] = False
    assert ground_truth(hand_made(right, num_classes=4)).verdict == "not assessable"


def test_the_checklist_and_its_junit_file(sides, tmp_path):
    table = checklist(
        side_network(), sides, ["brightness", "rotation"], limits={"direction": 0.0},
        progress=False,
    )  # fmt: skip
    assert set(table["transform"]) == {"brightness", "rotation"}
    still = table[table.test == "invariance"].set_index(["transform", "slice"])
    assert (still.failure_rate == 0).all()
    assert still.loc["rotation", "all"].status == "pass"
    thin = still.loc["rotation", "class 0"]  # 0 of 60 images still allows 6 %
    assert (thin.status, thin.passed) == ("undetermined", False)
    assert thin.reason.startswith("60 images are too few")
    assert thin.reason.endswith("about 73 would do.")
    assert table.passed.equals(table.status == "pass")
    assert {"all", "correct", "class 0", "class 1"} <= set(table.slice)
    table.loc[0, "status"] = "fail"
    root = ElementTree.parse(junit_xml(table, tmp_path / "tests.xml")).getroot()
    assert [suite.get("failures") for suite in root] == ["1", "0"]
    skipped = root.findall(".//skipped")
    assert len(skipped) == (table.status == "undetermined").sum()
    assert thin.reason in [case.get("message") for case in skipped]
    assert len(root.findall(".//testcase")) == len(table)
    with pytest.raises(ValueError, match="`limits` knows the tests"):
        checklist(side_network(), sides, ["brightness"], limits={"speed": 1}, progress=False)


def test_assertions_for_ones_own_tests(sides):
    assert_invariant(side_network(), sides, "rotation", ANGLES)
    with pytest.raises(AssertionError, match=r"rotation by −?180° changes the class of 100.0%"):
        assert_invariant(side_network(), sides, "rotation", [-180, 0, 180])
    with pytest.raises(AssertionError, match="lowers the accuracy from 100.0% to 0.0%"):
        assert_invariant(side_network(), sides, "rotation", [-180, 0, 180], max_flip_rate=1)
    swapped = replace(sides, labels=1 - sides.labels, splits=sides.splits)
    with pytest.raises(AssertionError, match="stand in another order than the labels"):
        assert_invariant(side_network(), swapped, "rotation", ANGLES)
    guessing = side_network()
    guessing.model.layers[-1].set_weights([np.zeros((64, 2), np.float32)])
    with pytest.raises(AssertionError, match="The network is guessing"):
        assert_invariant(guessing, sides, "rotation", ANGLES)
    few = sides.select(np.arange(20))
    with pytest.raises(AssertionError, match="0.0% of 20 images. So few still allow 16.1%"):
        assert_invariant(side_network(), few, "rotation", ANGLES)
    with pytest.raises(AssertionError, match="20 images still allow 16.8%.*about 23 would do"):
        assert_invariant(side_network(), few, "rotation", ANGLES, max_flip_rate=1)


def test_the_originals_files(tmp_path):
    random = np.random.default_rng(0)
    right = random.random((5, 12)) < 0.7
    signals = hand_made(right)
    write_results(signals, tmp_path / "test_results1515.npy")
    inner = random.random((5, 12, 2, 13))
    inner[..., 0] = np.arange(12)[None, :, None]
    inner[..., 3] = [8, 9]
    np.save(tmp_path / "inner.npy", inner)
    read = read_results(tmp_path / "test_results1515.npy", tmp_path / "inner.npy", num_classes=2)
    assert np.array_equal(read.predictions, signals.predictions)
    assert np.array_equal(read.labels, signals.labels)
    assert read.grid.values == signals.grid.values
    np.testing.assert_allclose(read.signal("layer9.max"), inner[:, :, 1, 6], rtol=1e-6)
    np.testing.assert_allclose(read.signal("layer8.max_std"), inner[:, :, 0, 11], rtol=1e-6)
    with pytest.raises(ValueError, match="must have shape"):
        read_results(tmp_path / "inner.npy")


def test_the_originals_table(tmp_path):
    old = [f"{m.replace('.', '_')}_{name}" for m in MATRICES for name in MEASUREMENTS]
    path = tmp_path / "mdatabase_r.csv"
    path.write_text(f"mid,{','.join(old)}\n7,{','.join(map(str, range(80)))}\n")
    table = read_features(path)
    assert table["second.max_mean/grad_d_std"].tolist() == [79]
    path.write_text(f"mid,{','.join(old[::-1])}\n7,{','.join(map(str, range(80)))}\n")
    with pytest.raises(ValueError, match="another order"):
        read_features(path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "exact"}, "`mode` must be one of"),
        ({"transform": "twirl"}, "`transform` must be one of"),
        ({"num_images": 2}, "`num_images` must be at least 8"),
        ({"values": [1.0, 2.0, 3.0]}, "identity step"),
        ({"rules": "strict"}, "`rules` must be one of"),
    ],
)
def test_bad_arguments(sides, options, message):
    with pytest.raises(ValueError, match=message):
        audit(side_network(), sides, progress=False, **options)


def test_odd_names_cost_nothing_and_the_result_comes_back(result, tmp_path):
    check_it_comes_back(with_odd_names(result, ["left", "right"]), tmp_path)
