"""Give blocks of a network new weights, in place, reproducibly.

Every variable has a random stream of its own, made from the seed and the variable's place in the
model: layers of the same shape get different draws, and a draw does not depend on which other
blocks are changed or in which order.

| operator | new value of a kernel | of a bias |
|---|---|---|
| native | the layer's own initialiser | its own initialiser |
| truncated_normal | truncated normal, sd 0.01 (the paper's text) | own initialiser |
| uniform | uniform of the same standard deviation | own initialiser |
| matched | normal with the trained tensor's mean and standard deviation | the same |
| permute | the trained entries in another order | the same |

| batch_norm | scale and shift | moving statistics |
|---|---|---|
| all | own initialisers | own initialisers (mean 0, variance 1) |
| trainable | own initialisers (the published code) | kept |
| recalibrate | own initialisers | measured again on calibration images |
| keep | kept | kept |
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from scipy import special

from kernel_lib._checks import check_choice, check_number
from kernel_lib._random import random_stream
from kernel_lib.models.classifier import Classifier, as_classifier
from kernel_lib.network.grouping import Block, blocks, is_normalization
from kernel_lib.network.initial import first_value
from kernel_lib.network.weights import value_of

OPERATORS = ("native", "truncated_normal", "uniform", "matched", "permute")
BATCH_NORM_POLICIES = ("all", "trainable", "recalibrate", "keep")
NOISE_MODES = ("absolute", "relative", "multiplicative")
_PAPER_STANDARD_DEVIATION = 0.01


def randomize(
    model: Any,
    layers: Sequence[str | Block] | None = None,
    seed: int = 0,
    *,
    operator: str = "native",
    batch_norm: str = "all",
    calibration_images: np.ndarray | None = None,
    draw: int = 0,
) -> list[str]:
    """Replace the weights of some layers by random ones, in place.

    Use it inside `kernel_lib.network.restored_weights`.

    Args:
        model: a Keras model or a `Classifier`.
        layers: names of layers or blocks, or `Block` objects; None for the whole network.
        seed: the same seed gives the same weights.
        operator: how kernels and biases are drawn, see the module's table.
        batch_norm: what happens to batch normalisation, see the module's table.
        calibration_images: (num_images, height, width, channels), for "recalibrate".
        draw: another number gives other weights for the same seed.

    Returns:
        Paths of the variables that were given new values.
    """
    check_choice("operator", operator, OPERATORS)
    check_choice("batch_norm", batch_norm, BATCH_NORM_POLICIES)
    classifier = as_classifier(model)
    chosen = _resolve(classifier, layers)
    places = {id(variable): place for place, variable in enumerate(classifier.model.variables)}
    changed: list[str] = []
    for layer, variables in (pair for block in chosen for pair in block.layers):
        own = "native" if is_normalization(layer) else operator
        for variable in _to_change(layer, variables, batch_norm):
            stream = random_stream([seed, draw, places[id(variable)]])
            variable.assign(_new_value(own, layer, variable, stream))
            changed.append(variable.path)
    if batch_norm == "recalibrate":
        _recalibrate(classifier, chosen, calibration_images)
    return changed


def add_noise(
    model: Any,
    std: float,
    seed: int = 0,
    *,
    layers: Sequence[str | Block] | None = None,
    mode: str = "absolute",
    biases: bool = True,
) -> list[str]:
    """Add Gaussian noise to the weights of some layers, in place.

    The noise of a seed is one fixed draw scaled by `std`: curves over `std` are smooth, and
    ``std=0`` changes nothing.

    Args:
        model: a Keras model or a `Classifier`.
        std: standard deviation of the noise.
        seed: seed of the draw.
        layers: names of layers or blocks, or `Block` objects; None for the whole network.
        mode: "absolute": w + std * z; "relative": w + std * sd(w) * z; "multiplicative":
            w * (1 + std * z).
        biases: whether biases and other vectors get noise too.

    Returns:
        Paths of the variables that were changed.
    """
    std = check_number("std", std, 0)
    check_choice("mode", mode, NOISE_MODES)
    classifier = as_classifier(model)
    places = {id(variable): place for place, variable in enumerate(classifier.model.variables)}
    changed: list[str] = []
    for block in _resolve(classifier, layers):
        for variable in block.variables:
            value = value_of(variable)
            if not variable.trainable or (value.ndim < 2 and not biases):
                continue
            stream = random_stream([seed, places[id(variable)]])
            noise = std * stream.standard_normal(value.shape)
            variable.assign((value + noise * _noise_scale(value, mode)).astype(value.dtype))
            changed.append(variable.path)
    return changed


def _noise_scale(value: np.ndarray, mode: str) -> np.ndarray | float:
    scales = {
        "absolute": lambda: 1.0,
        "relative": lambda: value.std(),
        "multiplicative": lambda: value,
    }
    return scales[mode]()


def _resolve(classifier: Classifier, layers: Sequence[str | Block] | None) -> list[Block]:
    """Blocks for `layers`, which may name blocks, layers, or be blocks already."""
    if layers is None:
        return blocks(classifier)
    if isinstance(layers, str):
        raise TypeError(f"`layers` must be a list of names. Received: the string {layers!r}.")
    known = {
        block.name: block
        for grouping in ("layers", "auto")
        for block in blocks(classifier, grouping)
    }
    unknown = [name for name in layers if not isinstance(name, Block) and name not in known]
    if unknown:
        raise ValueError(
            f"The network has no layer with weights named {', '.join(map(repr, unknown))}. "
            f"Known: {', '.join(known)}."
        )
    return [name if isinstance(name, Block) else known[name] for name in layers]


def _to_change(
    layer: keras.Layer, variables: Sequence[keras.Variable], batch_norm: str
) -> list[keras.Variable]:
    floating = [v for v in variables if np.issubdtype(np.dtype(v.dtype), np.floating)]
    if not is_normalization(layer) or batch_norm in ("all", "recalibrate"):
        return floating
    return [v for v in floating if v.trainable and batch_norm == "trainable"]


def _new_value(
    operator: str, layer: keras.Layer, variable: keras.Variable, stream: np.random.Generator
) -> np.ndarray:
    draw: dict[str, Callable[[], np.ndarray]] = {
        "native": lambda: first_value(layer, variable, stream),
        "truncated_normal": lambda: _truncated_normal(variable.shape, stream),
        "uniform": lambda: _uniform(variable.shape, stream),
        "matched": lambda: _matched(value_of(variable), stream),
        "permute": lambda: _permuted(value_of(variable), stream),
    }
    is_kernel = len(variable.shape) > 1
    keeps_own = operator in ("truncated_normal", "uniform") and not is_kernel
    value = draw["native" if keeps_own else operator]()
    return np.asarray(value).astype(variable.dtype)


def _truncated_normal(shape: Sequence[int], stream: np.random.Generator) -> np.ndarray:
    """Normal draws, standard deviation 0.01 before those beyond two deviations are cut."""
    inside = stream.uniform(special.ndtr(-2), special.ndtr(2), tuple(shape))
    return _PAPER_STANDARD_DEVIATION * special.ndtri(inside)


def _uniform(shape: Sequence[int], stream: np.random.Generator) -> np.ndarray:
    edge = np.sqrt(3) * _PAPER_STANDARD_DEVIATION
    return stream.uniform(-edge, edge, tuple(shape))


def _matched(trained: np.ndarray, stream: np.random.Generator) -> np.ndarray:
    return stream.normal(trained.mean(), trained.std(), trained.shape)


def _permuted(trained: np.ndarray, stream: np.random.Generator) -> np.ndarray:
    return stream.permutation(trained.ravel()).reshape(trained.shape)


def _recalibrate(
    classifier: Classifier, chosen: Sequence[Block], images: np.ndarray | None
) -> None:
    """Set moving statistics to what one pass over `images` shows, layer after layer."""
    if images is None:
        raise ValueError("batch_norm='recalibrate' needs `calibration_images`.")
    renewed = {
        id(layer): layer
        for block in chosen
        for layer, _ in block.layers
        if isinstance(layer, keras.layers.BatchNormalization)
    }

    def measure(name: str, layer: keras.Operation, output: tf.Tensor) -> tf.Tensor:
        if id(layer) not in renewed:
            return output
        # Just re-initialised: mean 0, variance 1, so the input can be read off the output.
        scale = layer.gamma if layer.scale else 1.0
        shift = layer.beta if layer.center else 0.0
        values = (tf.cast(output, tf.float32) - shift) / scale * tf.sqrt(1.0 + layer.epsilon)
        mean, variance = tf.nn.moments(values, axes=list(range(values.shape.rank - 1)))
        layer.moving_mean.assign(mean)
        layer.moving_variance.assign(variance)
        renewal = (values - mean) / tf.sqrt(variance + layer.epsilon) * scale + shift
        return tf.cast(renewal, output.dtype)

    classifier.network.run(tf.constant(classifier.check_images(images)), measure)
