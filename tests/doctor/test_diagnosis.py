"""Average gradients against hand-computed ones, noise, thresholds and intervals."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from kernel_lib.data import ImageSet
from kernel_lib.doctor import Diagnosis, class_gradients, diagnose, find_samples
from kernel_lib.doctor.noise import noise_words, uniform_noise
from kernel_lib.doctor.reliance import overlap, scaled, share_of_classes, threshold_rule
from kernel_lib.doctor.treat import recipe_for
from kernel_lib.models import Classifier
from kernel_lib.tasks.record_file import read_record, write_record

from .conftest import two_layer_network

QUIET = {"min_confidence": 0.0, "progress": False}


@pytest.fixture(scope="module")
def classifier():
    return two_layer_network()


def as_predicted(classifier, images):
    """The same images, labelled as the network sees them: every class has right ones."""
    predicted = classifier.predict(images.images)
    return ImageSet(images.images, predicted, ("a", "b", "c"), splits=images.splits)


@pytest.fixture
def seen(classifier, images):
    shift = -classifier.logits(images.images).mean(axis=0)
    head = classifier.model.get_layer("logits")
    head.bias.assign(head.bias + shift)  # so that no class is left out
    return as_predicted(classifier, images)


def test_it_is_the_mean_over_each_classs_samples(classifier, seen):
    diagnosis = diagnose(classifier, seen, batch_size=7, **QUIET)
    assert diagnosis.layers == ("conv1", "conv2")
    indices = find_samples(classifier, seen, min_confidence=0.0, progress=False).indices("high")
    for tap in diagnosis.layers:
        every = class_gradients(classifier, seen.images[indices], tap=tap)
        for label in range(3):
            own = seen.labels[indices] == label
            wanted = every[own, label].mean(axis=0)
            np.testing.assert_allclose(diagnosis.averages[tap][label], wanted, rtol=1e-4, atol=1e-6)


def test_batches_and_no_noise_change_nothing(classifier, seen):
    one = diagnose(classifier, seen, batch_size=64, **QUIET)
    other = diagnose(classifier, seen, batch_size=5, noise=0.0, **QUIET)
    for tap in one.layers:
        np.testing.assert_allclose(one.averages[tap], other.averages[tap], rtol=1e-5)


def test_noise_belongs_to_the_image_not_to_the_batch(classifier, seen):
    one = diagnose(classifier, seen, batch_size=64, noise=0.2, num_draws=2, **QUIET)
    other = diagnose(classifier, seen, batch_size=5, noise=0.2, num_draws=2, **QUIET)
    plain = diagnose(classifier, seen, **QUIET)
    np.testing.assert_allclose(one.averages["conv1"], other.averages["conv1"], rtol=1e-4)
    assert not np.allclose(one.averages["conv1"], plain.averages["conv1"], rtol=1e-3)


def test_a_diagnosis_is_saved_and_loaded(classifier, seen, tmp_path):
    diagnosis = diagnose(classifier, seen, **QUIET)
    path = diagnosis.save(tmp_path / "diagnosis")
    again = Diagnosis.load(path)
    assert path.name == "diagnosis.npz"
    assert again.layers == diagnosis.layers
    for layer in diagnosis.layers:
        assert again.averages[layer].tobytes() == diagnosis.averages[layer].tobytes()
    assert again.channels().equals(diagnosis.channels())
    rest = ("tap", "class_names", "threshold", "parameters")
    assert all(getattr(again, name) == getattr(diagnosis, name) for name in rest)
    assert again.save(tmp_path / "again.npz").read_bytes() == path.read_bytes()
    recipes = [recipe_for(classifier, seen, each)[0] for each in (diagnosis, again)]
    assert recipes[0] == recipes[1]


def test_parts_of_a_diagnosis_are_no_diagnosis(classifier, seen, tmp_path):
    about, arrays = read_record(
        diagnose(classifier, seen, **QUIET).save(tmp_path / "d.npz"), "a diagnosis"
    )
    path = tmp_path / "part.npz"
    for name in arrays:
        parts = {key: value for key, value in arrays.items() if key != name}
        for changed in (parts, parts | {name: arrays[name][:-1]}):
            write_record(path, "a diagnosis", about, changed)
            with pytest.raises(ValueError, match=r"part\.npz is no whole diagnosis"):
                Diagnosis.load(path)
    for name in about:
        lacking = {key: value for key, value in about.items() if key != name}
        write_record(path, "a diagnosis", lacking, arrays)
        with pytest.raises(ValueError, match=r"part\.npz is no whole diagnosis"):
            Diagnosis.load(path)


def test_noise_is_uniform_and_centred():
    words = noise_words(np.random.default_rng(0).random((4, 2, 2, 1)), 7)
    noise = uniform_noise(tf.constant(words), [40, 40, 8], 123).numpy()
    assert noise.min() >= -1
    assert noise.max() < 1
    assert abs(noise.mean()) < 0.01
    assert noise.var() == pytest.approx(1 / 3, rel=0.02)
    assert np.abs(np.corrcoef(noise.reshape(4, -1)) - np.eye(4)).max() < 0.03
    flat = noise.reshape(4, -1)
    assert abs(np.corrcoef(flat[0, 1:], flat[0, :-1])[0, 1]) < 0.03


def test_a_network_without_convolution_is_refused(images):
    model = keras.Sequential(
        [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(3)]
    )
    with pytest.raises(ValueError, match="has no convolution"):
        diagnose(Classifier(model, head="logits"), images, **QUIET)


def test_a_class_without_samples_is_named(classifier, images):
    with pytest.raises(ValueError, match=r"at least 1.0 confidence .* images, accuracy"):
        diagnose(classifier, images, min_confidence=1.0, progress=False)


def test_rows_are_scaled_to_their_own_range():
    rows = scaled(np.array([[1.0, 2, 3], [5, 5, 5], [0, 1e-9, 2e-9]]))
    assert rows.min(axis=1).tolist() == [0, 0, 0]
    assert rows[0].max() < 1
    assert rows[1].tolist() == [0, 0, 0]
    np.testing.assert_allclose(rows[0], rows[2], rtol=1e-9)
    assert not threshold_rule("minmax:1")(rows).any()


@pytest.mark.parametrize(
    ("rule", "wanted"),
    [("minmax:0.2", [0, 1, 1, 1]), ("mean", [0, 0, 0, 1]), ("quantile:0.5", [0, 0, 1, 1])],
)
def test_thresholds(rule, wanted):
    row = np.array([[0.0, 2.1, 2.2, 9.0]])
    assert threshold_rule(rule)(row)[0].astype(int).tolist() == wanted


@pytest.mark.parametrize("rule", ["minmax", "minmax:2", "median:0.5", "mean:1"])
def test_other_thresholds_are_refused(rule):
    with pytest.raises(ValueError, match="`threshold` must be"):
        threshold_rule(rule)


def test_overlap_is_the_jaccard_index():
    relies = np.array([[1, 1, 0], [0, 1, 1], [0, 0, 0]], bool)
    found = overlap(relies)
    assert found[0, 1] == pytest.approx(1 / 3)
    assert found[0, 0] == 1
    assert found[2].tolist() == [0, 0, 0]


def test_intervals_hold_the_share_and_vanish_without_spread():
    sums = np.ones((3, 20, 4)) * np.array([0.0, 1, 2, 3])
    counts = np.ones((3, 20), int)
    share, low, high = share_of_classes(sums, counts, threshold_rule("minmax:0.5"))
    assert share.tolist() == low.tolist() == high.tolist() == [0, 0, 1, 1]
    noisy = np.random.default_rng(0).random((3, 20, 4))
    share, low, high = share_of_classes(noisy, counts, threshold_rule("mean"))
    assert ((low <= share) & (share <= high)).all()
    assert (high > low).any()


def test_the_network_stays_as_it_was(classifier, seen):
    before = classifier.digest
    diagnose(classifier, seen, noise=0.1, **QUIET)
    assert classifier.digest == before
