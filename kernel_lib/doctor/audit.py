"""The check-up: which channels and regions mislead the network, and does a treatment help?"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from kernel_lib._progress import shows_progress
from kernel_lib.audit import options as opt
from kernel_lib.audit.examine import intake, labeled
from kernel_lib.audit.forecast import announce
from kernel_lib.audit.guards import conclude, need_one_class, stops_first
from kernel_lib.audit.options import takes
from kernel_lib.data import ImageSet
from kernel_lib.doctor import causes, report
from kernel_lib.doctor.diagnosis import Diagnosis, diagnose
from kernel_lib.doctor.gradients import TARGETS
from kernel_lib.doctor.measure import Measured, image_gradients, measure
from kernel_lib.doctor.owned import mask_owners, masks_or_empty
from kernel_lib.doctor.recipe import MODES, READINGS
from kernel_lib.doctor.reliance import threshold_rule
from kernel_lib.doctor.report import Blame
from kernel_lib.doctor.result import DoctorResult
from kernel_lib.doctor.samples import Samples, find_samples
from kernel_lib.doctor.treat import Practice, Schedule, Treatment, recipe_for
from kernel_lib.doctor.verdict import Findings, judge, paired_evidence
from kernel_lib.models.augmentation import augmentation
from kernel_lib.models.classifier import Classifier
from kernel_lib.network.compiled import fitting_batch_size
from kernel_lib.report.provenance import provenance

_BLAMED_SHARE = 0.1  # of the channels, where no number is given


@takes(
    treatment=opt.flag(),
    alpha=opt.optional(opt.number(0, 1e9)),
    beta=opt.optional(opt.number(0, 1e9)),
    mode=opt.choice(MODES),
    tap=opt.optional(opt.text()),
    target=opt.optional(opt.choice(TARGETS)),
    reading=opt.optional(opt.choice(READINGS)),
    epochs=opt.count(1, 100_000),
    learning_rate=opt.number(0, 1000),
    augment=opt.optional(opt.of_kind((str,), "a name such as 'crop4_flip'", callables=True)),
    num_seeds=opt.count(1, 10_000),
    threshold=opt.parsed(threshold_rule, ("minmax:2", "minmax:nan", "third:0.5", "", 0.2, None)),
    noise=opt.number(0, 1000),
    min_confidence=opt.number(0, 1),
    per_class=opt.count(),
    num_blamed=opt.optional(opt.count()),
    num_images=opt.count(),
    num_display=opt.count(1, 100_000),
    seed=opt.SEED,
    batch_size=opt.BATCH_SIZE,
    progress=opt.flag(),
    cache=opt.CACHE,
)
@shows_progress
def audit(
    model: Any,
    images: ImageSet,
    *,
    treatment: bool = True,
    alpha: float | None = None,
    beta: float | None = None,
    mode: str = "corrected",
    tap: str | None = None,
    target: str | None = None,
    reading: str | None = None,
    epochs: int = 5,
    learning_rate: float = 0.01,
    augment: str = "none",
    num_seeds: int = 3,
    threshold: str = "minmax:0.2",
    noise: float = 0.0,
    min_confidence: float = 0.9,
    per_class: int = 100,
    num_blamed: int | None = None,
    num_images: int = 1000,
    num_display: int = 8,
    seed: int = 0,
    batch_size: int | None = None,
    progress: bool = True,
    cache: str | os.PathLike[str] | None = None,
) -> DoctorResult:
    """Diagnose a network, check the diagnosis by intervention, treat it, and compare.

    Feng et al., Model Doctor, AAAI 2022. The treatment is held against plain fine-tuning for the
    same steps on the same images in the same order.

    Args:
        model: a Keras model or a `Classifier`. It is left exactly as it was.
        images: an `ImageSet`. Samples and treatment use its training split, blame its calibration
            split, and all comparisons its test split. With masks, regions can be judged.
        treatment: whether to treat, or to diagnose only.
        alpha, beta, mode, tap, target, reading: what is constrained, see `treat`.
        epochs, learning_rate, augment: of the treatment and of its control, see `Schedule`.
        num_seeds: treatments, each with a control.
        threshold, noise: of the diagnosis, see `diagnose`.
        min_confidence, per_class: which samples the diagnosis uses, see `find_samples`.
        num_blamed: how many channels are blamed at most; None is a tenth of them.
        num_images: most test images, balanced over classes.
        num_display: images whose saliency is shown.
        seed: seed of all that is drawn.
        batch_size: images in memory at once when reading; None fits the image size.
        progress: show progress bars.
        cache: folder where treatments are kept after each epoch, and go on from.

    Returns:
        A `DoctorResult`.

    Raises:
        ValueError: a network without convolution, a class without a confident right image (where
            the intake says why, its reason and cure come first), a treatment that could do nothing,
            or a network that says yes or no to each class on its own.

    Example:
        >>> result = kl.doctor.audit(model, images, num_seeds=3)
        >>> result.scores["gain_over_control"]
    """
    images = labeled(images, "The doctor's audit")
    taken_in = intake(model, images, seed=seed, batch_size=batch_size)
    given, classifier, images = images, taken_in.classifier, taken_in.image_set
    need_one_class(classifier, "The check-up asks what pushes images towards a wrong class.")
    augmentation(augment, images)
    costs = {
        "treatment": treatment, "epochs": epochs, "num_seeds": num_seeds, "per_class": per_class,
        "num_images": num_images, "batch_size": batch_size,
    }  # fmt: skip
    announce("doctor", classifier, images, costs, progress=progress, stops=taken_in.stops)
    test = images.test.sample(num_images, seed)
    size = batch_size or fitting_batch_size(images.image_shape, classifier.network)
    with stops_first(taken_in):  # a network that guesses is sure of nothing that is right
        samples = find_samples(
            classifier, images, min_confidence=min_confidence, num_high=per_class, progress=progress
        )
        diagnosis = diagnose(
            classifier, images, tap=tap, threshold=threshold, noise=noise, samples=samples,
            seed=seed, batch_size=size, progress=progress,
        )  # fmt: skip
    known = images.calibration if len(images.splits["calibration"]) else images.train
    known = known.sample(num_images, seed)
    blamed, ablated = _causes(classifier, known, test, diagnosis, num_blamed, seed, size)
    before = measure(classifier, test, known, size, seed)
    course = _Course([], [], [], [])
    if treatment:
        recipe, notes = recipe_for(
            classifier, images, diagnosis, alpha=alpha, beta=beta, mode=mode, tap=tap,
            target=target, reading=reading,
        )  # fmt: skip
        schedules = [
            Schedule(epochs, learning_rate, seed=seed + i, augment=augment)
            for i in range(num_seeds)
        ]
        course = _treated(
            classifier,
            images,
            test,
            known,
            diagnosis,
            recipe,
            schedules,
            size,
            seed,
            cache,
            progress,
        )
        course.notes.extend(notes)
    result = _summed_up(
        classifier, given, test, samples, diagnosis, blamed, ablated, before, course,
        num_display=num_display, seed=seed, batch_size=size,
    )  # fmt: skip
    return conclude(result, taken_in)


@dataclass
class _Course:
    """Treated networks and their controls, as measured; the first of each is kept whole."""

    controls: list[Measured]
    treated: list[Measured]
    treatments: list[tuple[str, int, Treatment]]
    notes: list[str]


def _causes(
    classifier: Classifier,
    known: ImageSet,
    test: ImageSet,
    diagnosis: Diagnosis,
    num_blamed: int | None,
    seed: int,
    batch_size: int,
) -> tuple[Blame, dict[str, Any]]:
    """Blame channels on held-out images, and see on test images what happens without them."""
    push, outside, wrong = causes.contributions(classifier, known, diagnosis.tap, batch_size)
    has_mask = mask_owners(known)
    count = num_blamed or max(1, round(_BLAMED_SHARE * push.shape[1]))
    blamed = report.blame(push, outside, wrong, has_mask, count)
    fill = causes.channel_means(classifier, known.images, diagnosis.tap, batch_size)
    found = causes.ablation(
        classifier, test, diagnosis.tap, blamed.channels, fill, seed=seed, batch_size=batch_size
    )
    return blamed, found


def _treated(
    classifier: Classifier,
    images: ImageSet,
    test: ImageSet,
    known: ImageSet,
    diagnosis: Diagnosis,
    recipe: Any,
    schedules: Sequence[Schedule],
    batch_size: int,
    seed: int,
    cache: Any,
    progress: bool,
) -> _Course:
    course = _Course([], [], [], [])
    kinds = (("control", recipe.control, course.controls), ("treated", recipe, course.treated))
    for kind, each, measured in kinds:
        practice = Practice(classifier, images, diagnosis, each)
        for schedule in schedules:
            treatment = practice.run(schedule, folder=cache, progress=progress)
            measured.append(measure(treatment.classifier, test, known, batch_size, seed))
            course.treatments.append((kind, schedule.seed, treatment))
            course.notes.extend(treatment.notes)
    return course


def _summed_up(
    classifier: Classifier,
    images: ImageSet,
    test: ImageSet,
    samples: Samples,
    diagnosis: Diagnosis,
    blamed: Blame,
    ablated: dict[str, Any],
    before: Measured,
    course: _Course,
    *,
    num_display: int,
    seed: int,
    batch_size: int,
) -> DoctorResult:
    tables = {
        "classes": report.classes_table(before, test, diagnosis, samples),
        "channels": report.channels_table(diagnosis, blamed, seed),
        "ablation": report.ablation_table(ablated, test.labels),
    }
    if course.treated:
        seeds = [number for kind, number, _ in course.treatments if kind == "treated"]
        tables["comparison"] = report.comparison_table(
            before, course.controls, course.treated, test
        )
        tables["treatment"] = report.treatment_table(before, course.controls, course.treated, seeds)
        tables["history"] = _history(course)
    found = _findings(before, course, tables, blamed, ablated, test.labels)
    parameters = {
        "tap": diagnosis.tap,
        "layers": list(diagnosis.layers),
        "threshold": diagnosis.threshold,
        "blame": blamed.reason,
        "class_names": list(images.class_names),
        "num_images": len(test),
        "num_seeds": len(course.treated),
        "diagnosis": diagnosis.parameters,
        "notes": list(dict.fromkeys(course.notes)),
        "shortfalls": list(samples.shortfalls),
    }
    if course.treatments:
        parameters["recipe"] = course.treatments[-1][2].recipe.__dict__
        parameters["schedule"] = course.treatments[-1][2].schedule.__dict__
    arrays = _arrays(classifier, test, diagnosis, before, course, num_display, seed, batch_size)
    origin = provenance(classifier, images, seed)
    scores = {name: float(value) for name, value in _scores(found, tables).items()}
    treated = next((each for kind, _, each in course.treatments if kind == "treated"), None)
    network = None if treated is None else treated.classifier
    return DoctorResult(scores, tables, arrays, judge(found), parameters, origin, network=network)


def _findings(
    before: Measured,
    course: _Course,
    tables: dict,
    blamed: Blame,
    ablated: dict[str, Any],
    labels: np.ndarray,
) -> Findings:
    gain, accuracies = None, (before.accuracy, np.nan, np.nan)
    if course.treated:
        row = tables["comparison"].iloc[0]
        gain = (float(row.gain), float(row.low), float(row.high))
        accuracies = (before.accuracy, float(row.control), float(row.treated))
    reliance, reliance_p = paired_evidence(before.swapped_other, before.swapped_same)
    whole, without = (predictions == labels for predictions in ablated["predictions"])
    ablation_gain, ablation_p = paired_evidence(without, whole)
    return Findings(
        reliance=reliance,
        reliance_p=reliance_p,
        ablation_gain=ablation_gain,
        ablation_p=ablation_p,
        gain=gain,
        accuracies=accuracies,
        num_seeds=len(course.treated),
        num_blamed=len(blamed.channels),
        num_masked=len(before.swapped_other),
        num_test=len(before.right),
        failed=any("held no finite number" in note for note in course.notes),
    )


def _scores(found: Findings, tables: dict[str, pd.DataFrame]) -> dict[str, float]:
    scores = {
        "accuracy_before": found.accuracies[0],
        "background_reliance": found.reliance[0],
        "accuracy_without_blamed": float(found.accuracies[0] + found.ablation_gain[0]),
    }
    if found.gain is None:
        return scores
    means = tables["treatment"].groupby("network").mean(numeric_only=True)
    return scores | {
        "accuracy_control": found.accuracies[1],
        "accuracy_treated": found.accuracies[2],
        "gain_over_control": found.gain[0],
        "gain_low": found.gain[1],
        "gain_high": found.gain[2],
        "gradient_outside_before": means.gradient_outside["before"],
        "gradient_outside_control": means.gradient_outside["control"],
        "gradient_outside_treated": means.gradient_outside["treated"],
        "background_reliance_treated": means.background_reliance["treated"],
    }


def _history(course: _Course) -> pd.DataFrame:
    parts = [
        treatment.table.assign(network=kind, seed=number)
        for kind, number, treatment in course.treatments
    ]
    return pd.concat(parts, ignore_index=True)


def _arrays(
    classifier: Classifier,
    test: ImageSet,
    diagnosis: Diagnosis,
    before: Measured,
    course: _Course,
    num_display: int,
    seed: int,
    batch_size: int,
) -> dict[str, np.ndarray]:
    shown = test.sample(min(num_display, len(test)), seed)
    pictures = np.repeat(shown.images, 3, -1) if shown.image_shape[2] == 1 else shown.images
    arrays = {
        "averages": diagnosis.averages[diagnosis.tap],
        "relies": diagnosis.relies(),
        "energy": diagnosis.energy,
        "inputs": np.rint(pictures * 255).astype(np.uint8),
        "shown_masks": masks_or_empty(shown),
        "shown_labels": shown.labels,
        "right_before": before.right,
        "maps_before": _display(image_gradients(classifier, shown, batch_size)),
    }
    for place, name in enumerate(diagnosis.layers):
        arrays[f"averages_{place}"] = diagnosis.averages[name]
    for kind, measured in (("control", course.controls), ("treated", course.treated)):
        if measured:
            first = next(t for each, _, t in course.treatments if each == kind)
            slopes = image_gradients(first.classifier, shown, batch_size)
            arrays[f"maps_{kind}"] = _display(slopes)
            arrays[f"right_{kind}"] = np.stack([each.right for each in measured])
    return arrays


def _display(slopes: np.ndarray) -> np.ndarray:
    """Each map at its own scale, cut at its 99th percentile, (n, h, w) uint8."""
    top = np.quantile(slopes, 0.99, axis=(1, 2), keepdims=True)
    share = np.clip(slopes / np.where(top > 0, top, 1), 0, 1)
    return np.rint(share * 255).astype(np.uint8)
