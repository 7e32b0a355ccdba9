"""Read off a network which pixels it was made for, from what it does before its first weights.

Even gray images of known brightness run through the network until they reach the first layer that
has weights of its own. Whatever stood on the way (a `Rescaling` in a nested base, a
`Normalization`, `preprocess_input` called in the graph, arithmetic in the `call` of a subclass,
augmentation, resizing) has then done its work, and the values that arrive show what it amounts to.
Pixels in [0, 1], in [-1, 1] and bytes are tried: a network that scales its input itself brings just
one of these to values about one (or, as VGG and ResNet want it, to bytes about their mean).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras.ops import convert_to_numpy

from kernel_lib.network.observe import listen
from kernel_lib.network.whole_numbers import input_dtype

# Where pixels may lie, by the name of the preprocessing that puts them there.
RANGES = {"unit": (0.0, 1.0), "symmetric": (-1.0, 1.0), "bytes": (0.0, 255.0)}
WORDS = {
    "unit": "pixels in 0..1",
    "symmetric": "pixels in -1..1",
    "bytes": "bytes, 0..255",
}
_STEPS = np.linspace(0, 1, 5)

# Widths of what arrives. About one: from half of [0, 1] to dark images divided by their deviation.
_ABOUT_ONE = (0.48, 60.0)
_LIKE_BYTES = (200.0, 300.0)


@dataclass(frozen=True)
class Reading:
    """What a network tells of the pixels that it takes.

    Attributes:
        name: "unit", "symmetric" or "bytes"; None where nothing decides.
        default: what to assume where nothing decides.
        evidence: one sentence.
    """

    name: str | None
    evidence: str
    default: str = "unit"


def read_scale(model: keras.Model, image_shape: Sequence[int | None]) -> Reading:
    """Say which pixels `model` takes, by what it does to them itself.

    Args:
        model: any built Keras model that takes one batch of images.
        image_shape: (height, width, channels), None where free.
    """
    dtype = input_dtype(model)
    if dtype == "uint8":
        return Reading("bytes", "The network's input is of type uint8: it takes bytes, 0..255.")
    names = list(RANGES) if dtype.is_floating else ["bytes"]
    levels = {name: _levels(name, dtype) for name in names}
    shape = [size or free for size, free in zip(image_shape, (32, 32, 3), strict=True)]
    try:
        arrival = _follow(model, np.concatenate(list(levels.values())), shape, dtype)
    except Exception as error:  # the network's own code may fail in any way
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        return Reading(None, f"The network could not be followed to its first weights: {reason}")
    if arrival is None:
        return Reading(None, "No image reaches weights of the network in a way that shows a scale.")
    values = np.split(arrival.values, len(names))
    fits = {name: _fit(name, levels[name], v) for name, v in zip(names, values, strict=True)}
    return _judge(fits, arrival) if dtype.is_floating else _judge_whole(fits["bytes"], dtype)


def _levels(name: str, dtype: tf.DType) -> np.ndarray:
    low, high = RANGES[name]
    levels = low + (high - low) * _STEPS
    return levels if dtype.is_floating else np.round(levels)


# --- to the first weights ------------------------------------------------------------------------


@dataclass(frozen=True)
class _Arrival:
    """What reaches the first layer with weights: `values` (num_levels, num_elements)."""

    path: str
    layer: keras.Operation
    values: np.ndarray
    steps: tuple[tuple[str, keras.Operation], ...] = ()  # what changed the values on the way


class _Arrived(BaseException):
    """Ends the run; Keras rewrites an `Exception` that passes through its layers."""


@dataclass
class _Follower:
    num_images: int
    arrivals: list[_Arrival] = field(default_factory=list)
    steps: list[tuple[str, keras.Operation]] = field(default_factory=list)
    given: dict[str, np.ndarray] = field(default_factory=dict)

    def on_call(self, path: str, layer: keras.Operation, args: tuple, kwargs: dict) -> None:
        if self.enter(path, layer, args, kwargs) and not getattr(layer, "_layers", None):
            raise _Arrived

    def enter(self, path: str, layer: keras.Operation, args: tuple, kwargs: dict) -> bool:
        """Note what a layer is given; say whether it has weights of its own."""
        values = self._first_images(args, kwargs)
        if values is None:
            return False
        self.given[path] = values
        if not _has_own_weights(layer):
            return False
        self.arrivals.append(_Arrival(path, layer, values, tuple(self.steps)))
        return True

    def on_output(self, path: str, layer: keras.Operation, output: Any) -> Any:
        if any(arrival.path == path for arrival in self.arrivals):
            raise _Arrived
        before = self.given.pop(path, None)
        if before is None:
            return output
        if _has_numbers(layer) and not self._is_scaling(before, output):
            self.arrivals.append(_Arrival(path, layer, before, tuple(self.steps)))
            raise _Arrived
        is_whole = any(step.startswith(f"{path}/") for step, _ in self.steps)
        if not is_whole and _changed(before, np.asarray(output)):
            self.steps.append((path, layer))
        return output

    def _is_scaling(self, before: np.ndarray, output: Any) -> bool:
        """Whether a layer with numbers that are not learned treats all pixels alike."""
        after = self._first_images((output,), {})
        channels = output.shape[-1]
        return after is not None and after.shape == before.shape and _is_even(after, channels)

    def _first_images(self, args: tuple, kwargs: dict) -> np.ndarray | None:
        """Return the first argument that differs between the images, one row an image."""
        for value in keras.tree.flatten((args, kwargs)):
            if not tf.is_tensor(value) or not value.shape or value.shape[0] % self.num_images:
                continue
            rows = np.asarray(tf.cast(value, tf.float64)).reshape(self.num_images, -1)
            if self.num_images == 1 or (rows != rows[0]).any():
                return rows
        return None


def _changed(before: np.ndarray, after: np.ndarray) -> bool:
    """Whether a step changed the range of values: padding, moving and resizing do not."""
    if not np.issubdtype(after.dtype, np.number) and after.dtype.kind != "V":
        return False
    after = after.astype(np.float64)
    ends = np.array([[part.min(), part.max()] for part in (before, after)])
    inside = min(ends[0, 0], 0), max(ends[0, 1], 0)  # zeros may have been padded
    padded = np.allclose(ends[1], inside, rtol=1e-3)
    return not (padded or np.allclose(ends[0], ends[1], rtol=1e-3))


def _has_own_weights(layer: keras.Operation) -> bool:
    """Whether a layer itself, not a part of it, learns weights by gradients."""
    is_first = isinstance(layer, keras.layers.BatchNormalization)  # it may learn its averages only
    return is_first or _any_floats(layer, "_trainable_variables")


def _has_numbers(layer: keras.Operation) -> bool:
    """Whether a layer holds numbers that it does not learn, such as the mean of its images."""
    is_known = isinstance(layer, keras.layers.Normalization)
    return not is_known and _any_floats(layer, "_non_trainable_variables")


def _any_floats(layer: keras.Operation, kind: str) -> bool:
    return any(tf.as_dtype(variable.dtype).is_floating for variable in getattr(layer, kind, ()))


def _follow(
    model: keras.Model, levels: np.ndarray, shape: Sequence[int], dtype: tf.DType
) -> _Arrival | None:
    """Run even images through the network until they meet weights."""
    size = _batch_size(model) or len(levels)
    filled = np.resize(levels, -(-len(levels) // size) * size)  # a fixed batch is filled up
    parts: list[_Arrival] = []
    with _seeds_kept(model):
        for batch in np.split(filled, len(filled) // size):
            images = np.broadcast_to(batch.reshape(-1, 1, 1, 1), (size, *shape))
            arrival = _run(model, tf.cast(tf.constant(images), dtype))
            if arrival is None or (parts and parts[0].path != arrival.path):
                return None
            parts.append(arrival)
    values = np.concatenate([part.values for part in parts])[: len(levels)]
    return _Arrival(parts[0].path, parts[0].layer, values, parts[0].steps)


def _run(model: keras.Model, images: tf.Tensor) -> _Arrival | None:
    follower = _Follower(len(images))
    follower.enter("", model, (images,), {})
    try:
        with listen(model, follower.on_output, on_call=follower.on_call):
            model(images, training=False)
    except _Arrived:
        pass
    if not follower.arrivals:
        return None
    # A block with weights of its own may first scale, in a part of it. It may also first use its
    # weights: then what reaches the part is no longer pixels, and what reached the block counts.
    inner, outer = follower.arrivals[-1], follower.arrivals[0]
    return inner if inner is outer or _is_even(inner.values, images.shape[-1]) else outer


def _is_even(values: np.ndarray, num_channels: int) -> bool:
    """Whether all elements saw the same arithmetic, but for one set of numbers a channel."""
    spread = np.ptp(values, axis=0)
    spread = spread[spread > 0]
    return bool(spread.size) and len(np.unique(np.float16(spread / spread.max()))) <= num_channels


def _batch_size(model: keras.Model) -> int | None:
    try:
        return model.inputs[0].shape[0]
    except (AttributeError, IndexError, TypeError, ValueError):
        return None


@contextmanager
def _seeds_kept(model: keras.Model) -> Iterator[None]:
    """Put back the state of random layers that draw even when they do not train."""
    states = [(v, convert_to_numpy(v)) for v in model.variables if tf.as_dtype(v.dtype).is_integer]
    try:
        yield
    finally:
        for variable, state in states:
            if not np.array_equal(convert_to_numpy(variable), state):
                variable.assign(state)


# --- what arrives, judged ------------------------------------------------------------------------


@dataclass(frozen=True)
class _Fit:
    """What becomes of pixels of one range: "same" (untouched), "fits" or "no"."""

    kind: str
    low: float = 0.0
    high: float = 0.0
    zero: float = 0.0  # the pixel that becomes zero
    length: float = 1.0  # the difference of pixels that becomes one

    @property
    def range(self) -> str:
        return f"{self.low:.3g}..{self.high:.3g}"


def _fit(name: str, levels: np.ndarray, values: np.ndarray) -> _Fit:
    """Say whether pixels of one range arrive as a network wants them.

    Args:
        name: name of the range.
        levels: (num_levels,), rising.
        values: (num_levels, num_elements), what arrives.
    """
    if not np.isfinite(values).all():
        return _Fit("no")
    moving = np.ptp(values, axis=0) > 1e-5 * np.abs(values).max(axis=0) + 1e-12
    values = values[:, moving]  # the others are padding
    rises = np.diff(values, axis=0)
    steady = (rises > 0).all(axis=0) | (rises < 0).all(axis=0)
    if not moving.any() or steady.mean() < 0.5:
        return _Fit("no", *_ends(values))
    values = values[:, steady]
    width = float(np.ptp(levels))
    slopes = (values[-1] - values[0]) / width
    zero = float(np.median(levels[0] - values[0] / slopes))
    fit = _Fit("no", *_ends(values), zero, float(1 / np.abs(np.median(slopes))))
    if np.allclose(values, levels[:, None], rtol=2e-3, atol=1e-4):
        return _Fit("same", fit.low, fit.high, zero, fit.length)
    is_inside = -0.02 * width <= zero - levels[0] <= 1.02 * width
    about_one = _ABOUT_ONE[0] <= fit.high - fit.low <= _ABOUT_ONE[1]
    # Bytes less their mean. Less a number about one, they are no bytes that were meant.
    like_bytes = _LIKE_BYTES[0] <= fit.high - fit.low <= _LIKE_BYTES[1]
    like_bytes = like_bytes and (name != "bytes" or zero >= 10)
    if is_inside and (about_one or like_bytes):
        return _Fit("fits", fit.low, fit.high, zero, fit.length)
    return fit


def _ends(values: np.ndarray) -> tuple[float, float]:
    if not values.size:
        return 0.0, 0.0
    return float(np.median(values.min(axis=0))), float(np.median(values.max(axis=0)))


def _judge(fits: dict[str, _Fit], arrival: _Arrival) -> Reading:
    good = [name for name, fit in fits.items() if fit.kind != "no"]
    if all(fit.kind == "same" for fit in fits.values()):
        if isinstance(arrival.layer, keras.layers.TFSMLayer):
            place = _place(arrival.path)
            return Reading(None, f"What the SavedModel in {place} does to its input is hidden")
        if isinstance(arrival.layer, keras.layers.BatchNormalization):
            return _judge_batch_statistics(arrival)
        return Reading(
            None,
            f"The network does nothing to its input before its first weights "
            f"({_place(arrival.path)}), so nothing in it tells the scale",
        )
    name = good[0] if len(good) == 1 else None
    if good == ["unit", "symmetric"] and not any(fits[each].kind == "same" for each in good):
        is_standardized = any(isinstance(s, keras.layers.Normalization) for _, s in arrival.steps)
        name = _unit_or_symmetric(fits, is_standardized)
    changes = ", ".join(_place(path, layer) for path, layer in arrival.steps) or "in its own code"
    if name is None:
        became = " and ".join(f"{_span(n)} to {fit.range}" for n, fit in fits.items())
        return Reading(
            None, f"The network itself brings {became} ({changes}), which does not tell the scale"
        )
    verb = "leaves" if fits[name].kind == "same" else "itself brings"
    as_is = "as they are and cuts others off" if fits[name].kind == "same" else ""
    became = as_is or f"to {fits[name].range}"
    return Reading(
        name,
        f"The network {verb} {_span(name)} {became} before its first weights ({changes}), "
        f"so it takes {WORDS[name]}.",
    )


def _judge_whole(fit: _Fit, dtype: tf.DType) -> Reading:
    text = f"The network's input is of type {dtype.name}, which takes whole numbers"
    if fit.kind == "no":
        more = f", and it brings 0..255 to {fit.range}, which does not tell the scale"
        return Reading(None, text + more, default="bytes")
    return Reading("bytes", f"{text}: bytes, 0..255.")


def _unit_or_symmetric(fits: dict[str, _Fit], is_standardized: bool) -> str | None:
    """Decide where both arrive about one.

    Values in [low, high] with the mean m have a variance of at most (high - m)(m - low) (Bhatia and
    Davis, 2000), so the numbers of a layer that standardizes can rule a range out.
    """
    zero, length = fits["unit"].zero, fits["unit"].length
    if not is_standardized:
        return "unit" if 0.1 <= zero <= 0.9 else None
    possible = [name for name in ("unit", "symmetric") if _can_be(name, zero, length, slack=1.1)]
    if len(possible) == 1:
        return possible[0]
    return "unit" if 0.02 < zero < 0.98 else None


def _can_be(name: str, mean: float, deviation: float, slack: float = 1.0) -> bool:
    low, high = RANGES[name]
    return low < mean < high and deviation <= slack * np.sqrt((mean - low) * (high - mean))


def _judge_batch_statistics(arrival: _Arrival) -> Reading:
    """Read the mean and deviation of images that a first batch normalization has seen.

    Its averages may still be on their way from 0 and 1, so only what holds on the way decides:
    means of bytes outgrow [-1, 1] at once, and no average of values in [0, 1] is below zero.
    """
    layer: Any = arrival.layer
    mean = float(np.median(convert_to_numpy(layer.moving_mean)))
    deviation = float(np.sqrt(np.median(convert_to_numpy(layer.moving_variance))))
    seen = (
        f"{_place(arrival.path)} has seen a mean of {mean:.3g} and a deviation of {deviation:.3g}"
    )
    if mean > 2 and deviation > 1 and _can_be("bytes", mean, deviation):
        return Reading("bytes", f"The network's first {seen}, so it takes {WORDS['bytes']}.")
    if mean < -0.02 and deviation < 0.75 and _can_be("symmetric", mean, deviation):
        return Reading(
            "symmetric", f"The network's first {seen}, so it takes {WORDS['symmetric']}."
        )
    return Reading(None, f"The network's first {seen}, which does not tell the scale")


def _span(name: str) -> str:
    low, high = RANGES[name]
    return f"{low:g}..{high:g}"


def _place(path: str, layer: keras.Operation | None = None) -> str:
    if not path:
        return "its own"
    kind = "layer" if layer is None or isinstance(layer, keras.Layer) else "operation"
    *outer, name = path.split("/")
    return f"{kind} {name!r}" + (f" inside {outer[-1]!r}" if outer else "")
