"""Tests of behaviour for transformations, as a table, as JUnit XML, and as an assertion.

After CheckList (Ribeiro et al. 2020): a row is a transformation, a kind of test and a slice of the
images; it has a failure rate with an interval, a limit, and passes or fails.

| test | an image fails |
|---|---|
| minimum functionality | right at the identity, but wrong at some step |
| invariance | by the share of steps at which its class differs from that at the identity |
| direction | by the share of steps at which distortion makes it surer, by more than 0.1 |
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np

from kernel_lib._checks import check_count, check_number
from kernel_lib.data import ImageSet
from kernel_lib.invariance.signals import Signals
from kernel_lib.invariance.sweep import sweep
from kernel_lib.invariance.transforms import CLEAN, Rules, as_transform
from kernel_lib.invariance.truth import ground_truth
from kernel_lib.report.uncertainty import bootstrap_means, interval
from kernel_lib.tasks import atomic_path

if TYPE_CHECKING:
    import pandas as pd

LIMITS = {"minimum functionality": 0.15, "invariance": 0.05, "direction": 0.05}
_SURER = 0.1
_FEWEST = 5  # images in a slice; fewer say nothing


def checklist(
    model: Any,
    images: ImageSet | np.ndarray,
    transforms: Sequence[Any] = ("rotation", "scaling", "brightness", "blur", "noise"),
    *,
    limits: Mapping[str, float] | None = None,
    rules: Rules | str = CLEAN,
    num_images: int = 500,
    seed: int = 0,
    batch_size: int | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Run the three tests for several transformations.

    Args:
        model: a Keras model or a `Classifier`.
        images: an `ImageSet`, or images alone, without labels.
        transforms: as in `sweep`, each with its usual values.
        limits: test name -> largest failure rate that passes; `LIMITS` where left out.
        rules: how borders are treated.
        num_images: at most so many, balanced over classes.
        seed: seed of the choice, of random transformations and of intervals.
        batch_size: images in memory at once.
        progress: show progress bars.

    Returns:
        A table: transform, test, slice, failure_rate, low, high, limit, passed, num_images.
    """
    import pandas as pd

    chosen = chosen_images(images, num_images, seed)
    rows: list[dict[str, Any]] = []
    for transform in transforms:
        signals = sweep(
            model, chosen, transform, rules=rules, taps=[], seed=seed, batch_size=batch_size,
            progress=progress,
        )  # fmt: skip
        rows += checklist_rows(signals, as_transform(transform).name, limits, seed=seed)
    return pd.DataFrame(rows)


def checklist_rows(
    signals: Signals,
    name: str,
    limits: Mapping[str, float] | None = None,
    class_names: Sequence[str] = (),
    seed: int = 0,
) -> list[dict[str, Any]]:
    """The rows of one transformation."""
    unknown = sorted(set(limits or {}) - set(LIMITS))
    if unknown:
        raise ValueError(f"`limits` knows the tests {', '.join(LIMITS)}. Received: {unknown}.")
    limits = LIMITS | dict(limits or {})
    rows = []
    for slice_name, chosen in _slices(signals, class_names):
        for test, failures in _failures(signals, chosen).items():
            if len(failures) < _FEWEST:
                continue
            low, high = interval(bootstrap_means(failures[None], 500, seed))
            rate = float(failures.mean())
            rows.append(
                {
                    "transform": name,
                    "test": test,
                    "slice": slice_name,
                    "failure_rate": rate,
                    "low": float(low),
                    "high": float(high),
                    "limit": limits[test],
                    "passed": rate <= limits[test],
                    "num_images": len(failures),
                }
            )
    return rows


def _slices(signals: Signals, class_names: Sequence[str]) -> Iterator[tuple[str, np.ndarray]]:
    everything = np.ones(len(signals), bool)
    h = signals.grid.identity_index
    confidence = signals.signal("confidence")[h]
    yield "all", everything
    yield "sure (confidence above 0.9)", confidence > 0.9
    yield "unsure (confidence up to 0.9)", confidence <= 0.9
    if signals.labels is None:
        return
    yield "correct", signals.right[h]
    for label in np.unique(signals.labels):
        name = class_names[label] if len(class_names) else str(label)
        yield f"class {name}", signals.labels == label


def _failures(signals: Signals, chosen: np.ndarray) -> dict[str, np.ndarray]:
    """Test -> failure (num_images,) of each image, from 0 to 1."""
    h = signals.grid.identity_index
    others = np.arange(len(signals.grid)) != h
    predictions = signals.predictions[:, chosen]
    surety = signals.signal("original_class")[:, chosen]
    found = {
        "invariance": (predictions[others] != predictions[h]).mean(axis=0),
        "direction": (surety[others] > surety[h] + _SURER).mean(axis=0),
    }
    if signals.labels is None:
        return found
    right = signals.right[:, chosen]
    broken = np.logical_not(right.all(axis=0))[right[h]]
    return {"minimum functionality": broken.astype(float)} | found


