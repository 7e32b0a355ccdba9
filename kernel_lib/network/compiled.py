"""One compiled reader per network: logits, values at taps, gradients.

Every function is traced once, for any batch size, over the network's own variables, so a change
of weights is seen at once and never costs a new trace. Nothing is cloned or rebuilt.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kernel_lib._progress import is_watched, progress
from kernel_lib.network.head import ReadingError, read_scores
from kernel_lib.network.observe import Listener, listen
from kernel_lib.network.state import assigned_variables
from kernel_lib.network.whole_numbers import WholePixels, input_dtype

# Why logits may not depend on the image by anything that has a gradient, and what helps.
NO_GRADIENT = (
    "somewhere in the model's own code pixels become whole numbers, or are rounded. Methods that "
    "need gradients would give blank maps. Declare the input as keras.Input(shape, dtype='uint8') "
    "and leave the cast to the model's first layer, keras.layers.Rescaling(1 / 255), or use the "
    "methods that need no gradient."
)
# Operations whose registered gradient is nothing or zero.
_FLAT = {"Ceil", "Floor", "OnesLike", "Rint", "Round", "Sign", "StopGradient", "ZerosLike"}

# Of the outputs of all layers for one batch: what a forward and backward pass takes at most.
BATCH_BYTES = 500 * 10**6

Alteration = Callable[[str, keras.Operation, tf.Tensor], tf.Tensor]


@dataclass(frozen=True)
class Tap:
    """A place where a network can be read: the output of one call of one layer."""

    name: str
    layer: keras.Operation
    shape: tuple[int | None, ...]  # without the batch axis

    @property
    def is_map(self) -> bool:
        """Whether the output is a stack of feature maps (height, width, channels)."""
        return len(self.shape) == 3

    @property
    def has_many_pixels(self) -> bool:
        """Whether its maps have more than one pixel, or may have."""
        return self.is_map and (self.shape[0] is None or self.shape[0] * (self.shape[1] or 2) > 1)


class CompiledNetwork:
    """The compiled functions of one model.

    Args:
        model: any Keras model that takes one batch of images.
        preprocess: maps images in [0, 1] to what the model wants; runs inside the graph, so
            gradients are with respect to the images in [0, 1].
        head: see `kernel_lib.network.head`.
        output: which output, by position or name, of a model that has several.
        image_shape: (height, width, channels), None where free.
    """

    def __init__(
        self,
        model: keras.Model,
        preprocess: Callable[[tf.Tensor], tf.Tensor],
        head: str,
        output: int | str | None,
        image_shape: tuple[int | None, int | None, int | None],
    ):
        self.model, self.preprocess, self.head, self.output = model, preprocess, head, output
        self.head_kind = ""
        self.is_multi_label = self.is_squashed_twice = False
        self.num_units = 0
        self._score_names: set[str] = set()
        self.input_dtype = input_dtype(model)
        self._functions: dict[Any, tf.types.experimental.ConcreteFunction] = {}
        self._taps: list[Tap] = []
        self._output_bytes: dict[tuple[int, ...], int] = {}  # whatever the preprocessing
        self._images = tf.TensorSpec((None, *image_shape), tf.float32)
        self._targets = tf.TensorSpec((None,), tf.int32)

    def with_preprocess(self, preprocess: Callable[[tf.Tensor], tf.Tensor]) -> CompiledNetwork:
        """The same network with images prepared in another way; nothing is compiled yet."""
        other = copy.copy(self)
        other.preprocess, other._functions, other._taps = preprocess, {}, []
        for known in ("assigned_variables", "has_gradient"):
            vars(other).pop(known, None)
        return other

    # --- reading, inside a trace -----------------------------------------------------------------

    def forward(
        self,
        images: tf.Tensor,
        taps: Sequence[str] = (),
        alter: Alteration | None = None,
        *,
        training: bool = False,
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """Run the network on symbolic images; return its logits and its values at `taps`.

        `alter(name, layer, output)` may replace the output of any layer on the way. Logits, values
        and what `alter` is given are float32, whatever type the network computes in; they lie on
        the way from the images to the logits, so gradients with respect to them are float32 too.
        """
        values: dict[str, tf.Tensor] = {}
        wanted = set(taps)

        def on_output(name: str, layer: keras.Operation, output: tf.Tensor) -> tf.Tensor:
            if alter is None and name not in wanted:
                values[name] = output
                return output
            wide = tf.cast(output, tf.float32)
            values[name] = alter(name, layer, wide) if alter else wide
            return tf.cast(values[name], output.dtype)

        scores = read_scores(self._chosen(self.run(images, on_output, training)), self.head)
        self.head_kind, self.is_multi_label = scores.kind, scores.is_multi_label
        self._score_names, self.num_units = scores.names, scores.num_units
        self.is_squashed_twice = scores.is_squashed_twice
        missing = [name for name in taps if name not in values]
        if missing:
            raise ValueError(_unknown_taps(missing, list(values)))
        return scores.logits, [values[name] for name in taps]

    def holds_scores(self, tensor: tf.Tensor) -> bool:
        """Whether a tensor of the trace just made holds the class scores themselves."""
        return tensor.name in self._score_names

    def run(self, images: tf.Tensor, listener: Listener, training: bool = False) -> Any:
        """Everything that the model gives for images in [0, 1]."""
        inputs = self.preprocess(images)
        bypass = None
        if self.input_dtype.is_integer:
            bypass = WholePixels(inputs, self.input_dtype)
            inputs = bypass.pixels
        with listen(self.model, listener, bypass=bypass):
            return self.model(inputs, training=training)

    def _chosen(self, output: Any) -> tf.Tensor:
        if isinstance(output, dict):
            named = dict(output)
        elif isinstance(output, list | tuple):
            named = dict(zip(_output_names(self.model, len(output)), output, strict=True))
        elif self.output in (None, 0, "0", *_output_names(self.model, 1)):
            return output
        else:
            named = dict(zip(_output_names(self.model, 1), [output], strict=True))
        by_position = {str(position): each for position, each in enumerate(named.values())}
        chosen = (by_position | named).get(str(self.output))
        if chosen is None and self.output is None and len(named) == 1:
            chosen = next(iter(named.values()))
        if chosen is None or not tf.is_tensor(chosen):
            raise ReadingError(self._which_output(named))
        return chosen

    def _which_output(self, named: dict[str, Any]) -> str:
        known = [
            f"{position} ({name!r}, shape {tuple(getattr(each, 'shape', '?'))})"
            for position, (name, each) in enumerate(named.items())
        ]
        several = "The model has several outputs" if len(named) > 1 else "The model has one output"
        return (
            f"{several}; say which one holds the class scores, by position or name, with "
            f"Classifier(..., output=...). Known: {', '.join(known)}. "
            f"Received: output={self.output!r}."
        )

    def function(
        self, key: Any, body: Callable[..., Any], signature: Sequence[tf.TensorSpec]
    ) -> tf.types.experimental.ConcreteFunction:
        """Return `body` compiled for `signature`; the same `key` gives the same function."""
        if key not in self._functions:
            compiled = tf.function(
                body, input_signature=list(signature), autograph=False, jit_compile=False
            )
            self._functions[key] = compiled.get_concrete_function()
        return self._functions[key]

    @property
    def image_spec(self) -> tf.TensorSpec:
        """Signature of a batch of images."""
        return self._images

    @property
    def target_spec(self) -> tf.TensorSpec:
        """Signature of one class index an image."""
        return self._targets

    # --- compiled functions ----------------------------------------------------------------------

    def logits_function(self) -> tf.types.experimental.ConcreteFunction:
        """Images -> logits (batch, num_classes)."""
        return self.function("logits", lambda images: self.forward(images)[0], [self._images])

    def outputs_function(self, taps: Sequence[str]) -> Callable[..., list[tf.Tensor]]:
        """Images -> [logits, value at each tap...]."""

        def body(images: tf.Tensor) -> list[tf.Tensor]:
            logits, values = self.forward(images, taps)
            return [logits, *values]

        return self.function(("outputs", tuple(taps)), body, [self._images])

    def image_gradient_function(
        self, key: Any = "plain", alter: Alteration | None = None
    ) -> Callable[..., tf.Tensor]:
        """Images, targets -> gradient of each image's target logit at the image.

        `alter` changes the backward pass (guided backpropagation); give it a `key` of its own.
        """

        self.check_gradient()

        def body(images: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(images)
                logits, _ = self.forward(images, alter=alter)
                score = tf.gather(logits, targets, axis=1, batch_dims=1)
            return tape.gradient(score, images, unconnected_gradients="zero")

        return self.function(("image gradient", key), body, [self._images, self._targets])

    def tap_gradients_function(self, taps: Sequence[str]) -> Callable[..., list[tf.Tensor]]:
        """Images, targets -> [logits, values at taps..., gradients of the target logit there...].

        One forward and one backward pass give every tap at once.
        """

        def body(images: tf.Tensor, targets: tf.Tensor) -> list[tf.Tensor]:
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(images)
                logits, values = self.forward(images, taps)
                score = tf.gather(logits, targets, axis=1, batch_dims=1)
            slopes = tape.gradient(score, values, unconnected_gradients="zero")
            return [logits, *values, *slopes]

        return self.function(("tap gradients", tuple(taps)), body, [self._images, self._targets])

    @cached_property
    def assigned_variables(self) -> list[keras.Variable]:
        """Variables that the model writes to when it is run: see `kernel_lib.network.state`."""
        return assigned_variables(self.model, self.logits_function())

    @cached_property
    def has_gradient(self) -> bool:
        """Whether the logits depend on the image through operations that have gradients."""
        function = self.logits_function()
        waiting, seen = list(function.graph.outputs), set()
        while waiting:
            tensor = waiting.pop()
            if tensor is function.graph.inputs[0]:
                return True
            # Recurrent layers carry their values in lists, whose type is "variant".
            has_slope = tensor.dtype.is_floating or tensor.dtype == tf.variant
            if tensor.name in seen or tensor.op.type in _FLAT or not has_slope:
                continue
            seen.add(tensor.name)
            waiting += tensor.op.inputs
        return False

    def check_gradient(self) -> None:
        """Raise where every gradient at the image would be zero.

        Raises:
            ReadingError: the message says why, and what helps.
        """
        if not self.has_gradient:
            raise ReadingError(
                f"The logits of {self.model.name!r} have no gradient at the image: {NO_GRADIENT}"
            )

    # --- what there is to read -------------------------------------------------------------------

    def taps(self) -> list[Tap]:
        """Every tap, in the order the network computes them."""
        if not self._taps:
            self._taps = self._traced_taps(self._images)
        return list(self._taps)

    def _traced_taps(self, images: tf.TensorSpec) -> list[Tap]:
        found: list[Tap] = []

        def note(name: str, layer: keras.Operation, output: tf.Tensor) -> tf.Tensor:
            found.append(Tap(name, layer, tuple(output.shape[1:])))
            return output

        probe = tf.function(
            lambda images: self.forward(images, alter=note)[0],
            input_signature=[images],
            autograph=False,
        )
        # Tracing alone lists the layers: nothing is computed.
        probe.get_concrete_function()
        return found

    def output_bytes(self, image_shape: Sequence[int]) -> int:
        """Bytes of all layers' outputs together for one image, as float32; nothing is computed."""
        shape = tuple(int(side) for side in image_shape)
        if shape not in self._output_bytes:
            is_free = None in self._images.shape[1:]
            spec = tf.TensorSpec((None, *shape), tf.float32)
            taps = self._traced_taps(spec) if is_free else self.taps()
            values = sum(int(np.prod([side or 1 for side in tap.shape])) for tap in taps)
            self._output_bytes[shape] = 4 * values
        return self._output_bytes[shape]

    def tap(self, name: str) -> Tap:
        """The tap of that name."""
        for tap in self.taps():
            if tap.name == name:
                return tap
        raise ValueError(_unknown_taps([name], [tap.name for tap in self.taps()]))


