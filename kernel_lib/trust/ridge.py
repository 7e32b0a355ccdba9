"""Ridge regression on one-hot labels, in closed form and float32: the fastest linear probe.

With standardised features X (n images, d features), centred one-hot labels Y and strength a,
W = (X'X + a I)^-1 X'Y = X' (XX' + a I)^-1 Y (Hoerl & Kennard 1970). The smaller of the two systems
is solved, and solved once for all targets: a further task costs a few columns. `a` is chosen on the
calibration split, in units of the mean eigenvalue, and the probe is then fitted on both splits.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
from scipy import linalg
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from kernel_lib.trust.design import Design, Target
from kernel_lib.trust.readings import Reading, best_temperature, log_softmax, mean_bits

STRENGTHS = (10.0, 1.0, 0.1, 0.01, 0.001)  # the strongest first: it wins ties
_SIZE_FOR_THREADS = 1024


class _Products:
    """Inner products among images and with features, for whichever system is smaller."""

    def __init__(self, design: Design):
        self._wide = design.is_wide
        self._table = design.gram if self._wide else design.standardized(design.used)
        # Mean eigenvalue of the smaller system, for each image it is summed over.
        self._unit = max(1.0, design.num_features / len(design.train))

    def solve(
        self, rows: slice, targets: np.ndarray, strengths: Sequence[float], asked: slice
    ) -> list[np.ndarray]:
        """Scores of the images `asked` by probes fitted on `rows`, one for each strength."""
        if self._wide:
            system, right = self._table[rows, rows], targets
        else:
            system = self._table[rows].T @ self._table[rows]
            right = self._table[rows].T @ targets
        answers = []
        for strength in strengths:
            weights = _solved(system, strength * self._unit * len(targets), right)
            known = self._table[asked, rows] if self._wide else self._table[asked]
            answers.append(known @ weights)
        return answers


def read(design: Design, targets: Sequence[Target]) -> list[Reading]:
    """Read all targets off the features of a design; no label may be missing.

    Args:
        design: features and splits.
        targets: with labels for every image of the design.

    Returns:
        One reading a target.
    """
    # On small systems threads wait for one another longer than they work.
    is_small = min(design.num_features, len(design.used)) <= _SIZE_FOR_THREADS
    with threadpool_limits(1 if is_small else None):
        return _read(design, targets)


def _read(design: Design, targets: Sequence[Target]) -> list[Reading]:
    start = time.perf_counter()
    products = _Products(design)
    num_train, num_learning = len(design.train), len(design.learning)
    train, learning = slice(0, num_train), slice(0, num_learning)
    tuning, test = slice(num_train, num_learning), slice(num_learning, None)
    sides, means = _one_hot(targets, design.train)
    trials = products.solve(train, sides, STRENGTHS, tuning)
    chosen = [
        _chosen(trials, means, part, target.labels[design.calibration])
        for part, target in zip(_parts(targets), targets, strict=True)
    ]
    sides, means = _one_hot(targets, design.learning)
    kept = sorted({strength for strength, _ in chosen})
    finals = dict(zip(kept, products.solve(learning, sides, kept, test), strict=True))
    seconds = (time.perf_counter() - start) / len(targets)
    return [
        _reading(finals[strength][:, part] + means[part], temperature, strength, target, design,
                 seconds)
        for (strength, temperature), part, target in zip(
            chosen, _parts(targets), targets, strict=True
        )
    ]  # fmt: skip


def _one_hot(targets: Sequence[Target], rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centred one-hot labels of all targets side by side, and the means that were taken off."""
    columns = [np.eye(t.num_classes, dtype=np.float32)[t.labels[rows]] for t in targets]
    sides = np.concatenate(columns, axis=1)
    means = sides.mean(axis=0)
    return sides - means, means


def _parts(targets: Sequence[Target]) -> list[slice]:
    ends = np.cumsum([target.num_classes for target in targets])
    return [slice(end - t.num_classes, end) for end, t in zip(ends, targets, strict=True)]


def _solved(system: np.ndarray, strength: float, right: np.ndarray) -> np.ndarray:
    """Solve (system + strength I) W = right; ten times stronger where float32 finds it singular."""
    shifted = system.copy()
    shifted.flat[:: len(shifted) + 1] += np.float32(strength)
    try:
        factor = linalg.cho_factor(shifted, lower=True, overwrite_a=True, check_finite=False)
    except linalg.LinAlgError:
        return _solved(system, 10 * strength, right)
    return linalg.cho_solve(factor, right, check_finite=False)


def _chosen(
    trials: Sequence[np.ndarray], means: np.ndarray, part: slice, labels: np.ndarray
) -> tuple[float, float]:
    """The strength of the best accuracy, and the temperature that goes with it."""
    scores = [trial[:, part] + means[part] for trial in trials]
    right = [(each.argmax(axis=1) == labels).mean() for each in scores]
    best = int(np.argmax(right))
    return STRENGTHS[best], best_temperature(scores[best], labels)


def _reading(
    scores: np.ndarray,
    temperature: float,
    strength: float,
    target: Target,
    design: Design,
    seconds: float,
) -> Reading:
    predictions = np.full(len(target.labels), -1, np.int16)
    predictions[design.test] = scores.argmax(axis=1)
    bits = mean_bits(log_softmax(scores * temperature), target.labels[design.test])
    return Reading(predictions, bits, strength, seconds)
