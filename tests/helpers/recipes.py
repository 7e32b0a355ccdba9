"""Networks as people build them, each with its last layer fitted to a small set of images.

Bodies keep their random weights; the last dense layer is fitted by logistic regression on what the
body says, which takes no time and lets every architecture know its task.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from sklearn.linear_model import LogisticRegression

from kernel_lib.data import ImageSet

SIDE = 32
NAMES = ("red", "green", "blue")
TORCH_MEAN, TORCH_STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
CAFFE_MEAN = np.array([103.939, 116.779, 123.68])

Feed = Callable[[np.ndarray], np.ndarray]

FEEDS: dict[str, Feed] = {
    "unit": lambda x: x,
    "bytes": lambda x: x * 255,
    "symmetric": lambda x: x * 2 - 1,
    "imagenet_torch": lambda x: (x - TORCH_MEAN) / TORCH_STD,
    "imagenet_caffe": lambda x: x[..., ::-1] * 255 - CAFFE_MEAN,
}


def recipe_images(num_classes: int = 3, side: int = SIDE, seed: int = 0) -> ImageSet:
    """300 noisy pictures of a colored disk; the class is its color, a further label its half.

    One label in twenty-five is wrong, so that no network is right on all of them.
    """
    random = np.random.default_rng([seed, num_classes, side])
    number = 300
    colors = np.arange(number) % num_classes
    half = np.arange(number) // num_classes % 2
    rows, columns = np.mgrid[:side, :side] / side
    center_x = 0.28 + 0.44 * half + 0.08 * (random.random(number) - 0.5)
    center_y = 0.3 + 0.4 * random.random(number)
    masks = (rows - center_y[:, None, None]) ** 2 + (columns - center_x[:, None, None]) ** 2 < 0.035
    pixels = 0.35 + 0.1 * random.random((number, side, side, 3))
    ink = np.full((number, 3), 0.15)
    ink[np.arange(number), colors] = 0.9
    pixels = np.where(masks[..., None], ink[:, None, None, :], pixels)
    labels = np.where(random.random(number) < 0.04, (colors + 1) % num_classes, colors)
    return ImageSet(
        np.rint(pixels * 255).astype(np.float32) / 255,
        labels,
        NAMES[:num_classes],
        name="disks",
        tasks={"half": half},
        task_class_names={"half": ("left", "right")},
        masks=masks,
    )


@dataclass(frozen=True)
class Recipe:
    """A way to build a network.

    Attributes:
        build: makes the network; its last dense layer is named "head".
        feed: name of the scale it is trained at, see `FEEDS`.
        kind: what the head gives: "softmax", "logits", "log_softmax", "sigmoid" (one unit) or
            "sigmoids" (one a class).
        num_classes, side: of the images.
        options: of `Classifier`.
        refused: text of the refusal of `Classifier(model)`, where it is to be refused.
        cure: options of `Classifier` that the refusal names, after which it works.
        wrap: what a person does to the built network before it is audited, such as saving and
            loading it.
        tolerance: of logits against the independent tape.
    """

    build: Callable[[], keras.Model]
    feed: str = "unit"
    kind: str = "softmax"
    num_classes: int = 3
    side: int = SIDE
    options: Mapping[str, Any] = field(default_factory=dict)
    refused: str = ""
    cure: Mapping[str, Any] = field(default_factory=dict)
    wrap: Callable[[keras.Model], keras.Model] | None = None
    tolerance: float = 1e-5

    def images(self) -> ImageSet:
        """The images it is for."""
        return recipe_images(self.num_classes, self.side)

    def made(self) -> keras.Model:
        """The network, with a fitted head."""
        keras.utils.set_random_seed(7)
        model = self.build()
        images = self.images()
        fit_head(model, FEEDS[self.feed](images.images), images, self.kind)
        return model if self.wrap is None else self.wrap(model)


def fit_head(model: keras.Model, inputs: np.ndarray, images: ImageSet, kind: str) -> None:
    """Fit the dense layer named "head" to the training images."""
    head = _layer(model, "head")
    train = images.splits["train"]
    features = _before(model, head, inputs[train].astype(_dtype(model)))
    flat = features.reshape(len(features), -1).astype(np.float64)
    mean, deviation = flat.mean(axis=0), flat.std(axis=0) + 1e-6 * (1 + np.abs(flat).max())
    labels = images.labels[train]
    fitted = LogisticRegression(C=10.0, max_iter=2000).fit((flat - mean) / deviation, labels)
    weights, biases = fitted.coef_, fitted.intercept_
    if kind == "sigmoids":
        each = [
            LogisticRegression(C=10.0, max_iter=2000).fit((flat - mean) / deviation, labels == k)
            for k in range(images.num_classes)
        ]
        weights = np.concatenate([one.coef_ for one in each])
        biases = np.concatenate([one.intercept_ for one in each])
    elif images.num_classes == 2 and head.get_weights()[1].shape[0] == 2:
        weights, biases = np.concatenate([-weights, weights]) / 2, np.r_[-biases, biases] / 2
    kernel = (weights / deviation).T
    bias = biases - mean @ kernel
    shape = head.get_weights()[0].shape
    head.set_weights([kernel.reshape(shape), bias])


def _layer(model: keras.Model, name: str) -> keras.layers.Layer:
    for layer in model._flatten_layers(include_self=False):
        if layer.name == name:
            return layer
    raise LookupError(name)


def _dtype(model: keras.Model) -> str:
    try:
        return str(model.inputs[0].dtype)
    except (AttributeError, ValueError, TypeError):
        return "float32"


def _before(model: keras.Model, head: keras.layers.Layer, inputs: np.ndarray) -> np.ndarray:
    """What arrives at the head, caught on its way."""
    caught: list[np.ndarray] = []
    call = head.call

    def catching(x: Any, *args: Any, **kwargs: Any) -> Any:
        caught.append(np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(x, "float32"))))
        return call(x, *args, **kwargs)

    head.call = catching
    try:
        model(inputs, training=False)
    finally:
        head.call = call
    return caught[-1]


# --- pieces --------------------------------------------------------------------------------------


def _conv(x: Any, filters: int = 12, stride: int = 2, **options: Any) -> Any:
    options = {"activation": "relu", "padding": "same"} | options
    return layers.Conv2D(filters, 3, strides=stride, **options)(x)


def _body(x: Any) -> Any:
    return layers.GlobalAveragePooling2D()(_conv(_conv(x)))


def _plain(
    before: Callable[[Any], Any] = lambda x: x,
    head: Callable[[Any], Any] | None = None,
    dtype: str | None = None,
    shape: tuple = (SIDE, SIDE, 3),
) -> keras.Model:
    inputs = keras.Input(shape, dtype=dtype)
    x = _body(before(inputs))
    return keras.Model(inputs, (head or _softmax())(x))


def _softmax(units: int = 3) -> Callable[[Any], Any]:
    return layers.Dense(units, "softmax", name="head")


def _nested(base: keras.Model) -> keras.Model:
    inputs = keras.Input((SIDE, SIDE, 3))
    x = base(inputs, training=False)
    x = layers.GlobalAveragePooling2D()(x) if len(x.shape) == 4 else x
    return keras.Model(inputs, _softmax()(x))


def _base(first: list) -> keras.Model:
    inputs = keras.Input((SIDE, SIDE, 3))
    x = inputs
    for layer in first:
        x = layer(x)
    return keras.Model(inputs, _conv(_conv(x)), name="base")


def _normalization(mean: list[float], variance: list[float]) -> layers.Normalization:
    return layers.Normalization(mean=mean, variance=variance)


def _under(policy: str, build: Callable[[], keras.Model]) -> Callable[[], keras.Model]:
    def made() -> keras.Model:
        before = keras.mixed_precision.dtype_policy()
        keras.mixed_precision.set_dtype_policy(policy)
        try:
            return build()
        finally:
            keras.mixed_precision.set_dtype_policy(before)

    return made


def _float32_head(x: Any) -> Any:
    return layers.Activation("softmax", dtype="float32")(layers.Dense(3, name="head")(x))


def _residual() -> keras.Model:
    inputs = keras.Input((SIDE, SIDE, 3))
    x = _conv(inputs)
    for _ in range(2):
        y = layers.BatchNormalization()(_conv(x, stride=1, activation=None))
        x = layers.ReLU()(layers.Add()([x, layers.Conv2D(12, 1)(y)]))
    return keras.Model(inputs, _softmax()(layers.GlobalAveragePooling2D()(x)))


def _transformer() -> keras.Model:
    inputs = keras.Input((SIDE, SIDE, 3))
    x = layers.Reshape((16, 16))(layers.Conv2D(16, 8, strides=8)(inputs))
    y = layers.LayerNormalization()(x)
    x = layers.Add()([x, layers.MultiHeadAttention(2, 8)(y, y)])
    y = layers.Dense(16)(layers.Dense(32, "gelu")(layers.LayerNormalization()(x)))
    x = layers.GlobalAveragePooling1D()(layers.Add()([x, y]))
    return keras.Model(inputs, _softmax()(x))


def _inception() -> keras.Model:
    inputs = keras.Input((SIDE, SIDE, 3))
    x = _conv(inputs)
    branches = [layers.Conv2D(8, k, padding="same", activation="relu")(x) for k in (1, 3, 5)]
    x = layers.Concatenate()([*branches, layers.MaxPooling2D(3, 1, padding="same")(x)])
    return keras.Model(inputs, _softmax()(layers.GlobalAveragePooling2D()(x)))


def _squeeze() -> keras.Model:
    inputs = keras.Input((SIDE, SIDE, 3))
    x = _conv(inputs)
    gate = layers.Dense(12, "sigmoid")(layers.GlobalAveragePooling2D(keepdims=True)(x))
    x = layers.Multiply()([x, gate])
    return keras.Model(inputs, _softmax()(layers.GlobalAveragePooling2D()(x)))


def _shared() -> keras.Model:
    inputs = keras.Input((SIDE, SIDE, 3))
    conv = layers.Conv2D(12, 3, padding="same", activation="relu", name="shared")
    left = layers.Cropping2D(((0, 0), (0, SIDE // 2)))(inputs)
    right = layers.Cropping2D(((0, 0), (SIDE // 2, 0)))(inputs)
    pooled = [layers.GlobalAveragePooling2D()(conv(part)) for part in (left, right)]
    return keras.Model(inputs, _softmax()(layers.Concatenate()(pooled)))


def _sequence() -> keras.Model:
    inputs = keras.Input((SIDE, SIDE, 3))
    x = layers.Reshape((SIDE // 4, -1))(_conv(_conv(inputs), 6))
    return keras.Model(inputs, _softmax()(layers.GRU(64)(x)))


def _fully_convolutional() -> keras.Model:
    inputs = keras.Input((SIDE, SIDE, 3))
    x = layers.GlobalAveragePooling2D(keepdims=True)(_conv(_conv(inputs)))
    x = layers.Reshape((12,))(x)
    return keras.Model(inputs, layers.Softmax()(layers.Dense(3, name="head")(x)))


def _sequential(*parts: layers.Layer, shape: tuple = (SIDE, SIDE, 3)) -> keras.Model:
    return keras.Sequential([keras.Input(shape), *parts])


@keras.saving.register_keras_serializable("recipes")
class Subclassed(keras.Model):
    """A model that is a class."""

    def __init__(self, **options: Any):
        super().__init__(**options)
        self.first = layers.Conv2D(12, 3, strides=2, activation="relu")
        self.second = layers.Conv2D(12, 3, strides=2, activation="relu")
        self.pool = layers.GlobalAveragePooling2D()
        self.out = layers.Dense(3, "softmax", name="head")

    def call(self, images: Any, training: bool = False) -> Any:
        """Images to probabilities."""
        return self.out(self.pool(self.second(self.first(images))))


def _subclassed() -> keras.Model:
    model = Subclassed()
    model(np.zeros((1, SIDE, SIDE, 3), np.float32))
    return model


@keras.saving.register_keras_serializable("recipes")
class Contrast(layers.Layer):
    """A layer of one's own, with a weight."""

    def build(self, shape: tuple) -> None:
        """One gain a channel."""
        self.gain = self.add_weight(shape=(shape[-1],), initializer="ones", name="gain")

    def call(self, images: Any) -> Any:
        """Images times their gain."""
        return ops.relu(images) * self.gain


