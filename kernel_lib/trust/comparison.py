"""Is one network more trustworthy than another? A paired comparison on the same test images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kernel_lib._checks import check_choice
from kernel_lib.report.uncertainty import interval
from kernel_lib.trust.result import TrustResult
from kernel_lib.trust.scores import MODES, cell_errors, halves, own_chance, total_score
from kernel_lib.trust.uncertainty import resampled_accuracy, widened

NUM_RESAMPLES = 2000


@dataclass(frozen=True)
class Difference:
    """First result less second.

    Attributes:
        score: "trust", "preservation" or "leakage".
        value, low, high: the difference and its 95 % interval.
        text: in words.
    """

    score: str
    value: float
    low: float
    high: float
    text: str


def compare(
    first: TrustResult,
    second: TrustResult,
    *,
    mode: str = "normalised",
    first_tap: str | None = None,
    second_tap: str | None = None,
    probe: str | None = None,
    seed: int = 0,
) -> dict[str, Difference]:
    """Compare two audits of the same images: resamples draw the same test images for both.

    Args:
        first, second: results on the same image set, with the same rows and tasks.
        mode: "absolute", "hinge" or "normalised".
        first_tap, second_tap: where each is read; the headline taps when left out.
        probe: the first one's first probe when left out.
        seed: of the resamples.

    Returns:
        "trust", "preservation" and "leakage" -> their difference.

    Raises:
        ValueError: the results are of different images, tasks or rows.
    """
    check_choice("mode", mode, [name for name in MODES if name != "relative"])
    _check_pair(first, second)
    probe = probe or first.parameters["probes"][0]
    one = _draws(first, first_tap or first.parameters["tap"], probe, mode, seed)
    two = _draws(second, second_tap or second.parameters["tap"], probe, mode, seed)
    found = {}
    for score in ("trust", "preservation", "leakage"):
        difference = one[score] - two[score]  # the observed one first, then resamples
        low, high = (float(end) for end in interval(difference[1:]))
        text = _words(score, float(difference[0]), low, high)
        found[score] = Difference(score, float(difference[0]), low, high, text)
    return found


def _check_pair(first: TrustResult, second: TrustResult) -> None:
    for name in ("primaries", "tasks"):
        one, two = first.parameters[name], second.parameters[name]
        if one != two:
            raise ValueError(f"The results differ in their {name}: {one} and {two}.")
    one, two = (result.provenance["data"]["digest"] for result in (first, second))
    if one != two:
        raise ValueError(
            "The results are of different images, so they cannot be compared image by image. "
            f"Received: image sets {one[:8]} and {two[:8]}."
        )


def _draws(
    result: TrustResult, tap: str, probe: str, mode: str, seed: int
) -> dict[str, np.ndarray]:
    """Scores as observed, then of each resample; (1 + B,) each."""
    hits = result.hits(tap, probe)
    observed = np.nanmean(hits, axis=-1, dtype=np.float64).mean(axis=0)
    draws = widened(resampled_accuracy(hits, NUM_RESAMPLES, seed), hits)
    values = np.concatenate([observed[None], draws])
    ideal = result.ideal
    errors = cell_errors(values, ideal.values, own_chance(ideal), mode)
    preservation, leakage = halves(errors, ideal.own)
    trust = total_score(errors, ideal.own, result.parameters["weight"])
    return {"trust": trust, "preservation": preservation, "leakage": leakage}


def _words(score: str, value: float, low: float, high: float) -> str:
    numbers = f"{value:+.3f} [{low:+.3f}, {high:+.3f}]"
    if low <= 0 <= high:
        return f"The two do not differ in {score} beyond chance: {numbers}."
    return f"The first has {'more' if value > 0 else 'less'} {score} than the second: {numbers}."
