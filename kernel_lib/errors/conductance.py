"""Conductance: how much each unit of a hidden layer carried to a class score.

Dhamdhere, Sundararajan, Yan, How Important Is a Neuron? (ICLR 2019), in the form of a path
integral on the hidden layer (Shrikumar et al., Computationally Efficient Measures of Internal
Neuron Importance, 2018):

    C_u = sum over k = 1..n of  g_k * (y_u(x_k) - y_u(x_(k-1)))

| symbol | meaning |
|---|---|
| x, x0 | image, baseline |
| x_k | x0 + (k / n) (x - x0), the points of the path |
| y_u | output of unit u of a tapped layer |
| F | the explained number: a weighting of the logits |
| g_k | dF/dy_u at x_k (rule "right"), at x_(k-1) ("left"), or their mean ("trapezoid") |

Over a layer that cuts the network, the C_u add up to F(x) - F(x0) as n grows (completeness).
Where the tail behind the layer is affine, the gradient is constant on the path, the sum telescopes
for any n, and one difference of activations gives C exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kernel_lib._checks import check_choice, check_count, check_number
from kernel_lib.errors.graph import default_taps, places
from kernel_lib.errors.integral import Integral, Sums, mean_of
from kernel_lib.errors.path import RULES, baselines_of
from kernel_lib.errors.targets import target_weights
from kernel_lib.models.classifier import Classifier, as_classifier
from kernel_lib.network.compiled import fitting_batch_size

REDUCTIONS = ("sum", "mean", "none")


@dataclass(frozen=True)
class Conductance:
    """Conductances of some images.

    Attributes:
        values: tap -> (num_images, channels), or (num_images, *shape of the tap) unreduced.
        totals: tap -> (num_images,) sum over all units, whatever the reduction.
        change: (num_images,) F(x) - F(x0), what the totals of a cut must add up to.
        scale: (num_images,) what gaps are measured in: |F(x) - F(x0)|, or the spread of the
            image's logits where that is larger.
        steps: (num_images,) steps of the path that each image took.
        is_cut: tap -> whether completeness is expected there.
        is_closed_form: tap -> whether the tail is affine, so that the values are exact.
    """

    values: dict[str, np.ndarray]
    totals: dict[str, np.ndarray]
    change: np.ndarray
    scale: np.ndarray
    steps: np.ndarray
    is_cut: dict[str, bool]
    is_closed_form: dict[str, bool]

    def gap(self, tap: str) -> np.ndarray:
        """What the totals of a cut miss, (num_images,); NaN where no completeness is expected."""
        check_choice("tap", tap, self.values)
        if not self.is_cut[tap]:
            return np.full(len(self.change), np.nan)
        return self.totals[tap] - self.change

    def relative_gap(self) -> np.ndarray:
        """Largest gap over all cuts in units of `scale`, (num_images,); NaN without a cut."""
        cuts = [np.abs(self.gap(tap)) / self.scale for tap, cut in self.is_cut.items() if cut]
        return np.max(cuts, axis=0) if cuts else np.full(len(self.change), np.nan)


def conductance(
    model: Any,
    images: np.ndarray,
    layers: Sequence[str] | str | None = None,
    target: Any = None,
    baseline: Any = 0.0,
    steps: int = 50,
    rule: str = "trapezoid",
    *,
    reduce: str = "sum",
    complete: bool = False,
    tolerance: float | None = None,
    max_steps: int = 800,
    batch_size: int | None = None,
    progress: bool = False,
) -> Conductance:
    """Conductance of every unit of the chosen layers, from one compiled forward and backward pass.

    Dhamdhere et al. 2019; see the head of this module for the sum that is computed.

    Args:
        model: a Keras model or a `Classifier`.
        images: (num_images, height, width, channels) in [0, 1].
        layers: tap names; None for the output of each block or activation.
        target: None or "predicted", "runner_up", "difference" (predicted minus runner-up), one
            class, or one class an image.
        baseline: where paths begin: a brightness, "zero_input", "blur", an array for all images
            or one an image; a list of these is averaged over.
        steps: steps along the path. Taps with an affine tail need none and are exact.
        rule: "trapezoid", "right" or "left".
        reduce: over the positions of a feature map, "sum" (complete), "mean" (as in the published
            detector), or "none".
        complete: insist on completeness: refuse taps that are not cuts.
        tolerance: double the steps of each image until its relative gap at every cut is below.
        max_steps: the most steps that `tolerance` may take.
        batch_size: points of paths in memory at once; None fits the image size.
        progress: show a progress bar.

    Returns:
        A `Conductance`.

    Raises:
        ValueError: unknown taps, wrong images or classes, or `complete` with taps that are not
            cuts, or `tolerance` without any cut to measure it at.

    Example:
        >>> found = kl.errors.conductance(model, images.test.images[:16])
        >>> found.values["conv3"].shape, np.abs(found.relative_gap()).max()
    """
    classifier = as_classifier(model)
    images = classifier.check_images(images)
    check_choice("rule", rule, RULES)
    check_choice("reduce", reduce, REDUCTIONS)
    check_count("steps", steps)
    taps = _checked_taps(classifier, layers, complete or tolerance is not None)
    if tolerance is not None:
        check_number("tolerance", tolerance, 0)
        check_count("max_steps", max_steps)
    size = batch_size or max(2, fitting_batch_size(images.shape[1:], classifier.network))
    integral = Integral(
        classifier, tuple(taps), rule, reduce, check_count("batch_size", size, low=2), progress
    )
    logits = classifier.logits(images, size)
    if not np.isfinite(logits).all():
        raise ValueError(f"{classifier.name!r} gives logits that are not finite: NaN or infinite.")
    weights = target_weights(classifier, logits, target)
    starts = baselines_of(classifier, images, baseline)
    sums = mean_of([integral.run(images, start, weights, steps) for start in starts])
    found = _described(integral, sums, logits)
    while tolerance is not None and steps < max_steps:
        rough = np.flatnonzero(found.relative_gap() > tolerance)
        if not len(rough):
            break
        steps = min(2 * steps, max_steps)
        parts = [start if len(start) == 1 else start[rough] for start in starts]
        again = mean_of([integral.run(images[rough], p, weights[rough], steps) for p in parts])
        for name, values in again.items():
            sums[name][rough] = values
        found = _described(integral, sums, logits)
    return found


def _described(integral: Integral, sums: Sums, logits: np.ndarray) -> Conductance:
    change = sums["last"] - sums["first"]
    found = places(integral.classifier)
    return Conductance(
        values={tap: sums[f"value {tap}"] for tap in integral.taps},
        totals={tap: sums[f"total {tap}"] for tap in integral.taps},
        change=change,
        scale=np.maximum(np.abs(change), logits.std(axis=1)),
        steps=sums["steps"],
        is_cut={tap: found[tap].is_cut for tap in integral.taps},
        is_closed_form=integral.is_closed_form,
    )


def _checked_taps(
    classifier: Classifier, layers: Sequence[str] | str | None, complete: bool
) -> list[str]:
    if layers is None:
        return default_taps(classifier)
    taps = [layers] if isinstance(layers, str) else list(layers)
    if not taps:
        raise ValueError("`layers` is empty. Name at least one tap, or leave it out.")
    for tap in taps:
        classifier.network.tap(tap)  # says which taps there are
    found = places(classifier)
    bypassed = [tap for tap in taps if not found[tap].is_cut]
    if complete and bypassed:
        raise ValueError(
            f"Completeness holds only at layers that every path from the image to the logits runs "
            f"through. Paths go around {', '.join(bypassed)}. Layers without a way around: "
            f"{', '.join(name for name, place in found.items() if place.is_cut)}."
        )
    return taps