def junit_xml(table: pd.DataFrame, path: str | os.PathLike[str]) -> Path:
    """Write a checklist as JUnit XML, which build servers show as test results.

    Args:
        table: from `checklist`.
        path: file to write.
    """
    root = ElementTree.Element("testsuites", name="invariance")
    for transform, rows in table.groupby("transform", sort=False):
        failed = str(int((~rows.passed.astype(bool)).sum()))
        suite = ElementTree.SubElement(
            root, "testsuite", name=str(transform), tests=str(len(rows)), failures=failed
        )
        for row in rows.itertuples():
            case = ElementTree.SubElement(
                suite, "testcase", classname=f"{transform}.{row.test}", name=str(row.slice)
            )
            if not row.passed:
                message = (
                    f"failure rate {row.failure_rate:.3f} [{row.low:.3f}, {row.high:.3f}] "
                    f"is above {row.limit:g}"
                )
                ElementTree.SubElement(case, "failure", message=message)
    ElementTree.indent(root)
    with atomic_path(path) as temporary:
        ElementTree.ElementTree(root).write(temporary, encoding="utf-8", xml_declaration=True)
    return Path(path)


def assert_invariant(
    model: Any,
    images: ImageSet | np.ndarray,
    transform: Any = "rotation",
    values: Sequence[float] | None = None,
    *,
    identity: float = 0.0,
    max_flip_rate: float = 0.05,
    max_drop: float = 0.15,
    rules: Rules | str = CLEAN,
    seed: int = 0,
    batch_size: int | None = None,
) -> None:
    """Fail a test if a transformation changes too many classes or costs too much accuracy.

    Args:
        model: a Keras model or a `Classifier`.
        images: an `ImageSet`, all of which is used, or images alone, without labels.
        transform, values, identity: as in `sweep`.
        max_flip_rate: largest share of images whose class may change, at the worst step.
        max_drop: with labels, largest relative loss of accuracy at the worst step.
        rules: how borders are treated.
        seed: seed of random transformations.
        batch_size: images in memory at once.

    Raises:
        AssertionError: a limit is exceeded; the message names the step and the images. Or the
            network does no better than guessing, which nothing can change.

    Example:
        >>> def test_small_turns_do_not_matter():
        ...     assert_invariant(model, images.test, "rotation", [-10, -5, 0, 5, 10])
    """
    check_number("max_flip_rate", max_flip_rate, 0, 1)
    check_number("max_drop", max_drop, 0, 1)
    signals = sweep(
        model, images, transform, values, identity=identity, rules=rules, taps=[], seed=seed,
        batch_size=batch_size, progress=False,
    )  # fmt: skip
    name = as_transform(transform, values, identity=identity).title.lower()
    changed = signals.predictions != signals.predictions[signals.grid.identity_index]
    rates = changed.mean(axis=1)
    worst = int(rates.argmax())
    if rates[worst] > max_flip_rate:
        first = np.flatnonzero(changed[worst])[:5].tolist()
        raise AssertionError(
            f"{name} by {signals.grid.label(worst)} changes the class of {rates[worst]:.1%} of "
            f"{len(signals)} images, more than {max_flip_rate:.1%}. The first of them: {first}."
        )
    if signals.labels is None:
        return
    truth = ground_truth(signals)
    if truth.verdict == "not assessable":
        raise AssertionError(
            f"The network is right on only {truth.identity_accuracy:.1%} of untouched images, too "
            f"near to guessing to be called invariant to {name.lower()}."
        )
    if truth.drop > max_drop:
        raise AssertionError(
            f"{name} by {signals.grid.label(truth.worst_step)} lowers the accuracy from "
            f"{truth.identity_accuracy:.1%} to {truth.worst_accuracy:.1%}, a loss of "
            f"{truth.drop:.1%}, more than {max_drop:.1%}."
        )


def chosen_images(
    images: ImageSet | np.ndarray, num_images: int, seed: int
) -> ImageSet | np.ndarray:
    """At most `num_images`: of an image set's test split, balanced; of an array, the first."""
    check_count("num_images", num_images, 2)
    if not isinstance(images, ImageSet):
        return np.asarray(images)[:num_images]
    pool = images.test if len(images.splits["test"]) else images
    return pool.sample(min(num_images, len(pool)), seed)
