"""The scale of the input is read off the whole network; what cannot be read is called assumed."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers, ops

from kernel_lib.models import Classifier
from kernel_lib.models.input_scale import read_scale

SIZE = 8


def head(x):
    x = layers.Conv2D(4, 3, activation="relu", name="stem")(x)
    return layers.Dense(3, name="logits")(layers.GlobalAveragePooling2D()(x))


def functional(scale, shape=(SIZE, SIZE, 3), dtype="float32", **options):
    inputs = keras.Input(shape, dtype=dtype, **options)
    return keras.Model(inputs, head(scale(inputs)))


def sequential(*first, shape=(SIZE, SIZE, 3)):
    rest = [layers.Conv2D(4, 3, name="stem"), layers.Flatten(), layers.Dense(3)]
    return keras.Sequential([keras.Input(shape), *first, *rest])


def nested(scale):
    """A base that scales its input, under a head of its own, behind augmentation."""
    base_input = keras.Input((SIZE, SIZE, 3))
    base = keras.Model(base_input, layers.Conv2D(4, 3, name="stem")(scale(base_input)), name="base")
    base.trainable = False
    inputs = keras.Input((SIZE, SIZE, 3))
    moved = keras.Sequential(
        [layers.RandomFlip(), layers.RandomRotation(0.1), layers.RandomContrast(0.1)]
    )(inputs)
    return keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(base(moved))))


class Divides(keras.Model):
    """A subclass that scales in its own code."""

    def __init__(self, divisor=255.0):
        super().__init__()
        self.divisor = divisor
        self.stem = layers.Conv2D(4, 3)
        self.out = layers.Dense(3)

    def call(self, x):
        return self.out(ops.mean(self.stem(x / self.divisor), axis=(1, 2)))


class OwnWeights(Divides):
    """A subclass with weights of its own beside those of its layers."""

    def __init__(self):
        super().__init__()
        self.token = self.add_weight(shape=(3,), name="token")

    def call(self, x):
        return super().call(x) + self.token


class OwnWeightsFirst(Divides):
    """A subclass that uses weights of its own before its layers."""

    def __init__(self):
        super().__init__()
        self.mix = self.add_weight(shape=(3, 8), initializer="random_normal")

    def call(self, x):
        return super().call(ops.matmul(x, self.mix))


class HeldMean(layers.Layer):
    """A layer of a person's own that holds the mean and scale of its images as weights."""

    def __init__(self, mean=120.0, scale=60.0, name=None, **kernel):
        super().__init__(name=name)
        self.mean = self.add_weight(
            shape=(SIZE, SIZE, 3), initializer=keras.initializers.Constant(mean), trainable=False
        )
        self.scale = self.add_weight(
            shape=(), initializer=keras.initializers.Constant(scale), trainable=False
        )

    def call(self, x):
        return (x - self.mean) / self.scale


class HeldKernel(layers.Layer):
    """Weights that are not learned, but are no scale either."""

    def __init__(self):
        super().__init__()
        self.kernel = self.add_weight(shape=(3, 3), initializer="random_normal", trainable=False)

    def call(self, x):
        return ops.matmul(ops.matmul(x, self.kernel), ops.transpose(self.kernel))[..., :2] / 50


def in_policy(policy, make):
    before = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_dtype_policy(policy)
    try:
        return make()
    finally:
        keras.mixed_precision.set_dtype_policy(before)


def subclassed(kind):
    model = kind()
    model(np.zeros((1, SIZE, SIZE, 3), "float32"))
    return model


def adapted(images):
    layer = layers.Normalization()
    layer.adapt(images)
    return layer


def bright(low, high):
    return np.random.default_rng(3).uniform(low, high, (40, SIZE, SIZE, 3)).astype("float32")


def batch_statistics(mean, variance):
    model = sequential(layers.BatchNormalization(name="first"))
    model.layers[0].moving_mean.assign(np.full(3, mean))
    model.layers[0].moving_variance.assign(np.full(3, variance))
    return model


def preprocess(mode):
    return lambda x: keras.applications.imagenet_utils.preprocess_input(x, mode=mode)


BYTES, UNIT, SYMMETRIC = (lambda x: x * 255), (lambda x: x), (lambda x: x * 2 - 1)
READ, ASSUMED = "read off the network", "assumed"

