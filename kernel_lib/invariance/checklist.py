"""Tests of behaviour for transformations, as a table, as JUnit XML, and as an assertion.

After CheckList (Ribeiro et al. 2020): a row is a transformation, a kind of test and a slice of the
images; it has a failure rate with Wilson's interval, and a limit. It passes if the whole interval
lies up to the limit, fails if the whole interval lies above it, and is undetermined otherwise: 0 of
16 images failing still allows a rate of 19 %, and a limit of 5 % needs at least 73 images. Each row
stands for itself; nothing is corrected for the number of rows.

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
from kernel_lib._progress import shows_progress
from kernel_lib.audit.examine import intake
from kernel_lib.audit.paired import images_needed, needed_words
from kernel_lib.audit.statistics import wilson_interval
from kernel_lib.data import ImageSet
from kernel_lib.invariance.loss import shown_loss
from kernel_lib.invariance.signals import Signals
from kernel_lib.invariance.sweep import sweep
from kernel_lib.invariance.transforms import CLEAN, Rules, as_transform
from kernel_lib.invariance.truth import least_accuracy
from kernel_lib.tasks import atomic_path

if TYPE_CHECKING:
    import pandas as pd

LIMITS = {"minimum functionality": 0.15, "invariance": 0.05, "direction": 0.05}
_SURER = 0.1


@shows_progress
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
        A table: transform, test, slice, failure_rate, low, high, limit, status ("pass", "fail" or
        "undetermined"), passed (whether the status is "pass"), reason (why it is undetermined),
        num_images. Where the intake says that the network guesses, or is fed or judged wrongly,
        every row is undetermined.
    """
    import pandas as pd

    found = intake(model, images, seed=seed, batch_size=batch_size)
    blocked = " ".join(each.text for each in found.stops)
    chosen = chosen_images(found.image_set, num_images, seed)
    rows: list[dict[str, Any]] = []
    for transform in transforms:
        signals = sweep(
            found.classifier, chosen, transform, rules=rules, taps=[], seed=seed,
            batch_size=batch_size, progress=progress,
        )  # fmt: skip
        rows += checklist_rows(signals, as_transform(transform).name, limits, blocked=blocked)
    return pd.DataFrame(rows)


def checklist_rows(
    signals: Signals,
    name: str,
    limits: Mapping[str, float] | None = None,
    class_names: Sequence[str] = (),
    blocked: str = "",
) -> list[dict[str, Any]]:
    """The rows of one transformation; `blocked` says why none can pass or fail."""
    unknown = sorted(set(limits or {}) - set(LIMITS))
    if unknown:
        raise ValueError(f"`limits` knows the tests {', '.join(LIMITS)}. Received: {unknown}.")
    limits = LIMITS | dict(limits or {})
    blocked = blocked or _near_guessing(signals)
    rows = []
    for slice_name, chosen in _slices(signals, class_names):
        for test, failures in _failures(signals, chosen).items():
            if not len(failures):
                continue
            rate, limit = float(failures.mean()), limits[test]
            low, high = wilson_interval(rate, len(failures))
            status, reason = _judged(rate, len(failures), limit)
            rows.append(
                {
                    "transform": name,
                    "test": test,
                    "slice": slice_name,
                    "failure_rate": rate,
                    "low": float(low),
                    "high": float(high),
                    "limit": limit,
                    "status": "undetermined" if blocked else status,
                    "passed": status == "pass" and not blocked,
                    "reason": blocked or reason,
                    "num_images": len(failures),
                }
            )
    return rows


def _near_guessing(signals: Signals) -> str:
    """Why nothing is judged of a network that is too near to guessing; empty if it is not."""
    if signals.labels is None:
        return ""
    accuracy = float(signals.right[signals.grid.identity_index].mean())
    if accuracy > least_accuracy(signals.num_classes):
        return ""
    return (
        f"The network is right on only {accuracy:.1%} of images at the identity step, too near to "
        "guessing: what does not change it says nothing."
    )


def _judged(rate: float, count: int, limit: float) -> tuple[str, str]:
    """Status of a failure rate, and why it is undetermined."""
    low, high = (float(end) for end in wilson_interval(rate, count))
    if high <= limit:
        return "pass", ""
    if low > limit:
        return "fail", ""
    return "undetermined", (
        f"{count} images are too few: a failure rate of {rate:.1%} [{low:.1%}, {high:.1%}] may lie "
        f"on either side of the limit of {limit:.1%}; {needed_words(_needed(rate, count, limit))}."
    )


