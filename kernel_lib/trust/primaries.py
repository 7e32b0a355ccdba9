"""The networks of an audit: one given model as a single row, or one network for each task."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from kernel_lib._checks import check_choice, check_count
from kernel_lib.audit.examine import intake, without_copies
from kernel_lib.audit.findings import Intake, in_order
from kernel_lib.data import ImageSet
from kernel_lib.models.classifier import Classifier, as_classifier
from kernel_lib.trust.columns import TaskColumn, columns_of, primary_task

Networks = dict[str, list[Classifier]]


def train_primaries(
    network: str,
    images: ImageSet,
    tasks: Sequence[str] | None = None,
    *,
    num_seeds: int = 1,
    seed: int = 0,
    cache: str | os.PathLike[str] | None = None,
    progress: bool = True,
    **training: Any,
) -> Networks:
    """Train a network for each task, on the same images.

    Args:
        network: a name of `kernel_lib.models.names()`.
        images: an `ImageSet` with tasks.
        tasks: the tasks; all of them when left out.
        num_seeds: networks for each task, with seeds from `seed` on.
        seed: of the first network's weights and training.
        cache: folder where trained weights are kept.
        progress: show progress bars.
        **training: of `kernel_lib.models.train`, such as epochs and patience.

    Returns:
        Task -> its networks, as `audit` takes them.

    Example:
        >>> models = kl.trust.train_primaries("small_cnn", images, epochs=10, patience=3)
    """
    from kernel_lib.models.training import train

    known = columns_of(images)
    names = list(known) if tasks is None else [check_choice("tasks", t, known) for t in tasks]
    check_count("num_seeds", num_seeds)
    return {
        name: [
            train(
                network, labelled_by(images, name), seed=seed + run, cache=cache, progress=progress,
                **training,
            )
            for run in range(num_seeds)
        ]
        for name in names
    }  # fmt: skip


def labelled_by(images: ImageSet, task: str) -> ImageSet:
    """The images with the labels of one task; "label" may stand for the set's own labels."""
    return images if task not in images.tasks else images.with_task(task)


def networks_of(
    model: Any, images: ImageSet, primary: str | None, columns: Mapping[str, TaskColumn]
) -> Networks:
    """Read the `model` argument of `audit`, and check that networks and images fit.

    Raises:
        ValueError: an unknown task, a network with another number of classes than its task, or
            different numbers of networks for different tasks.
    """
    if isinstance(model, Mapping):
        if primary is not None:
            raise ValueError("`primary` says what one model was trained for; a mapping says it.")
        given = {check_choice("model", task, columns): each for task, each in model.items()}
    else:
        given = {check_choice("primary", primary or primary_task(images), columns): model}
    networks = {
        task: [as_classifier(one) for one in (each if isinstance(each, list | tuple) else [each])]
        for task, each in given.items()
    }
    counts = {task: len(each) for task, each in networks.items()}
    if len(set(counts.values())) != 1 or 0 in counts.values():
        raise ValueError(
            "Every task needs as many networks as the others, and at least one. "
            f"Received: {counts}."
        )
    for task, each in networks.items():
        for classifier in each:
            _check_fit(classifier, images, columns[task])
    return networks


def taken_in(networks: Networks, images: ImageSet, seed: int, batch_size: int | None) -> Intake:
    """The intake of the first network of each task, judged by the labels of its task.

    Returns:
        One `Intake` for all: of the network with the most severe findings, with what was found of
        the others beside it. Its `classifier` holds the networks, fed as found, its `image_set` the
        images without copies of training images.
    """
    each = {
        task: intake(runs[0], labelled_by(images, task), seed=seed, batch_size=batch_size)
        for task, runs in networks.items()
    }
    findings = in_order(dict.fromkeys(f for found in each.values() for f in found.findings))
    worst = max(each.values(), key=lambda found: len(found.stops))
    fed = {
        task: [each[task].classifier, *(run.fed_like(each[task].classifier) for run in runs[1:])]
        for task, runs in networks.items()
    }
    return replace(worst, findings=findings, classifier=fed, image_set=without_copies(images))


def _check_fit(classifier: Classifier, images: ImageSet, column: TaskColumn) -> None:
    classifier.check_images(images.images[:1])
    if classifier.num_classes != column.num_classes:
        raise ValueError(
            f"The task {column.name!r} has {column.num_classes} classes, the model "
            f"{classifier.name!r} has {classifier.num_classes}. Say what the model was trained "
            "for with `primary`."
        )