# A network, the pixels it was made for, how that is known, and what the evidence names.
NETWORKS = {
    "rescaling": (
        lambda: sequential(layers.Rescaling(1 / 255, name="shrink")),
        BYTES,
        READ,
        "shrink",
    ),
    "rescaling and offset": (
        lambda: functional(layers.Rescaling(1 / 127.5, -1, name="shift")),
        BYTES,
        READ,
        "0..255 to -1..1 before its first weights (layer 'shift')",
    ),
    "rescaling behind five layers": (
        lambda: sequential(
            layers.RandomFlip(),
            layers.RandomZoom(0.1),
            layers.Resizing(12, 12),
            layers.CenterCrop(10, 10),
            layers.ZeroPadding2D(),
            layers.Rescaling(1 / 255, name="late"),
        ),
        BYTES,
        READ,
        "late",
    ),
    "rescaling to [-1, 1]": (
        lambda: sequential(layers.Rescaling(2, -1, name="center")),
        UNIT,
        READ,
        "0..1 to -1..1 before its first weights (layer 'center')",
    ),
    "rescaling up": (lambda: sequential(layers.Rescaling(255, name="up")), UNIT, READ, "up"),
    "rescaling up from [-1, 1]": (
        lambda: sequential(layers.Rescaling(127.5, 127.5, name="up")),
        SYMMETRIC,
        READ,
        "-1..1 to 0..255",
    ),
    "nested rescaling": (
        lambda: nested(layers.Rescaling(1 / 127.5, -1, name="inner")),
        BYTES,
        READ,
        "layer 'inner' inside 'base'",
    ),
    "nested division": (
        lambda: nested(lambda x: (x - 127.5) / 127.5),
        BYTES,
        READ,
        "inside 'base'",
    ),
    "preprocess_input, tf": (lambda: functional(preprocess("tf")), BYTES, READ, "0..255 to -1..1"),
    "preprocess_input, torch": (lambda: functional(preprocess("torch")), BYTES, READ, "operation"),
    "preprocess_input, caffe": (
        lambda: functional(preprocess("caffe")),
        BYTES,
        READ,
        "0..255 to -1",
    ),
    "mean of bytes": (
        lambda: functional(layers.Rescaling(1.0, [-124.0, -117.0, -104.0])),
        BYTES,
        READ,
        "rescaling",
    ),
    "normalization of bytes": (
        lambda: sequential(
            layers.Normalization(mean=[120, 118, 110], variance=[3600] * 3, name="n")
        ),
        BYTES,
        READ,
        "layer 'n'",
    ),
    "normalization of a unit mean": (
        lambda: sequential(layers.Normalization(mean=[0.49, 0.48, 0.45], variance=[1] * 3)),
        UNIT,
        READ,
        "0..1 to -0.48..0.5",
    ),
    "normalization of unit": (
        lambda: sequential(layers.Normalization(mean=[0.485, 0.456, 0.406], variance=[0.05] * 3)),
        UNIT,
        READ,
        "normalization",
    ),
    "adapted to bytes": (lambda: sequential(adapted(bright(0, 255))), BYTES, READ, "normalization"),
    "adapted to unit": (lambda: sequential(adapted(bright(0, 1))), UNIT, READ, "normalization"),
    "adapted to [-1, 1]": (lambda: sequential(adapted(bright(-1, 1))), SYMMETRIC, READ, "-1..1 to"),
    "divides, then normalizes": (
        lambda: sequential(
            layers.Rescaling(1 / 255), layers.Normalization(mean=[0.48] * 3, variance=[0.05] * 3)
        ),
        BYTES,
        READ,
        "normalization",
    ),
    "a subclass": (lambda: subclassed(Divides), BYTES, READ, "in its own code"),
    "a subclass with weights": (lambda: subclassed(OwnWeights), BYTES, READ, "0..255 to 0..1"),
    "uint8": (
        lambda: functional(lambda x: ops.cast(x, "float32") / 255, dtype="uint8"),
        BYTES,
        READ,
        "uint8",
    ),
    "int32": (
        lambda: functional(lambda x: ops.cast(x, "float32"), dtype="int32"),
        BYTES,
        READ,
        "int32",
    ),
    "cut to [0, 1]": (
        lambda: functional(lambda x: ops.clip(x, 0, 1)),
        UNIT,
        READ,
        "cuts others off",
    ),
    "reversed and mirrored": (
        lambda: functional(lambda x: (255 - x[..., ::-1]) / 255),
        BYTES,
        READ,
        "operation",
    ),
    "a free size": (
        lambda: functional(layers.Rescaling(1 / 255), shape=(None, None, 3)),
        BYTES,
        READ,
        "0..255",
    ),
    "one channel, one batch": (
        lambda: functional(layers.Rescaling(1 / 255), shape=(SIZE, SIZE, 1), batch_size=4),
        BYTES,
        READ,
        "0..255",
    ),
    "patches": (
        lambda: functional(lambda x: ops.image.extract_patches(x / 255, 2)),
        BYTES,
        READ,
        "operation",
    ),
    "batches of bytes": (lambda: batch_statistics(118.0, 3800.0), BYTES, READ, "a mean of 118"),
    "batches of bytes, few": (lambda: batch_statistics(11.8, 380.0), BYTES, READ, "'first'"),
    "batches of [-1, 1]": (lambda: batch_statistics(-0.1, 0.25), SYMMETRIC, READ, "-0.1"),
    "batches of unit, few": (lambda: batch_statistics(0.19, 0.63), UNIT, ASSUMED, "0.19"),
    "batches of centered bytes": (lambda: batch_statistics(3.0, 3600.0), UNIT, ASSUMED, "'first'"),
    "new batch statistics": (lambda: batch_statistics(0.0, 1.0), UNIT, ASSUMED, "'first'"),
    "a mean that is held": (
        lambda: functional(HeldMean(name="held")),
        BYTES,
        READ,
        "0..255 to -2..2.25 before its first weights (layer 'held')",
    ),
    "a kernel that is held": (lambda: functional(HeldKernel()), UNIT, ASSUMED, "nothing"),
    "half precision": (
        lambda: in_policy("mixed_float16", lambda: sequential(layers.Rescaling(1 / 127.5, -1))),
        BYTES,
        READ,
        "0..255 to -1..1",
    ),
    "half precision, nothing": (
        lambda: in_policy("mixed_float16", sequential),
        UNIT,
        ASSUMED,
        "nothing",
    ),
    "double precision": (
        lambda: in_policy("float64", lambda: functional(preprocess("tf"))),
        BYTES,
        READ,
        "-1..1",
    ),
    "nothing": (lambda: sequential(), UNIT, ASSUMED, "nothing in it tells the scale"),
    "nothing, nested": (lambda: nested(lambda x: x), UNIT, ASSUMED, "layer 'stem' inside 'base'"),
    "an own weight first": (lambda: subclassed(OwnWeightsFirst), UNIT, ASSUMED, "nothing"),
    "not adapted": (lambda: sequential(layers.Normalization()), UNIT, ASSUMED, "nothing"),
    "only doubled": (lambda: sequential(layers.Rescaling(2.0)), UNIT, ASSUMED, "does not tell"),
    "negative cut": (lambda: sequential(layers.ReLU()), UNIT, ASSUMED, "does not tell"),
    "logarithm": (lambda: functional(lambda x: ops.log(1 + ops.abs(x))), UNIT, ASSUMED, "not tell"),
    "too small": (lambda: sequential(layers.Rescaling(1 / 4096)), UNIT, ASSUMED, "not tell"),
    "each image by itself": (
        lambda: sequential(layers.UnitNormalization((1, 2, 3))),
        UNIT,
        ASSUMED,
        "",
    ),
}


