"""The saliency audit: do explanation maps depend on what the network learned?"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from kernel_lib._progress import shows_progress
from kernel_lib.audit import options as opt
from kernel_lib.audit.examine import intake, opened
from kernel_lib.audit.forecast import announce
from kernel_lib.audit.guards import conclude
from kernel_lib.audit.options import takes
from kernel_lib.data import ImageSet
from kernel_lib.models.classifier import Classifier
from kernel_lib.network.compiled import fitting_batch_size
from kernel_lib.network.grouping import Block
from kernel_lib.network.grouping import blocks as blocks_of
from kernel_lib.report.provenance import provenance
from kernel_lib.saliency import experiments
from kernel_lib.saliency.cams import default_tap
from kernel_lib.saliency.experiments import Redraw, Step
from kernel_lib.saliency.explainer import Options
from kernel_lib.saliency.guided import guided_gradient_function
from kernel_lib.saliency.measure import Setting, measure
from kernel_lib.saliency.methods import CONTROLS, DEFAULT_METHODS, METHODS, Method, as_method
from kernel_lib.saliency.randomize import BATCH_NORM_POLICIES, NOISE_MODES, OPERATORS
from kernel_lib.saliency.result import SaliencyResult, summarize
from kernel_lib.saliency.similarity import DEFAULT_METRICS, METRICS
from kernel_lib.saliency.twin import twin_weights

TESTS = ("cascade", "independent", "full", "noise", "labels", "random_logit", "smooth")
TARGETS = ("original", "current", "label")
MOST_ACCURACY_IMAGES = 1000


@takes(
    test=opt.choice(TESTS),
    methods=opt.optional(opt.several(METHODS, callables=True)),
    metrics=opt.several(METRICS),
    num_images=opt.count(),
    num_seeds=opt.count(1, 10_000),
    blocks=opt.of_kind(
        (str, list, tuple, Mapping), "'auto', 'layers', a list of tap names or a mapping"
    ),
    order=opt.choice(experiments.ORDERS),
    protocol=opt.choice(experiments.PROTOCOLS),
    operator=opt.choice(OPERATORS),
    batch_norm=opt.choice(BATCH_NORM_POLICIES),
    target=opt.choice(TARGETS),
    noise_levels=opt.numbers(0, 1e6),
    noise_mode=opt.choice(NOISE_MODES),
    noise_scope=opt.choice(experiments.NOISE_SCOPES),
    twin=opt.unbounded("a model, checked against the audited one"),
    twin_epochs=opt.count(1, 100_000),
    options=opt.optional(opt.of_kind((Options,), "kernel_lib.saliency.Options")),
    common_noise=opt.flag(),
    num_display=opt.count(1, 100_000),
    seed=opt.SEED,
    batch_size=opt.BATCH_SIZE,
    progress=opt.flag(),
    cache=opt.CACHE,
)
@shows_progress
def audit(
    model: Any,
    images: ImageSet | np.ndarray,
    *,
    test: str = "cascade",
    methods: Sequence[str | Callable] | None = None,
    metrics: Sequence[str] = DEFAULT_METRICS,
    num_images: int = 100,
    num_seeds: int = 5,
    blocks: str | Sequence[str] | Mapping[str, Sequence[str]] = "auto",
    order: str = "top_down",
    protocol: str = "nested",
    operator: str = "native",
    batch_norm: str = "all",
    target: str = "original",
    noise_levels: Sequence[float] = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0),
    noise_mode: str = "relative",
    noise_scope: str = "global",
    twin: Any = None,
    twin_epochs: int = 30,
    options: Options | None = None,
    common_noise: bool = True,
    num_display: int = 8,
    seed: int = 0,
    batch_size: int | None = None,
    progress: bool = True,
    cache: str | os.PathLike[str] | None = None,
) -> SaliencyResult:
    """Destroy what the network learned, step by step, and see which explanation maps notice.

    Adebayo et al., Sanity Checks for Saliency Maps, NeurIPS 2018, with the corrections and
    controls of later work, and a model noise test. Maps at every step are compared with those of
    the trained network, image by image.

    Args:
        model: a Keras model or a `Classifier`. It is left exactly as it was.
        images: an `ImageSet` (its test split is explained), or images alone
            (num_images, height, width, channels) in [0, 1], without labels.
        test: "cascade" (random weights spread from the output down), "independent" (one block at
            a time), "full" (all at once), "noise" (growing noise on the weights), "labels"
            (a twin trained on permuted labels), "random_logit" (another class is explained), or
            "smooth" (sMPRT of Hedstrom et al. 2024: the cascade from the input up, maps averaged
            over noisy copies of the images; the metric "ssim_second_moment" scales as they do).
        methods: names from `methods()`, or callables (classifier, images, targets) -> maps; None
            for all the network allows. Controls are always added.
        metrics: names from `metrics()`.
        num_images: explained images, balanced over classes.
        num_seeds: independent draws of random weights or noise.
        blocks: how layers are grouped, see `kernel_lib.network.blocks`.
        order: "top_down" or "bottom_up".
        protocol: "nested" (one block more at each step) or "fresh" (all drawn anew).
        operator: how random weights are drawn, see `randomize`.
        batch_norm: "all", "trainable", "recalibrate" or "keep", see `randomize`.
        target: explain the "original" prediction throughout, the "current" one of each step, or
            the "label".
        noise_levels: standard deviations of the noise test.
        noise_mode: "relative", "absolute" or "multiplicative", see `add_noise`.
        noise_scope: noise on the whole network ("global"), on the top blocks ("cascade"), or on
            one block at a time ("independent").
        twin: for "labels", a model of the same architecture trained on permuted labels; None
            trains one.
        twin_epochs: most epochs for training the twin.
        options: settings of the methods.
        common_noise: stochastic methods draw the same noise at every step, so that only the
            weights differ.
        num_display: images whose maps are kept for figures and the widget.
        seed: seed of images, weights, noise and intervals.
        batch_size: images, noisy copies or path steps in memory at once; None fits the image size.
        progress: show a progress bar.
        cache: folder where a trained twin is kept.

    Returns:
        A `SaliencyResult`.

    Raises:
        ValueError: unknown names, images the model does not take, a network without convolution
            asked for class activation maps, or without reachable ReLUs for guided backprop.

    Example:
        >>> result = kl.saliency.audit(model, images, num_images=40, num_seeds=3)
        >>> result.scores["methods_that_pass"]
    """
    images = opened(images)
    found = intake(model, images, seed=seed, batch_size=batch_size)
    given, classifier, images = images, found.classifier, found.image_set
    options = Options(seed=seed) if options is None else options
    asked = {
        "test": test, "methods": methods, "metrics": metrics, "num_images": num_images,
        "num_seeds": num_seeds, "blocks": blocks, "noise_levels": noise_levels,
        "options": options, "num_display": num_display, "batch_size": batch_size,
    }  # fmt: skip
    announce("saliency", classifier, images, asked, progress=progress, stops=found.stops)
    explained, labels, test_images, test_labels = _chosen_images(
        classifier, images, num_images, seed, target
    )
    grouped = blocks_of(classifier, blocks)
    chosen = _chosen_methods(classifier, methods, options)
    arguments: dict[str, Any] = {
        "test": test,
        "order": "bottom_up" if test == "smooth" else order,
        "protocol": protocol,
        "operator": operator,
        "batch_norm": batch_norm,
        "target": target,
        "common_noise": common_noise,
        "num_images": len(explained),
        "num_seeds": num_seeds,
        "methods": [method.name for method in chosen],
        "metrics": [METRICS[name].name for name in metrics],
        "options": asdict(options),
        "class_names": list(classifier.class_names_for(images)),
    }
    if test == "noise":
        arguments |= {
            "noise_levels": list(noise_levels),
            "noise_mode": noise_mode,
            "noise_scope": noise_scope,
        }
    redraw = Redraw(operator, batch_norm, test_images[:256])
    twin_of = functools.partial(
        twin_weights, classifier, images, twin,
        epochs=twin_epochs, seed=seed, cache=cache, progress=progress,
    )  # fmt: skip
    steps = _steps(arguments, classifier, grouped, redraw, twin_of)
    is_random = test in ("cascade", "independent", "full", "noise", "smooth")
    setting = Setting(
        methods=chosen,
        metrics=[METRICS[name] for name in metrics],
        steps=steps,
        seeds=[seed + i for i in range(num_seeds if is_random else 1)],
        blocks=grouped,
        target=target,
        options=options,
        common_noise=common_noise,
        smooth_samples=50 if test == "smooth" else 1,
        num_display=num_display,
        batch_size=batch_size or fitting_batch_size(explained.shape[1:], classifier.network),
        progress=progress,
    )
    origin = provenance(classifier, given, seed)
    measured = measure(classifier, explained, labels, test_images, test_labels, setting)
    has_labels = isinstance(images, ImageSet) and images.num_classes > 1
    result = summarize(
        measured, setting, arguments, origin, classifier, explained, labels, has_labels
    )
    return conclude(result, found)


def _chosen_images(
    classifier: Classifier, images: Any, num_images: int, seed: int, target: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Explained images and labels, and the images and labels that accuracy is measured on."""
    if not isinstance(images, ImageSet):
        explained = classifier.check_images(images)[:num_images]
        return _unlabelled(classifier, explained, target)
    classifier.check_images(images.images[:1])
    pool = images.test if len(images.splits["test"]) else images
    sample = _alternating(pool.sample(min(num_images, len(pool)), seed))
    if images.num_classes == 1:
        return _unlabelled(classifier, np.array(sample.images), target)
    classifier.check_image_set(images)
    measured = pool.sample(min(MOST_ACCURACY_IMAGES, len(pool)), seed)
    return sample.images, sample.labels, measured.images, measured.labels