def _needed(rate: float, count: int, limit: float) -> int | None:
    """About how many images would tell a rate like this from the limit."""
    if rate == limit:
        return None

    def would_do(number: int) -> bool:
        luck = 0.84 * (rate * (1 - rate) / number) ** 0.5  # in four of five draws
        then = min(1.0, rate + luck) if rate < limit else max(0.0, rate - luck)
        low, high = wilson_interval(then, number)
        return bool(high <= limit) if rate < limit else bool(low > limit)

    return images_needed(would_do, count)


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

    What is undetermined is a skipped test, with the reason.

    Args:
        table: from `checklist`.
        path: file to write.
    """
    root = ElementTree.Element("testsuites", name="invariance")
    for transform, rows in table.groupby("transform", sort=False):
        counts = rows.status.value_counts()
        suite = ElementTree.SubElement(
            root, "testsuite", name=str(transform), tests=str(len(rows)),
            failures=str(counts.get("fail", 0)), skipped=str(counts.get("undetermined", 0)),
        )  # fmt: skip
        for row in rows.itertuples():
            case = ElementTree.SubElement(
                suite, "testcase", classname=f"{transform}.{row.test}", name=str(row.slice)
            )
            if row.status == "fail":
                message = (
                    f"failure rate {row.failure_rate:.3f} [{row.low:.3f}, {row.high:.3f}] "
                    f"is above {row.limit:g}"
                )
                ElementTree.SubElement(case, "failure", message=message)
            elif row.status == "undetermined":
                ElementTree.SubElement(case, "skipped", message=str(row.reason))
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
    """Fail a test unless a transformation is shown to change few classes and cost little accuracy.

    Both limits are held against the upper ends of 95 % intervals, so too few images fail: limits
    of 5 % and 15 % need at least 73.

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
        AssertionError: a limit is exceeded; the message names the step and the images. Or there
            are too few images to be sure that it is not; the message says how many would do. Or
            the network does no better than guessing, or is fed or judged wrongly.

    Example:
        >>> def test_small_turns_do_not_matter():
        ...     assert_invariant(model, images.test, "rotation", [-10, -5, 0, 5, 10])
    """
    check_number("max_flip_rate", max_flip_rate, 0, 1)
    check_number("max_drop", max_drop, 0, 1)
    found = intake(model, images, seed=seed, batch_size=batch_size)
    if found.stops:
        raise AssertionError(" ".join(f"{each.text} {each.cure}" for each in found.stops))
    signals = sweep(
        found.classifier, images, transform, values, identity=identity, rules=rules, taps=[],
        seed=seed, batch_size=batch_size, progress=False,
    )  # fmt: skip
    name = as_transform(transform, values, identity=identity).title.lower()
    _assert_few_flips(signals, name, max_flip_rate)
    if signals.labels is not None:
        _assert_small_loss(signals, name, max_drop)


def _assert_few_flips(signals: Signals, name: str, limit: float) -> None:
    changed = signals.predictions != signals.predictions[signals.grid.identity_index]
    rates = changed.mean(axis=1)
    worst = int(rates.argmax())
    step, rate, count = signals.grid.label(worst), float(rates[worst]), len(signals)
    if rate > limit:
        first = np.flatnonzero(changed[worst])[:5].tolist()
        raise AssertionError(
            f"{name} by {step} changes the class of {rate:.1%} of {count} images, more than "
            f"{limit:.1%}. The first of them: {first}."
        )
    _, high = wilson_interval(rate, count)
    if high > limit:
        raise AssertionError(
            f"{name} by {step} changes the class of {rate:.1%} of {count} images. So few still "
            f"allow {float(high):.1%}, more than {limit:.1%}; "
            f"{needed_words(_needed(rate, count, limit))}."
        )


def _assert_small_loss(signals: Signals, name: str, limit: float) -> None:
    truth = shown_loss(signals, invariant_below=limit, broken_above=1.0)
    step = signals.grid.label(truth.worst_step)
    if truth.verdict == "not assessable":
        raise AssertionError(
            f"The network is right on only {truth.identity_accuracy:.1%} of untouched images, too "
            f"near to guessing to be called invariant to {name}."
        )
    if truth.drop <= limit and truth.drop_high <= limit:
        return
    falls = (
        f"{name} by {step} lowers the accuracy from {truth.identity_accuracy:.1%} to "
        f"{truth.worst_accuracy:.1%}, a loss of {truth.drop:.1%}"
    )
    if truth.drop > limit:
        raise AssertionError(f"{falls}, more than {limit:.1%}.")
    raise AssertionError(
        f"{falls}. {len(signals)} images still allow {truth.drop_high:.1%}, more than {limit:.1%}; "
        f"{needed_words(truth.num_needed)}."
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