def pixels(size, channels=3):
    whole = np.random.default_rng(1).integers(0, 256, (4, size, size, channels))
    return (whole / 255).astype("float32")


@pytest.mark.parametrize("case", NETWORKS)
def test_the_scale_is_read_off_the_network(case):
    make, right, source, words = NETWORKS[case]
    model = make()
    before = [weight.numpy().copy() for weight in model.variables]
    classifier = Classifier(model)
    images = pixels(SIZE, classifier.input_shape[-1])
    rtol = 1e-2 if "half" in case else 1e-5
    given = right(images)
    if "int" in case:
        given = np.round(given).astype(case)
    assert classifier.preprocessing_source == source, classifier.preprocessing_evidence
    np.testing.assert_allclose(
        classifier.logits(images), model(given, training=False), rtol=rtol, atol=rtol / 10
    )
    assert words in classifier.preprocessing_evidence
    assert classifier.preprocessing_evidence.endswith(".")
    assert classifier.preprocessing_evidence.endswith("assumed.") == (source == ASSUMED)
    for weight, kept in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(weight, kept)


def transfer(base):
    inputs = keras.Input((32, 32, 3))
    x = layers.GlobalAveragePooling2D()(base(layers.RandomFlip("horizontal")(inputs)))
    return keras.Model(inputs, layers.Dense(3)(x))


