"""The invariance audit: does the network say the same when the image is slightly transformed?"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from kernel_lib._progress import shows_progress
from kernel_lib.audit import options as opt
from kernel_lib.audit.examine import intake, opened
from kernel_lib.audit.forecast import announce
from kernel_lib.audit.guards import conclude
from kernel_lib.audit.options import takes
from kernel_lib.data import ImageSet
from kernel_lib.invariance.assessor import Assessor, bundled, setting_of
from kernel_lib.invariance.checklist import chosen_images
from kernel_lib.invariance.features import taps_of
from kernel_lib.invariance.grids import Grid
from kernel_lib.invariance.loss import RulesCost, rules_cost, shown_loss
from kernel_lib.invariance.result import InvarianceResult, Measured, summarize
from kernel_lib.invariance.signals import Signals
from kernel_lib.invariance.sweep import sweep
from kernel_lib.invariance.transforms import (
    CLEAN,
    Rules,
    Stepper,
    Transform,
    as_rules,
    as_transform,
)
from kernel_lib.models.classifier import Classifier
from kernel_lib.network.compiled import fitting_batch_size
from kernel_lib.report.provenance import provenance


@takes(
    transform=opt.of_kind(
        (str, Transform),
        "a name, a Transform or a function (images, value) -> images",
        callables=True,
    ),
    values=opt.optional(opt.either(opt.of_kind((Grid,), "a grid"), opt.numbers(-1e9, 1e9))),
    identity=opt.number(-1e9, 1e9),
    rules=opt.of_kind((str, Rules), "'clean', 'paper' or kernel_lib.invariance.Rules"),
    num_images=opt.count(8),
    taps=opt.optional(opt.texts(least=0)),  # none: the output alone is read
    mode=opt.choice(("clean", "paper")),
    assessor=opt.optional(
        opt.of_kind((str, os.PathLike, Assessor), "'auto', an Assessor, a file or a name")
    ),
    invariant_below=opt.number(0, 1),
    broken_above=opt.number(0, 1),
    num_display=opt.count(1, 100_000),
    seed=opt.SEED,
    batch_size=opt.BATCH_SIZE,
    progress=opt.flag(),
)
@shows_progress
def audit(
    model: Any,
    images: ImageSet | np.ndarray,
    *,
    transform: Any = "rotation",
    values: Sequence[float] | None = None,
    identity: float = 0.0,
    rules: Rules | str = CLEAN,
    num_images: int = 1000,
    taps: Sequence[str] | None = None,
    mode: str = "clean",
    assessor: Assessor | str | os.PathLike[str] | None = "auto",
    invariant_below: float = 0.05,
    broken_above: float = 0.15,
    num_display: int = 12,
    seed: int = 0,
    batch_size: int | None = None,
    progress: bool = True,
) -> InvarianceResult:
    """Push images through a transformation, and see whether what the network says moves.

    ML4ML invariance testing (Liao, Zhang & Chen 2021): signals at every step, variance matrices
    between steps, sixteen measurements each, and an assessor that judges from them. Where images
    have labels, the loss of accuracy gives a verdict of its own. The two use different halves of
    the images, so neither restates the other.

    Args:
        model: a Keras model or a `Classifier`. It is left exactly as it was.
        images: an `ImageSet` (its test split is used), or images alone
            (num_images, height, width, channels) in [0, 1], without labels.
        transform: a name of `transforms()`, a `Transform`, or a function (images, value) ->
            images.
        values: the steps, one of them the identity; None takes the usual ones.
        identity: for a function, the value that changes nothing.
        rules: how borders are treated: "clean", "paper" or `Rules`.
        num_images: at most so many images, balanced over classes.
        taps: convolutions to read; None takes the last two.
        mode: "clean" or "paper" measurements, see `measure`.
        assessor: an `Assessor`, a file, or the name of one that comes with the library; "auto"
            takes the one for this transformation if there is one that fits; None asks none. None
            judges multi-label networks; of these the class with the highest score is followed.
        invariant_below: largest loss of accuracy, relative, of an invariant network.
        broken_above: smallest loss of one that is not invariant.
        num_display: images kept for figures and the widget, those that flip most first.
        seed: seed of the images, of random transformations and of intervals.
        batch_size: images in memory at once; None fits the image size.
        progress: show a progress bar.

    Returns:
        An `InvarianceResult`.

    Raises:
        ValueError: a grid without identity, NaN in the network's answers, too few images, or an
            assessor trained on another kind of sweep.

    Example:
        >>> result = kl.invariance.audit(model, images, transform="rotation")
        >>> result.scores["drop"], result.verdict.headline
    """
    images = opened(images)
    found = intake(model, images, seed=seed, batch_size=batch_size)
    given, classifier, images = images, found.classifier, found.image_set
    chosen_transform = as_transform(transform, values, identity=identity, seed=seed)
    costs = {
        "transform": chosen_transform, "num_images": num_images, "num_display": num_display,
        "batch_size": batch_size,
    }  # fmt: skip
    announce("invariance", classifier, images, costs, progress=progress, stops=found.stops)
    judge = _named(assessor, chosen_transform.name)
    if judge is not None and classifier.is_multi_label:
        _refuse_many_labels(assessor)
        judge = None
    has_labels = isinstance(images, ImageSet) and images.num_classes > 1
    chosen = chosen_images(images, num_images, seed)
    tested = chosen if has_labels or not isinstance(chosen, ImageSet) else chosen.images
    signals = sweep(
        classifier, tested, chosen_transform, rules=rules, taps=taps, seed=seed,
        batch_size=batch_size, progress=progress,
    )  # fmt: skip
    pixels = tested.images if isinstance(tested, ImageSet) else classifier.check_images(tested)
    if assessor == "auto" and judge is not None and not _fits(judge, signals):
        judge = None
    for_features, for_truth, judged = _parts(signals, seed, halved=judge is not None)
    size = batch_size or fitting_batch_size(pixels.shape[1:], classifier.network)
    truth = cost = None
    if for_truth is not None:
        truth = shown_loss(
            for_truth, invariant_below=invariant_below, broken_above=broken_above,
            images_per_judged=len(signals) / len(for_truth), seed=seed,
        )  # fmt: skip
        cost = _rules_cost(classifier, pixels[judged], for_truth, size)
    stepper = Stepper(chosen_transform, as_rules(rules), pixels)
    shown = _shown(signals, num_display)
    measured = Measured(
        signals=signals,
        for_features=for_features,
        for_truth=for_truth,
        truth=truth,
        assessment=None if judge is None else judge.assess(for_features),
        shown=shown,
        pictures=_pictures(stepper, pixels[shown]),
        probabilities=_probabilities(classifier, stepper, pixels[shown], size),
        cost=cost,
    )
    arguments = {
        "transform": chosen_transform.name,
        "title": chosen_transform.title,
        "grid": signals.grid.describe(),
        "identity_index": signals.grid.identity_index,
        "rules": {k: v for k, v in stepper.describe().items() if k not in ("transform", "grid")},
        "mode": mode,
        "taps": taps_of(signals),
        "num_images": len(signals),
        "invariant_below": invariant_below,
        "broken_above": broken_above,
        "assessor": None if judge is None else judge.summary.get("name", "given"),
        "class_names": list(classifier.class_names_for(images)),
        "has_labels": has_labels,
        "is_multi_label": classifier.is_multi_label,
    }
    origin = provenance(classifier, given, seed)
    blocked = " ".join(each.text for each in found.stops)
    return conclude(summarize(measured, arguments, origin, seed, blocked), found)


def _named(assessor: Any, transform: str) -> Assessor | None:
    """The assessor that was asked for; with "auto", the one for the transformation if any."""
    if assessor is None or isinstance(assessor, Assessor):
        return assessor
    if assessor == "auto":
        return Assessor.load(transform) if transform in bundled() else None
    return Assessor.load(assessor)


def _refuse_many_labels(assessor: Any) -> None:
    if assessor != "auto":
        raise ValueError(
            "Assessors learned from networks whose classes share one confidence; this one judges "
            "each class on its own (multi_label). Leave the assessor out: assessor=None."
        )


def _fits(judge: Assessor, signals: Signals) -> bool:
    if len(taps_of(signals)) < 2:
        return False
    try:
        judge.check_setting(setting_of(signals))
    except ValueError:
        return False
    return True


def _parts(
    signals: Signals, seed: int, *, halved: bool
) -> tuple[Signals, Signals | None, np.ndarray]:
    """Images for the matrices, and others for the accuracies; and which these are.

    Without an assessor that could restate the accuracies, all images serve both.
    """
    every = np.arange(len(signals))
    if signals.labels is None:
        return signals, None, every
    if not halved:
        return signals, signals.select(every, "accuracy"), every
    order = np.random.default_rng([seed, len(signals)]).permutation(len(signals))
    middle = len(order) // 2
    first, second = np.sort(order[:middle]), np.sort(order[middle:])
    return signals.select(first, "features"), signals.select(second, "accuracy"), second


def _shown(signals: Signals, count: int) -> np.ndarray:
    """Images to look at: half of them those that flip most, the others spread over the rest."""
    flips = (signals.predictions != signals.predictions[signals.grid.identity_index]).sum(axis=0)
    count = min(count, len(signals))
    worst = np.argsort(-flips, kind="stable")
    most = worst[: (count + 1) // 2]
    rest = np.sort(worst[len(most) :])
    others = rest[np.linspace(0, len(rest) - 1, count - len(most)).round().astype(int)]
    return np.concatenate([most, others])


def _pictures(stepper: Stepper, pixels: np.ndarray) -> np.ndarray:
    """Transformed images for display, (num_images, num_steps, height, width, 3) uint8."""
    moved = dict(stepper.steps(pixels))
    stacked = np.stack([moved[step] for step in range(len(stepper.grid))], axis=1)
    rgb = np.repeat(stacked, 3, axis=-1) if stacked.shape[-1] == 1 else stacked[..., :3]
    return np.rint(rgb * 255).astype(np.uint8)


def _probabilities(
    classifier: Classifier, stepper: Stepper, pixels: np.ndarray, batch_size: int
) -> np.ndarray:
    """Class probabilities of shown images, (num_images, num_steps, num_classes) float32."""
    found = np.empty((len(pixels), len(stepper.grid), classifier.num_classes), np.float32)
    for step, moved in stepper.steps(pixels):
        found[:, step] = classifier.probabilities(np.clip(moved, 0, 1), batch_size)
    return found


def _rules_cost(
    classifier: Classifier, pixels: np.ndarray, signals: Signals, batch_size: int
) -> RulesCost:
    """Accuracy without any rule of borders beside that at the identity, on the same images."""
    untouched = classifier.logits(pixels, batch_size).argmax(axis=1) == signals.labels
    return rules_cost(untouched, signals.right[signals.grid.identity_index])