def _alternating(images: ImageSet) -> ImageSet:
    """The same images, one of each class after another, so that the first few show many classes."""
    by_class = np.argsort(images.labels, kind="stable")
    starts = np.searchsorted(images.labels[by_class], images.labels[by_class])
    turn = np.arange(len(images)) - starts  # how many of its class come before
    return images.select(by_class[np.argsort(turn, kind="stable")])


def _unlabelled(classifier: Classifier, explained: np.ndarray, target: str) -> tuple:
    """Without labels, the trained network's own predictions stand in for them."""
    if target == "label":
        raise ValueError("target='label' needs labelled images. Use target='original'.")
    predicted = classifier.predict(explained)
    return explained, predicted, explained, predicted


def _chosen_methods(
    classifier: Classifier, methods: Sequence[str | Callable] | None, options: Options
) -> list[Method]:
    """The methods asked for, or all that fit the network; controls come last."""
    if methods is None:
        chosen = [METHODS[name] for name in DEFAULT_METHODS if _fits(classifier, METHODS[name])]
    else:
        chosen = [as_method(method) for method in methods]
        if not chosen:
            raise ValueError("`methods` is empty. Name at least one, or leave it out for all.")
        for method in chosen:
            _require(classifier, method, options)
    names = [method.name for method in chosen]
    return chosen + [METHODS[name] for name in CONTROLS if name not in names]