@pytest.mark.parametrize(
    ("name", "words"),
    [("MobileNetV3Small", "0..255 to -1..1"), ("EfficientNetB0", "'rescaling")],
)
def test_networks_of_keras_below_another_head(name, words):
    maker = getattr(keras.applications, name)
    base = maker(weights=None, include_top=False, input_shape=(32, 32, 3))
    model = transfer(base)
    reading = read_scale(model, (32, 32, 3))
    assert reading.name == "bytes"
    assert words in reading.evidence
    assert f"inside {base.name!r}" in reading.evidence
    if name == "MobileNetV3Small":  # the larger one takes long to trace
        images = pixels(32)
        expected = model(images * 255, training=False)
        np.testing.assert_allclose(Classifier(model).logits(images), expected, rtol=1e-4, atol=1e-6)


def test_a_tutorial_on_top_of_keras_applications():
    base = keras.applications.MobileNet(
        weights=None, include_top=False, input_shape=(32, 32, 3), alpha=0.25
    )
    inputs = keras.Input((32, 32, 3))
    x = keras.applications.mobilenet.preprocess_input(layers.RandomFlip()(inputs))
    x = layers.GlobalAveragePooling2D()(base(x, training=False))
    model = keras.Model(inputs, layers.Dense(3)(x))
    classifier = Classifier(model)
    images = pixels(32)
    expected = model(images * 255, training=False)
    assert classifier.preprocessing_source == READ
    np.testing.assert_allclose(classifier.logits(images), expected, rtol=1e-4, atol=1e-6)


def test_nothing_is_claimed_about_a_saved_model(tmp_path):
    sequential(layers.Rescaling(1 / 255)).export(tmp_path / "saved", verbose=False)
    inputs = keras.Input((SIZE, SIZE, 3))
    layer = layers.TFSMLayer(tmp_path / "saved", call_endpoint="serve", name="old")
    reading = read_scale(keras.Model(inputs, layer(inputs)), (SIZE, SIZE, 3))
    assert reading.name is None
    assert reading.evidence == "What the SavedModel in layer 'old' does to its input is hidden"


def test_a_choice_is_one_of_the_ways_to_know():
    from kernel_lib.models.preprocessing import NAMED
    from kernel_lib.models.preprocessing_choice import PreprocessingChoice

    with pytest.raises(ValueError, match="source .* must be one of 'said'.*Received: 'guessed'"):
        PreprocessingChoice(NAMED["unit"], "guessed", "")


def test_reading_leaves_random_layers_as_they_were():
    class Noisy(layers.Layer):
        def __init__(self):
            super().__init__()
            self.seeds = keras.random.SeedGenerator(0)

        def call(self, x):
            return x / 255 + 0 * keras.random.normal(ops.shape(x), seed=self.seeds)

    model = functional(Noisy())
    before = [v.numpy().copy() for v in model.variables]
    assert read_scale(model, (SIZE, SIZE, 3)).name == "bytes"
    for variable, kept in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable, kept)


def test_a_network_that_fails_on_the_way_is_not_guessed_about():
    class Fails(layers.Layer):
        def call(self, x):
            raise RuntimeError("no images today")

        def compute_output_spec(self, x):
            return keras.KerasTensor(x.shape, x.dtype)

    reading = read_scale(functional(Fails()), (SIZE, SIZE, 3))
    assert reading.name is None
    assert "could not be followed to its first weights" in reading.evidence


def test_reading_stops_before_the_first_weights():
    class Counts(layers.Layer):
        calls = 0

        def call(self, x):
            Counts.calls += 1
            return x

    inputs = keras.Input((SIZE, SIZE, 3))
    model = keras.Model(inputs, Counts()(head(inputs)))
    Counts.calls = 0
    read_scale(model, (SIZE, SIZE, 3))
    assert Counts.calls == 0
