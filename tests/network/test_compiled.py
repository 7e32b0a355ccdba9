"""Reading networks: every kind of model, hand-computed values, one trace, and no trace left."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from kernel_lib.models.classifier import Classifier, as_classifier
from kernel_lib.network import compiled, gradients, outputs, taps
from kernel_lib.network.compiled import fitting_batch_size, forward_batch_size, in_batches
from kernel_lib.network.observe import listen
from kernel_lib.saliency import Options, explain


def functional() -> keras.Model:
    inputs = layers.Input((6, 6, 1))
    x = layers.Conv2D(3, 3, activation="relu", name="conv")(inputs)
    x = layers.Flatten(name="flat")(x)
    return keras.Model(inputs, layers.Dense(4, name="scores")(x))


def nested() -> keras.Model:
    inner = keras.Sequential(
        [layers.Input((6, 6, 1)), layers.Conv2D(2, 3, name="conv"), layers.ReLU(name="relu")],
        name="backbone",
    )
    inputs = layers.Input((6, 6, 1))
    x = layers.Flatten(name="flat")(inner(inputs))
    return keras.Model(inputs, layers.Dense(3, activation="softmax", name="scores")(x))


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.conv = layers.Conv2D(2, 3, activation="relu", name="conv")
        self.flat = layers.Flatten(name="flat")
        self.scores = layers.Dense(3, activation="softmax", name="scores")

    def call(self, images):
        return self.scores(self.flat(self.conv(images)))


def subclassed() -> keras.Model:
    model = Subclassed()
    model(np.zeros((1, 6, 6, 1), np.float32))
    return model


@pytest.fixture
def images():
    return np.random.default_rng(0).random((5, 6, 6, 1), np.float32)


def test_taps_follow_the_order_of_computation():
    assert [tap.name for tap in taps(functional())] == ["conv", "flat", "scores"]
    assert [tap.shape for tap in taps(functional())] == [(4, 4, 3), (48,), (4,)]


def test_taps_inside_nested_models_are_named_by_path():
    names = [tap.name for tap in taps(nested())]
    assert names == ["backbone/conv", "backbone/relu", "backbone", "flat", "scores"]


def test_a_subclassed_model_shows_the_layers_it_calls():
    assert [tap.name for tap in taps(subclassed())] == ["conv", "flat", "scores"]


def test_a_shared_layer_has_a_tap_for_each_call():
    shared = layers.Dense(4, name="shared")
    inputs = layers.Input((2, 2, 1))
    x = shared(shared(layers.Flatten(name="flat")(inputs)))
    model = keras.Model(inputs, layers.Dense(2, name="scores")(x))
    assert [tap.name for tap in taps(model)] == ["flat", "shared", "shared:2", "scores"]


@pytest.mark.parametrize("make", [functional, nested, subclassed])
def test_values_at_taps_equal_the_model_itself(make, images):
    model = make()
    values = outputs(model, images, ["scores"])
    np.testing.assert_allclose(values["scores"], model(images), rtol=1e-6)


@pytest.mark.parametrize("make", [nested, subclassed])
def test_logits_are_what_the_softmax_was_taken_of(make, images):
    model = make()
    logits = as_classifier(model).logits(images)
    np.testing.assert_allclose(tf.nn.softmax(logits), model(images), rtol=1e-5)
    features = outputs(model, images, ["flat"])["flat"]
    dense = next(layer for layer in model.layers if layer.name == "scores")
    np.testing.assert_allclose(logits, features @ dense.kernel + dense.bias, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("head", ["fused", "activation", "softmax", "nested"])
def test_every_kind_of_softmax_head_is_found(head, images):
    inputs = layers.Input((6, 6, 1))
    flat = layers.Flatten()(inputs)
    linear = layers.Dense(3, name="linear")
    output = {
        "fused": lambda: layers.Dense(3, name="linear", activation="softmax")(flat),
        "activation": lambda: layers.Activation("softmax")(linear(flat)),
        "softmax": lambda: layers.Softmax()(linear(flat)),
        "nested": lambda: keras.Sequential([layers.Input((3,)), layers.Softmax()])(linear(flat)),
    }[head]()
    classifier = Classifier(keras.Model(inputs, output))
    assert classifier.network.head_kind == "softmax"
    assert classifier.logits(images).sum(axis=1) != pytest.approx(1)


def test_one_sigmoid_unit_becomes_two_logits_that_both_have_a_gradient(images):
    model = keras.Sequential(
        [layers.Input((6, 6, 1)), layers.Flatten(), layers.Dense(1, activation="sigmoid")]
    )
    classifier = as_classifier(model)
    logits = classifier.logits(images)
    dense = model.layers[-1]
    z = images.reshape(5, -1) @ np.asarray(dense.kernel) + np.asarray(dense.bias)
    np.testing.assert_allclose(logits, np.concatenate([-z / 2, z / 2], axis=1), atol=1e-6)
    shares = np.asarray(model(images))
    np.testing.assert_allclose(
        classifier.probabilities(images), np.concatenate([1 - shares, shares], 1), atol=1e-6
    )
    first, second = (gradients(model, images, target) for target in (0, 1))
    np.testing.assert_allclose(first.reshape(5, -1), np.tile(-dense.kernel[:, 0] / 2, (5, 1)))
    np.testing.assert_array_equal(first, -second)


def test_gradient_of_a_linear_model_is_its_weights(images):
    model = keras.Sequential([layers.Input((6, 6, 1)), layers.Flatten(), layers.Dense(3)])
    kernel = np.asarray(model.layers[-1].kernel)
    found = gradients(model, images, [0, 1, 2, 1, 0])
    for slope, target in zip(found, [0, 1, 2, 1, 0], strict=True):
        np.testing.assert_array_equal(slope.ravel(), kernel[:, target])


def test_gradients_are_with_respect_to_pixels_in_the_unit_range(images):
    model = keras.Sequential([layers.Input((6, 6, 1)), layers.Flatten(), layers.Dense(3)])
    doubled = gradients(Classifier(model, preprocessing=(2.0, -1.0)), images, 1)
    np.testing.assert_allclose(doubled, 2 * gradients(model, images, 1), rtol=1e-6)


def test_gradients_at_taps_equal_a_plain_tape(images):
    model = functional()
    found = gradients(model, images, 2, at=["conv", "flat"])
    conv = model.get_layer("conv")(images)
    with tf.GradientTape() as tape:
        tape.watch(conv)
        flat = model.get_layer("flat")(conv)
        tape.watch(flat)
        score = model.get_layer("scores")(flat)[:, 2]
    expected = tape.gradient(score, [conv, flat])
    np.testing.assert_allclose(found["conv"], expected[0], rtol=1e-6)
    np.testing.assert_allclose(found["flat"], expected[1], rtol=1e-6)


def test_batch_size_does_not_matter(images):
    model = functional()
    whole = gradients(model, images, 1, batch_size=5)
    np.testing.assert_allclose(gradients(model, images, 1, batch_size=2), whole, atol=1e-7)


def test_a_change_of_weights_is_seen_without_a_new_trace(images):
    model = functional()
    classifier = as_classifier(model)
    before = classifier.logits(images)
    function = classifier.network.logits_function()
    model.get_layer("scores").bias.assign_add([1.0, 0, 0, 0])
    np.testing.assert_allclose(classifier.logits(images) - before, [[1, 0, 0, 0]] * 5, atol=1e-5)
    assert classifier.network.logits_function() is function


def test_an_alteration_replaces_what_a_layer_returns(images):
    classifier = as_classifier(functional())

    def silence(name, layer, output):
        return tf.zeros_like(output) if name == "conv" else output

    function = classifier.network.function(
        "silenced",
        lambda x: classifier.network.forward(x, alter=silence)[0],
        [classifier.network.image_spec],
    )
    bias = classifier.model.get_layer("scores").bias
    np.testing.assert_allclose(function(tf.constant(images)), np.tile(bias, (5, 1)))


def test_watching_leaves_no_trace(images):
    model = functional()
    nodes = [len(layer._inbound_nodes) for layer in model.layers]
    call = keras.Operation.__call__
    taps(model)
    gradients(model, images, at=["conv"])
    assert [len(layer._inbound_nodes) for layer in model.layers] == nodes
    assert keras.Operation.__call__ is call
    assert model.get_layer("conv").output is not None


def test_listening_ends_when_the_body_raises():
    call = keras.Operation.__call__
    model = functional()
    with pytest.raises(RuntimeError, match="stop"), listen(model, lambda *heard: heard[2]):
        raise RuntimeError("stop")
    assert keras.Operation.__call__ is call


def test_an_unknown_tap_is_answered_with_the_known_ones(images):
    with pytest.raises(ValueError, match="no tap named 'cnv'.*conv, flat, scores"):
        outputs(functional(), images, ["cnv"])


def test_a_model_with_several_outputs_asks_which():
    inputs = layers.Input((6, 6, 1))
    flat = layers.Flatten()(inputs)
    model = keras.Model(inputs, [layers.Dense(2)(flat), layers.Dense(3)(flat)])
    with pytest.raises(ValueError, match=r"several outputs.*Known: 0 .*, 1 "):
        Classifier(model)
    assert Classifier(model, output=1).num_classes == 3


def test_in_batches_joins_what_a_loop_gives():
    rows = np.arange(10, dtype=np.float32)[:, None]
    doubled, sums = in_batches(lambda x: [2 * x, tf.reduce_sum(x, axis=1)], 3, rows)
    np.testing.assert_array_equal(doubled, 2 * rows)
    np.testing.assert_array_equal(sums, rows[:, 0])


def test_batches_shrink_as_images_grow():
    assert fitting_batch_size((28, 28, 1)) == 128
    assert fitting_batch_size((224, 224, 3)) == 8


def of_width(width: int, side: int | None = 16) -> Classifier:
    inputs = layers.Input((side, side, 3))
    maps = layers.Conv2D(width, 3, padding="same", activation="relu", name="wide")(inputs)
    narrow = layers.Conv2D(2, 1, name="narrow")(maps)
    mean = layers.GlobalAveragePooling2D()(narrow)
    return Classifier(keras.Model(inputs, layers.Dense(2, name="scores")(mean)))


@pytest.mark.parametrize("side", [16, None])
def test_batches_shrink_as_networks_grow(side, monkeypatch):
    network = of_width(5, side).network
    for free in (16, 20) if side is None else (16,):
        floats = free * free * (5 + 2) + 2 + 2  # its layers' outputs, counted by hand
        assert network.output_bytes((free, free, 3)) == 4 * floats
        monkeypatch.setattr(compiled, "BATCH_BYTES", 4 * floats * 10 + 1)
        assert fitting_batch_size((free, free, 3), network) == 10
        assert forward_batch_size((free, free, 3), network) == 20
        monkeypatch.setattr(compiled, "BATCH_BYTES", 1)
        assert fitting_batch_size((free, free, 3), network) == 1
        monkeypatch.setattr(compiled, "BATCH_BYTES", 10**12)
        assert fitting_batch_size((free, free, 3), network) == 128
    assert network.with_preprocess(lambda x: x)._output_bytes is network._output_bytes


def test_a_batch_stays_within_its_bytes_at_any_size():
    for width, side in [(2, 8), (64, 32), (64, 224), (256, 600)]:
        network = of_width(width, None).network
        size = fitting_batch_size((side, side, 3), network)
        taken = size * network.output_bytes((side, side, 3))
        assert taken <= compiled.BATCH_BYTES or size == 1


def test_small_batches_change_no_answer(monkeypatch):
    classifier = of_width(4)
    images = np.random.default_rng(0).random((11, 16, 16, 3), np.float32)

    def answers() -> list[np.ndarray]:
        options = Options(smoothgrad_samples=3)
        return [
            classifier.logits(images),
            gradients(classifier, images, 1),
            explain(classifier, images, 1, "smoothgrad", options=options),
        ]

    usual = answers()
    seen = []
    original = compiled.in_batches

    def watched(function, size, *arrays):
        seen.append(size)
        return original(function, size, *arrays)

    for module in ("models.classifier", "network.reading"):
        monkeypatch.setattr(f"kernel_lib.{module}.in_batches", watched)
    monkeypatch.setattr(compiled, "BATCH_BYTES", classifier.network.output_bytes((16, 16, 3)) * 3)
    for one, other in zip(usual, answers(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    assert seen == [6, 3]
