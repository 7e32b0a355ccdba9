"""What the curves allow one to say about each method, and what they do not.

The yardsticks are the controls, on the same images and steps: 1 is a map that never looks at the
network (the edge detector); the floor is what is left when the network's part is pure noise (image
times noise for methods that multiply the image in, a random map for the others). What a method
*retains* is its place between the two, (similarity - floor) / (1 - floor).

A conclusion needs evidence. Intervals are for other draws of random weights and other images
(`kernel_lib.audit.intervals.mean_interval`), corrected by Bonferroni where several steps are looked
at. To pass, the worse end of every interval must lie below the cut, on at least `LEAST_IMAGES`
images whose maps are not blank and with at least `LEAST_SEEDS` draws.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kernel_lib.audit.intervals import mean_interval
from kernel_lib.audit.statistics import LEVEL
from kernel_lib.report.result import Verdict
from kernel_lib.saliency.methods import Method

RETAINED_CUT = 0.5  # more than half way from the floor to "never looks at the network"
LEAST_IMAGES = 6  # five may all look alike although more than half of all images do not
LEAST_SEEDS = 3  # draws of random weights that a pass needs
_BLANK = 0.5  # share of blank maps above which a method cannot be judged
_MANY_BLANK = 0.1  # share above which they are mentioned
_STRONGEST = (
    "The network says yes or no to each class on its own; only its strongest class was explained."
)
_ONE_DRAW = ("labels", "random_logit")  # tests that draw no weights
CAVEATS = (
    "If a map looks the same when the weights are random, it is not explaining this model.",
    "A map that changes has passed a minimum test; noise would pass it too.",
    "Random weights keep the scale of activations, so some similarity must remain when they are "
    "drawn from the output down (Binder et al. 2023).",
    "Multiplying by the input carries the image's structure into the map whatever the weights "
    "(Kokhlikyan et al. 2021).",
    "Normalisation, order of layers and similarity measure each change rankings of methods "
    "(Hedstrom et al. 2024): compare curves of one run, not numbers of different papers.",
)


@dataclass(frozen=True)
class MethodVerdict:
    """What was found for one method; `retained` is the larger of the shares at the two places.

    `num_images` are the images whose maps were not blank there, `num_blank` the others.
    """

    method: str
    status: str
    retained: float
    low: float
    high: float
    text: str
    num_images: int = 0
    num_blank: int = 0


@dataclass(frozen=True)
class Share:
    """What a method retains at one or several steps: the largest share, with its interval."""

    mean: float
    low: float
    high: float
    num_images: int
    num_blank: int


@dataclass(frozen=True)
class Evidence:
    """Where a test's curve is read, and what it means if much is retained there.

    Attributes:
        warn_at: steps at which retaining much is a warning.
        fail_at: steps at which retaining much is a failure.
        warning, failure: what is then said of the method.
        places: where these steps are, in words; one for each kind of step that is read.
        least_seeds: draws of random weights that a pass needs.
        obstacle: why nothing can be concluded at these steps; empty where something can.
    """

    warn_at: tuple[int, ...]
    fail_at: tuple[int, ...]
    warning: str
    failure: str
    places: tuple[str, ...]
    least_seeds: int = LEAST_SEEDS
    obstacle: str = ""


def evidence_for(
    test: str, labels: list[str], accuracy: np.ndarray, logit_correlation: np.ndarray, chance: float
) -> Evidence:
    """Choose the steps that a test's verdict rests on.

    Args:
        test: name of the test.
        labels: (num_steps,) labels of the steps.
        accuracy: (num_steps,) mean over seeds; NaN if the images have no labels.
        logit_correlation: (num_steps,) mean over seeds and images.
        chance: accuracy of guessing.
    """
    last = len(labels) - 1
    least = 1 if test in _ONE_DRAW else LEAST_SEEDS
    familiar = "still looks familiar when the network only guesses"
    if test == "random_logit":
        others = tuple(range(1, last + 1))
        return Evidence((), others, "", "shows the same for every class", ("another class",), least)
    broken = broken_steps(accuracy, logit_correlation, chance)
    obstacle = "" if _breaks(accuracy, logit_correlation, chance) else _NOT_DESTROYED[test]
    if test == "independent":
        place = f"the layers without which it guesses ({', '.join(labels[k] for k in broken)})"
        hardly = "hardly notices random weights in a layer"
        return Evidence(broken, (), hardly, "", (place,), least, obstacle)
    if test == "noise":
        place = f"noise {labels[broken[0]]}"
        return Evidence((broken[0],), (), familiar, "", (place,), least, obstacle)
    first = broken[0]
    same = "would look the same for a random network"
    places = (labels[first], labels[last])
    return Evidence((first,), (last,), familiar, same, places, least, obstacle)


# What is said where the network keeps what it knew at every step: nothing was destroyed, so maps
# have no reason to change. At the last step of a cascade all weights are random whatever is left.
_NOT_DESTROYED = {
    "noise": "the network keeps what it knows under all of this noise; use larger `noise_levels`",
    "independent": "the network keeps what it knows without any one of these blocks; use "
    "test='cascade'",
    "labels": "the twin still knows what the network knows: it did not learn permuted labels",
    "cascade": "",
    "smooth": "",
    "full": "",
}


def broken_steps(
    accuracy: np.ndarray, logit_correlation: np.ndarray, chance: float
) -> tuple[int, ...]:
    """Steps at which the network has lost three quarters of what it knew; the last if none."""
    return tuple(np.flatnonzero(_lost(accuracy, logit_correlation, chance)).tolist()) or (
        len(accuracy) - 1,
    )


def _breaks(accuracy: np.ndarray, logit_correlation: np.ndarray, chance: float) -> bool:
    """Whether the network loses what it knew at any step."""
    return bool(_lost(accuracy, logit_correlation, chance).any())


def _lost(accuracy: np.ndarray, logit_correlation: np.ndarray, chance: float) -> np.ndarray:
    """At which steps three quarters of what the network knew are lost, (num_steps,) bool."""
    has_accuracy = bool(np.isfinite(accuracy).all())
    known, floor = (accuracy, chance) if has_accuracy else (logit_correlation, 0.0)
    lost = known <= floor + 0.25 * max(known[0] - floor, 0)
    return np.arange(len(known)).astype(bool) & lost


def method_verdicts(
    methods: list[Method],
    values: np.ndarray,
    floors: dict[bool, np.ndarray],
    evidence: Evidence,
) -> list[MethodVerdict]:
    """Judge each method that is no control.

    Args:
        methods: as in `values`.
        values: (seeds, steps, methods, images) similarity, one metric; NaN for a blank map.
        floors: input_multiplied -> (seeds, steps, images) similarity of the fitting control.
        evidence: which steps count.
    """
    found = []
    for m, method in enumerate(methods):
        if method.is_control:
            continue
        floor = floors[method.input_multiplied]
        warn, fail = (
            _most_retained(values[:, :, m], floor, steps)
            for steps in (evidence.warn_at, evidence.fail_at)
        )
        found.append(_judge(method, warn, fail, evidence, len(values)))
    return found


def _most_retained(values: np.ndarray, floor: np.ndarray, steps: tuple[int, ...]) -> Share | None:
    """The largest share retained at any of `steps`, with its interval; None without steps.

    The largest of several shares lies as high as the highest interval reaches, and at least as high
    as the lower ends, which are corrected for their number.
    """
    if not steps:
        return None
    level = 1 - (1 - LEVEL) / len(steps)
    shares = [_retained(values[:, step], floor[:, step], level) for step in steps]
    known = [share for share in shares if np.isfinite(share.mean)] or shares
    return Share(
        max(share.mean for share in known),
        max(share.low for share in known),
        max(share.high for share in known),
        min(share.num_images for share in known),
        max(share.num_blank for share in known),
    )


def _retained(values: np.ndarray, floor: np.ndarray, level: float) -> Share:
    """Mean, low and high of (similarity - floor) / (1 - floor), both means over the same maps."""
    known = np.isfinite(values) & np.isfinite(floor)
    num_images = int(known.any(axis=0).sum())
    num_blank = values.shape[1] - num_images
    if not num_images:
        return Share(np.nan, np.nan, np.nan, 0, num_blank)
    room = max(1 - float(floor[known].mean()), 1e-9)
    share = float((values - floor)[known].mean()) / room
    # The ratio of two means, made linear: what each map adds to it (the delta method).
    cells = share + (values - floor - share * (1 - floor)) / room
    mean, low, high = mean_interval(np.where(known, cells, np.nan), (0.0, 1.0), level)
    return Share(mean, low, high, num_images, num_blank)


def _judge(
    method: Method, warn: Share | None, fail: Share | None, evidence: Evidence, num_seeds: int
) -> MethodVerdict:
    shares = [share for share in (warn, fail) if share is not None]
    most = max(shares, key=lambda share: share.mean)
    num_images = min(share.num_images for share in shares)
    num_blank = max(share.num_blank for share in shares)
    status, word = _status(warn, fail, evidence, num_seeds, (num_images, num_blank))
    read = dict(zip(evidence.places, shares, strict=True))  # one entry where both are one step
    numbers = " and ".join(f"{_percent(share)} at {place}" for place, share in read.items())
    text = f"{method.title} {word}: it retains {numbers}."
    total = num_images + num_blank
    if num_blank > _MANY_BLANK * total:
        text += f" Its maps are blank for {num_blank} of {total} images, which are left out."
    return MethodVerdict(
        method.name, status, most.mean, most.low, most.high, text, num_images, num_blank
    )


def _status(
    warn: Share | None,
    fail: Share | None,
    evidence: Evidence,
    num_seeds: int,
    counts: tuple[int, int],
) -> tuple[str, str]:
    """Status, and what is said of the method."""
    shares = [share for share in (warn, fail) if share is not None]
    num_images, num_blank = counts
    if not num_images:
        return "undetermined", "gave empty maps, so nothing can be said"
    if num_blank > _BLANK * (num_images + num_blank):
        return "undetermined", "gave mostly blank maps, so nothing can be said"
    if num_images < LEAST_IMAGES:
        images = f"{num_images} image{'s' if num_images != 1 else ''}"
        return (
            "undetermined",
            f"cannot be judged by {images}; at least {LEAST_IMAGES} are needed",
        )
    if evidence.obstacle:
        return "undetermined", f"cannot be judged, as {evidence.obstacle}"
    if fail is not None and fail.low >= RETAINED_CUT:
        return "fail", evidence.failure
    if warn is not None and warn.low >= RETAINED_CUT:
        return "warning", evidence.warning
    if any(share.high >= RETAINED_CUT for share in shares):
        return "undetermined", "cannot be judged with so few images and seeds"
    if num_seeds < evidence.least_seeds:
        seeds = f"{num_seeds} seed{'s' if num_seeds != 1 else ''}"
        return "undetermined", f"cannot pass with {seeds}; at least {LEAST_SEEDS} are needed"
    return "pass", "depends on what is explained"


def _percent(share: Share) -> str:
    if np.isnan(share.mean):
        return "nothing that can be measured"
    mean, low, high = (round(100 * each) for each in (share.mean, share.low, share.high))
    return f"{mean} % [{low}, {high}]"


def overall(
    judged: list[MethodVerdict],
    titles: dict[str, str],
    evidence: Evidence,
    test: str,
    *,
    num_seeds: int = LEAST_SEEDS,
    has_labels: bool = True,
    is_multi_label: bool = False,
) -> Verdict:
    """Sum the methods up in one verdict.

    Args:
        judged: one verdict a method.
        titles: name of a method -> its title.
        evidence: which steps counted.
        test: name of the test.
        num_seeds: draws of random weights.
        has_labels: whether the images have labels, so that the accuracy is known.
        is_multi_label: whether the network says yes or no to each class on its own.
    """
    names = {
        status: [titles[one.method] for one in judged if one.status == status]
        for status in ("pass", "warning", "fail", "undetermined")
    }
    depends = "the class" if test == "random_logit" else "what the network learned"
    headline = [f"{len(names['pass'])} of {len(judged)} explanation methods depend on {depends}."]
    headline += [f"{title} {evidence.failure}." for title in names["fail"]]
    headline += [f"{title} {evidence.warning}." for title in names["warning"]]
    if names["undetermined"]:
        headline.append(f"Not settled: {_listed(names['undetermined'])}.")
    headline += _reservations(judged, titles, evidence, num_seeds, has_labels)
    good = names["pass"]
    return Verdict(
        next((s for s in ("fail", "warning", "undetermined") if names[s]), "pass"),
        " ".join(headline),
        means=CAVEATS[0],
        does_not_mean=f"{CAVEATS[1]} {CAVEATS[3]}" + (f" {_STRONGEST}" if is_multi_label else ""),
        next_step=_next_step(judged, good, evidence, num_seeds, has_labels),
    )


def _reservations(
    judged: list[MethodVerdict],
    titles: dict[str, str],
    evidence: Evidence,
    num_seeds: int,
    has_labels: bool,
) -> list[str]:
    """What the numbers rest on, where that is little."""
    said = []
    if evidence.obstacle:
        said.append(f"Nothing can be concluded, as {evidence.obstacle}.")
    few = [one.num_images for one in judged if 0 < one.num_images < LEAST_IMAGES]
    if few:
        said.append(
            f"{min(few)} image{'s' if min(few) != 1 else ''} to judge by; at least {LEAST_IMAGES} "
            "are needed."
        )
    if num_seeds == 1 < evidence.least_seeds:
        said.append(
            "Random weights were drawn once, so the intervals are for other images, not for other "
            f"draws; at least {LEAST_SEEDS} seeds are needed."
        )
    elif num_seeds < evidence.least_seeds:
        said.append(f"{num_seeds} seeds; at least {LEAST_SEEDS} are needed.")
    blank = [
        one for one in judged if one.num_blank > _MANY_BLANK * (one.num_images + one.num_blank)
    ]
    if blank:
        counts = [
            f"{titles[one.method]} (of {one.num_blank} of {one.num_images + one.num_blank} images)"
            for one in blank
        ]
        said.append(f"Blank maps: {_listed(counts)}.")
    if not has_labels:
        said.append(
            "Without labels the accuracy is unknown, so nobody can say whether the network learned "
            "anything worth explaining."
        )
    return said


def _next_step(
    judged: list[MethodVerdict],
    good: list[str],
    evidence: Evidence,
    num_seeds: int,
    has_labels: bool,
) -> str:
    if good:
        step = f"Explain this network with {_listed(good)}"
        step += ", and leave the others aside." if len(good) < len(judged) else "."
        return step if has_labels else f"Find out how often the network is right. Then: {step}"
    if all(one.status == "undetermined" for one in judged):
        if evidence.obstacle:
            return "Run a test that takes from the network what it learned, such as 'cascade'."
        seeds = f" and num_seeds={LEAST_SEEDS} or more" if num_seeds < evidence.least_seeds else ""
        return (
            "Nothing is settled, so explain nothing by these maps yet. Audit again with more images"
            f"{seeds}."
        )
    return "Do not explain this network with these methods; try others, or more images."


def _listed(titles: list[str]) -> str:
    return titles[0] if len(titles) == 1 else ", ".join(titles[:-1]) + " and " + titles[-1]
