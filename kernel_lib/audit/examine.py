"""The intake: how is the network fed, how is it judged, and what can so many images tell?"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from kernel_lib._checks import check_count
from kernel_lib._progress import shows_progress
from kernel_lib.audit import image_checks
from kernel_lib.audit.class_order import ClassOrder, find_class_order
from kernel_lib.audit.findings import Finding, Intake, in_order
from kernel_lib.audit.forecast import forecast
from kernel_lib.audit.scale import ScaleTest, measure_scale
from kernel_lib.audit.standing import Standing, by_class, standing_of
from kernel_lib.audit.statistics import expected_calibration_error, smallest_detectable_effect
from kernel_lib.data import ImageSet, as_images
from kernel_lib.models.classifier import Classifier, as_classifier
from kernel_lib.network.compiled import fitting_batch_size
from kernel_lib.tasks import digest

MOST_IMAGES = 1000
FEWEST_IMAGES = 30  # fewer settle next to nothing
_SCALE_PIXELS = 1000 * 64 * 64  # of images that candidates of the scale may be tried on
_MOST_COPIES = 0.3  # share of judged images that are copies, beyond which no split is trusted
_FEW_FOR_SCALE = 50  # labelled images that an assumed scale is held against
_MANY = 0.05  # share of odd images that is more than a note
_kept: dict[str, Intake] = {}  # the last few, as five audits of one network ask for the same
_MOST_KEPT = 8


@shows_progress
def intake(
    model: Any,
    images: Any,
    *,
    audit: str | None = None,
    most_images: int = MOST_IMAGES,
    seed: int = 0,
    batch_size: int | None = None,
    **options: Any,
) -> Intake:
    """Settle how a network is fed and judged, before anything is concluded about it.

    Every audit calls this first. It costs at most `most_images` forward passes and a few more for
    scales that are in doubt, and changes neither model nor images.

    Args:
        model: a Keras model or a `Classifier`.
        images: an `ImageSet`; images alone (num_images, height, width, channels) in [0, 1]; or what
            `kernel_lib.data.as_images` takes.
        audit: "doctor", "errors", "invariance", "saliency" or "trust": forecast its time and
            memory, with its own `options`.
        most_images: that the accuracy is measured on.
        seed: of the choice of images.
        batch_size: images in memory at once; None fits the image size.
        **options: of the audit that is forecast, where they differ from its defaults, such as its
            own `num_images`.

    Returns:
        An `Intake`. Its `classifier` feeds the network as found here, its `image_set` has labels in
        the network's order and no copies of training images among those that are judged.

    Raises:
        ValueError: images or classes that do not fit the network; the message holds a cure.

    Example:
        >>> found = kl.intake(model, images)
        >>> print(found)
        >>> found.standing.accuracy, found.stops
    """
    classifier = as_classifier(model)
    images = opened(images)
    check_count("most_images", most_images)
    if batch_size is not None and audit is not None:
        options["batch_size"] = batch_size
    if not isinstance(images, ImageSet) or images.num_classes == 1:
        found = _without_labels(classifier, images)
        return replace(found, forecast=_forecast(audit, classifier, images, options))
    images = classifier.aligned(images)
    classifier.check_images(images.images[:1])
    key = digest(
        [
            classifier.digest, classifier.preprocessing_source, images.digest, images.notes,
            most_images, seed, classifier.class_names,
        ]
    )  # fmt: skip
    if key not in _kept:
        while len(_kept) >= _MOST_KEPT:
            _kept.pop(next(iter(_kept)))
        fitting = fitting_batch_size(images.image_shape, classifier.network)
        size = check_count("batch_size", batch_size or fitting)
        _kept[key] = _examined(classifier, images, most_images, seed, size)
    found = _kept[key]
    fed = classifier.fed_like(found.classifier)
    return replace(found, classifier=fed, forecast=_forecast(audit, fed, images, options))


def opened(images: Any) -> ImageSet | np.ndarray:
    """The images as audits take them: an array stays one, all else becomes an `ImageSet`."""
    return images if isinstance(images, np.ndarray) else as_images(images)


def labeled(images: Any, audit: str) -> ImageSet:
    """The images of an audit that cannot do without labels.

    Args:
        images: what `kernel_lib.data.as_images` takes.
        audit: how the message calls the audit.

    Raises:
        TypeError: images without labels.
    """
    found = opened(images)
    if isinstance(found, np.ndarray) or found.num_classes == 1:
        raise TypeError(
            f"{audit} needs labelled images in splits: an ImageSet, such as "
            "kernel_lib.data.load(name), or a pair (images, labels). Received: "
            f"{type(images).__name__} without labels."
        )
    return found


def _forecast(
    audit: str | None, classifier: Classifier, images: Any, options: dict[str, Any]
) -> dict[str, Any]:
    if audit is None and options:
        raise TypeError(
            "Options of an audit are taken with its name, such as audit='errors'. "
            f"Received: {', '.join(options)}."
        )
    return {} if audit is None else forecast(audit, classifier, images, options)


def _without_labels(classifier: Classifier, images: Any) -> Intake:
    pixels = images.images if isinstance(images, ImageSet) else images
    pixels = classifier.check_images(pixels)
    findings = [
        *_quality_findings(pixels[:MOST_IMAGES]),
        Finding(
            "no_labels",
            "note",
            "Without labels nobody can say how often the network is right, nor measure its scale.",
        ),
    ]
    facts_of_network = classifier.describe()
    findings += _network_findings(facts_of_network)
    feeding = _feeding(classifier, None, None)
    facts = {"summary": f"{len(pixels):,} without labels", "num_images": len(pixels)}
    return Intake(
        facts_of_network, feeding, None, [], facts, reach(len(pixels)),
        findings=in_order(findings), classifier=classifier, image_set=images,
    )  # fmt: skip


def _examined(
    classifier: Classifier, images: ImageSet, num_images: int, seed: int, batch_size: int
) -> Intake:
    findings: list[Finding] = []
    judged, image_facts = _without_copies(images, findings)
    scale = _measured_scale(classifier, judged, seed, batch_size)
    asked = classifier
    if scale.better is not None:
        findings.append(_scale_finding(classifier, scale))
        if classifier.preprocessing_source == "assumed":
            classifier = classifier.with_preprocessing(
                scale.better.preprocessing, source="measured"
            )
    if classifier.preprocessing_source == "assumed" and len(judged) < _FEW_FOR_SCALE:
        findings.append(_unproven_scale(classifier, len(judged)))
    sample = _sample(_most_telling(judged, ("test", "calibration", "train")), num_images, seed)
    logits = classifier.logits(sample.images, batch_size)
    predicted = logits.argmax(axis=1)
    standing = standing_of(predicted, sample.labels, classifier.num_classes)
    names = classifier.class_names_for(images)
    order = find_class_order(predicted, sample.labels, classifier.num_classes, seed)
    findings += _class_findings(standing, order, predicted, sample, names)
    findings += _quality_findings(sample.images)
    findings += _note_findings(images)
    if not len(judged.splits["test"]):
        findings.append(
            Finding(
                "no_test_images",
                "caution",
                "There are no test images: the accuracy is that of images which the network may "
                "have been trained on.",
                "Give images that it has not seen, such as a folder test beside the folder train.",
            )
        )
    network = classifier.describe() | {"calibration_error": _calibration(logits, sample.labels)}
    findings += _network_findings(network)
    findings[:0] = _number_findings(logits)
    return Intake(
        network,
        _feeding(asked, scale, classifier),
        standing,
        by_class(predicted, sample.labels, names),
        image_facts,
        reach(len(sample)),
        findings=in_order(findings),
        classifier=classifier,
        image_set=judged,
    )


def without_copies(images: ImageSet) -> ImageSet:
    """The images, without copies of training images among those that are judged."""
    return _without_copies(images, [])[0]


# --- images --------------------------------------------------------------------------------------


def _without_copies(images: ImageSet, findings: list[Finding]) -> tuple[ImageSet, dict[str, Any]]:
    """Leave out copies, of training images and within the splits that are judged; say so."""
    signs = image_checks.Signs(images.images)
    found = image_checks.leaked(images, signs)
    twice = image_checks.repeated(images, signs)
    counts = {name: len(indices) for name, indices in images.splits.items()}
    again = {name: image_checks.again(images, name, signs) for name in counts if name != "train"}
    facts = {
        "num_images": len(images),
        "num_classes": images.num_classes,
        "splits": counts,
        "exact_copies_across_splits": int(found.exact.sum()),
        "near_copies_across_splits": int((~found.exact).sum()),
        "copies_within_splits": twice,
        "left_out_within_splits": {name: len(places) for name, places in again.items()},
        "summary": _images_summary(images, counts),
    }
    if any(map(len, again.values())):
        told = ", ".join(f"{len(found)} in {name}" for name, found in again.items() if len(found))
        many = any(len(again[name]) > _MANY * counts[name] for name in again)
        findings.append(
            Finding(
                "repeated_images",
                "caution" if many else "note",
                f"Some images repeat an earlier one of their split ({told}). A picture counts "
                "once: they are left out of what follows, as they are no further evidence.",
            )
        )
    if twice.get("train"):
        text = f"Of the training images, {twice['train']} stand more than once."
        findings.append(Finding("repeated_images", "note", text))
    splits = {
        name: np.setdiff1d(indices, again[name]) if name in again else indices
        for name, indices in images.splits.items()
    }
    if any(map(len, again.values())):
        images = replace(images, splits=splits)
    if not len(found):
        return images, facts
    copied = found.of[:, 0]
    splits = {
        name: indices if name == "train" else np.setdiff1d(indices, copied)
        for name, indices in images.splits.items()
    }
    exact, near = facts["exact_copies_across_splits"], facts["near_copies_across_splits"]
    what = (
        f"{len(copied)} calibration or test images are copies of images in an earlier split "
        f"({exact} exact, {near} near, such as number {copied[0]} of number {found.of[0, 1]})"
    )
    emptied = [name for name, kept in splits.items() if counts[name] and not len(kept)]
    if emptied:
        findings.append(
            Finding(
                "leaked_images",
                "stop",
                f"{what}: nothing is left of {' and '.join(emptied)} to judge the network by.",
                "Give images that the network was not trained on.",
            )
        )
        return images, facts
    share = len(copied) / (counts["test"] + counts["calibration"])
    if share > _MOST_COPIES:
        # Where so many copies are found, others that were changed more are likely among the rest.
        findings.append(
            Finding(
                "leaked_images",
                "stop",
                f"{what}, {share:.0%} of them: the splits were not drawn apart.",
                "Split the originals first, and change or repeat images within a split only.",
            )
        )
        return replace(images, splits=splits), facts
    severity = "caution" if share > _MANY else "note"
    findings.append(
        Finding("leaked_images", severity, f"{what}: they are left out of what follows.")
    )
    return replace(images, splits=splits), facts


def _images_summary(images: ImageSet, counts: dict[str, int]) -> str:
    shape = "x".join(map(str, images.image_shape))
    splits = ", ".join(f"{name} {count:,}" for name, count in counts.items() if count)
    return f"{len(images):,} of {shape} in {images.num_classes} classes ({splits})"


def _quality_findings(pixels: np.ndarray) -> list[Finding]:
    words = {
        "blank": "of one color",
        "dark": "almost black",
        "bright": "almost white",
        "blurred": "without any fine detail, unlike the others",
    }
    found = image_checks.quality(pixels)
    parts = [f"{len(found[name])} {words[name]}" for name in words if len(found[name])]
    if not parts:
        return []
    share = sum(map(len, found.values())) / len(pixels)
    return [
        Finding(
            "image_quality",
            "caution" if share > _MANY else "note",
            f"Of {len(pixels):,} images looked at, some show little: {', '.join(parts)}.",
        )
    ]


def _note_findings(images: ImageSet) -> list[Finding]:
    """What was done or skipped when the images were read."""
    return [Finding("reading", "note", note) for note in images.notes]


def _most_telling(images: ImageSet, splits: tuple[str, ...]) -> ImageSet:
    """The first of these splits that holds images."""
    return next(images.split(name) for name in splits if len(images.splits[name]))


def _sample(images: ImageSet, num_images: int, seed: int) -> ImageSet:
    """Images drawn at random, not balanced: an accuracy must be that of the set."""
    if len(images) <= num_images:
        return images
    order = np.random.default_rng([seed, len(images)]).permutation(len(images))
    return images.select(np.sort(order[:num_images]))


def reach(num_images: int) -> dict[str, Any]:
    """What can be told with so many images."""
    effect = smallest_detectable_effect(num_images)
    if effect >= 1:
        summary = f"with {num_images} images no effect at all can be told from chance"
    else:
        summary = (
            f"with {num_images:,} images an effect under {100 * effect:.2g} points cannot be told"
        )
    return {"num_images": num_images, "smallest_effect": effect, "summary": summary}


# --- the network ---------------------------------------------------------------------------------


def _network_findings(facts: dict[str, Any]) -> list[Finding]:
    """What is unusual about the network; one that contradicts itself cannot be judged."""
    if not facts["is_deterministic"]:
        return [
            Finding(
                "not_deterministic",
                "stop",
                "Two predictions of the same images differ: something random is on at inference, "
                "such as dropout called with training=True.",
                "Build the network without training=True inside, and load its weights into it.",
            )
        ]
    return [Finding("network", "caution", note) for note in facts["notes"]]


def _number_findings(logits: np.ndarray) -> list[Finding]:
    """Scores that are no numbers: the class they name is arbitrary."""
    broken = int((~np.isfinite(logits).all(axis=1)).sum())
    if not broken:
        return []
    return [
        Finding(
            "not_finite",
            "stop",
            f"The network gives NaN or infinite scores for {broken} of {len(logits)} images, so "
            "its answers there are arbitrary.",
            "Look for broken weights: [w.path for w in model.weights if not "
            "np.isfinite(keras.ops.convert_to_numpy(w)).all()]; where that is [], look for a "
            "division, root or logarithm of zero in the network, or another preprocessing.",
        )
    ]


def _calibration(logits: np.ndarray, labels: np.ndarray) -> float:
    if not np.isfinite(logits).all():
        return float("nan")
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    confidence = (shares / shares.sum(axis=1, keepdims=True)).max(axis=1)
    return expected_calibration_error(confidence, logits.argmax(axis=1) == labels)


# --- scale ---------------------------------------------------------------------------------------


def _measured_scale(
    classifier: Classifier, images: ImageSet, seed: int, batch_size: int
) -> ScaleTest:
    height, width = images.image_shape[:2]
    count = int(np.clip(_SCALE_PIXELS // (height * width), 100, MOST_IMAGES))
    # Images that the network was trained on tell its scale as well as others do.
    known = np.concatenate([images.splits["calibration"], images.splits["train"]])
    known = known if len(known) else images.splits["test"]
    random = np.random.default_rng([seed, 1])
    sample = images.select(random.permutation(known)[:count])
    return measure_scale(classifier, sample.images, sample.labels, batch_size)


def _scale_finding(classifier: Classifier, scale: ScaleTest) -> Finding:
    better, current = scale.better, scale.current
    assert better is not None
    told = (
        f"fed as {better.name!r} the network is right on {better.standing.accuracy:.1%} of "
        f"{better.standing.num_images} images outside the test split, as {current.name!r} on "
        f"{current.standing.accuracy:.1%} (paired exact test, p = {better.p_value:.1g})"
    )
    # Of a template, a form, `load` and `Classifier`.
    cure = f"preprocessing={better.as_argument}"
    if classifier.preprocessing_source == "assumed":
        return Finding(
            "scale",
            "caution",
            f"The scale of the input was not given; it was measured: {told}. "
            f"What follows uses {better.name!r}.",
            f"Say so, and it need not be measured: {cure}.",
        )
    return Finding(
        "scale",
        "stop",
        f"The network seems to be fed at the wrong scale: {told}.",
        f"Give the other scale, or the images as the network was trained on them: {cure}.",
    )


def _unproven_scale(classifier: Classifier, num_images: int) -> Finding:
    name = classifier.preprocessing.name
    return Finding(
        "scale",
        "caution",
        f"The scale of the input was not given: {name!r} is assumed, and {num_images} labelled "
        "images are too few to hold other scales against it.",
        f"Say how the network was fed in training, such as preprocessing={name!r}.",
    )


def _feeding(asked: Classifier, scale: ScaleTest | None, used: Classifier | None) -> dict[str, Any]:
    preprocessing = (used or asked).preprocessing
    measured = used is not None and used is not asked
    source = "measured" if measured else asked.preprocessing_source
    return {
        "preprocessing": preprocessing.name,
        "description": preprocessing.describe(),
        "source": source,
        "evidence": _evidence(asked, scale, measured),
        "candidates": [] if scale is None else [each.describe() for each in scale.candidates],
    }


def _evidence(asked: Classifier, scale: ScaleTest | None, measured: bool) -> str:
    said = asked.preprocessing_evidence
    if scale is None:
        return said or "Nothing in the network tells, and without labels it cannot be measured."
    if measured or scale.better is not None:
        return said if not measured else "Measured, as nothing in the network tells: see below."
    others = list(scale.candidates[1:])
    if not others:
        return said
    best = max(others, key=lambda each: each.standing.accuracy)
    held = (
        f"No other scale is decisively better: {scale.current.standing.accuracy:.0%} as it is, "
        f"{best.standing.accuracy:.0%} at best otherwise ({best.name!r})."
    )
    return f"{said} {held}".strip()


# --- classes -------------------------------------------------------------------------------------


def _class_findings(
    standing: Standing,
    order: ClassOrder | None,
    predicted: np.ndarray,
    sample: ImageSet,
    names: tuple[str, ...],
) -> list[Finding]:
    findings = []
    if order is not None:
        findings.append(_order_finding(order, names))
    if standing.is_guessing and order is None:
        findings.append(_guessing(standing))
    elif standing.accuracy < standing.largest_class:
        findings.append(
            Finding(
                "below_largest_class",
                "caution",
                f"The network is right on {standing.accuracy:.1%}; always saying the most common "
                f"class would be right on {standing.largest_class:.1%}.",
            )
        )
    said = np.bincount(predicted, minlength=len(names))
    truths = np.bincount(sample.labels, minlength=len(names))
    never = [names[k] for k in np.flatnonzero((said == 0) & (truths >= 5))]
    absent = [names[k] for k in np.flatnonzero(truths == 0)]
    if never:
        findings.append(
            Finding("never_said", "caution", f"The network never says {_listed(never)}.")
        )
    if absent:
        findings.append(
            Finding(
                "absent_classes",
                "note",
                f"No judged image shows {_listed(absent)}: nothing is said about "
                f"{'it' if len(absent) == 1 else 'them'}.",
            )
        )
    if len(sample) < FEWEST_IMAGES:
        findings.append(
            Finding(
                "few_images",
                "caution",
                f"There are only {len(sample)} images to judge by; "
                f"{reach(len(sample))['summary']}.",
                f"Give at least {FEWEST_IMAGES} test images, better some hundreds.",
            )
        )
    return findings


def _order_finding(order: ClassOrder, names: tuple[str, ...]) -> Finding:
    how = " (an off-by-one)" if order.shift is not None and order.is_near_permutation else ""
    cure = f"class_names={order.names(names)!r}."
    if order.is_near_permutation:
        cure = f"Name the classes in the order of the network's outputs: {cure}"
    else:  # such as inverted images: an order that fits better does not explain the errors
        cure = (
            "Even then most answers are wrong, so look first at how the network is fed "
            f"(preprocessing); the order that fits best is {cure}"
        )
    return Finding(
        "class_order",
        "stop",
        f"The network's classes seem to stand in another order than the labels{how}: it is "
        f"right on {order.accuracy:.1%} as labelled, and on {order.matched_accuracy:.1%} of "
        f"{order.num_images} images once its outputs are matched to the labels "
        f"(paired exact test, p = {order.p_value:.1g}).",
        cure,
    )


def _guessing(standing: Standing) -> Finding:
    few = standing.num_images < FEWEST_IMAGES and standing.accuracy > 1.5 * standing.chance
    text = (
        f"So few images cannot tell the network from guessing: {standing}."
        if few
        else f"The network is guessing: {standing}."
    )
    cure = (
        f"Give at least {FEWEST_IMAGES} labelled test images."
        if few
        else "Check how it is fed (preprocessing) and judged (class_names), or train it further."
    )
    return Finding("guessing", "stop", text, cure)


def _listed(names: list[str], most: int = 8) -> str:
    shown = ", ".join(map(repr, names[:most]))
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")