def _two_outputs() -> keras.Model:
    inputs = keras.Input((SIDE, SIDE, 3))
    x = _body(inputs)
    return keras.Model(inputs, [layers.Dense(7, name="other")(x), _softmax()(x)])


def _named_outputs() -> keras.Model:
    inputs = keras.Input((SIDE, SIDE, 3))
    x = _body(inputs)
    return keras.Model(inputs, {"embedding": layers.Dense(7)(x), "classes": _softmax()(x)})


def _through_file(suffix: str) -> Callable[[keras.Model], keras.Model]:
    def saved(model: keras.Model) -> keras.Model:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"model{suffix}"
            model.save(path)
            return keras.saving.load_model(path, compile=False)

    return saved


def _through_saved_model(model: keras.Model) -> keras.Model:
    folder = os.path.join(tempfile.mkdtemp(), "exported")
    model.export(folder, verbose=False)
    inputs = keras.Input((SIDE, SIDE, 3))
    return keras.Model(inputs, layers.TFSMLayer(folder, call_endpoint="serve")(inputs))


def _application(build: Callable[..., keras.Model], **options: Any) -> Callable[[], keras.Model]:
    def made() -> keras.Model:
        base = build(include_top=False, weights=None, input_shape=(SIDE, SIDE, 3), **options)
        _warmed_up(base)
        # Random layers forget their input with depth: the first few still knows the colors.
        outputs = [layer.output for layer in base.layers if len(layer.output.shape) == 4]
        return _nested(keras.Model(base.input, outputs[len(outputs) // 14], name=base.name))

    return made


def _warmed_up(base: keras.Model) -> None:
    """Give normalization layers the statistics of what arrives at them, as training would."""
    normalizations = [
        layer
        for layer in base._flatten_layers(include_self=False)
        if isinstance(layer, layers.BatchNormalization)
    ]
    for layer in normalizations:
        layer.momentum = 0.0
    base(recipe_images().images[:100] * 255, training=True)
    for layer in normalizations:
        layer.momentum = 0.99


@keras.saving.register_keras_serializable("recipes")
class Restless(layers.Layer):
    """Adds noise at every call, at inference too."""

    def __init__(self, **options: Any):
        super().__init__(**options)
        self.draws = keras.random.SeedGenerator(0)

    def call(self, images: Any) -> Any:
        """Images and noise."""
        return images + 0.05 * keras.random.normal(ops.shape(images), seed=self.draws)


def _noisy() -> keras.Model:
    return _plain(Restless())


apps = keras.applications
RECIPES: dict[str, Recipe] = {
    # Heads.
    "softmax": Recipe(_plain),
    "logits": Recipe(lambda: _plain(head=layers.Dense(3, name="head")), kind="logits"),
    "softmax layer": Recipe(
        lambda: _plain(head=lambda x: layers.Softmax()(layers.Dense(3, name="head")(x)))
    ),
    "softmax operation": Recipe(
        lambda: _plain(head=lambda x: ops.softmax(layers.Dense(3, name="head")(x)))
    ),
    "log softmax": Recipe(
        lambda: _plain(head=lambda x: ops.log_softmax(layers.Dense(3, name="head")(x))),
        kind="log_softmax",
    ),
    "temperature": Recipe(
        lambda: _plain(
            head=lambda x: layers.Softmax()(layers.Rescaling(0.5)(layers.Dense(3, name="head")(x)))
        )
    ),
    "two softmax units": Recipe(lambda: _plain(head=_softmax(2)), num_classes=2),
    "one sigmoid unit": Recipe(
        lambda: _plain(head=layers.Dense(1, "sigmoid", name="head")), kind="sigmoid", num_classes=2
    ),
    "one sigmoid layer": Recipe(
        lambda: _plain(
            head=lambda x: layers.Activation("sigmoid")(layers.Dense(1, name="head")(x))
        ),
        kind="sigmoid",
        num_classes=2,
    ),
    "a sigmoid a class": Recipe(
        lambda: _plain(head=layers.Dense(3, "sigmoid", name="head")), kind="sigmoids"
    ),
    "two outputs": Recipe(_two_outputs, options={"output": 1}),
    "named outputs": Recipe(_named_outputs, options={"output": "classes"}),
    "two outputs, none named": Recipe(_two_outputs, refused="several outputs", cure={"output": 1}),
    # Scales.
    "bytes, nothing tells": Recipe(_plain, feed="bytes"),
    "symmetric, nothing tells": Recipe(_plain, feed="symmetric"),
    "torch, nothing tells": Recipe(_plain, feed="imagenet_torch"),
    "caffe, nothing tells": Recipe(_plain, feed="imagenet_caffe"),
    "rescaling": Recipe(lambda: _plain(layers.Rescaling(1 / 255)), feed="bytes"),
    "rescaling to -1..1": Recipe(lambda: _plain(layers.Rescaling(1 / 127.5, -1)), feed="bytes"),
    "division": Recipe(lambda: _plain(lambda x: x / 255.0), feed="bytes"),
    "normalization of bytes": Recipe(
        lambda: _plain(_normalization([120.0] * 3, [60.0**2] * 3)), feed="bytes"
    ),
    "normalization of 0..1": Recipe(lambda: _plain(_normalization([0.49, 0.48, 0.45], [1.0] * 3))),
    "rescaling in the base": Recipe(
        lambda: _nested(_base([layers.Rescaling(1 / 255)])), feed="bytes"
    ),
    "rescaling in a base of a base": Recipe(
        lambda: _nested(_base([keras.Sequential([layers.Rescaling(1 / 127.5, -1)])])),
        feed="bytes",
    ),
    "preprocess_input, tf": Recipe(
        lambda: _plain(apps.mobilenet_v2.preprocess_input), feed="bytes"
    ),
    "preprocess_input, caffe": Recipe(lambda: _plain(apps.resnet50.preprocess_input), feed="bytes"),
    "preprocess_input, torch": Recipe(lambda: _plain(apps.densenet.preprocess_input), feed="bytes"),
    "augmentation first": Recipe(
        lambda: _sequential(
            layers.RandomFlip("horizontal"),
            layers.RandomRotation(0.1),
            layers.Rescaling(1 / 255),
            layers.Conv2D(12, 3, strides=2, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, "softmax", name="head"),
        ),
        feed="bytes",
    ),
    "uint8 input": Recipe(lambda: _plain(layers.Rescaling(1 / 255), dtype="uint8"), feed="bytes"),
    # Architectures.
    "multilayer perceptron": Recipe(
        lambda: _sequential(
            layers.Flatten(), layers.Dense(256, "relu"), layers.Dense(3, "softmax", name="head")
        )
    ),
    "separable": Recipe(
        lambda: _sequential(
            layers.SeparableConv2D(16, 3, strides=2, activation="relu"),
            layers.DepthwiseConv2D(3, strides=2, activation="relu"),
            layers.GlobalMaxPooling2D(),
            layers.Dropout(0.3),
            layers.Dense(3, "softmax", name="head"),
        )
    ),
    "swish and batch normalization": Recipe(
        lambda: _sequential(
            layers.Conv2D(16, 5, strides=2, activation="swish"),
            layers.BatchNormalization(),
            layers.Conv2D(16, 3, dilation_rate=2),
            layers.LeakyReLU(),
            layers.AveragePooling2D(2),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, "softmax", name="head"),
        )
    ),
    "residual": Recipe(_residual),
    "branches": Recipe(_inception),
    "squeeze and excite": Recipe(_squeeze),
    "shared layer": Recipe(_shared),
    "transformer": Recipe(_transformer),
    "recurrent": Recipe(_sequence),
    "fully convolutional": Recipe(_fully_convolutional),
    "subclassed": Recipe(_subclassed),
    "layer of one's own": Recipe(lambda: _plain(Contrast()), wrap=_through_file(".keras")),
    "MobileNetV2": Recipe(_application(apps.MobileNetV2, alpha=1.0), tolerance=1e-4),
    "MobileNet": Recipe(_application(apps.MobileNet, alpha=0.25), tolerance=1e-4),
    "MobileNetV3": Recipe(
        _application(apps.MobileNetV3Small, alpha=0.75), feed="bytes", tolerance=1e-4
    ),
    # Types, sizes, files.
    "mixed_float16": Recipe(
        _under("mixed_float16", lambda: _plain(head=_float32_head)), tolerance=2e-2
    ),
    "mixed_bfloat16": Recipe(
        _under("mixed_bfloat16", lambda: _plain(head=_float32_head)), tolerance=1e-1
    ),
    "float64": Recipe(_under("float64", _plain)),
    "any size": Recipe(lambda: _plain(shape=(None, None, 3))),
    "any size, but not small": Recipe(
        lambda: _sequential(
            layers.Conv2D(16, 9, strides=2, activation="relu"),
            layers.Conv2D(16, 9, strides=2, activation="relu"),
            layers.Conv2D(16, 7, strides=2, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, "softmax", name="head"),
            shape=(None, None, 3),
        ),
        side=64,
        options={"input_size": 64},
    ),
    ".h5 of old": Recipe(_plain, wrap=_through_file(".h5")),
    "SavedModel": Recipe(_plain, wrap=_through_saved_model, options={"head": "probabilities"}),
    "SavedModel, as it is": Recipe(
        _plain,
        wrap=_through_saved_model,
        refused="head='probabilities'",
        cure={"head": "probabilities"},
    ),
    # What no audit can be made of.
    "softmax of one unit": Recipe(
        lambda: _plain(head=layers.Dense(1, "softmax", name="head")),
        kind="sigmoid",
        num_classes=2,
        refused="one unit",
    ),
    "noise at each call": Recipe(_noisy, refused="same images"),
}
