"""The treatment: both losses move the trunk, by finite differences; degenerate ones are refused;
a killed treatment ends at the same weights."""

from __future__ import annotations

import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from kernel_lib.doctor import diagnose, treat
from kernel_lib.doctor.batches import Batches, backgrounds
from kernel_lib.doctor.course import Course
from kernel_lib.doctor.diagnosis import Diagnosis
from kernel_lib.doctor.recipe import Recipe
from kernel_lib.doctor.treat import Practice, Schedule
from kernel_lib.models.augmentation import Augmentation
from kernel_lib.models.copying import copied
from kernel_lib.network.weights import value_of

from .conftest import CHANNELS, CLASSES, pooled_network, two_layer_network

FAST = {"epochs": 2, "batch_size": 16, "progress": False}


@pytest.fixture(scope="module")
def classifier():
    return two_layer_network()


def a_diagnosis(tap="conv2", layers=("conv1", "conv2")):
    """Made up, so that no training is needed."""
    rng = np.random.default_rng(0)
    channels = {"conv1": 3, "conv2": CHANNELS}
    averages = {name: rng.random((CLASSES, channels.get(name, CHANNELS))) for name in layers}
    return Diagnosis(averages, tap, np.zeros(()), np.zeros(()), np.zeros(()), (), "mean", {})


def weights_of(classifier):
    return [np.array(weight) for weight in classifier.model.get_weights()]


def moved(before, after):
    return [not np.array_equal(b, a) for b, a in zip(before, after, strict=True)]


@pytest.mark.parametrize(
    ("alpha", "beta", "reading"),
    [(1, 0, "gradient"), (0, 1, "gradient"), (0, 1, "gradient_x_activation")],
)
def test_each_loss_moves_the_trunk_without_cross_entropy(classifier, images, alpha, beta, reading):
    recipe = Recipe("conv2", alpha=alpha, beta=beta, entropy=0, reading=reading)
    practice = Practice(classifier, images, a_diagnosis(), recipe)
    treated = practice.run(Schedule(epochs=1, batch_size=16), progress=False)
    before, after = weights_of(classifier), weights_of(treated.classifier)
    trunk = moved(before, after)[:4]  # kernels and biases of both convolutions
    assert all(trunk)


def test_gradients_of_the_losses_agree_with_finite_differences(images):
    classifier = two_layer_network(seed=4)
    recipe = Recipe("conv2", alpha=0.7, beta=0.9, entropy=0.0, target="log_prob", scaling="none")
    course = Course(copied(classifier), recipe, a_diagnosis().relies("conv2"))
    train = images.train.select(np.arange(6))
    background, has_mask = backgrounds(train, (8, 8))
    batch = Batches(train.images, train.labels, background, has_mask, batch_size=6, seed=0)
    (pictures, outside, owned), labels = batch.at(np.arange(6))

    def loss():
        return course.losses_of(tf.constant(pictures), outside, owned, labels)[1]["loss"]

    for weight in (
        course.network.get_layer("conv1").kernel,
        course.network.get_layer("logits").kernel,
    ):
        with tf.GradientTape() as tape:
            value = loss()
        slope = tape.gradient(value, weight.value).numpy()
        direction = np.sign(slope) * (np.abs(slope) > np.quantile(np.abs(slope), 0.8))
        start, step = weight.numpy(), 1e-4
        weight.assign(start + step * direction)
        high = float(loss())
        weight.assign(start - step * direction)
        low = float(loss())
        weight.assign(start)
        assert (high - low) / (2 * step) == pytest.approx((slope * direction).sum(), rel=0.03)


