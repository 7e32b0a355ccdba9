"""eMPRT: does randomising the whole network make a map more complex?

Hedstrom et al. 2024: q = (H(random) - H(trained)) / H(trained), H the entropy of a histogram of
the map's values. A method that shows what was learned gains entropy when there is nothing to show.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from kernel_lib._checks import check_count
from kernel_lib._progress import is_watched, progress, shows_progress
from kernel_lib.models.classifier import as_classifier
from kernel_lib.network.compiled import fitting_batch_size
from kernel_lib.network.weights import restored_weights
from kernel_lib.report.uncertainty import bootstrap_means, interval, mean_of
from kernel_lib.saliency.explainer import Explainer, Options
from kernel_lib.saliency.maps import view_of
from kernel_lib.saliency.methods import DEFAULT_METHODS, as_method
from kernel_lib.saliency.randomize import randomize


@shows_progress
def efficient_mprt(
    model: Any,
    images: np.ndarray,
    *,
    methods: Sequence[str | Callable] = DEFAULT_METHODS,
    num_seeds: int = 5,
    num_bins: Sequence[int] = (50, 100, 200),
    options: Options | None = None,
    seed: int = 0,
    batch_size: int | None = None,
) -> pd.DataFrame:
    """Relative gain in entropy of each method's maps when the whole network is randomised.

    Args:
        model: a Keras model or a `Classifier`; left as it was.
        images: (num_images, height, width, channels) in [0, 1].
        methods: names or callables, as in `audit`.
        num_seeds: independent draws of random weights.
        num_bins: bins of the histogram; several, because the score depends on them.
        options: settings of the methods.
        seed: seed of weights, noise and intervals.
        batch_size: images in memory at once; None fits the image size and the network.

    Returns:
        One row for each method and number of bins: gain, its interval, and the gain in entropy of
        the network's own output, beside which it should be read.
    """
    classifier = as_classifier(model)
    images = classifier.check_images(images)
    check_count("num_seeds", num_seeds)
    chosen = [as_method(method) for method in methods]
    fitting = fitting_batch_size(images.shape[1:], classifier.network)
    batch_size = check_count("batch_size", batch_size or fitting)
    targets = classifier.predict(images, batch_size).astype(np.int32)

    def entropies() -> np.ndarray:  # (methods, bins, images)
        explainer = Explainer(classifier, images, targets, options or Options(), batch_size)
        return np.stack(
            [
                [
                    histogram_entropy(view_of(method.compute(explainer), "absolute"), bins)
                    for bins in num_bins
                ]
                for method in chosen
            ]
        )

    with restored_weights(classifier) as trained:
        before, output_before = entropies(), _output_entropy(classifier.logits(images, batch_size))
        after, output_after = [], []
        for step in progress(range(num_seeds), "Random weights", enabled=is_watched()):
            trained.restore()
            randomize(classifier, None, seed + step)
            after.append(entropies())
            output_after.append(_output_entropy(classifier.logits(images, batch_size)))
    with np.errstate(invalid="ignore", divide="ignore"):
        # (methods, bins, seeds, images); a map without any entropy has no relative gain
        gains = np.where(before > 0, (np.stack(after) - before) / before, np.nan)
    gains = np.moveaxis(gains, 0, 2)
    low, high = interval(bootstrap_means(gains, seed=seed))
    mean = mean_of(gains)
    output_gain = float(np.mean(output_after) - output_before.mean())
    return pd.DataFrame(
        [
            {
                "method": method.name,
                "num_bins": bins,
                "gain": mean[m, b],
                "low": low[m, b],
                "high": high[m, b],
                "output_entropy_gain": output_gain,
            }
            for m, method in enumerate(chosen)
            for b, bins in enumerate(num_bins)
        ]
    )


def histogram_entropy(maps: np.ndarray, num_bins: int) -> np.ndarray:
    """Entropy in nats of each map's histogram between its smallest and largest value, (n,)."""
    flat = maps.reshape(len(maps), -1)
    low, high = flat.min(axis=1, keepdims=True), flat.max(axis=1, keepdims=True)
    place = (flat - low) / np.where(high > low, high - low, 1) * num_bins
    bins = np.minimum(place.astype(np.intp), num_bins - 1)
    rows = np.arange(len(maps))[:, None] * num_bins
    counts = np.bincount((rows + bins).ravel(), minlength=len(maps) * num_bins)
    share = counts.reshape(len(maps), num_bins) / flat.shape[1]
    return -np.where(share > 0, share * np.log(np.where(share > 0, share, 1)), 0).sum(axis=1)


def _output_entropy(logits: np.ndarray) -> np.ndarray:
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    log_share = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return -(np.exp(log_share) * log_share).sum(axis=1)
