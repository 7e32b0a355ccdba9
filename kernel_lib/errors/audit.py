"""The error audit: which predictions are likely wrong, and what does it cost to know?"""

from __future__ import annotations

import os
from collections.abc import Sequence
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
from kernel_lib.errors import shifts as shifting
from kernel_lib.errors.display import display_arrays
from kernel_lib.errors.dropout import dropout_taps
from kernel_lib.errors.evidence import Reading
from kernel_lib.errors.learned import HEADS
from kernel_lib.errors.measure import Measured, score_all, shifts_table
from kernel_lib.errors.metrics import has_both_kinds
from kernel_lib.errors.mutants import MutantSet, mutants
from kernel_lib.errors.path import RULES
from kernel_lib.errors.recipes import OPERATORS
from kernel_lib.errors.registry import SCORES, Options, chosen
from kernel_lib.errors.result import ErrorResult, summarize
from kernel_lib.errors.units import mutable_layers
from kernel_lib.errors.unmeasured import without_both_kinds
from kernel_lib.models.classifier import Classifier
from kernel_lib.report.provenance import provenance

LEAST_FILTERS = 3  # that a mutant changes where gamma is left to the audit
SHIFTS = (*shifting.corruptions(), "fgsm", "pgd")
_FOLLOWED = ("msp", "conductance", "label_change_rate", "both")


@takes(
    scores=opt.optional(opt.several(SCORES)),
    layers=opt.optional(opt.texts(least=0)),
    steps=opt.count(1, 1_000_000),
    rule=opt.choice(RULES),
    baseline=opt.unbounded("a number, a name, an array, or a list of these"),
    reduce=opt.choice(("sum", "mean")),
    operator=opt.choice(OPERATORS),
    gamma=opt.optional(opt.number(0, 1)),
    num_mutants=opt.count(0, 1_000_000),
    mutant_layers=opt.optional(opt.either(opt.texts(), opt.text())),
    accept_ratio=opt.number(0, 1),
    head=opt.choice(HEADS),
    coverage=opt.number(0, 1),
    risk=opt.number(0, 1),
    shifts=opt.several(SHIFTS, least=0),
    severities=opt.counts(1, 5),
    attack_sizes=opt.numbers(0, 1),
    num_shift_images=opt.count(),
    dropout_passes=opt.count(1, 1_000_000),
    num_images=opt.optional(opt.count()),
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
    scores: Sequence[str] | None = None,
    layers: Sequence[str] | None = None,
    steps: int = 10,
    rule: str = "trapezoid",
    baseline: Any = "zero_input",
    reduce: str = "sum",
    operator: str = "nai",
    gamma: float | None = None,
    num_mutants: int = 100,
    mutant_layers: str | Sequence[str] | None = None,
    accept_ratio: float = 0.9,
    head: str = "logistic",
    coverage: float = 0.8,
    risk: float = 0.05,
    shifts: Sequence[str] = (),
    severities: Sequence[int] = (1, 3, 5),
    attack_sizes: Sequence[float] = (0.01, 0.03),
    num_shift_images: int = 200,
    dropout_passes: int = 20,
    num_images: int | None = None,
    num_display: int = 48,
    seed: int = 0,
    batch_size: int | None = None,
    progress: bool = True,
    cache: str | os.PathLike[str] | None = None,
) -> ErrorResult:
    """Rank predictions by suspicion in many ways, and say which way tells the errors.

    Conductance (Dhamdhere et al. 2019) and label change rate (Wang et al. 2019) under mutation of
    the network, alone and together, are held against the baselines of the field on the same
    images. Everything is learned on the calibration split, which the network was not trained on;
    the labels of the test split are used for metrics alone.

    Args:
        model: a Keras model or a `Classifier`. It is left exactly as it was.
        images: an `ImageSet` with calibration and test splits.
        scores: names from `kernel_lib.errors.scores()`; None for all that fit the network.
        layers: taps of conductance; None for the output of each block or activation.
        steps: steps of the path of conductance.
        rule: "trapezoid", "right" or "left".
        baseline: where paths begin, see `conductance`.
        reduce: "sum" or "mean" of conductance over the positions of a map.
        operator: how mutants are made, see `mutants`.
        gamma: share of filters a mutant changes; None for one in a hundred, but at least three.
        num_mutants: mutants to ask; 0 leaves the label change rate out.
        mutant_layers: layers that mutants may strike; None for all convolutions.
        accept_ratio: accept mutants with more than this share of the network's accuracy.
        head: classifier on top of features: "logistic", "mlp", "forest", "lda" or "qda".
        coverage: share of images to keep, for the threshold by coverage.
        risk: error rate to allow among kept images, for the threshold by risk.
        shifts: names of `corruptions()`, and "fgsm" or "pgd"; the thresholds stay frozen.
        severities: of corruptions, 1 to 5.
        attack_sizes: largest change of a pixel by an attack.
        num_shift_images: test images that are shifted.
        dropout_passes: sub-networks for Monte Carlo dropout, where the network has dropout.
        num_images: most images of each split, balanced over classes; None for all.
        num_display: images that the widget shows.
        seed: seed of mutants, folds, noise and intervals.
        batch_size: images, or points of paths, in memory at once; None fits the image size.
        progress: show progress bars.
        cache: folder where votes are kept, so that an interrupted audit goes on.

    Returns:
        An `ErrorResult`. Where the predictions of a split are all right, or all wrong, nothing is
        measured and the verdict says so, with a bound of the error rate.

    Raises:
        ValueError: too few calibration predictions are wrong for a detector to learn from; no
            mutants can be found; the images do not fit the network; the network says yes or no to
            each class on its own.

    Example:
        >>> result = kl.errors.audit(model, images, num_mutants=50)
        >>> result.tables["comparison"][["score", "difference", "low", "high"]]
    """
    images = labeled(images, "The error audit")
    taken_in = intake(model, images, seed=seed, batch_size=batch_size)
    given, classifier, images = images, taken_in.classifier, taken_in.image_set
    need_one_class(classifier, "The error audit asks of each image whether its class was named.")
    for tap in layers or ():
        classifier.network.tap(tap)  # says which taps there are
    costs = {
        "scores": scores, "steps": steps, "num_mutants": num_mutants, "num_images": num_images,
        "shifts": shifts, "severities": severities, "num_shift_images": num_shift_images,
        "batch_size": batch_size,
    }  # fmt: skip
    announce("errors", classifier, images, costs, progress=progress, stops=taken_in.stops)
    known, asked = (_sampled(images.split(s), num_images, seed) for s in ("calibration", "test"))
    wanted = chosen(scores, has_votes=num_mutants > 0, has_dropout=bool(dropout_taps(classifier)))
    needs = {need for score in wanted for need in score.needs}
    reading = Reading(
        layers=layers if "conductance" in needs else [],
        steps=steps,
        rule=rule,
        baseline=baseline,
        reduce=reduce,
        dropout_passes=dropout_passes if "dropout" in needs else 0,
        seed=seed,
        batch_size=batch_size,
        progress=progress,
        cache=cache,
    )
    parameters = {
        "steps": steps, "rule": rule, "reduce": reduce, "head": head, "seed": seed,
        "baseline": baseline if isinstance(baseline, str | int | float) else "array",
        "operator": operator, "gamma": gamma, "num_mutants": num_mutants,
        "mutant_layers": mutant_layers, "accept_ratio": accept_ratio, "coverage": coverage,
        "risk": risk, "shifts": list(shifts), "num_calibration": len(known),
        "num_test": len(asked),
    }  # fmt: skip
    origin = provenance(classifier, given, seed)
    names = classifier.class_names_for(images)
    known_wrong, test_wrong = (classifier.predict(s.images) != s.labels for s in (known, asked))
    if not (has_both_kinds(known_wrong) and has_both_kinds(test_wrong)):
        result = without_both_kinds(
            classifier, reading, known, asked, names, num_display, parameters, origin
        )
        return conclude(result, taken_in)
    with stops_first(taken_in):
        if gamma is None:
            gamma = _gamma(classifier, mutant_layers, operator)
            parameters["gamma"] = gamma
        found: MutantSet | None = None
        if "votes" in needs:
            found = mutants(
                classifier, known.images, known.labels, operator=operator, gamma=gamma,
                num_mutants=num_mutants, layers=mutant_layers,
                accept_ratio=accept_ratio, seed=seed, batch_size=batch_size, progress=progress,
                cache=cache,
            )  # fmt: skip
        recipes = () if found is None else tuple(found)
        known_votes = None if found is None else found.votes
        calibration = reading.gather(classifier, known.images, recipes, known_votes)
        test = reading.gather(classifier, asked.images, recipes)
        measured = score_all(
            classifier, reading, wanted, Options(head, seed), (calibration, known_wrong),
            (test, test_wrong), found,
        )  # fmt: skip
    by_name = {one.score.name: one.test for one in measured.scored}
    sorting = next(by_name[n] for n in ("both", "conductance", *by_name) if n in by_name)
    shown = display_arrays(measured, known, asked, sorting, num_display)
    table = _shifted(
        classifier, measured, reading, asked, shifts, severities, attack_sizes, num_shift_images
    )
    result = summarize(classifier, measured, shown, asked.labels, names, table, parameters, origin)
    return conclude(result, taken_in)


