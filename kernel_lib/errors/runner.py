"""Run many mutants over many images: in place, from shared activations, in stacks.

* Weights are changed in place and put back; nothing is cloned, rebuilt or traced anew. From one
  mutant to the next only those weights are assigned that differ between the two.
* A mutant is made once and shown as many batches of images as fit a bounded memory.
* Activations at the last cut before a mutant's first touched layer are computed once for these
  images and shared by all mutants that start there.
* Mutants that touch dense layers only run side by side in one batch, their kernels stacked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import prod
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kernel_lib.errors.graph import places
from kernel_lib.errors.recipes import Mutant, mutated
from kernel_lib.errors.units import MutableLayer, mutable_layers
from kernel_lib.models.classifier import Classifier
from kernel_lib.network.compiled import in_batches
from kernel_lib.network.weights import Snapshot

KEPT_FLOATS = 16_000_000  # most numbers that shared activations, or one stack, may take


class MutantRunner:
    """Runs mutants of one network whose weights the caller guards with `restored_weights`.

    Args:
        classifier: the network.
        mutants: all mutants that will be run.
        snapshot: the trained weights.
        batch_size: images that go through the network at once.
    """

    def __init__(
        self,
        classifier: Classifier,
        mutants: Sequence[Mutant],
        snapshot: Snapshot,
        batch_size: int = 256,
    ):
        self.classifier, self.mutants, self.snapshot = classifier, list(mutants), snapshot
        self.batch_size = batch_size
        touched = {name for mutant in mutants for name in mutant.places}
        chosen = mutable_layers(classifier, sorted(touched)) if touched else []
        self.layers = {layer.name: layer for layer in chosen}
        self._originals = {layer.name: self._trained(layer) for layer in chosen}
        self._changed: set[tuple[str, str]] = set()  # (layer, role) that are not as trained
        self.stacked = _stackable(classifier, self.mutants, self.layers)
        self.start = {i: self._first(mutant).resume_tap for i, mutant in enumerate(self.mutants)
                      if mutant.places}  # fmt: skip

    def groups(self, images: np.ndarray) -> Iterator[slice]:
        """Images whose shared activations fit the memory: whole batches, one at the least."""
        shapes = [self.classifier.network.tap(tap).shape for tap in self._taps()]
        floats = sum(prod(size or 0 for size in shape) for shape in [images.shape[1:], *shapes])
        is_known = all(None not in shape for shape in shapes)
        batches = max(1, KEPT_FLOATS // (floats * self.batch_size)) if is_known else 1
        for first in range(0, len(images), batches * self.batch_size):
            yield slice(first, first + batches * self.batch_size)

    def activations(self, images: np.ndarray) -> dict[str, tf.Tensor]:
        """What every mutant starts from, for one group of images; under "" the images."""
        self.restore()
        shared = {"": tf.constant(images)}
        taps = self._taps()
        if taps:
            function = self.classifier.network.outputs_function(taps)
            values = in_batches(lambda batch: function(batch)[1:], self.batch_size, images)
            shared |= {tap: tf.constant(each) for tap, each in zip(taps, values, strict=True)}
        return shared

    def run_all(self, images: np.ndarray) -> Iterator[tuple[list[int], np.ndarray]]:
        """Run every mutant on one group of images.

        Yields:
            Positions of some mutants, and their logits (mutants, num_images, num_classes).
        """
        shared = self.activations(images)
        yield from self._run_stacks(shared)
        for index in range(len(self.mutants)):
            if index not in self.stacked:
                yield [index], self.run_one(index, shared)[None]

    def run_one(self, index: int, shared: dict[str, tf.Tensor]) -> np.ndarray:
        """Logits of one mutant, from shared activations (num_images, num_classes).

        The weights stay the mutant's until the next one is run, or `restore` is called.
        """
        tap = self.start.get(index, "")
        function = _resume_function(self.classifier, tap)
        self.apply(self.mutants[index])
        return np.concatenate([function(part).numpy() for part in self._batches(shared[tap])])

    def apply(self, mutant: Mutant) -> None:
        """Change the network's weights in place to the mutant's, whatever they are now."""
        values = {
            (name, role): value
            for name in mutant.places
            for role, value in self._mutated(mutant, name).items()
        }
        before, self._changed = self._changed, self._changed | values.keys()
        for name, role in before - values.keys():
            self.layers[name].variables[role].assign(self._originals[name][role])
        for (name, role), value in values.items():
            self.layers[name].variables[role].assign(value)
        self._changed = set(values)

    def restore(self) -> None:
        """Put the trained weights back where a mutant has touched them."""
        for name, role in self._changed:
            self.layers[name].variables[role].assign(self._originals[name][role])
        self._changed = set()

    def _mutated(self, mutant: Mutant, name: str) -> dict[str, np.ndarray]:
        return mutated(mutant, self.layers[name], self._originals[name])

    def _trained(self, layer: MutableLayer) -> dict[str, np.ndarray]:
        return {role: self.snapshot.value(variable) for role, variable in layer.variables.items()}

    def _first(self, mutant: Mutant) -> MutableLayer:
        return min((self.layers[name] for name in mutant.places), key=lambda each: each.position)

    def _taps(self) -> list[str]:
        return sorted({tap for tap in self.start.values() if tap})

    def _batches(self, values: tf.Tensor) -> Iterator[tf.Tensor]:
        for first in range(0, len(values), self.batch_size):
            yield values[first : first + self.batch_size]

    # --- many mutants of late layers in one batch ------------------------------------------------

    def _run_stacks(self, shared: dict[str, tf.Tensor]) -> Iterator[tuple[list[int], np.ndarray]]:
        groups: dict[str, list[int]] = {}
        for index in self.stacked:
            groups.setdefault(self.start[index], []).append(index)
        for tap, members in groups.items():
            names = sorted(
                {name for index in members for name in self.mutants[index].places},
                key=lambda name: self.layers[name].position,
            )
            function = _stacked_function(self.classifier, tap, tuple(names), self.layers)
            size = self._stack_size(names)
            for first in range(0, len(members), size):
                stack = members[first : first + size]
                weights = self._stacked_weights(names, stack)
                parts = [function(part, *weights).numpy() for part in self._batches(shared[tap])]
                by_mutant = [part.reshape(len(stack), -1, part.shape[-1]) for part in parts]
                yield stack, np.concatenate(by_mutant, axis=1)

    def _stack_size(self, names: Sequence[str]) -> int:
        layers = [self.layers[name] for name in names]
        kernels = sum(layer.num_weights for layer in layers)
        values = self.batch_size * sum(layer.num_filters for layer in layers)
        return max(1, KEPT_FLOATS // (kernels + values))

    def _stacked_weights(
        self, names: Sequence[str], stack: Sequence[int]
    ) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        """Kernels (mutants, inputs, outputs) and biases (mutants, 1, outputs) of each layer."""
        kernels, biases = [], []
        for name in names:
            original = self._originals[name]
            zeros = np.zeros(original["kernel"].shape[-1], np.float32)
            rows = [
                original | self._mutated(mutant, name) if name in mutant.places else original
                for mutant in (self.mutants[index] for index in stack)
            ]
            kernels.append(tf.constant(np.stack([row["kernel"] for row in rows])))
            biases.append(tf.constant(np.stack([row.get("bias", zeros) for row in rows])[:, None]))
        return kernels, biases


def _stackable(
    classifier: Classifier, mutants: Sequence[Mutant], layers: dict[str, MutableLayer]
) -> list[int]:
    """Mutants of plain dense layers, the first of which nothing goes around."""
    found = places(classifier)

    def fits(layer: MutableLayer) -> bool:
        is_flat = layer.parent and len(found[layer.parent].tap.shape) == 1
        return bool(layer.is_dense and is_flat and "moving_mean" not in layer.variables)

    def is_stackable(mutant: Mutant) -> bool:
        touched = sorted((layers[name] for name in mutant.places), key=lambda one: one.position)
        return bool(touched) and touched[0].is_cut and all(map(fits, touched))

    return [index for index, mutant in enumerate(mutants) if is_stackable(mutant)]


def _resume_function(classifier: Classifier, tap: str) -> Callable[..., tf.Tensor]:
    """Values at a cut -> logits. What lies before the cut is never computed."""
    network = classifier.network
    if not tap:
        return network.logits_function()

    def body(values: tf.Tensor) -> tf.Tensor:
        def alter(name: str, layer: keras.Operation, output: tf.Tensor) -> tf.Tensor:
            return tf.ensure_shape(values, output.shape) if name == tap else output

        return network.forward(_stand_in(network, values), alter=alter)[0]

    shape = (None, *network.tap(tap).shape)
    return network.function(("resume", tap), body, [tf.TensorSpec(shape, tf.float32)])


def _stacked_function(
    classifier: Classifier, tap: str, names: tuple[str, ...], layers: dict[str, MutableLayer]
) -> Callable[..., tf.Tensor]:
    """Values at a cut, kernels and biases of each dense layer -> logits (mutants * images, C)."""
    network = classifier.network
    parents = {name: layers[name].parent for name in names}

    def body(values: tf.Tensor, kernels: list[tf.Tensor], biases: list[tf.Tensor]) -> tf.Tensor:
        seen: dict[str, tf.Tensor] = {}

        def alter(name: str, layer: Any, output: tf.Tensor) -> tf.Tensor:
            if name == tap:
                output = tf.ensure_shape(values, output.shape)
            elif name in parents:
                place = names.index(name)
                inputs = seen[parents[name]]
                output = _dense(inputs, kernels[place], biases[place], is_shared=place == 0)
                output = layer.activation(output)
            seen[name] = output
            return output

        images = _stand_in(network, values) if tap else values
        return network.forward(images, alter=alter)[0]

    shape = (None, *network.tap(tap).shape) if tap else network.image_spec.shape
    sizes = [layers[name].variables["kernel"].shape for name in names]
    signature = [
        tf.TensorSpec(shape, tf.float32),
        [tf.TensorSpec((None, *size), tf.float32) for size in sizes],
        [tf.TensorSpec((None, 1, size[-1]), tf.float32) for size in sizes],
    ]
    return network.function(("stacked", tap, names), body, signature)


def _dense(
    inputs: tf.Tensor, kernels: tf.Tensor, biases: tf.Tensor, *, is_shared: bool
) -> tf.Tensor:
    """One dense layer of many mutants; the first still reads the images they share."""
    num_mutants = tf.shape(kernels)[0]
    if is_shared:
        by_mutant = inputs[None]
    else:
        by_mutant = tf.reshape(inputs, (num_mutants, -1, kernels.shape[1]))
    return tf.reshape(tf.matmul(by_mutant, kernels) + biases, (-1, kernels.shape[-1]))


def _stand_in(network: Any, values: tf.Tensor) -> tf.Tensor:
    """Images of the right shape that nothing will read; free axes stay free."""
    size = [length or 32 for length in network.image_spec.shape[1:]]
    blank = tf.zeros([tf.shape(values)[0], *size], tf.float32)
    return tf.raw_ops.PlaceholderWithDefault(input=blank, shape=network.image_spec.shape)