def test_the_spatial_loss_before_pooling_is_the_heads_weights(images):
    classifier = pooled_network()
    recipe = Recipe("conv1", alpha=0.0, beta=1.0, target="logit", reading="gradient")
    course = Course(copied(classifier), recipe, np.ones((CLASSES, CHANNELS)))
    pictures = np.random.default_rng(0).random((4, 6, 6, 2), np.float32)
    labels = np.array([0, 1, 2, 0], np.int32)
    outside = np.zeros((4, 6, 6), np.float32)
    outside[:, :2] = 1  # a third
    found = course.losses_of(tf.constant(pictures), outside, np.ones(4, np.float32), labels)[1]
    kernel = np.abs(classifier.model.get_layer("logits").kernel.numpy())
    wanted = kernel.sum(axis=0)[labels].mean() / 3
    assert float(found["spatial"]) == pytest.approx(wanted, rel=1e-5)


def two_class_set(classifier, images):
    from kernel_lib.data import ImageSet

    pictures = np.random.default_rng(0).random((30, 6, 6, 2), np.float32)
    masks = np.zeros((30, 6, 6), bool)
    masks[:, :3] = True
    return ImageSet(pictures, np.arange(30) % CLASSES, masks=masks)


def test_a_gradient_that_is_the_same_everywhere_is_refused(images):
    classifier = pooled_network()
    data = two_class_set(classifier, images)
    diagnosis = a_diagnosis("conv1", ("conv1",))
    diagnosis.averages["conv1"] = np.random.default_rng(0).random((CLASSES, CHANNELS))
    with pytest.raises(ValueError, match="same at every place .*gradient_x_activation"):
        treat(classifier, data, diagnosis, alpha=0, beta=1, reading="gradient", **FAST)
    treated = treat(classifier, data, diagnosis, alpha=0, beta=1, **FAST)
    assert moved(weights_of(classifier), weights_of(treated.classifier))[0]


def test_a_raw_logit_that_reaches_only_the_head_is_refused(classifier, images):
    with pytest.raises(ValueError, match="no gradient at any convolution"):
        treat(classifier, images, a_diagnosis(), alpha=1, beta=0, target="logit", **FAST)
    shallow = treat(
        classifier, images, a_diagnosis("conv1"), alpha=1, beta=0, target="logit", **FAST
    )
    assert moved(weights_of(classifier), weights_of(shallow.classifier))[2]


def test_paper_mode_needs_batch_normalisation_to_do_anything(classifier, images):
    with pytest.raises(ValueError, match="no gradient at any convolution"):
        treat(classifier, images, a_diagnosis(), mode="paper", **FAST)
    with_norm = two_layer_network(norm=True)
    treated = treat(with_norm, images, a_diagnosis("conv1"), mode="paper", **FAST)
    assert treated.recipe.alpha == 10
    assert treated.recipe.aggregate == "relu"
    assert treated.recipe.target == "logit"


