"""How sure a cell or a score is: resampling and permutations.

Symbols: R runs (seeds), I rows, J columns, N test images.
"""

from __future__ import annotations

import zlib
from functools import lru_cache

import numpy as np
from scipy import stats

from kernel_lib._progress import is_watched, progress
from kernel_lib._random import random_stream
from kernel_lib.audit.statistics import LEVEL, wilson_interval


def resampled_accuracy(hits: np.ndarray, num_resamples: int = 1000, seed: int = 0) -> np.ndarray:
    """Accuracies of resampled test sets and runs: runs first, then images, the same for all cells.

    Args:
        hits: (R, I, J, N) 1 where right, 0 where wrong, NaN where the label is missing.
        num_resamples: B.
        seed: the same seed, number of runs and number of images give the same draws, so that two
            models tested on the same images are resampled together.

    Returns:
        (B, I, J) float64.
    """
    num_runs, num_rows, num_columns, num_images = hits.shape
    runs = _draws(num_runs, num_resamples, seed, 1)
    images = _draws(num_images, num_resamples, seed, 2)
    known = np.isfinite(hits)
    flat = (num_runs * num_rows * num_columns, num_images)
    right = np.where(known, hits, 0).astype(np.float32).reshape(flat) @ images.T
    shape = (num_runs, num_rows, num_columns, num_resamples)
    if known.all():
        count = np.full(shape, images.sum(axis=1))
    else:
        count = (known.astype(np.float32).reshape(flat) @ images.T).reshape(shape)
    weights = runs.T[:, None, None, :]  # (R, 1, 1, B)
    accuracy = right.reshape(shape) / np.maximum(count, 1)
    return np.moveaxis((accuracy * weights).sum(axis=0) / num_runs, -1, 0).astype(np.float64)


def widened(draws: np.ndarray, hits: np.ndarray) -> np.ndarray:
    """Resampled accuracies with at least the center and spread of Wilson's interval.

    A resample of answers that are all right is all right, so resampling alone calls six right
    answers of six certain. Each cell's draws are moved to the center of Wilson's interval, and get
    a normal deviation of their own where theirs is less than that interval's. With many images and
    accuracies away from 0 and 1 next to nothing changes.

    Args:
        draws: (B, I, J) of `resampled_accuracy`.
        hits: (R, I, J, N) what was resampled; also the seed of the deviations, so that the same
            answers get the same ones.

    Returns:
        (B, I, J), within [0, 1].
    """
    counts = np.isfinite(hits[0]).sum(axis=-1)
    low, high = wilson_interval(np.nanmean(hits, axis=(0, 3), dtype=np.float64), counts)
    observed = np.nanmean(hits, axis=(0, 3), dtype=np.float64)
    deviation = (high - low) / (2 * stats.norm.ppf((1 + LEVEL) / 2))
    missing = np.sqrt(np.maximum(deviation**2 - draws.var(axis=0), 0))
    random = random_stream([zlib.crc32(np.nan_to_num(hits, nan=2).astype(np.int8).tobytes())])
    moved = draws + ((low + high) / 2 - observed) + missing * random.standard_normal(draws.shape)
    return np.clip(moved, 0, 1)


def permutation_p_values(
    predictions: np.ndarray,
    labels: np.ndarray,
    strata: np.ndarray,
    num_permutations: int = 999,
    seed: int = 0,
) -> np.ndarray:
    """How often permuted test labels are predicted as well as the true ones.

    Labels are permuted among images of the same stratum. With the primary task as strata, the
    null hypothesis is that beyond the primary label the predictions say nothing about the target;
    the test is then exact, whatever the probe, because it was fitted on other images.

    Args:
        predictions: (num_probes, ..., N) class ids; runs between the axes are counted together.
        labels: (N,) class ids.
        strata: (N,) group ids.
        num_permutations: B.
        seed: of the permutations.

    Returns:
        (num_probes,) p-values, at least 1 / (B + 1).
    """
    random = random_stream([seed, 0x9E2])
    order = np.argsort(strata, kind="stable")
    labels, predictions = labels[order], predictions[..., order]
    predictions = predictions.reshape(len(predictions), -1, len(labels))
    groups = strata[order].astype(np.float64)
    truth = (predictions == labels).sum(axis=(1, 2))
    at_least = np.zeros(len(predictions), np.int64)
    for _ in progress(range(num_permutations), "Permutations", enabled=is_watched()):
        # Random numbers below 1 on top of the group numbers shuffle within the groups alone.
        shuffled = labels[np.argsort(groups + random.random(len(labels)))]
        at_least += (predictions == shuffled).sum(axis=(1, 2)) >= truth
    return (1 + at_least) / (1 + num_permutations)


@lru_cache(maxsize=8)
def _draws(number: int, num_resamples: int, seed: int, word: int) -> np.ndarray:
    """How often each resample draws each of `number` things, (B, number) float32."""
    random = random_stream([seed, word, number])
    even = np.full(number, 1 / number)
    return random.multinomial(number, even, num_resamples).astype(np.float32)
