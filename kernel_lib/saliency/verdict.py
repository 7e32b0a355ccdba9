"""What the curves allow one to say about each method, and what they do not.

The yardsticks are the controls, on the same images and steps: 1 is a map that never looks at the
network (the edge detector); the floor is what is left when the network's part is pure noise (image
times noise for methods that multiply the image in, a random map for the others). What a method
*retains* is its place between the two, (similarity - floor) / (1 - floor).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kernel_lib.report.result import Verdict
from kernel_lib.report.uncertainty import bootstrap_means, interval, mean_of
from kernel_lib.saliency.methods import Method

RETAINED_CUT = 0.5  # more than half way from the floor to "never looks at the network"
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
    """What was found for one method; `retained` is the larger of the shares at the two places."""

    method: str
    status: str
    retained: float
    low: float
    high: float
    text: str


@dataclass(frozen=True)
class Evidence:
    """Where a test's curve is read, and what it means if much is retained there.

    Attributes:
        warn_at: steps at which retaining much is a warning.
        fail_at: steps at which retaining much is a failure.
        warning, failure: what is then said of the method.
        places: where these steps are, in words; one for each kind of step that is read.
    """

    warn_at: tuple[int, ...]
    fail_at: tuple[int, ...]
    warning: str
    failure: str
    places: tuple[str, ...]


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
    familiar = "still looks familiar when the network only guesses"
    if test == "random_logit":
        return Evidence(
            (), tuple(range(1, last + 1)), "", "shows the same for every class", ("another class",)
        )
    broken = broken_steps(accuracy, logit_correlation, chance)
    if test == "independent":
        place = f"the layers without which it guesses ({', '.join(labels[k] for k in broken)})"
        return Evidence(broken, (), "hardly notices random weights in a layer", "", (place,))
    if test == "noise":
        return Evidence((broken[0],), (), familiar, "", (f"noise {labels[broken[0]]}",))
    first = broken[0]
    same = "would look the same for a random network"
    return Evidence((first,), (last,), familiar, same, (labels[first], labels[last]))


def broken_steps(
    accuracy: np.ndarray, logit_correlation: np.ndarray, chance: float
) -> tuple[int, ...]:
    """Steps at which the network has lost three quarters of what it knew; the last if none."""
    has_accuracy = bool(np.isfinite(accuracy).all())
    known, floor = (accuracy, chance) if has_accuracy else (logit_correlation, 0.0)
    lost = known[1:] <= floor + 0.25 * max(known[0] - floor, 0)
    return tuple((np.flatnonzero(lost) + 1).tolist()) or (len(known) - 1,)


def method_verdicts(
    methods: list[Method],
    values: np.ndarray,
    floors: dict[bool, np.ndarray],
    evidence: Evidence,
    seed: int,
) -> list[MethodVerdict]:
    """Judge each method that is no control.

    Args:
        methods: as in `values`.
        values: (seeds, steps, methods, images) similarity, one metric.
        floors: input_multiplied -> (seeds, steps, images) similarity of the fitting control.
        evidence: which steps count.
        seed: seed of the bootstrap.
    """
    found = []
    for m, method in enumerate(methods):
        if method.is_control:
            continue
        floor = floors[method.input_multiplied]
        warn, fail = (
            _most_retained(values[:, :, m], floor, steps, seed)
            for steps in (evidence.warn_at, evidence.fail_at)
        )
        found.append(_judge(method, warn, fail, evidence))
    return found


def _most_retained(
    values: np.ndarray, floor: np.ndarray, steps: tuple[int, ...], seed: int
) -> tuple[float, float, float] | None:
    """The largest share retained at any of `steps`, with its interval; None without steps."""
    shares = [_retained(values[:, step], floor[:, step], seed) for step in steps]
    known = [share for share in shares if np.isfinite(share[0])]
    return max(known or shares, default=None)


def _retained(values: np.ndarray, floor: np.ndarray, seed: int) -> tuple[float, float, float]:
    """Mean, low and high of (similarity - floor) / (1 - floor), resampled together."""

    def share(similarity: np.ndarray, bottom: np.ndarray) -> np.ndarray:
        return (similarity - bottom) / np.maximum(1 - bottom, 1e-9)

    low, high = interval(
        share(bootstrap_means(values, seed=seed), bootstrap_means(floor, seed=seed))
    )
    return float(share(mean_of(values), mean_of(floor))), float(low), float(high)


def _judge(
    method: Method, warn: tuple | None, fail: tuple | None, evidence: Evidence
) -> MethodVerdict:
    shares = [share for share in (warn, fail) if share is not None]
    most = max(shares)
    if any(np.isnan(share[0]) for share in shares):
        status, word = "undetermined", "gave empty maps, so nothing can be said"
    elif fail is not None and fail[1] >= RETAINED_CUT:
        status, word = "fail", evidence.failure
    elif warn is not None and warn[1] >= RETAINED_CUT:
        status, word = "warning", evidence.warning
    elif all(share[2] < RETAINED_CUT for share in shares):
        status, word = "pass", "depends on what is explained"
    else:
        status, word = "undetermined", "cannot be judged with so few images and seeds"
    retained, low, high = most
    read = dict(zip(evidence.places, shares, strict=True))  # one entry where both are one step
    numbers = " and ".join(f"{_percent(share)} at {place}" for place, share in read.items())
    text = f"{method.title} {word}: it retains {numbers}."
    return MethodVerdict(method.name, status, retained, low, high, text)


def _percent(value: tuple[float, float, float]) -> str:
    if np.isnan(value[0]):
        return "nothing that can be measured"
    mean, low, high = (round(100 * share) for share in value)
    return f"{mean} % [{low}, {high}]"


def overall(
    judged: list[MethodVerdict], titles: dict[str, str], evidence: Evidence, test: str
) -> Verdict:
    """Sum the methods up in one verdict."""
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
    good = names["pass"]
    return Verdict(
        next((s for s in ("fail", "warning", "undetermined") if names[s]), "pass"),
        " ".join(headline),
        means=CAVEATS[0],
        does_not_mean=f"{CAVEATS[1]} {CAVEATS[3]}",
        next_step=(
            f"Explain this network with {_listed(good)}"
            + (", and leave the others aside." if len(good) < len(judged) else ".")
            if good
            else "Do not explain this network with these methods; try others, or more images."
        ),
    )


def _listed(titles: list[str]) -> str:
    return titles[0] if len(titles) == 1 else ", ".join(titles[:-1]) + " and " + titles[-1]