def test_alpha_and_beta_zero_are_plain_fine_tuning(classifier, images):
    treated = treat(classifier, images, a_diagnosis(), alpha=0, beta=0, **FAST)
    plain = copied(classifier).model
    train = images.train
    steps = -(-len(train) // 16) * 2
    rate = keras.optimizers.schedules.CosineDecay(0.01, steps)
    optimizer = keras.optimizers.SGD(rate, momentum=0.9, global_clipnorm=1.0)
    for epoch in range(2):
        order = np.random.default_rng([0, epoch]).permutation(len(train))
        for start in range(0, len(order), 16):
            places = order[start : start + 16]
            with tf.GradientTape() as tape:
                logits = plain(train.images[places], training=True)
                loss = tf.reduce_mean(
                    tf.nn.sparse_softmax_cross_entropy_with_logits(train.labels[places], logits)
                )
            slopes = tape.gradient(loss, [weight.value for weight in plain.trainable_variables])
            optimizer.apply_gradients(zip(slopes, plain.trainable_variables, strict=True))
    for mine, theirs in zip(weights_of(treated.classifier), plain.get_weights(), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-6)


class Kill(keras.callbacks.Callback):
    """Ends the process, as far as a test can."""

    def on_train_batch_end(self, batch, logs=None):
        if self.params["epochs"] and batch == 1 and self.epoch == 2:
            raise KeyboardInterrupt

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch


@pytest.mark.parametrize(
    ("patience", "augment"), [(None, "none"), (3, "none"), (None, "crop1_flip")]
)
def test_a_killed_treatment_ends_at_the_same_weights(images, tmp_path, patience, augment):
    classifier = two_layer_network(dropout=0.3, norm=True)
    settings = {"epochs": 4, "batch_size": 16, "progress": False, "patience": patience}
    settings |= {"augment": augment, "beta": 1}
    whole = treat(classifier, images, a_diagnosis("conv1"), folder=tmp_path / "a", **settings)
    with pytest.raises(KeyboardInterrupt):
        treat(
            classifier, images, a_diagnosis("conv1"), folder=tmp_path / "b", callbacks=[Kill()],
            **settings,
        )  # fmt: skip
    resumed = treat(classifier, images, a_diagnosis("conv1"), folder=tmp_path / "b", **settings)
    again = treat(classifier, images, a_diagnosis("conv1"), folder=tmp_path / "a", **settings)
    for other in (resumed, again):
        assert other.history == whole.history
        for one, two in zip(
            weights_of(whole.classifier), weights_of(other.classifier), strict=True
        ):
            np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize(("name", "message"), [("logits", "loss"), ("conv1", "loss|weights")])
def test_what_is_no_number_stops_and_good_weights_are_kept(classifier, images, name, message):
    class Break(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                self.kept = [value_of(v) for v in self.model.network.variables]
                weight = self.model.network.get_layer(name).kernel
                weight.assign(np.full(weight.shape, np.nan))

    breaking = Break()
    treated = treat(
        classifier, images, a_diagnosis(), epochs=4, batch_size=16, callbacks=[breaking],
        progress=False,
    )  # fmt: skip
    assert re.search(f"The ({message}) held no finite number in epoch 2", treated.notes[-1])
    assert len(treated.history) == 1
    for good, kept in zip(breaking.kept, treated.classifier.model.variables, strict=True):
        np.testing.assert_array_equal(good, value_of(kept))


def test_the_original_stays_and_is_never_overwritten(classifier, images, tmp_path):
    before = classifier.digest
    treated = treat(classifier, images, a_diagnosis(), **FAST)
    assert classifier.digest == before
    assert treated.classifier.name == "two_layer_md"
    assert treated.save(tmp_path).name == "two_layer_md.keras"
    with pytest.raises(FileExistsError, match="not overwritten"):
        treated.save(tmp_path)


def test_the_same_seed_gives_the_same_bytes(classifier, images):
    one, two = (treat(classifier, images, a_diagnosis(), **FAST) for _ in range(2))
    other = treat(classifier, images, a_diagnosis(), seed=1, **FAST)
    assert one.classifier.digest == two.classifier.digest != other.classifier.digest


def test_small_images_get_no_spatial_loss_unless_asked(classifier, images):
    treated = treat(classifier, images, a_diagnosis(), **FAST)
    assert treated.recipe.beta == 0
    assert "too small for the spatial loss" in treated.notes[0]
    from dataclasses import replace

    bare = replace(images, masks=None)
    with pytest.raises(ValueError, match="no training image has a mask"):
        treat(classifier, bare, a_diagnosis(), beta=1, **FAST)
    assert "No training image has a mask" in treat(classifier, bare, a_diagnosis(), **FAST).notes[0]


def test_masked_images_fill_their_share_of_each_batch():
    has_mask = np.zeros(40)
    has_mask[:3] = 1
    batches = Batches(
        np.zeros((40, 2, 2, 1)), np.arange(40) % 2, np.zeros((40, 1, 1)), has_mask,
        batch_size=8, seed=0, masked_share=0.25,
    )  # fmt: skip
    assert len(batches) == 5
    shares = [inputs[2].numpy().mean() for inputs, _ in batches.dataset(0, 1)]
    assert len(shares) == 5
    assert min(shares) >= 0.25


def test_masks_are_moved_with_their_images():
    """The masks are where the images are bright, so after any move they must be there still."""
    rng = np.random.default_rng(0)
    masks = rng.random((40, 8, 8)) > 0.6
    masks[:4] = False
    pictures = masks[..., None].astype(np.float32)
    background = 1 - pictures[..., 0] * 1.0
    background[:4] = 0
    batches = Batches(
        pictures, np.arange(40), background, masks.any(axis=(1, 2)), batch_size=16, seed=0,
        augment=Augmentation(crop=2, flip=True, rotate=30.0), masks=masks,
    )  # fmt: skip
    epochs = [list(batches.dataset(epoch, epoch + 1)) for epoch in (0, 0, 1)]
    for (moved, outside, owned), labels in epochs[0]:
        np.testing.assert_array_equal(owned.numpy() > 0, labels.numpy() >= 4)
        inside = owned.numpy()[:, None, None] * (1 - moved.numpy()[..., 0])
        np.testing.assert_array_equal(outside.numpy(), inside)
        assert not np.array_equal(moved.numpy(), pictures[labels.numpy()])
    first, again, later = (epoch[0][0][0].numpy() for epoch in epochs)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, later)


def test_an_object_that_leaves_the_picture_leaves_no_mask():
    masks = np.zeros((64, 6, 6), bool)
    masks[:, 0, 0] = True
    batches = Batches(
        np.zeros((64, 6, 6, 1), np.float32), np.zeros(64), 1.0 - masks, np.ones(64),
        batch_size=64, seed=0, augment=Augmentation(crop=1), masks=masks,
    )  # fmt: skip
    _, outside, owned = batches.at(np.arange(64), 0)[0]
    assert 0.2 < owned.mean() < 0.8
    np.testing.assert_array_equal(outside.sum(axis=(1, 2)), owned * 35)


def test_a_treatment_with_moves_is_another_one(classifier, images):
    plain, moving = (
        treat(classifier, images, a_diagnosis(), augment=name, **FAST) for name in ("none", "crop1")
    )
    assert plain.classifier.digest != moving.classifier.digest
    with pytest.raises(ValueError, match="`augment` must be 'none', 'auto'"):
        treat(classifier, images, a_diagnosis(), augment="mirror", **FAST)
    with pytest.raises(TypeError, match="because masks are moved too"):
        treat(classifier, images, a_diagnosis(), augment=lambda images, seed: images, **FAST)


def test_backgrounds_are_averaged_by_area(images):
    shares, has_mask = backgrounds(images, (2, 2))
    owned = images.masks.any(axis=(1, 2))
    np.testing.assert_array_equal(has_mask > 0, owned)
    wanted = 1 - images.masks[owned].mean(axis=(1, 2))
    np.testing.assert_allclose(shares[owned].mean(axis=(1, 2)), wanted, atol=1e-6)


def test_wrong_settings_are_refused(classifier, images):
    with pytest.raises(ValueError, match="does not cover the tap 'relu2'"):
        treat(classifier, images, a_diagnosis(), tap="relu2", **FAST)
    with pytest.raises(ValueError, match="`mode` must be one of"):
        treat(classifier, images, a_diagnosis(), mode="seed", **FAST)
    with pytest.raises(ValueError, match="`learning_rate` must be above 0"):
        treat(classifier, images, a_diagnosis(), learning_rate=0, progress=False)
    with pytest.raises(ValueError, match="have 2 classes"):
        from kernel_lib.data import ImageSet

        treat(classifier, ImageSet(images.images, images.labels % 2), a_diagnosis(), **FAST)


def test_a_diagnosis_is_made_where_none_is_given(images):
    classifier = two_layer_network(seed=2)
    head = classifier.model.get_layer("logits")
    head.bias.assign(head.bias - classifier.logits(images.images).mean(axis=0))
    from kernel_lib.data import ImageSet

    seen = ImageSet(images.images, classifier.predict(images.images), masks=images.masks)
    diagnosis = diagnose(classifier, seen, min_confidence=0, progress=False)
    treated = treat(classifier, seen, diagnosis, **FAST)
    assert treated.recipe.tap == "conv2"
