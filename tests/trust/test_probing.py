"""Probes on features whose content is known exactly."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from kernel_lib.trust import ideal_matrix, probe, trust_matrix, trust_score
from kernel_lib.trust.design import Design, Target
from kernel_lib.trust.probing import read_all

SPLITS = {"train": np.arange(600), "calibration": np.arange(600, 800), "test": np.arange(800, 1200)}
FAST = ("ridge", "logistic", "knn")


def one_hot(labels: np.ndarray) -> np.ndarray:
    return np.eye(int(labels.max()) + 1, dtype=np.float32)[labels]


def accuracy(features, labels, kind="ridge", splits=SPLITS) -> float:
    reading = probe(features, labels, splits, kind)
    return float((reading.predictions == labels)[splits["test"]].mean())


@pytest.mark.parametrize("kind", ["ridge", "logistic"])
def test_one_hot_of_the_primary_tells_it_and_exactly_nothing_else(factorial_shapes, kind):
    features = {name: one_hot(labels) for name, labels in factorial_shapes.tasks.items()}
    matrix = trust_matrix(features, factorial_shapes, kind)
    ideal = ideal_matrix(factorial_shapes)
    np.testing.assert_allclose(matrix.values, ideal.values, atol=1e-12)
    assert trust_score(matrix, ideal).total == pytest.approx(1, abs=1e-12)


def test_one_hot_of_everything_tells_everything(factorial_shapes):
    every = np.concatenate([one_hot(labels) for labels in factorial_shapes.tasks.values()], axis=1)
    matrix = trust_matrix(dict.fromkeys(factorial_shapes.tasks, every), factorial_shapes)
    assert (matrix.values == 1).all()
    assert trust_score(matrix, ideal_matrix(factorial_shapes)).total == pytest.approx(0.6259524)


def test_constant_features_tell_nothing(factorial_shapes):
    features = np.full((len(factorial_shapes), 3), 0.7, np.float32)
    matrix = trust_matrix(dict.fromkeys(factorial_shapes.tasks, features), factorial_shapes)
    np.testing.assert_allclose(matrix.values, np.tile(matrix.chance, (5, 1)), atol=1e-12)


@pytest.mark.parametrize("kind", FAST)
def test_noise_tells_nothing_within_its_error(factorial_shapes, random, kind):
    noise = random.standard_normal((len(factorial_shapes), 16)).astype(np.float32)
    matrix = trust_matrix({"shape": noise}, factorial_shapes, kind)
    spread = np.sqrt(matrix.chance * (1 - matrix.chance) / 1260)
    assert (np.abs(matrix.values[0] - matrix.chance) < 4 * spread).all()


@pytest.mark.parametrize("kind", FAST)
def test_a_noisy_channel_is_read_at_its_bayes_accuracy(random, kind):
    labels = random.integers(0, 5, 12_000)
    seen = np.where(random.random(12_000) < 0.3, random.integers(0, 5, 12_000), labels)
    splits = {
        "train": np.arange(5000),
        "calibration": np.arange(5000, 7000),
        "test": np.arange(7000, 12_000),
    }
    features = one_hot(seen) if kind != "knn" else seen[:, None] + 0.01 * random.random((12_000, 1))
    found = accuracy(features.astype(np.float32), labels, kind, splits)
    assert found == pytest.approx(0.76, abs=4 * np.sqrt(0.76 * 0.24 / 5000))


def xor(random, count: int = 1200) -> tuple[np.ndarray, np.ndarray]:
    points = random.uniform(-1, 1, (count, 2)).astype(np.float32)
    points += 0.15 * np.sign(points)  # a gap, so that the answer is never in doubt
    return points, ((points[:, 0] > 0) ^ (points[:, 1] > 0)).astype(int)


def test_xor_separates_linear_probes_from_the_others(random):
    features, labels = xor(random)
    for kind in ("ridge", "logistic"):
        assert accuracy(features, labels, kind) <= 0.75
    assert accuracy(features, labels, "mlp") >= 0.99
    assert accuracy(features, labels, "knn") >= 0.97


def test_ridge_is_the_closed_form(random):
    from sklearn.linear_model import Ridge

    from kernel_lib.trust.ridge import _Products

    features = random.standard_normal((1200, 7)).astype(np.float32) * 3 + 1
    labels = random.integers(0, 4, 1200)
    design = Design(features, *SPLITS.values())
    values = (features - features[:600].mean(axis=0)) / features[:600].std(axis=0)
    sides = np.eye(4)[labels[:800]]
    sides -= sides.mean(axis=0)
    expected = Ridge(alpha=0.1 * 800, fit_intercept=False).fit(values[:800], sides)
    found = _Products(design).solve(
        slice(0, 800), sides.astype(np.float32), [0.1], slice(800, None)
    )
    np.testing.assert_allclose(found[0], expected.predict(values[800:]), atol=2e-5)


@pytest.mark.parametrize("kind", ["ridge", "knn"])
def test_wide_and_narrow_systems_agree(random, kind):
    """Columns that repeat change nothing but which system is solved."""
    centres = random.standard_normal((4, 200))
    labels = random.integers(0, 4, 150)
    narrow = (centres[labels] + 2 * random.standard_normal((150, 200))).astype(np.float32)
    wide = np.concatenate([narrow, narrow], axis=1)
    splits = {"train": np.arange(60), "calibration": np.arange(60, 90), "test": np.arange(90, 150)}
    assert Design(wide, *splits.values()).is_wide
    from_wide = probe(wide, labels, splits, kind).predictions
    narrow_design = _Narrow(narrow, *splits.values())
    from_narrow = read_all(narrow_design, [Target(labels, 4)], kind)[0].predictions
    if kind == "knn":
        np.testing.assert_array_equal(from_wide, from_narrow)
    assert (from_wide == from_narrow).mean() > 0.9


class _Narrow(Design):
    """A design that takes the other way, whatever its shape."""

    is_wide = False


def test_features_in_blocks_are_the_same(random, monkeypatch):
    features = random.standard_normal((300, 500)).astype(np.float32)
    splits = [np.arange(100), np.arange(100, 150), np.arange(150, 300)]
    whole = Design(features, *splits)
    expected = whole.gram
    monkeypatch.setattr("kernel_lib.trust.design.BLOCK_FLOATS", 3000)
    np.testing.assert_allclose(Design(features, *splits).gram, expected, rtol=1e-4, atol=1e-2)
    np.testing.assert_allclose(
        Design(features, *splits).statistics[1], features[:100].std(axis=0), rtol=1e-4
    )


@pytest.mark.parametrize("kind", FAST)
def test_shift_scale_and_order_of_features_do_not_matter(random, kind):
    labels = random.integers(0, 3, 1200)
    features = (one_hot(labels) + random.standard_normal((1200, 3))).astype(np.float32)
    plain = probe(features, labels, SPLITS, kind).predictions
    moved = probe(features[:, ::-1] * 50 - 20, labels, SPLITS, kind).predictions
    assert (plain == moved).mean() > 0.99


@pytest.mark.parametrize("kind", [*FAST, "mlp"])
def test_the_same_seed_gives_the_same_answers(random, kind):
    features, labels = xor(random, 300)
    splits = {
        "train": np.arange(150),
        "calibration": np.arange(150, 200),
        "test": np.arange(200, 300),
    }
    one, two = (probe(features, labels, splits, kind, seed=4) for _ in range(2))
    np.testing.assert_array_equal(one.predictions, two.predictions)
    assert one.log_loss == two.log_loss


@pytest.mark.parametrize("kind", FAST)
def test_tasks_together_are_read_as_one_by_one(random, kind):
    labels = random.integers(0, 3, (2, 1200))
    features = (one_hot(labels[0]) + random.standard_normal((1200, 3))).astype(np.float32)
    design = Design(features, *SPLITS.values())
    both = read_all(design, [Target(each, 3) for each in labels], kind)
    for each, reading in zip(labels, both, strict=True):
        alone = read_all(design, [Target(each, 3)], kind)[0]
        assert (reading.predictions == alone.predictions).mean() > 0.999


@pytest.mark.parametrize("kind", FAST)
def test_images_with_a_missing_label_are_left_out(random, kind):
    labels = random.integers(0, 3, 1200)
    features = one_hot(labels)
    partly = np.where(random.random(1200) < 0.3, -1, labels)
    # Were missing labels learned from, features of noise would take their place.
    features[partly < 0] = random.standard_normal((int((partly < 0).sum()), 3))
    reading = probe(features, partly, SPLITS, kind)
    tested = partly[800:] >= 0
    assert (reading.predictions[800:] == -1)[~tested].all()
    assert (reading.predictions[800:] == partly[800:])[tested].all()


def test_a_class_absent_from_the_test_split_still_counts(random):
    labels = random.integers(0, 3, 1200)
    labels[800:] %= 2
    reading = probe(one_hot(labels), labels, SPLITS, num_classes=3)
    assert (reading.predictions[800:] == labels[800:]).all()


def test_log_loss_is_that_of_the_channel(random):
    labels = random.integers(0, 2, 12_000)
    seen = np.where(random.random(12_000) < 0.2, 1 - labels, labels)
    splits = {
        "train": np.arange(5000),
        "calibration": np.arange(5000, 7000),
        "test": np.arange(7000, 12_000),
    }
    entropy = -(0.2 * np.log2(0.2) + 0.8 * np.log2(0.8))
    for kind in ("ridge", "logistic"):
        assert probe(one_hot(seen), labels, splits, kind).log_loss == pytest.approx(
            entropy, abs=0.02
        )


def test_features_that_are_wrong_are_named(factorial_shapes):
    count = len(factorial_shapes)
    features = np.zeros((count, 4), np.float32)
    features[7, 2] = np.nan
    with pytest.raises(ValueError, match="NaN or infinite"):
        trust_matrix({"shape": features}, factorial_shapes)
    with pytest.raises(ValueError, match="one row of features for each image"):
        trust_matrix({"shape": features[:50]}, factorial_shapes)
    with pytest.raises(ValueError, match="shape \\(num_images, num_features\\)"):
        trust_matrix({"shape": features[:, 0]}, factorial_shapes)
    with pytest.raises(ValueError, match="`features` must be one of"):
        trust_matrix({"taste": features}, factorial_shapes)
    with pytest.raises(ValueError, match="`probe` must be one of"):
        trust_matrix({"shape": features}, factorial_shapes, "forest")


def test_matrices_scores_and_probes_need_no_tensorflow():
    code = (
        "import sys, numpy as np, kernel_lib as kl\n"
        "images = kl.data.load('shapes', size=24, num_images=400)\n"
        "features = {'shape': np.eye(5)[images.tasks['shape']].astype('float32')}\n"
        "for kind in ('ridge', 'logistic', 'knn'):\n"
        "    matrix = kl.trust.trust_matrix(features, images, kind)\n"
        "kl.trust.trust_score(matrix, kl.trust.ideal_matrix(images, rows=['shape']))\n"
        "kl.trust.TrustResult\n"
        "assert not {'tensorflow', 'keras'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