def _fits(classifier: Classifier, method: Method) -> bool:
    try:
        _require(classifier, method, Options())
    except ValueError:
        return False
    return True


def _require(classifier: Classifier, method: Method, options: Options) -> None:
    """Say early what the network lacks for a method."""
    if method.needs_convolution and options.tap is None:
        default_tap(classifier.network)
    if method.needs_convolution and options.tap is not None:
        classifier.network.tap(options.tap)
    if method.name in ("guided_backprop", "guided_gradcam"):
        guided_gradient_function(classifier.network)


def _steps(
    arguments: dict[str, Any],
    classifier: Classifier,
    blocks: Sequence[Block],
    redraw: Redraw,
    twin_of: Callable[[], list[np.ndarray]],
) -> list[Step]:
    test = arguments["test"]
    if test in ("cascade", "smooth"):
        return experiments.cascade_steps(
            classifier, blocks, redraw, arguments["order"], arguments["protocol"]
        )
    if test == "independent":
        return experiments.independent_steps(classifier, blocks, redraw)
    if test == "full":
        return experiments.full_steps(classifier, blocks, redraw)
    if test == "noise":
        return experiments.noise_steps(
            classifier,
            blocks,
            arguments["noise_levels"],
            arguments["noise_mode"],
            arguments["noise_scope"],
        )
    if test == "random_logit":
        return experiments.random_logit_steps(classifier.num_classes)
    return experiments.label_steps(classifier, twin_of())
