"""Probes: small classifiers that try to read a task off features they did not shape.

| probe | what it is |
|---|---|
| ridge | linear, closed form; the fastest, and the default |
| logistic | linear, multinomial logistic regression |
| knn | the nearest neighbours |
| mlp | the published perceptron; reads more, and also memorises more |

All learn on the train and calibration splits and are counted on the test split.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from kernel_lib._checks import check_choice
from kernel_lib.data import ImageSet
from kernel_lib.trust.columns import TaskColumn, columns_of
from kernel_lib.trust.design import Design, Target, design_of
from kernel_lib.trust.matrix import TaskMatrix
from kernel_lib.trust.readings import Reading


class ProbeKind(NamedTuple):
    """A probe's title, the module that holds its `read`, and whether it draws random numbers."""

    title: str
    module: str
    is_random: bool = False


PROBES = {
    "ridge": ProbeKind("Ridge", "ridge"),
    "logistic": ProbeKind("Logistic", "logistic"),
    "knn": ProbeKind("Nearest neighbours", "neighbours"),
    "mlp": ProbeKind("Perceptron 512-100", "mlp", is_random=True),
}


def probes() -> dict[str, str]:
    """Names of the probes, and what reports call them."""
    return {name: kind.title for name, kind in PROBES.items()}


def probe(
    features: np.ndarray,
    labels: np.ndarray,
    splits: Mapping[str, np.ndarray],
    kind: str = "ridge",
    *,
    num_classes: int | None = None,
    seed: int = 0,
) -> Reading:
    """Read one task off features.

    Args:
        features: (num_images, num_features).
        labels: (num_images,) class ids, -1 where missing.
        splits: indices of images in "train", "calibration" and "test", as in `ImageSet.splits`.
        kind: one of `probes()`.
        num_classes: classes of the task; one more than the highest label when left out.
        seed: of the perceptron.

    Returns:
        A `Reading`: predictions on the test images, and their log loss in bits.

    Raises:
        ValueError: an unknown probe, features with NaN, or shapes that do not fit.

    Example:
        >>> reading = probe(features, images.tasks["color"], images.splits)
        >>> (reading.predictions == images.tasks["color"])[images.splits["test"]].mean()
    """
    labels = np.asarray(labels)
    count = int(labels.max()) + 1 if num_classes is None else num_classes
    design = design_of(np.asarray(features), dict(splits))
    return read_all(design, [Target(labels, count)], kind, seed)[0]


def read_all(design: Design, targets: Sequence[Target], kind: str, seed: int = 0) -> list[Reading]:
    """Read all targets off the same features, what they share being done once.

    Args:
        design: features and splits.
        targets: labels may be missing (-1); such images are left out for that target.
        kind: one of `probes()`.
        seed: of a probe that draws random numbers.

    Returns:
        One reading a target.
    """
    module = importlib.import_module(
        f"kernel_lib.trust.{PROBES[check_choice('probe', kind, PROBES)].module}"
    )
    options = {"seed": seed} if PROBES[kind].is_random else {}
    groups: dict[bytes, list[int]] = {}
    for place, target in enumerate(targets):
        groups.setdefault((target.labels >= 0).tobytes(), []).append(place)
    found: dict[int, Reading] = {}
    for places in groups.values():
        members = [targets[place] for place in places]
        is_whole = (members[0].labels[design.used] >= 0).all()
        part = design if is_whole else design.known(members[0].labels)
        found |= dict(zip(places, module.read(part, members, **options), strict=True))
    return [found[place] for place in range(len(targets))]


@dataclass(frozen=True, eq=False)
class Readings:
    """A probe's answers for every row and every task. R runs, I rows, J tasks, N test images.

    Attributes:
        rows: what the features come from.
        columns: the tasks that were read.
        predictions: (R, I, J, N) int16, -1 where the label is missing.
        labels: (J, N) class ids, -1 where missing.
        log_loss: (R, I, J) bits an image.
        strengths: (R, I, J) chosen setting.
        seconds: (R, I, J) time for fitting.
    """

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    predictions: np.ndarray
    labels: np.ndarray
    log_loss: np.ndarray
    strengths: np.ndarray
    seconds: np.ndarray

    @property
    def hits(self) -> np.ndarray:
        """(R, I, J, N) float32: 1 where right, 0 where wrong, NaN where the label is missing."""
        right = (self.predictions == self.labels).astype(np.float32)
        return np.where(np.broadcast_to(self.labels >= 0, right.shape), right, np.nan)

    @property
    def accuracy(self) -> np.ndarray:
        """(R, I, J) float64."""
        right = (self.predictions == self.labels) & (self.labels >= 0)
        return right.sum(axis=-1) / self.counts

    @property
    def counts(self) -> np.ndarray:
        """(J,) number of test images with a label."""
        return (self.labels >= 0).sum(axis=1)


def read_rows(
    features: Mapping[str, Sequence[np.ndarray]],
    columns: Mapping[str, TaskColumn],
    splits: Mapping[str, np.ndarray],
    kind: str = "ridge",
    seed: int = 0,
) -> Readings:
    """Read every task off every row's features.

    Args:
        features: row -> one array (num_images, num_features) for each run.
        columns: the tasks, see `columns_of`.
        splits: see `probe`.
        kind: one of `probes()`.
        seed: of the first run's probes; each further run has one more.
    """
    targets = [Target(column.labels, column.num_classes) for column in columns.values()]
    test = splits["test"]
    runs = {len(each) for each in features.values()}
    if len(runs) != 1:
        raise ValueError(f"Every row must have as many runs as the others. Received: {runs}.")
    answers = [
        [
            read_all(design_of(arrays[run], dict(splits)), targets, kind, seed + run)
            for arrays in features.values()
        ]
        for run in range(runs.pop())
    ]
    return Readings(
        tuple(features),
        tuple(columns),
        np.array([[[each.predictions[test] for each in row] for row in run] for run in answers]),
        np.stack([target.labels[test] for target in targets]),
        *(
            np.array([[[getattr(each, name) for each in row] for row in run] for run in answers])
            for name in ("log_loss", "strength", "seconds")
        ),
    )


def trust_matrix(
    features: Mapping[str, np.ndarray | Sequence[np.ndarray]],
    images: ImageSet,
    probe: str = "ridge",
    *,
    seed: int = 0,
) -> TaskMatrix:
    """How well each task can be read off the features of networks trained for each task.

    Args:
        features: task a network was trained for -> its features (num_images, num_features), or a
            list of them, one for each seed of training. One task alone gives a single row.
        images: the images the features were computed on, with tasks.
        probe: one of `probes()`.
        seed: of a probe that draws random numbers.

    Returns:
        A `TaskMatrix` of accuracies on the test split, means over seeds.

    Raises:
        ValueError: a row whose task the images do not have, features that do not fit the images
            or hold NaN, tasks that cannot be read.

    Example:
        >>> features = {"shape": kl.trust.features(model, images)["dense1"]}
        >>> kl.trust.trust_matrix(features, images, "ridge")
    """
    columns = columns_of(images)
    for row in features:
        check_choice("features", row, columns)
    runs = {
        row: [arrays] if isinstance(arrays, np.ndarray) else list(arrays)
        for row, arrays in features.items()
    }
    readings = read_rows(runs, columns, images.splits, probe, seed)
    chance = np.array([1 / column.num_classes for column in columns.values()])
    return TaskMatrix(readings.accuracy.mean(axis=0), tuple(features), tuple(columns), chance)
