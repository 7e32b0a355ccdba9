"""The trust audit: what has a network learned that it was not asked to learn?"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from kernel_lib._progress import shows_progress
from kernel_lib.audit import options as opt
from kernel_lib.audit.examine import opened
from kernel_lib.audit.forecast import announce
from kernel_lib.audit.guards import conclude
from kernel_lib.audit.options import takes
from kernel_lib.data import ImageSet
from kernel_lib.report.provenance import provenance
from kernel_lib.trust.columns import columns_of
from kernel_lib.trust.ideal import KINDS
from kernel_lib.trust.measure import CONTROLS, Setting, measure
from kernel_lib.trust.primaries import Networks, labelled_by, networks_of, taken_in
from kernel_lib.trust.probing import PROBES
from kernel_lib.trust.reductions import parse
from kernel_lib.trust.result import TrustResult
from kernel_lib.trust.summary import summarize
from kernel_lib.trust.taps import resolve
from kernel_lib.trust.verdict import MULTI_LABEL, SIGNIFICANCE

_PLACES = "'all', 'depth', the name or the position of a tap, or a list of these"


@takes(
    primary=opt.optional(opt.text()),
    taps=opt.either(opt.texts(or_kinds=(int,)), opt.of_kind((str, int), _PLACES)),
    tap=opt.of_kind((str, int), "the name or the position of a tap"),
    reduction=opt.parsed(parse, ("gap", "pca", "pca:-1", "pca:x", "pooled:3", 3, None)),
    probes=opt.several(PROBES),
    ideal=opt.choice(KINDS),
    weight=opt.optional(opt.number(0, 1e6)),
    controls=opt.several(CONTROLS, least=0),
    num_untrained=opt.count(1, 10_000),
    num_probe_seeds=opt.count(1, 10_000),
    num_permutations=opt.optional(opt.count(1, 100_000_000)),
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
    primary: str | None = None,
    taps: str | int | Sequence[str | int] = "depth",
    tap: str | int = "penultimate",
    reduction: str = "pooled",
    probes: Sequence[str] = ("ridge",),
    ideal: str = "conditional",
    weight: float | None = None,
    controls: Sequence[str] = CONTROLS,
    num_untrained: int = 3,
    num_probe_seeds: int = 1,
    num_permutations: int | None = None,
    seed: int = 0,
    batch_size: int | None = None,
    progress: bool = True,
    cache: str | os.PathLike[str] | None = None,
) -> TrustResult:
    """Read every task off a network, and hold what is found against what its own task allows.

    After "Reducing Overlearning through Disentangled Representations by Suppressing Unknown Tasks"
    (arXiv 2005.10220), with controls, corrections and intervals of the probing literature: see the
    modules `ideal`, `scores`, `codes`, `added` and `uncertainty`. What a verdict takes stands in
    `kernel_lib.trust.verdict`: a pass excludes leaks of a tenth of the way, which takes some
    hundreds of test images.

    Args:
        model: a Keras model or a `Classifier`, which gives one row of the matrix; or a mapping of
            task to a model trained for it, or to a list of such models, one for each seed. Models
            are left exactly as they were. Of a multi-label network the own task is one label.
        images: an `ImageSet` with at least two label columns. Probes learn on its train and
            calibration splits and are counted on its test split.
        primary: the task one model was trained for; the one whose labels are the labels of
            `images` when left out.
        taps: the places that are read, see `features`.
        tap: the place whose matrix is the headline.
        reduction: "pooled", "flattened", "pca:K" or "random_projection:K".
        probes: names from `probes()`; the first gives the headline.
        ideal: "uniform", "majority" or "conditional", see `ideal_matrix`.
        weight: weight of the diagonal in the score; None for the number of tasks less one.
        controls: any of "untrained" (networks with their first weights), "pixels" (images of
            16 x 16 pixels), "permutation" (p-values of leaks), "selectivity" (how much probes
            memorise) and "code" (online code lengths at `tap`).
        num_untrained: untrained networks, each with weights of its own; of one alone nobody can say
            how much such networks differ, so nothing is then said to be taught.
        num_probe_seeds: fits of a probe that draws random numbers.
        num_permutations: permutations of test labels; None for enough that every cell can be
            significant after correction, and at least 999.
        seed: of untrained weights, probes, permutations and intervals.
        batch_size: images in memory at once; None fits the image size.
        progress: show progress bars.
        cache: folder where features are kept, memory-mapped; an interrupted audit resumes.

    Returns:
        A `TrustResult`.

    Raises:
        ValueError: fewer than two label columns, a task with one class, classes absent from the
            train split, an unknown task, tap, probe or control, or a model that does not fit.

    Example:
        >>> images = kl.data.load("shapes")
        >>> models = kl.trust.train_primaries("small_cnn", images, epochs=10)
        >>> kl.trust.audit(models, images).scores["trust"]
    """
    given = opened(images)
    if not isinstance(given, ImageSet):
        raise TypeError(
            "A trust audit needs an ImageSet with several label columns. "
            f"Received: {type(images).__name__}."
        )
    images = given
    names, chosen = list(dict.fromkeys(probes)), list(dict.fromkeys(controls))
    columns = columns_of(images)
    networks = networks_of(model, images, primary, columns)
    given, found = images, taken_in(networks, images, seed, batch_size)
    networks, images = found.classifier, found.image_set
    first = next(iter(networks.values()))[0]
    costs = {"controls": controls, "num_untrained": num_untrained, "batch_size": batch_size}
    announce("trust", first, images, costs, progress=progress, stops=found.stops)
    headline = resolve(first, tap)
    if len(headline) != 1:
        raise ValueError(f"`tap` must be one place. Received: tap={tap!r}.")
    known = resolve(first, "all")
    places = sorted({*resolve(first, taps), headline[0]}, key=known.index)
    setting = Setting(
        taps=places,
        tap=headline[0],
        probes=names,
        controls=chosen,
        reduction=parse(reduction).text,
        num_untrained=num_untrained,
        num_probe_seeds=num_probe_seeds,
        seed=seed,
        batch_size=batch_size,
        progress=progress,
        cache=cache,
    )
    arguments = {
        "primaries": list(networks),
        "tasks": list(columns),
        "task_classes": {name: list(column.class_names) for name, column in columns.items()},
        "taps": places,
        "tap": headline[0],
        "reduction": setting.reduction,
        "probes": names,
        "ideal": ideal,
        "weight": float(len(columns) - 1 if weight is None else weight),
        "controls": chosen,
        "num_runs": len(next(iter(networks.values()))) * num_probe_seeds,
        "num_untrained": num_untrained,
        "num_probe_seeds": num_probe_seeds,
        "num_permutations": _num_permutations(
            num_permutations, len(networks) * (len(columns) - 1), chosen
        ),
        "models": [one.name for one in next(iter(networks.values()))],
    }
    measured = measure(networks, images, columns, setting)
    heads = _head_accuracy(networks, images)
    origin = provenance(first, given, seed) | {
        "models": {task: [each.digest for each in runs] for task, runs in networks.items()}
    }
    result = summarize(measured, setting, arguments, columns, heads, images, origin)
    if any(each.is_multi_label for runs in networks.values() for each in runs):
        verdict = result.verdict
        caveat = f"{verdict.does_not_mean} {MULTI_LABEL}"
        result = replace(result, verdict=replace(verdict, does_not_mean=caveat))
    return conclude(result, found, stands=("fail",))


def _num_permutations(wanted: int | None, num_cells: int, controls: Sequence[str]) -> int:
    """Enough permutations that the smallest p-value survives Holm's correction over the matrix."""
    least = math.ceil(num_cells / SIGNIFICANCE) - 1
    if wanted is None:
        return max(999, 2 * least + 1)
    if wanted < least and "permutation" in controls:
        raise ValueError(
            f"With `num_permutations` below {least} none of the {num_cells} cells could be "
            f"significant after correction. Received: num_permutations={wanted}."
        )
    return wanted


def _head_accuracy(networks: Networks, images: ImageSet) -> dict[str, np.ndarray]:
    """Accuracy of each network itself on the test split of its own task."""
    found = {}
    for task, runs in networks.items():
        test = labelled_by(images, task).test
        found[task] = np.array([each.accuracy(test.images, test.labels) for each in runs])
    return found
