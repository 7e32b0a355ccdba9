"""Train a network: the same seed gives the same bytes, and a killed training goes on later."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import astuple
from pathlib import Path
from typing import Any

import keras

from kernel_lib import __version__
from kernel_lib._checks import check_count, check_number
from kernel_lib._progress import progress as progress_bar
from kernel_lib.data import ImageSet
from kernel_lib.models.augmentation import augmentation
from kernel_lib.models.classifier import Classifier, as_classifier
from kernel_lib.models.copying import copied
from kernel_lib.models.fitting import Augment, Fit
from kernel_lib.models.networks.registry import build
from kernel_lib.models.stopping import StopRule
from kernel_lib.tasks import digest, read_arrays, write_arrays


def train(
    network: str | Classifier | keras.Model,
    images: ImageSet,
    *,
    epochs: int = 5,
    seed: int = 0,
    batch_size: int = 64,
    learning_rate: float = 1e-3,
    patience: int | None = None,
    min_train_accuracy: float | None = None,
    augment: str | Augment | None = None,
    cache: str | os.PathLike[str] | None = None,
    progress: bool = True,
) -> Classifier:
    """Train a network on `images.train` with Adam and cross-entropy, and return it.

    Args:
        network: A name of `kernel_lib.models.names()`, built with `seed`; or a classifier or Keras
            model, of which a copy is trained further. What is passed in never changes.
        images: An `ImageSet`. Its calibration split, if it has one, gives the validation accuracy.
        epochs: Times to go through the training images; with `patience` or `min_train_accuracy`,
            at most so many.
        seed: Names the initial weights, the order of the images, dropout and augmentation. On one
            machine, the same seed gives the same bytes.
        batch_size: Images in a step.
        learning_rate: Of Adam.
        patience: Stop after so many epochs without a better validation accuracy, and return the
            best weights. `None`: run all epochs and return the last weights.
        min_train_accuracy: Stop as soon as the accuracy on the training images, as counted during
            an epoch, reaches this share; fail if it never does.
        augment: random moves of the training images: "none"; "auto" for those that the Model
            Doctor's authors use on this image set; or words such as "crop4_flip_rotate15". Or a
            TensorFlow function `(images, seed) -> images` that changes a batch of images (batch,
            height, width, channels) in [0, 1]; `seed` is an int32 tensor (2,) that is new at each
            step, for `tf.random.stateless_*`. To be cached, it must have an attribute `recipe`
            that describes it.
        cache: Folder where the trained weights are kept by content. The same training is then
            read; one that was interrupted goes on after its last saved epoch, to the same bytes.
        progress: Show a progress bar.

    Returns:
        A new `Classifier`. Its `history` holds a dict an epoch: "epoch", "loss", "accuracy" and,
        with a calibration split, "validation_accuracy".

    Raises:
        ValueError: Images or labels do not fit the network, the loss stops being a number, or
            `min_train_accuracy` is not reached.

    Example:
        >>> model = train("small_cnn", images, epochs=3)
        >>> model.history[-1]["validation_accuracy"]
    """
    _check_settings(images, batch_size, learning_rate)
    moves: Augment | None = augmentation(augment, images)
    rule = StopRule(epochs, patience, min_train_accuracy)
    rule.check(images)
    classifier = _new_classifier(network, images, seed)
    path = None
    if cache is not None:
        recipe = {
            "network": _network_recipe(network, classifier),
            "images": images.digest,
            "settings": [seed, batch_size, learning_rate, moves and _augment_recipe(moves)],
            "rule": list(astuple(rule)),
            "version": __version__,
        }
        path = Path(cache) / f"train-{digest(recipe)}.npz"
    learnt = images.train
    fit = Fit(
        classifier,
        learnt.images,
        learnt.labels,
        batch_size=batch_size,
        learning_rate=learning_rate,
        seed=seed,
        augment=moves,
    )
    _run_epochs(fit, images, rule, _Checkpoint(path), progress)
    rule.check_reached(fit.history, classifier.name)
    classifier.history = fit.history
    return classifier


def _run_epochs(
    fit: Fit, images: ImageSet, rule: StopRule, checkpoint: _Checkpoint, progress: bool
) -> None:
    """Bring `fit` from its last saved state to its end."""
    held_out = images.calibration if len(images.splits["calibration"]) else None
    checkpoint.restore(fit)
    epochs = range(len(fit.history), rule.epochs)
    for epoch in progress_bar(epochs, f"Training {fit.classifier.name}", enabled=progress):
        if fit.finished:
            break
        label = f"Epoch {epoch + 1}" + _accuracy_so_far(fit.history)
        entry = fit.run(progress_bar(fit.order(), label, enabled=progress))
        if held_out is not None:
            entry["validation_accuracy"] = fit.classifier.accuracy(held_out.images, held_out.labels)
        fit.history.append(entry)
        if rule.patience is not None and rule.is_best(fit.history):
            fit.keep_best()
        fit.finished = rule.is_met(fit.history)
        if fit.finished:
            fit.restore_best()
        checkpoint.save(fit)


class _Checkpoint:
    """The file a training goes on from; `None` keeps nothing."""

    def __init__(self, path: Path | None):
        self._path = path
        self._next_time = 0.0

    def restore(self, fit: Fit) -> None:
        arrays = None if self._path is None else read_arrays(self._path)
        if arrays is not None:
            # What was written by something else counts as missing, as what is damaged does.
            with contextlib.suppress(KeyError, TypeError, ValueError):
                fit.restore(arrays)

    def save(self, fit: Fit) -> None:
        """Write the end always, and what comes before so seldom that it costs little time."""
        start = time.monotonic()
        if self._path is None or (start < self._next_time and not fit.finished):
            return
        write_arrays(self._path, fit.state())
        end = time.monotonic()
        self._next_time = end + 10 * (end - start)


def _accuracy_so_far(history: list[dict[str, float]]) -> str:
    return f", accuracy {history[-1]['accuracy']:.3f}" if history else ""


# --- what is trained --------------------------------------------------------------------------


def _new_classifier(
    network: str | Classifier | keras.Model, images: ImageSet, seed: int
) -> Classifier:
    """Build a named network, or copy what was passed in; check that it fits the images."""
    if isinstance(network, str):
        classifier = build(network, images.image_shape, images.num_classes, seed=seed)
        classifier.class_names = images.class_names
    else:
        classifier = as_classifier(network)
        if classifier.network.output is not None:
            raise ValueError(
                f"Training takes a network with one output. {classifier.name!r} has several: make "
                "a keras.Model of the one to train."
            )
        classifier = copied(classifier, seed)
    classifier.check_images(images.images[:1])
    if not classifier.model.trainable_variables:
        raise ValueError(f"All weights of {classifier.name!r} are frozen: nothing can be trained.")
    if images.labels.max() >= classifier.num_classes:
        raise ValueError(
            f"{classifier.name!r} knows {classifier.num_classes} classes. "
            f"Received: labels up to {images.labels.max()} in {images!r}."
        )
    return classifier


def _network_recipe(network: Any, classifier: Classifier) -> list[Any]:
    """What a training starts from: a name, or an architecture with weights."""
    if isinstance(network, str):
        return [classifier.name, list(classifier.input_shape), classifier.num_classes]
    trained = [variable.trainable for variable in classifier.model.variables]
    return [classifier.digest, classifier.model.to_json(), trained]


def _augment_recipe(augment: Augment) -> Any:
    recipe = getattr(augment, "recipe", None)
    if recipe is None:
        raise ValueError(
            "To keep a training in `cache`, its `augment` must say what it does in an attribute "
            "`recipe` (a string, or a dict of settings). Set one, or pass cache=None."
        )
    return recipe


def _check_settings(images: ImageSet, batch_size: int, learning_rate: float) -> None:
    if not isinstance(images, ImageSet):
        raise TypeError(
            "`images` must be an ImageSet. "
            f"Received: {type(images).__name__}. Make one with kernel_lib.data.load(name)."
        )
    check_count("batch_size", batch_size)
    if check_number("learning_rate", learning_rate, 0) == 0:
        raise ValueError("`learning_rate` must be above 0. Received: learning_rate=0.")