def _sampled(images: ImageSet, num_images: int | None, seed: int) -> ImageSet:
    return images if num_images is None else images.sample(num_images, seed)


def _gamma(classifier: Classifier, layers: str | Sequence[str] | None, operator: str) -> float:
    """One filter in a hundred, but at least three (for swaps: a pair in the largest layer)."""
    sizes = [layer.num_filters for layer in mutable_layers(classifier, layers)]
    if operator == "ns":
        return min(1.0, max(0.07, 2 / max(sizes) + 1e-9))
    # A hair more than the share, so that int(total * gamma) is not one less by rounding.
    return min(1.0, max(0.01, (LEAST_FILTERS + 1e-6) / sum(sizes)))


def _shifted(
    classifier: Classifier,
    measured: Measured,
    reading: Reading,
    test: ImageSet,
    names: Sequence[str],
    severities: Sequence[int],
    sizes: Sequence[float],
    count: int,
) -> pd.DataFrame | None:
    """Shift some of the test images in every way asked for."""
    if not names:
        return None
    sample = test.sample(count, reading.seed)
    originals, labels = np.array(sample.images), sample.labels
    shifted: dict[tuple[str, float], np.ndarray] = {("none", 0.0): originals}
    for name in names:
        if name in ("fgsm", "pgd"):
            attack = getattr(shifting, name)
            for eps in sizes:
                shifted[name, float(eps)] = attack(
                    classifier, originals, labels, eps, batch_size=reading.batch_size
                )
        else:
            for severity in severities:
                shifted[name, float(severity)] = shifting.corrupt(
                    originals, name, severity, reading.seed
                )
    return shifts_table(measured, classifier, reading, shifted, labels, _FOLLOWED)
