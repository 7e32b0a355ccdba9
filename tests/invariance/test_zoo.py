"""Plans, draws and training of a zoo; the whole goes on where it was."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import tensorflow as tf

from kernel_lib.data import load
from kernel_lib.invariance import zoo
from kernel_lib.invariance.zoo import stacked
from kernel_lib.invariance.zoo.build import _Outlook
from kernel_lib.invariance.zoo.draws import draw_epoch, training_indices
from kernel_lib.invariance.zoo.recipes import DEFECTS, ModelRecipe
from kernel_lib.invariance.zoo.stacked import can_stack
from kernel_lib.invariance.zoo.trainer import assign, initial_weights, template, train_together
from kernel_lib.models import build as build_network
from kernel_lib.tasks import Task

LABELS = np.arange(200) % 10


def epoch_of(recipe, epoch=0, labels=LABELS):
    indices = training_indices(recipe, labels, 150, 50)
    return draw_epoch(recipe, epoch, indices, labels, (8, 8), 10)


def used(drawn) -> np.ndarray:
    return drawn.order[drawn.weights > 0]


# --- plans ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("partition", "abcd")
def test_partitions_have_their_size_and_names(partition):
    recipes = zoo.plan(partition)
    assert len(recipes) == len({recipe.name for recipe in recipes}) == 150
    assert sum(recipe.held_out for recipe in recipes) == 50
    first = {"a": "1", "b": "101", "c": "201", "d": "301"}[partition]
    assert recipes[0].name == first
    assert recipes[100].name == f"t{first}"
    assert {recipe.network for recipe in recipes} == {"cnn5" if partition == "d" else "vgg13_bn"}


def test_the_regular_recipes_have_the_recorded_marginals():
    recipes = [recipe for recipe in zoo.plan("b") if not recipe.held_out]
    rates = Counter(recipe.learning_rate for recipe in recipes)
    assert rates == {1e-4: 82, 1e-5: 13, 1e-2: 3, 1e-3: 2}
    shares = Counter(recipe.max_augment for recipe in recipes)
    assert (shares[0.0], shares[0.2], shares[0.9]) == (6, 2, 7)


def test_rotations_translate_from_brightness():
    pairs = zip(zoo.plan("a"), zoo.plan("b"), strict=True)
    degrees = {0.0: 0.0, 0.1: 5.0, 0.2: 10.0, 0.3: 15.0, 0.4: 20.0, 0.9: 90.0}
    for a, b in pairs:
        assert a.max_augment == degrees[b.max_augment]
        assert (a.epochs, a.defect, a.learning_rate) == (b.epochs, b.defect, b.learning_rate)


def test_the_small_plan_has_all_defects_on_both_sides():
    recipes = zoo.small_plan("rotation", 52)
    assert {recipe.defect for recipe in recipes} == set(DEFECTS)
    assert {recipe.held_out for recipe in recipes} == {True, False}
    assert ModelRecipe.read(recipes[3].describe()) == recipes[3]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"defect": "bad"}, "`defect` must be one of"),
        ({"amount": 2.0}, "`amount` must lie"),
        ({"epochs": 0}, "`epochs` must be at least 1"),
    ],
)
def test_recipes_are_checked(change, message):
    with pytest.raises(ValueError, match=message):
        ModelRecipe("x", **change)


# --- draws ----------------------------------------------------------------------------------------


def test_a_draw_depends_on_seed_and_epoch_alone():
    recipe = ModelRecipe("x", seed=3, batch_size=32)
    first, again, later = epoch_of(recipe), epoch_of(recipe), epoch_of(recipe, 1)
    assert np.array_equal(first.order, again.order)
    assert np.array_equal(first.moves, again.moves)
    assert not np.array_equal(first.order, later.order)
    assert sorted(used(first)) == list(range(150))


def test_defects_of_the_data():
    def indices(**options):
        return training_indices(ModelRecipe("x", **options), LABELS, 150, 50)

    assert len(indices(defect="less_data", amount=0.2)) == 30
    kept = LABELS[indices(defect="class_imbalance", amount=0.0, target_class=3)]
    assert set(kept) == set(range(10)) - {3}
    leaked = indices(defect="leakage", amount=0.5)
    assert (leaked >= 150).sum() == 25


def test_defects_of_the_order_and_the_labels():
    fixed = epoch_of(ModelRecipe("x", defect="fixed_order"))
    assert used(fixed).tolist() == list(range(150))
    by_class = epoch_of(ModelRecipe("x", defect="class_by_class"))
    assert (np.diff(LABELS[used(by_class)]) >= 0).all()
    noisy = epoch_of(ModelRecipe("x", defect="label_noise", amount=1.0))
    wrong = (noisy.labels != LABELS[noisy.order])[noisy.weights > 0].mean()
    assert 0.8 < wrong < 0.98  # nine tenths of labels drawn anew are wrong
    images = epoch_of(ModelRecipe("x", defect="image_noise", amount=0.5))
    assert 0.35 < images.is_noise[images.weights > 0].mean() < 0.65


def test_one_sided_augmentation_leaves_out_the_lower_part():
    recipe = ModelRecipe("x", augment="brightness", max_augment=0.4, defect="one_sided", amount=0.5)
    drawn = epoch_of(recipe)
    factors = drawn.factors[drawn.weights > 0]
    assert 1.0 <= factors.min() < 1.05
    assert 1.35 < factors.max() <= 1.4
    turned = epoch_of(replace(recipe, augment="rotation", max_augment=20.0, amount=0.75))
    angles = np.degrees(np.arctan2(turned.moves[..., 3], turned.moves[..., 0]))
    assert angles[turned.weights > 0].min() >= 10


def test_augmentation_stays_in_its_range_and_holes_stay_empty():
    random = epoch_of(ModelRecipe("x", max_augment=5.0, augment="rotation"))
    angles = np.degrees(np.arctan2(random.moves[..., 3], random.moves[..., 0]))
    angles = angles[random.weights > 0]
    assert np.abs(angles).max() <= 5
    holes = epoch_of(ModelRecipe("x", max_augment=5.0, defect="augment_holes"))
    angles = np.degrees(np.arctan2(holes.moves[..., 3], holes.moves[..., 0]))
    seen = set(np.rint(angles[holes.weights > 0]).astype(int))
    assert len(set(range(-5, 6)) - seen) >= 2
    bright = epoch_of(ModelRecipe("x", augment="brightness", max_augment=0.3))
    factors = bright.factors[bright.weights > 0]
    assert 0.7 <= factors.min() < 0.8
    assert 1.2 < factors.max() <= 1.3


# --- training -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def digits():
    return load("digits", num_images=300)


@pytest.fixture(scope="module")
def recipes():
    plain = ModelRecipe("plain", network="small_cnn", augment="none", epochs=3, seed=1)
    return [plain, replace(plain, name="turned", augment="rotation", epochs=4, seed=2)]


@pytest.fixture(scope="module")
def trained(digits, recipes):
    return train_together(recipes, digits)


def test_a_stack_learns_and_gives_the_same_bytes_again(digits, recipes, trained):
    again = train_together(recipes, digits)
    for first, second in zip(trained, again, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    classifier = template("small_cnn", digits.image_shape, 10)
    assign(classifier, trained[0])
    assert classifier.accuracy(digits.test.images, digits.test.labels) > 0.5


def test_a_network_trains_in_a_stack_as_alone(digits, recipes, trained):
    """`small_cnn` draws no dropout, so only rounding differs."""
    for position in range(2):
        alone = train_together(recipes[position : position + 1], digits)[0]
        for a, b in zip(alone, trained[position], strict=True):
            np.testing.assert_allclose(a, b, atol=2e-4)


def test_stacked_logits_are_those_of_the_networks(digits):
    from kernel_lib.invariance.zoo.stacked import StackedNetworks

    classifier = template("small_cnn", digits.image_shape, 10)
    weights = [initial_weights(classifier, seed) for seed in (5, 6, 7)]
    stack = StackedNetworks(classifier, weights)
    images = digits.images[:6].reshape(3, 2, 28, 28, 1)
    together = stack.logits(images, np.array([0, 0], np.int32)).numpy()
    for k in range(3):
        assign(classifier, weights[k])
        np.testing.assert_allclose(together[k], classifier.logits(images[k]), atol=1e-5)
    stack._grouped = False
    apart = stack.logits(images, np.array([0, 0], np.int32)).numpy()
    np.testing.assert_allclose(apart, together, atol=1e-5)


def test_which_networks_can_be_stacked():
    assert can_stack(build_network("cnn5", (28, 28, 1), 10).model)
    assert not can_stack(build_network("resnet20", (16, 16, 3), 4).model)


@pytest.mark.parametrize("grouped", [True, False])
def test_a_stack_has_the_gradients_of_each_network_alone(monkeypatch, grouped):
    """Both ways of many convolutions against Keras, where TensorFlow has both (see `_onednn`)."""
    if grouped and not stacked.grouped_gradients_work():
        pytest.skip("this TensorFlow runs without oneDNN")
    monkeypatch.setattr(stacked, "grouped_gradients_work", lambda: grouped)
    classifier = template("small_cnn", (24, 24, 1), 3)
    weights = [[w * (k + 1) for w in initial_weights(classifier, k)] for k in range(2)]
    images = np.random.default_rng(0).random((2, 4, 24, 24, 1), np.float32)
    networks = stacked.StackedNetworks(classifier, weights)
    with tf.GradientTape() as tape:
        logits = networks.logits(tf.constant(images), tf.constant([0, 0]))
        total = tf.reduce_sum(tf.square(logits))
    slopes = tape.gradient(total, networks.weights)
    for k in range(2):
        assign(classifier, weights[k])
        with tf.GradientTape() as tape:
            pixels = classifier.preprocessing.apply(tf.constant(images[k]))
            alone = classifier.model(pixels)
            total = tf.reduce_sum(tf.square(alone))
        expected = tape.gradient(total, [v.value for v in classifier.model.trainable_variables])
        np.testing.assert_allclose(logits[k], alone, rtol=1e-4, atol=1e-5 * np.abs(alone).max())
        for slope, own in zip(slopes, expected, strict=True):
            assert np.abs(own).max() > 0
            np.testing.assert_allclose(slope[k], own, rtol=1e-4, atol=1e-5 * np.abs(own).max())


def test_networks_that_cannot_be_stacked_are_trained_alone(digits):
    recipe = ModelRecipe("deep", network="resnet20", epochs=1, defect="less_data", amount=0.3)
    classifier = template("resnet20", digits.image_shape, 10)
    before = initial_weights(classifier, recipe.seed)
    after = train_together([recipe], digits)[0]
    assert len(before) == len(after)
    assert any(not np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def test_adversarial_and_noisy_training_differ_from_plain(digits, recipes, trained):
    for change in ({"adversarial": True}, {"defect": "image_noise", "amount": 0.5}):
        other = train_together([replace(recipes[0], epochs=1, **change)], digits)[0]
        plain = train_together([replace(recipes[0], epochs=1)], digits)[0]
        assert any(not np.allclose(a, b) for a, b in zip(other, plain, strict=True))


def test_a_loss_that_is_no_number_is_named(digits, recipes):
    wild = replace(recipes[0], name="wild", learning_rate=1e30)
    with pytest.raises(ValueError, match="Training of wild failed in epoch"):
        train_together([wild], digits)


def test_networks_that_differ_in_kind_are_not_trained_together(digits, recipes):
    with pytest.raises(ValueError, match="share network, batch size"):
        train_together([recipes[0], replace(recipes[1], batch_size=8)], digits)


# --- the whole ------------------------------------------------------------------------------------


OPTIONS = {"data": "digits", "num_data": 300, "transform": "scaling", "num_images": 40,
           "num_truth": 60, "progress": False}  # fmt: skip


@pytest.fixture(scope="module")
def small_zoo(tmp_path_factory):
    plan = [
        replace(r, network="small_cnn", epochs=min(r.epochs, 3), adversarial=False)
        for r in zoo.small_plan("scaling", 6)
    ]
    folder = tmp_path_factory.mktemp("zoo")
    return zoo.build(plan, folder, group_size=4, **OPTIONS), plan, folder


def test_a_zoo_has_a_row_for_each_network(small_zoo):
    built, plan, _ = small_zoo
    assert sorted(built.models.name) == sorted(recipe.name for recipe in plan)
    assert built.features.shape == (6, 80)
    assert np.isfinite(built.features).all()
    assert not built.run.failed
    assert built.data["num_images"] == 300
    assert built.data["digest"] == load("digits", num_images=300).digest


def outlook_after(monkeypatch, capsys, tmp_path, seconds, workers=0, kept=()):
    """What is said once the first of three groups is measured, after so many seconds."""
    recipes = [ModelRecipe(f"n{n}", "cnn5", epochs=epochs) for n, epochs in enumerate([4, 4, 2])]
    groups = [[recipe] for recipe in recipes]
    tasks = [Task(f"measure{n}", "a:b", {"n": n}) for n in range(3)]
    for n in kept:
        tasks[n].path(tmp_path).parent.mkdir(parents=True, exist_ok=True)
        tasks[n].path(tmp_path).touch()
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    outlook = _Outlook(groups, tasks, tmp_path, workers)
    done = {}
    for task, at in [(Task("train", "a:b", {}), 1), *((task, seconds) for task in tasks)]:
        clock[0] = at
        done[task.key] = ""
        outlook.told(done)
    return capsys.readouterr().err


def test_a_zoo_says_after_its_first_group_what_the_others_take(monkeypatch, capsys, tmp_path):
    told = partial(outlook_after, monkeypatch, capsys, tmp_path)
    assert told(1000).count("others take about 25 min") == 1  # 6 of 4 epochs: 1,500 s
    assert "The first of 3 groups took 17 min" in told(1000)
    assert "others take about 12 min" in told(1000, workers=2)
    assert told(10) == ""  # short
    assert told(1000, workers="tcp://there") == ""  # nobody knows
    assert "of 2 groups took 17 min; the others take about 8 min" in told(1000, kept=[0])


def test_a_zoo_goes_on_where_it_was(small_zoo):
    built, plan, folder = small_zoo
    again = zoo.build(plan, folder, group_size=4, **OPTIONS)
    assert again.run.done == built.run.done
    assert np.array_equal(again.features, built.features)


@pytest.mark.parametrize("kind", ["two processes", "a Dask cluster of two"])
def test_the_same_bytes_from_wherever_it_was_built(small_zoo, tmp_path, kind):
    built, plan, _ = small_zoo
    if kind == "two processes":
        there = zoo.build(plan, tmp_path, group_size=4, workers=2, **OPTIONS)
    else:
        distributed = pytest.importorskip("distributed")
        with distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1"
        ) as cluster:
            address = cluster.scheduler_address
            there = zoo.build(plan, tmp_path, group_size=4, workers=address, **OPTIONS)
    assert there.run.done == built.run.done  # digests of all weights, signals and measurements
    assert np.array_equal(there.features, built.features)
