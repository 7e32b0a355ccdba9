"""Push images through every step of a transformation, and read what the network says.

Images are taken batch by batch, each batch through all steps, so memory does not grow with their
number. A batch is transformed once, however many networks read it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from kernel_lib._checks import check_count
from kernel_lib._progress import progress as progress_bar
from kernel_lib.data import ImageSet
from kernel_lib.invariance.signals import Signals, default_taps, signal_names, signals_function
from kernel_lib.invariance.transforms import CLEAN, Rules, Stepper, as_rules, as_transform
from kernel_lib.models.classifier import Classifier, as_classifier
from kernel_lib.network.compiled import CompiledNetwork, most_at_once
from kernel_lib.network.weights import restored_weights

_Item = TypeVar("_Item")


def sweep(
    model: Any,
    images: ImageSet | np.ndarray,
    transform: Any = "rotation",
    values: Sequence[float] | None = None,
    *,
    identity: float = 0.0,
    rules: Rules | str = CLEAN,
    taps: Sequence[str] | None = None,
    seed: int = 0,
    batch_size: int | None = None,
    progress: bool = True,
    store: str | os.PathLike[str] | None = None,
) -> Signals:
    """Read all signals of a network at every step of a transformation.

    Args:
        model: a Keras model or a `Classifier`.
        images: an `ImageSet` (all of it), or images (num_images, height, width, channels) in
            [0, 1] without labels.
        transform: a name of `transforms()`, a `Transform`, or a function (images, value) ->
            images; see `as_transform`.
        values: the steps; one of them must be the identity. None takes the usual ones.
        identity: for a function, the value that changes nothing.
        rules: how borders are treated: "clean", "paper" (nearest pixel, black outside) or `Rules`.
        taps: convolutions to read; None takes the last two, an empty list none.
        seed: seed of noise and of places to cover.
        batch_size: images in memory at once; None fits the image size.
        progress: show a progress bar.
        store: a file ending in .npy that holds the signals instead of memory.

    Returns:
        `Signals` of all images, from one forward pass a step and batch.

    Raises:
        ValueError: a grid without identity, a signal that is NaN, fewer than two images.

    Example:
        >>> signals = sweep(model, images.test, "rotation")
        >>> matrix = variance_matrix(signals.signal("confidence"))
    """
    classifier = as_classifier(model)
    job = _Job(classifier, images, transform, values, identity, rules, taps, seed, batch_size)
    found = job.empty(1, store)
    for batch in progress_bar(job.batches(), "Transformed images", enabled=progress):
        job.read(found[0], batch, _ahead(job.stepper.steps(job.images[batch])))
    return job.finished(found[0])


def sweep_weights(
    classifier: Classifier,
    weights: Sequence[Sequence[np.ndarray]],
    images: ImageSet,
    transform: Any = "rotation",
    values: Sequence[float] | None = None,
    *,
    rules: Rules | str = CLEAN,
    taps: Sequence[str] | None = None,
    seed: int = 0,
    batch_size: int | None = None,
    progress: bool = True,
) -> list[Signals]:
    """Sweep one network under many weights; images are transformed once for all of them.

    Args:
        classifier: the network; its own weights are put back at the end.
        weights: for each network the list of its variables' values, as in `model.variables`.

    The other arguments and the `Signals` are those of `sweep`.
    """
    job = _Job(classifier, images, transform, values, 0.0, rules, taps, seed, batch_size)
    found = job.empty(len(weights), None)
    with restored_weights(classifier):
        for batch in progress_bar(job.batches(), "Transformed images", enabled=progress):
            steps = list(job.stepper.steps(job.images[batch]))
            for one, values_of_one in zip(found, weights, strict=True):
                for variable, value in zip(classifier.model.variables, values_of_one, strict=True):
                    variable.assign(value)
                job.read(one, batch, steps)
    return [job.finished(one) for one in found]


class _Job:
    """What is swept, checked and made ready."""

    def __init__(
        self,
        classifier: Classifier,
        images: ImageSet | np.ndarray,
        transform: Any,
        values: Sequence[float] | None,
        identity: float,
        rules: Rules | str,
        taps: Sequence[str] | None,
        seed: int,
        batch_size: int | None,
    ):
        self.classifier = classifier
        self.images, self.labels = checked_images(classifier, images)
        wanted = as_transform(transform, values, identity=identity, seed=seed)
        self.stepper = Stepper(wanted, as_rules(rules), self.images)
        network = classifier.network
        chosen = tuple(default_taps(network) if taps is None else taps)
        self.names = signal_names(chosen, self.labels is not None)
        self.function = signals_function(network, chosen, self.labels is not None)
        self.batch_size = batch_size or _fitting_batch_size(self.images.shape[1:], network)
        check_count("batch_size", self.batch_size)

    def batches(self) -> list[slice]:
        starts = range(0, len(self.images), self.batch_size)
        return [slice(start, start + self.batch_size) for start in starts]

    def empty(self, count: int, store: str | os.PathLike[str] | None) -> list[_Found]:
        shape = (len(self.names), len(self.stepper.grid), len(self.images))
        return [_Found(shape, store) for _ in range(count)]

    def read(self, found: _Found, batch: slice, steps: Iterable[tuple[int, np.ndarray]]) -> None:
        """Read one batch at all its steps; the identity is the first of them."""
        import tensorflow as tf

        size = len(self.images[batch])
        labels = np.zeros(size, np.int32) if self.labels is None else self.labels[batch]
        originals = np.full(size, -1, np.int32)
        pictures: dict[int, np.ndarray] = {}
        for step, moved in steps:
            inputs = map(tf.constant, (moved, labels, originals))
            signals, predictions = self.function(*inputs)
            if not pictures:
                originals = predictions.numpy()
            pictures[step] = moved
            found.note(step, batch, signals.numpy().T, predictions.numpy())
        found.note_plateaus(pictures)

    def finished(self, found: _Found) -> Signals:
        if found.lost.any():
            names = ", ".join(self.names[index] for index in np.flatnonzero(found.lost))
            raise ValueError(
                f"The network {self.classifier.name!r} gives NaN or infinite values at some steps "
                f"of {self.stepper.transform.name!r}, in: {names}. Its weights or its "
                "preprocessing are broken."
            )
        plateau = np.concatenate([[0], np.cumsum(~found.same)])
        return Signals(
            self.names,
            found.values,
            found.predictions,
            self.stepper.grid,
            None if self.labels is None else self.labels.astype(np.int64),
            plateau,
            self.classifier.num_classes,
            self.stepper.describe(),
        )


def _ahead(items: Iterable[_Item]) -> Iterator[_Item]:
    """Make the next item in a thread while the caller works on this one."""
    iterator = iter(items)
    with ThreadPoolExecutor(1) as thread:
        following = thread.submit(next, iterator, None)
        while (item := following.result()) is not None:
            following = thread.submit(next, iterator, None)
            yield item


def _fitting_batch_size(image_shape: Sequence[int], network: CompiledNetwork) -> int:
    """Images in a batch: all their steps together take some 64 MB, and calls cost little.

    No power of two: turning the axes of such an array hits the same lines of the cache again and
    again, and takes four times as long.
    """
    size = int(np.clip(500 * 1024 // int(np.prod(image_shape)), 8, 500))
    return min(size, 2 * most_at_once(image_shape, network))


class _Found:
    """Arrays that are filled batch by batch."""

    def __init__(self, shape: tuple[int, int, int], store: str | os.PathLike[str] | None):
        if store is None:
            self.values = np.empty(shape, np.float32)
        else:
            if Path(store).suffix != ".npy":
                raise ValueError(f"`store` must end in .npy. Received: store={os.fspath(store)!r}.")
            self.values = np.lib.format.open_memmap(store, "w+", np.float32, shape)
        self.predictions = np.empty(shape[1:], np.int32)
        self.same = np.ones(shape[1] - 1, bool)  # whether a step's pixels are those of the next
        self.lost = np.zeros(shape[0], bool)  # whether a signal is no number somewhere

    def note(self, step: int, batch: slice, signals: np.ndarray, predictions: np.ndarray) -> None:
        self.values[:, step, batch] = signals  # (num_signals, batch)
        self.predictions[step, batch] = predictions
        self.lost |= ~np.isfinite(signals).all(axis=1)

    def note_plateaus(self, moved: dict[int, np.ndarray]) -> None:
        for step in np.flatnonzero(self.same).tolist():
            self.same[step] = np.array_equal(moved[step], moved[step + 1])


def checked_images(
    classifier: Classifier, images: ImageSet | np.ndarray
) -> tuple[np.ndarray, np.ndarray | None]:
    """Pixels and labels (None where there are none), or what is wrong with them."""
    if isinstance(images, ImageSet):
        classifier.check_image_set(images)
        pixels, labels = classifier.check_images(images.images), images.labels.astype(np.int32)
    else:
        pixels, labels = classifier.check_images(images), None
    if len(pixels) < 2:
        raise ValueError("A sweep needs at least 2 images. Received: 1.")
    return pixels, labels
