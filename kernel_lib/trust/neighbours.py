"""The k nearest neighbours in standardised features: a probe that learns nothing by itself.

k is chosen on the calibration split. Neighbours are found once for all targets.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from kernel_lib.trust.design import Design, Target
from kernel_lib.trust.readings import Reading, mean_bits, smoothed

COUNTS = (31, 15, 5, 1)  # the smoothest first: it wins ties
_ROWS = 512


def read(design: Design, targets: Sequence[Target]) -> list[Reading]:
    """Read each target off the features of a design; no label may be missing.

    Args:
        design: features and splits.
        targets: with labels for every image of the design.

    Returns:
        One reading a target; its strength is k.
    """
    start = time.perf_counter()
    table = design.gram if design.is_wide else design.standardized(design.used)
    num_train, num_learning = len(design.train), len(design.learning)
    tuning = _nearest(table, design.is_wide, range(num_train, num_learning), num_train)
    final = _nearest(table, design.is_wide, range(num_learning, len(design.used)), num_learning)
    seconds = (time.perf_counter() - start) / len(targets)
    return [_read_one(tuning, final, design, target, seconds) for target in targets]


def _nearest(table: np.ndarray, wide: bool, asked: range, num_known: int) -> np.ndarray:
    """The nearest of the first `num_known` images, nearest first; (num_asked, most neighbours)."""
    count = min(COUNTS[0], num_known)
    squares = np.diagonal(table) if wide else (table**2).sum(axis=1)
    found = np.empty((len(asked), count), np.int64)
    for first in range(0, len(asked), _ROWS):
        rows = slice(asked.start + first, min(asked.start + first + _ROWS, asked.stop))
        known = table[rows, :num_known] if wide else table[rows] @ table[:num_known].T
        distance = squares[:num_known] - 2 * known  # the image's own square is the same for all
        near = np.argpartition(distance, count - 1, axis=1)[:, :count]
        order = np.argsort(np.take_along_axis(distance, near, axis=1), axis=1, kind="stable")
        found[first : first + len(near)] = np.take_along_axis(near, order, axis=1)
    return found


def _read_one(
    tuning: np.ndarray, final: np.ndarray, design: Design, target: Target, seconds: float
) -> Reading:
    labels = target.labels[design.used]
    learned = labels[: len(design.learning)]
    truth = labels[len(design.train) : len(design.learning)]
    counts = [k for k in COUNTS if k <= len(design.train)]
    right = [
        (_votes(learned[tuning[:, :k]], target.num_classes).argmax(axis=1) == truth).mean()
        for k in counts
    ]
    k = counts[int(np.argmax(right))]
    votes = _votes(learned[final[:, :k]], target.num_classes)
    predictions = np.full(len(target.labels), -1, np.int16)
    predictions[design.test] = votes.argmax(axis=1)
    bits = mean_bits(np.log(smoothed(votes / k, k)), target.labels[design.test])
    return Reading(predictions, bits, float(k), seconds)


def _votes(labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Votes for each class; the nearest of equals decides ties. (num_images, num_classes)."""
    votes = np.zeros((len(labels), num_classes))
    for place in range(labels.shape[1]):
        # A share of a vote less for each place further away, all shares together below one vote.
        votes[np.arange(len(labels)), labels[:, place]] += 1 - 1e-6 * place
    return votes
