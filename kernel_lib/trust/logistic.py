"""Multinomial logistic regression by scikit-learn: float32, standardised, with a strong penalty.

The strength of the penalty is chosen on the calibration split among strong ones (float64 and a weak
penalty cost far more time and gain nothing), and the probe is then fitted on both splits.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from kernel_lib.trust.design import Design, Target
from kernel_lib.trust.readings import Reading, best_temperature, log_softmax, mean_bits, smoothed

STRENGTHS = (1.0, 0.1, 0.01, 0.001)  # weight of |W|^2 / 2 beside the mean loss; the strongest first
_MOST_ITERATIONS = 200
_FLOATS_FOR_THREADS = 2_000_000


def read(design: Design, targets: Sequence[Target]) -> list[Reading]:
    """Read each target off the features of a design; no label may be missing.

    Args:
        design: features and splits.
        targets: with labels for every image of the design.

    Returns:
        One reading a target.
    """
    values = design.standardized(design.used)
    return [_read_one(values, design, target) for target in targets]


def fit(values: np.ndarray, labels: np.ndarray, strength: float, start: Any = None) -> Any:
    """Fit a probe; `start` is a fitted one to go on from.

    Args:
        values: (num_images, num_features) standardised features.
        labels: (num_images,) class ids, at least two of them different.
        strength: weight of half the squared weights beside the mean loss.
        start: what `fit` returned for other images or another strength.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    model = start or LogisticRegression(
        solver="lbfgs", max_iter=_MOST_ITERATIONS, tol=1e-3, warm_start=True
    )
    model.set_params(C=1 / (strength * len(values)))
    # On small problems threads wait for one another longer than they work.
    threads = 1 if values.size < _FLOATS_FOR_THREADS else None
    with threadpool_limits(threads), warnings.catch_warnings():
        # A fit that stops at the last iteration is as good a probe for this purpose.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(values, labels)


def probabilities(model: Any, values: np.ndarray, num_classes: int) -> np.ndarray:
    """Probabilities (num_images, num_classes); classes the probe has never seen get 0."""
    found = np.zeros((len(values), num_classes))
    found[:, model.classes_] = model.predict_proba(values)
    return found


def _read_one(values: np.ndarray, design: Design, target: Target) -> Reading:
    start = time.perf_counter()
    num_train, num_learning = len(design.train), len(design.learning)
    labels = target.labels[design.used]
    truth = labels[num_train:num_learning]
    best, best_right, tuning = STRENGTHS[0], -1.0, np.empty(0)
    model: Any = None
    for strength in STRENGTHS:
        model = fit(values[:num_train], labels[:num_train], strength, model)
        shares = probabilities(model, values[num_train:num_learning], target.num_classes)
        right = float((shares.argmax(axis=1) == truth).mean())
        if right > best_right:
            best, best_right, tuning = strength, right, shares
    model = fit(values[:num_learning], labels[:num_learning], best)
    seconds = time.perf_counter() - start
    # A strong penalty makes for shy probabilities; the calibration split says by how much.
    factor = best_temperature(np.log(smoothed(tuning, num_train)), truth)
    shares = probabilities(model, values[num_learning:], target.num_classes)
    predictions = np.full(len(target.labels), -1, np.int16)
    predictions[design.test] = shares.argmax(axis=1)
    scores = factor * np.log(smoothed(shares, num_learning))
    bits = mean_bits(log_softmax(scores), labels[num_learning:])
    return Reading(predictions, bits, best, seconds)
