"""Which places of a network cut it in two, and from which on it is affine.

Read off the traced graph by its edges, never by the names of layers:

* a tap is a *cut* when every path from the image to the logits runs through it. Then conductances
  there add up to the whole change of the logit (completeness);
* its *tail* is affine when nothing after it is nonlinear (average pooling, dense layers). Then the
  gradient is constant along any path and conductance has a closed form.

Paths are counted exactly: with `before` paths from the image to a tensor and `after` paths from it
to the logits, the tensor is a cut when before * after is the number of all paths.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import keras
import tensorflow as tf

from kernel_lib.models.classifier import Classifier
from kernel_lib.network.compiled import CompiledNetwork, Tap

_AFFINE = {
    "Add", "AddN", "AddV2", "AvgPool", "AvgPool3D", "BiasAdd", "Cast", "ConcatV2", "EnsureShape",
    "ExpandDims", "GatherV2", "Identity", "IdentityN", "Mean", "Neg", "Pack", "Pad", "PadV2",
    "Reshape", "Slice", "Split", "SplitV", "Squeeze", "StridedSlice", "Sub", "Sum", "Tile",
    "Transpose", "Unpack",
}  # fmt: skip
# Linear in each input alone: affine as long as the image reaches only one of them.
_BILINEAR = {
    "BatchMatMulV2", "BatchMatMulV3", "Conv2D", "DepthwiseConv2dNative", "Einsum", "MatMul", "Mul",
}  # fmt: skip
_MERGES = (keras.layers.Add, keras.layers.Concatenate, keras.layers.Average, keras.layers.Multiply)
_ACTIVATIONS = (
    keras.layers.Activation,
    keras.layers.ELU,
    keras.layers.LeakyReLU,
    keras.layers.PReLU,
    keras.layers.ReLU,
)


@dataclass(frozen=True)
class Place:
    """What the graph says about one tap.

    Attributes:
        tap: the tap itself.
        is_cut: whether all paths from the image to the logits run through it.
        has_affine_tail: whether the logits are an affine function of it (only for cuts).
        parents: names of the taps it is computed from.
        is_logits: whether it holds the logits, or what comes after them.
    """

    tap: Tap
    is_cut: bool
    has_affine_tail: bool
    parents: tuple[str, ...]
    is_logits: bool


_known: WeakKeyDictionary[CompiledNetwork, dict[str, Place]] = WeakKeyDictionary()


def places(classifier: Classifier) -> dict[str, Place]:
    """Every tap of the network with its place in the graph, in the order of computation."""
    network = classifier.network
    if network not in _known:
        _known[network] = _traced(network)
    return _known[network]


def default_taps(classifier: Classifier) -> list[str]:
    """The taps that conductance reads by default.

    Where branches meet again at a cut (residual and inception blocks), the output of each block,
    after its activation; in a plain network, the output of each activation. Only cuts, never the
    logits.
    """
    cuts = [place for place in places(classifier).values() if place.is_cut and not place.is_logits]
    after = {parent: place for place in cuts for parent in place.parents}
    merges = [place for place in cuts if isinstance(place.tap.layer, _MERGES)]
    if merges:
        return [_activated(place, after).tap.name for place in merges]
    active = [place.tap.name for place in cuts if is_activated(place.tap.layer)]
    found = active or [place.tap.name for place in cuts]
    if not found:
        raise ValueError(
            f"No layer of {classifier.name!r} lies on every path from the image to the logits. "
            "Name the layers to read with `layers`."
        )
    return found


def penultimate_tap(classifier: Classifier) -> str:
    """The last cut before the last layer that owns a kernel: what the final layer reads."""
    found = list(places(classifier).values())
    with_kernel = [
        position
        for position, place in enumerate(found)
        if getattr(place.tap.layer, "kernel", None) is not None
    ]
    last = with_kernel[-1] if with_kernel else len(found)
    before = [place.tap.name for place in found[:last] if place.is_cut and not place.is_logits]
    if not before:
        raise ValueError(f"{classifier.name!r} has no layer before its last one to read from.")
    return before[-1]


def is_activated(layer: Any) -> bool:
    """Whether the layer ends in a nonlinearity."""
    if isinstance(layer, _ACTIVATIONS):
        return True
    activation = getattr(layer, "activation", None)
    return activation is not None and activation is not keras.activations.linear


def _activated(place: Place, after: dict[str, Place]) -> Place:
    following = after.get(place.tap.name)
    if following is not None and isinstance(following.tap.layer, _ACTIVATIONS):
        return following
    return place


def _traced(network: CompiledNetwork) -> dict[str, Place]:
    found: dict[str, Place] = {}
    taps: list[tuple[Tap, tf.Tensor]] = []

    def note(name: str, layer: keras.Operation, output: tf.Tensor) -> tf.Tensor:
        taps.append((Tap(name, layer, tuple(output.shape[1:])), output))
        return output

    def body(images: tf.Tensor) -> tf.Tensor:
        logits, _ = network.forward(images, alter=note)
        found.update(_read(images, logits, taps, network))
        return logits

    probe = tf.function(body, input_signature=[network.image_spec], autograph=False)
    probe.get_concrete_function()  # tracing alone shows the graph: nothing is computed
    return found


def _read(
    images: tf.Tensor,
    logits: tf.Tensor,
    taps: list[tuple[Tap, tf.Tensor]],
    network: CompiledNetwork,
) -> dict[str, Place]:
    operations = images.graph.get_operations()  # in order: inputs before what uses them
    before = _paths_from(images, operations)
    after = _paths_to(logits, operations)
    affine = _affine_tails(logits, operations, before, after)
    total = before[logits.name]
    names: dict[str, str] = {}
    result = {}
    for tap, tensor in taps:
        key = tensor.name
        is_cut = total > 0 and before[key] * after[key] == total
        parents = (names[key],) if key in names else _parents(tensor, names)
        is_logits = network.holds_scores(tensor) or after[key] == 0
        result[tap.name] = Place(tap, is_cut, is_cut and affine[key], parents, is_logits)
        names[key] = tap.name
    return result


def _edges(operation: tf.Operation) -> list[tuple[tf.Tensor, tf.Tensor]]:
    """Pairs (input, output) through which values flow: floating numbers only, no shapes."""
    inputs = [tensor for tensor in operation.inputs if tensor.dtype.is_floating]
    outputs = [tensor for tensor in operation.outputs if tensor.dtype.is_floating]
    if operation.type == "IdentityN":
        pairs = zip(operation.inputs, operation.outputs, strict=True)
        return [(a, b) for a, b in pairs if a.dtype.is_floating]
    return [(a, b) for a in inputs for b in outputs]


def _paths_from(images: tf.Tensor, operations: list[tf.Operation]) -> dict[str, int]:
    count: dict[str, int] = defaultdict(int, {images.name: 1})
    for operation in operations:
        for source, output in _edges(operation):
            count[output.name] += count[source.name]
    return count


def _paths_to(logits: tf.Tensor, operations: list[tf.Operation]) -> dict[str, int]:
    count: dict[str, int] = defaultdict(int, {logits.name: 1})
    for operation in reversed(operations):
        for source, output in _edges(operation):
            if output.name in count:
                count[source.name] += count[output.name]
    return count


def _affine_tails(
    logits: tf.Tensor,
    operations: list[tf.Operation],
    before: dict[str, int],
    after: dict[str, int],
) -> dict[str, bool]:
    tails: dict[str, bool] = defaultdict(lambda: True)
    for operation in reversed(operations):
        for source, output in _edges(operation):
            if output.name in after and before[source.name]:
                keeps = _is_affine_in(operation, source, before)
                tails[source.name] = tails[source.name] and keeps and tails[output.name]
    tails[logits.name] = True
    return tails


def _is_affine_in(operation: tf.Operation, source: tf.Tensor, before: dict[str, int]) -> bool:
    if operation.type in _AFFINE:
        return True
    first = operation.inputs[0].name
    moving = [tensor.name for tensor in operation.inputs if before.get(tensor.name, 0)]
    if operation.type in _BILINEAR:
        return len(moving) == 1
    if operation.type == "RealDiv":
        return moving == [first]
    if operation.type == "FusedBatchNormV3":
        return moving == [first] and not operation.get_attr("is_training")
    return False


def _parents(tensor: tf.Tensor, names: dict[str, str]) -> tuple[str, ...]:
    """The taps met first on the way back from `tensor`."""
    waiting = [source for source, output in _edges(tensor.op) if output.name == tensor.name]
    seen: set[str] = set()
    found: list[str] = []
    while waiting:
        current = waiting.pop()
        if current.name in seen:
            continue
        seen.add(current.name)
        if current.name in names:
            found.append(names[current.name])
        else:
            waiting += [a for a, b in _edges(current.op) if b.name == current.name]
    return tuple(dict.fromkeys(found))
