"""Read every task off every network at every chosen place, and off the controls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from kernel_lib._progress import progress as progress_bar
from kernel_lib._random import random_stream
from kernel_lib.data import ImageSet
from kernel_lib.trust.codes import online_code
from kernel_lib.trust.columns import TaskColumn
from kernel_lib.trust.extraction import features
from kernel_lib.trust.primaries import Networks
from kernel_lib.trust.probing import PROBES, Readings, read_rows
from kernel_lib.trust.untrained import pixel_features, untrained_features

CONTROLS = ("untrained", "pixels", "permutation", "selectivity", "code")
MOST_CODE_IMAGES = 2000
_CONTROL_PREFIX = "control of "

Place = tuple[str, str]  # tap, probe


@dataclass(frozen=True)
class Setting:
    """What is measured, and how. See `audit` for the meaning of each."""

    taps: Sequence[str]
    tap: str
    probes: Sequence[str]
    controls: Sequence[str]
    reduction: str
    num_untrained: int
    num_probe_seeds: int
    seed: int
    batch_size: int | None
    progress: bool
    cache: Any


@dataclass
class Measurements:
    """Every probe's answers.

    Attributes:
        trained: (tap, probe) -> readings, a row for each task trained for.
        untrained: (tap, probe) -> readings of one row, a run for each untrained network.
        pixels: probe -> readings of one row.
        selectivity: (tap, probe) -> readings of the control tasks, rows as in `trained`.
        codes: one dict for each online code.
        sizes: tap -> number of features.
    """

    trained: dict[Place, Readings] = field(default_factory=dict)
    untrained: dict[Place, Readings] = field(default_factory=dict)
    pixels: dict[str, Readings] = field(default_factory=dict)
    selectivity: dict[Place, Readings] = field(default_factory=dict)
    codes: list[dict[str, Any]] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=dict)


def measure(
    networks: Networks, images: ImageSet, columns: Mapping[str, TaskColumn], setting: Setting
) -> Measurements:
    """Extract features, and probe them.

    Args:
        networks: task -> one network a run.
        images: the images, with splits.
        columns: the tasks to read.
        setting: what is measured.

    Returns:
        `Measurements`. Every network's weights are as they were.
    """
    options = {
        "reduction": setting.reduction,
        "seed": setting.seed,
        "batch_size": setting.batch_size,
        "progress": setting.progress,
        "cache": setting.cache,
    }
    seen = {
        task: [features(network, images, setting.taps, **options) for network in runs]
        for task, runs in networks.items()
    }
    blank: list[dict[str, np.ndarray]] = []
    if "untrained" in setting.controls:
        first = next(iter(networks.values()))[0]
        seeds = [setting.seed + run for run in range(setting.num_untrained)]
        blank = untrained_features(first, images, setting.taps, seeds, **options)
    measured = _read_everything(seen, blank, images, columns, setting)
    first_seen = next(iter(seen.values()))[0]
    measured.sizes = {tap: first_seen[tap].shape[1] for tap in setting.taps}
    if "code" in setting.controls:
        measured.codes = _codes(seen, blank, images, columns, setting)
    return measured


def control_columns(columns: Mapping[str, TaskColumn], seed: int) -> dict[str, TaskColumn]:
    """Control tasks (Hewitt & Liang 2019): a fixed random class for each combination of labels.

    Nothing but memory can solve them, so a probe's accuracy on them says how much it memorises.

    Args:
        columns: the real tasks.
        seed: of the random classes.

    Returns:
        Name of the control task -> its column, with as many classes as the real one.
    """
    table = np.stack([column.labels for column in columns.values()], axis=1)
    cells = np.unique(table, axis=0, return_inverse=True)[1].reshape(-1)
    found = {}
    for place, (name, column) in enumerate(columns.items()):
        random = random_stream([seed, 0x5E1, place])
        classes = random.integers(0, column.num_classes, cells.max() + 1)
        labels = np.where(column.labels >= 0, classes[cells], -1)
        found[_CONTROL_PREFIX + name] = replace(column, name=_CONTROL_PREFIX + name, labels=labels)
    return found


def _read_everything(
    seen: dict[str, list[dict[str, np.ndarray]]],
    blank: list[dict[str, np.ndarray]],
    images: ImageSet,
    columns: Mapping[str, TaskColumn],
    setting: Setting,
) -> Measurements:
    measured = Measurements()
    controls = control_columns(columns, setting.seed) if "selectivity" in setting.controls else {}
    places = [(tap, probe) for probe in setting.probes for tap in setting.taps]
    for tap, probe in progress_bar(places, "Probes", enabled=setting.progress):
        rows = {task: [run[tap] for run in runs] for task, runs in seen.items()}
        both = _read(rows, {**columns, **controls}, images, probe, setting)
        measured.trained[tap, probe] = _part(both, slice(0, len(columns)))
        if controls:
            measured.selectivity[tap, probe] = _part(both, slice(len(columns), None))
        if blank:
            row = {"untrained": [run[tap] for run in blank]}
            measured.untrained[tap, probe] = _read(row, columns, images, probe, setting)
    if "pixels" in setting.controls:
        row = {"pixels": [pixel_features(images.images)]}
        for probe in setting.probes:
            measured.pixels[probe] = _read(row, columns, images, probe, setting)
    return measured


def _read(
    rows: dict[str, list[np.ndarray]],
    columns: Mapping[str, TaskColumn],
    images: ImageSet,
    probe: str,
    setting: Setting,
) -> Readings:
    """Read rows with as many probe seeds as asked; a probe that draws nothing is fitted once."""
    repeats = setting.num_probe_seeds
    if PROBES[probe].is_random:
        rows = {
            task: [each for _ in range(repeats) for each in runs] for task, runs in rows.items()
        }
        return read_rows(rows, columns, images.splits, probe, setting.seed)
    once = read_rows(rows, columns, images.splits, probe, setting.seed)
    if repeats == 1:
        return once
    names = ("predictions", "log_loss", "strengths", "seconds")
    repeated: dict[str, Any] = {
        name: np.concatenate([getattr(once, name)] * repeats) for name in names
    }
    return replace(once, **repeated)


def _part(readings: Readings, columns: slice) -> Readings:
    return replace(
        readings,
        columns=readings.columns[columns],
        predictions=readings.predictions[:, :, columns],
        labels=readings.labels[columns],
        log_loss=readings.log_loss[:, :, columns],
        strengths=readings.strengths[:, :, columns],
        seconds=readings.seconds[:, :, columns],
    )


def _codes(
    seen: dict[str, list[dict[str, np.ndarray]]],
    blank: list[dict[str, np.ndarray]],
    images: ImageSet,
    columns: Mapping[str, TaskColumn],
    setting: Setting,
) -> list[dict[str, Any]]:
    """Online codes of every task at the headline tap, for the first run of each row."""
    rows = {task: runs[0][setting.tap] for task, runs in seen.items()}
    if blank:
        rows["untrained"] = blank[0][setting.tap]
    pairs = [(row, column) for row in rows for column in columns.values()]
    found = []
    for row, column in progress_bar(pairs, "Code lengths", enabled=setting.progress):
        known = column.learning[column.labels[column.learning] >= 0]
        chosen = random_stream([setting.seed, 0xC0D]).permutation(known)[:MOST_CODE_IMAGES]
        code = online_code(
            rows[row][np.sort(chosen)], column.labels[np.sort(chosen)], column.num_classes,
            seed=setting.seed,
        )  # fmt: skip
        found.append(
            {
                "primary": row,
                "target": column.name,
                "num_images": len(chosen),
                "bits": code.bits,
                "uniform_bits": code.uniform_bits,
                "compression": code.compression,
            }
        )
    return found