def in_batches(
    function: Callable[..., Any], batch_size: int, *arrays: np.ndarray
) -> list[np.ndarray]:
    """Run `function` over `arrays` in batches of at most `batch_size`; join its outputs.

    Memory on the TensorFlow side is bounded by `batch_size`; results are copied to NumPy batch by
    batch, into arrays made once.

    Args:
        function: takes one slice of each array; returns a tensor or a list of tensors whose first
            axis is the batch.
        arrays: arrays of the same length.

    Returns:
        A list of arrays, one for each output of `function`.
    """
    num_items = len(arrays[0])
    results: list[np.ndarray] = []
    starts = range(0, num_items, batch_size)
    for start in progress(starts, "Images", enabled=len(starts) > 1 and is_watched()):
        batch = slice(start, min(start + batch_size, num_items))
        outputs = function(*(tf.constant(array[batch]) for array in arrays))
        outputs = outputs if isinstance(outputs, list | tuple) else [outputs]
        values = [output.numpy() for output in outputs]
        if not results:
            results = [np.empty((num_items, *v.shape[1:]), v.dtype) for v in values]
        for result, value in zip(results, values, strict=True):
            result[batch] = value
    return results


def fitting_batch_size(image_shape: Sequence[int], network: CompiledNetwork | None = None) -> int:
    """A batch that keeps two cores busy and memory small: 128 at 32 pixels, 8 at 224.

    With a network, as many at most as leave the outputs of all its layers within `BATCH_BYTES`. A
    forward and backward pass takes 0.3 (MobileNetV2, ResNet50) to 0.9 (VGG16) of that, as the
    compiled graph joins layers and frees what is no longer needed. The same network gets the same
    batches on every machine.

    Args:
        image_shape: (height, width, channels) of the images, checked before.
        network: what the images pass through; it is traced once, and nothing is computed.
    """
    size = int(np.clip(128 * 32 * 32 * 3 // int(np.prod(image_shape)), 8, 128))
    return size if network is None else min(size, most_at_once(image_shape, network))


def forward_batch_size(image_shape: Sequence[int], network: CompiledNetwork) -> int:
    """The same for forward passes alone, which leave room for twice as many."""
    return 2 * fitting_batch_size(image_shape, network)


def most_at_once(image_shape: Sequence[int], network: CompiledNetwork) -> int:
    """Images whose outputs of all layers fit `BATCH_BYTES`; one at the least."""
    return max(1, BATCH_BYTES // max(1, network.output_bytes(image_shape)))


def _output_names(model: keras.Model, count: int) -> list[str]:
    """Names of a model's outputs, where they come without names; their positions else."""
    try:
        names = [str(name) for name in model.output_names]
    except (AttributeError, ValueError):
        names = []
    is_good = len(names) == count and len(set(names)) == count
    return names if is_good else [str(position) for position in range(count)]


def _unknown_taps(missing: Sequence[str], known: Sequence[str]) -> str:
    return (
        f"The network has no tap named {', '.join(map(repr, missing))}. "
        f"Its taps are: {', '.join(known)}."
    )
