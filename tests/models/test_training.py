"""Training: it learns, moves every weight, repeats to the byte, goes on where it was killed."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from kernel_lib.data import ImageSet
from kernel_lib.models import Classifier, build, train
from kernel_lib.models.fitting import Fit
from kernel_lib.models.stopping import StopRule


def values(variables: list[keras.Variable]) -> list[np.ndarray]:
    return [variable.value.numpy().copy() for variable in variables]


def weights_of(classifier: Classifier) -> list[np.ndarray]:
    return values(classifier.model.weights)


def assert_same_weights(one: Classifier, two: Classifier) -> None:
    for first, second in zip(weights_of(one), weights_of(two), strict=True):
        np.testing.assert_array_equal(first, second)


def noisy(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    return images * tf.random.stateless_uniform((), seed, 0.5, 1.0)


noisy.recipe = "times 0.5 to 1"

# Dropout and augmentation draw numbers at every step: the hard case for repeating a training.
HARD = {"epochs": 4, "batch_size": 32, "seed": 5, "augment": noisy, "progress": False}


@pytest.fixture(scope="module")
def dropout_net() -> Classifier:
    return Classifier(
        keras.Sequential(
            [
                keras.Input((16, 16, 1)),
                keras.layers.Conv2D(4, 3, activation="relu", name="conv"),
                keras.layers.BatchNormalization(name="norm"),
                keras.layers.Dropout(0.3, name="dropout"),
                keras.layers.Flatten(name="flatten"),
                keras.layers.Dense(10, name="logits"),
            ]
        )
    )


def test_digits_are_learnt_in_a_few_epochs(digits: ImageSet) -> None:
    classifier = train("small_cnn", digits, epochs=5, progress=False)
    assert classifier.accuracy(digits.test.images, digits.test.labels) > 0.9
    assert classifier.class_names == digits.class_names
    history = classifier.history
    assert [entry["epoch"] for entry in history] == [1, 2, 3, 4, 5]
    assert history[-1]["loss"] < history[0]["loss"]
    held_out = digits.calibration
    assert history[-1]["validation_accuracy"] == classifier.accuracy(
        held_out.images, held_out.labels
    )


@pytest.mark.parametrize("name", ["mlp", "cnn", "small_cnn"])
def test_one_step_moves_every_trainable_weight(name: str) -> None:
    # Few channels of a batch this small stay silent, so the images fill the whole range.
    images = np.random.default_rng(0).random((32, 16, 16, 1), "float32")
    classifier = build(name, (16, 16, 1), 4)
    before = values(classifier.model.trainable_weights)
    fit = Fit(classifier, images, np.arange(32) % 4, batch_size=32, learning_rate=1e-3, seed=0)
    fit.run(fit.order())
    for weight, old in zip(values(classifier.model.trainable_weights), before, strict=True):
        assert not np.array_equal(weight, old)


def test_a_step_is_adam_on_the_mean_cross_entropy() -> None:
    """One step by hand: Adam's first step is the learning rate against each gradient's sign."""
    model = keras.Sequential(
        [
            keras.Input((1, 2, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(2, kernel_initializer="zeros", name="logits"),
        ]
    )
    images = np.array([[0.5, 1.0], [0.25, 0.0]], "float32").reshape(2, 1, 2, 1)
    fit = Fit(Classifier(model), images, np.array([0, 1]), batch_size=2, learning_rate=0.1, seed=0)
    entry = fit.run(fit.order())
    # All logits are 0: shares are 1/2, the loss is log 2, the gradient is the mean of
    # x (share - one-hot), which is ((-0.5 + 0.25) / 4, -1 / 4) for class 0, the opposite for 1.
    assert entry["loss"] == pytest.approx(np.log(2))
    assert entry["accuracy"] == 0.5  # ties go to the first class
    kernel, bias = values(model.weights)
    np.testing.assert_allclose(kernel, [[0.1, -0.1], [0.1, -0.1]], rtol=1e-4)
    np.testing.assert_allclose(bias, [0, 0], atol=1e-6)


def test_the_penalty_of_a_network_counts(few_digits: ImageSet) -> None:
    def loss(penalty: float) -> float:
        layer = keras.layers.Dense(
            10, kernel_initializer="ones", kernel_regularizer=keras.regularizers.L2(penalty)
        )
        model = keras.Sequential([keras.Input((16, 16, 1)), keras.layers.Flatten(), layer])
        settings = {"epochs": 1, "batch_size": 100, "progress": False}
        return train(model, few_digits, **settings).history[0]["loss"]

    # The loss of the first step is that of the initial weights: 2560 ones.
    assert loss(0.01) - loss(0.0) == pytest.approx(25.6, rel=1e-4)


def test_batches_cover_each_image_once(few_digits: ImageSet) -> None:
    classifier = build("small_cnn", (16, 16, 1), 10)
    labels = np.zeros(1001, int)
    images = np.zeros((1001, 16, 16, 1), "float32")
    fit = Fit(classifier, images, labels, batch_size=8, learning_rate=1e-3, seed=0)
    first = np.concatenate(fit.order())
    np.testing.assert_array_equal(np.sort(first), np.arange(1001))
    fit.history.append({})
    assert not np.array_equal(first, np.concatenate(fit.order()))


def test_the_same_seed_gives_the_same_bytes(dropout_net, few_digits) -> None:
    first = train(dropout_net, few_digits, **HARD)
    assert_same_weights(first, train(dropout_net, few_digits, **HARD))
    other = train(dropout_net, few_digits, **{**HARD, "seed": 6})
    assert not np.array_equal(weights_of(first)[0], weights_of(other)[0])


def test_what_is_passed_in_never_changes(dropout_net, few_digits) -> None:
    before = values(dropout_net.model.variables)
    trained = train(dropout_net, few_digits, **HARD)
    for variable, old in zip(values(dropout_net.model.variables), before, strict=True):
        np.testing.assert_array_equal(variable, old)
    assert trained.model is not dropout_net.model
    assert dropout_net.history == []


def test_training_goes_on_from_the_weights_given(digits: ImageSet) -> None:
    first = train("small_cnn", digits, epochs=3, progress=False)
    more = train(first, digits, epochs=1, progress=False)
    assert more.history[0]["loss"] < first.history[0]["loss"] / 2


@pytest.mark.parametrize("killed_in", [1, 2, 4])
def test_a_killed_training_goes_on_to_the_same_bytes(
    killed_in: int, dropout_net, few_digits, tmp_path, monkeypatch
) -> None:
    expected = train(dropout_net, few_digits, **HARD)
    run = Fit.run
    epochs_run = []

    def killed(fit: Fit, parts) -> dict[str, float]:
        epochs_run.append(len(fit.history) + 1)
        entry = run(fit, parts)  # the weights have moved when the interrupt comes
        if len(epochs_run) == killed_in:
            raise KeyboardInterrupt
        return entry

    monkeypatch.setattr(Fit, "run", killed)
    with pytest.raises(KeyboardInterrupt):
        train(dropout_net, few_digits, cache=tmp_path, **HARD)
    resumed = train(dropout_net, few_digits, cache=tmp_path, **HARD)
    assert_same_weights(resumed, expected)
    assert resumed.history == expected.history
    assert epochs_run[killed_in] <= killed_in


def test_a_kept_training_is_read_and_not_run(few_digits, tmp_path, monkeypatch) -> None:
    settings = {"epochs": 2, "cache": tmp_path, "progress": False}
    first = train("small_cnn", few_digits, **settings)
    monkeypatch.setattr(Fit, "run", None)
    again = train("small_cnn", few_digits, **settings)
    assert_same_weights(first, again)
    assert again.history == first.history
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-500])
    # A damaged file is not trusted: training starts anew.
    with pytest.raises(TypeError, match="'NoneType' object is not callable"):
        train("small_cnn", few_digits, **settings)


def test_different_trainings_are_kept_apart(dropout_net, few_digits, tmp_path) -> None:
    settings = {"epochs": 1, "cache": tmp_path, "progress": False}
    train("small_cnn", few_digits, **settings)
    train("small_cnn", few_digits, **settings, seed=1)
    train("small_cnn", few_digits, **settings, learning_rate=0.01)
    train("small_cnn", few_digits.sample(90), **settings)
    train(dropout_net, few_digits, **settings)
    train(dropout_net, few_digits, **settings, augment=noisy)
    assert len(list(tmp_path.iterdir())) == 6


def test_patience_returns_the_best_weights(digits: ImageSet, tmp_path) -> None:
    images = digits.sample(400, seed=1)
    settings = {"epochs": 30, "patience": 2, "learning_rate": 0.005, "progress": False}
    classifier = train("small_cnn", images, cache=tmp_path, **settings)
    accuracies = [entry["validation_accuracy"] for entry in classifier.history]
    best = int(np.argmax(accuracies))
    assert len(accuracies) == best + 1 + 2 < 30
    held_out = images.calibration
    assert classifier.accuracy(held_out.images, held_out.labels) == accuracies[best]
    assert_same_weights(classifier, train("small_cnn", images, cache=tmp_path, **settings))


def test_images_learnt_by_heart(few_digits: ImageSet) -> None:
    settings = {"learning_rate": 0.01, "progress": False}
    classifier = train("small_cnn", few_digits, epochs=60, min_train_accuracy=0.9, **settings)
    accuracies = [entry["accuracy"] for entry in classifier.history]
    assert accuracies[-1] >= 0.9 > max(accuracies[:-1])
    with pytest.raises(ValueError, match=r"did not reach `min_train_accuracy`.* after 1 epochs"):
        train("small_cnn", few_digits, epochs=1, min_train_accuracy=0.9, **settings)


def test_the_rule_to_stop_reads_the_history_alone() -> None:
    def history(*accuracies: float) -> list[dict[str, float]]:
        return [{"accuracy": each, "validation_accuracy": each} for each in accuracies]

    assert not StopRule(3).is_met(history(0.1, 0.2))
    assert StopRule(3).is_met(history(0.1, 0.2, 0.3))
    assert not StopRule(9, patience=2).is_met(history(0.1, 0.5, 0.5))
    assert StopRule(9, patience=2).is_met(history(0.1, 0.5, 0.5, 0.4))
    assert StopRule(9, min_train_accuracy=0.5).is_met(history(0.1, 0.5))
    assert not StopRule(9, patience=2).is_best(history(0.5, 0.5))


def test_a_softmax_head_is_trained_through_its_logits(few_digits: ImageSet) -> None:
    def model(activation: str | None) -> keras.Model:
        layer = keras.layers.Dense(10, activation, kernel_initializer="zeros")
        return keras.Sequential([keras.Input((16, 16, 1)), keras.layers.Flatten(), layer])

    settings = {"epochs": 2, "progress": False}
    assert_same_weights(
        train(model("softmax"), few_digits, **settings), train(model(None), few_digits, **settings)
    )


def test_frozen_weights_stay(digits: ImageSet) -> None:
    classifier = build("small_cnn", (16, 16, 1), 10)
    classifier.model.get_layer("conv1").trainable = False
    trained = train(classifier, digits.sample(100), epochs=1, progress=False)
    before, after = weights_of(classifier), weights_of(trained)
    np.testing.assert_array_equal(before[0], after[0])
    assert not np.array_equal(before[2], after[2])
    classifier.model.trainable = False
    with pytest.raises(ValueError, match="All weights of 'small_cnn' are frozen"):
        train(classifier, digits, progress=False)


def test_a_registered_model_class_is_copied(few_digits: ImageSet) -> None:
    @keras.saving.register_keras_serializable("training_test")
    class Own(keras.Model):
        def __init__(self, **options):
            super().__init__(**options)
            self.flatten, self.dense = keras.layers.Flatten(), keras.layers.Dense(10)

        def call(self, images):
            return self.dense(self.flatten(images))

    model = Own()
    model(few_digits.images[:1])
    before = values(model.weights)[0]
    trained = train(model, few_digits, epochs=1, progress=False)
    np.testing.assert_array_equal(model.weights[0], before)
    assert np.abs(weights_of(trained)[0] - before).max() == pytest.approx(1e-3, rel=0.05)


def test_a_loss_that_explodes_is_said(few_digits: ImageSet) -> None:
    with pytest.raises(ValueError, match="not a finite number. Use a smaller learning rate"):
        train("small_cnn", few_digits, epochs=5, learning_rate=1e30, progress=False)


def test_a_model_with_several_outputs_is_refused(few_digits: ImageSet) -> None:
    inputs = keras.Input((16, 16, 1))
    flat = keras.layers.Flatten()(inputs)
    outputs = [keras.layers.Dense(10)(flat), keras.layers.Dense(10)(flat)]
    classifier = Classifier(keras.Model(inputs, outputs), output=0)
    with pytest.raises(ValueError, match="takes a network with one output"):
        train(classifier, few_digits)


def test_wrong_arguments_are_named(dropout_net, few_digits: ImageSet, tmp_path) -> None:
    with pytest.raises(TypeError, match="must be an ImageSet. Received: ndarray"):
        train("small_cnn", few_digits.images)
    with pytest.raises(ValueError, match="`epochs` must be at least 1"):
        train("small_cnn", few_digits, epochs=0)
    with pytest.raises(ValueError, match="`learning_rate` must be above 0"):
        train("small_cnn", few_digits, learning_rate=0)
    with pytest.raises(ValueError, match="give one of the two"):
        train("small_cnn", few_digits, patience=2, min_train_accuracy=0.9)
    with pytest.raises(ValueError, match="takes images of shape"):
        train(build("small_cnn", (8, 8, 1), 10), few_digits)
    with pytest.raises(ValueError, match="knows 3 classes. Received: labels up to 9"):
        train(build("small_cnn", (16, 16, 1), 3), few_digits)
    with pytest.raises(ValueError, match="must say what it does in an attribute `recipe`"):
        train(dropout_net, few_digits, augment=lambda images, seed: images, cache=tmp_path)
    only_train = {"train": np.arange(100), "calibration": [], "test": []}
    without = ImageSet(few_digits.images, few_digits.labels, splits=only_train)
    with pytest.raises(ValueError, match="`patience` needs images in the calibration split"):
        train("small_cnn", without, patience=2)
    assert "validation_accuracy" not in train("small_cnn", without, epochs=1).history[0]


def test_a_model_that_cannot_be_copied_is_refused(few_digits: ImageSet) -> None:
    class NoConfig(keras.Model):
        def __init__(self, units):
            super().__init__()
            self.flatten, self.dense = keras.layers.Flatten(), keras.layers.Dense(units)

        def call(self, images):
            return self.dense(self.flatten(images))

        def get_config(self):
            raise NotImplementedError

    model = NoConfig(10)
    model(few_digits.images[:1])
    with pytest.raises(ValueError, match="cannot be copied, and the model that is passed in"):
        train(model, few_digits)
