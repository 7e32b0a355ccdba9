"""Scores of suspicion that need the logits alone.

z are the logits of an image, p their softmax, p1 >= p2 its two largest values.

| name | suspicion | source |
|---|---|---|
| msp | 1 - p1 | Hendrycks and Gimpel 2017 |
| margin | p2 - p1 | |
| entropy | - sum p ln p | |
| max_logit | - max z | |
| energy | - logsumexp z | Liu et al. 2020 |
| doctor_alpha | (1 - S) / S with S = sum p^2 | Granese et al. 2021 |
| doctor_beta | (1 - p1) / p1 | Granese et al. 2021 |
| temperature | 1 - max softmax(z / T), T fitted on calibration | Guo et al. 2017 |
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

from kernel_lib.errors.votes import probabilities


def msp(logits: np.ndarray) -> np.ndarray:
    """1 - p1, from the other classes' shares, so that near certainty keeps its order."""
    shares = probabilities(logits)
    np.put_along_axis(shares, shares.argmax(axis=1)[:, None], 0, axis=1)
    return shares.sum(axis=1)


def margin(logits: np.ndarray) -> np.ndarray:
    """p2 - p1."""
    second = np.partition(probabilities(logits), -2, axis=1)[:, -2]
    return second + msp(logits) - 1


def entropy(logits: np.ndarray) -> np.ndarray:
    """Entropy of p in nats."""
    shares = probabilities(logits)
    return -(shares * np.log(np.maximum(shares, 1e-300))).sum(axis=1)


def max_logit(logits: np.ndarray) -> np.ndarray:
    """Minus the largest logit."""
    return -np.asarray(logits, np.float64).max(axis=1)


def energy(logits: np.ndarray) -> np.ndarray:
    """Minus the log of the summed exponentials."""
    return -logsumexp(np.asarray(logits, np.float64), axis=1)


def doctor_alpha(logits: np.ndarray) -> np.ndarray:
    """(1 - S) / S, S the chance that two draws from p agree."""
    shares = probabilities(logits)
    return msp_like(shares) / (shares**2).sum(axis=1)


def msp_like(shares: np.ndarray) -> np.ndarray:
    """1 - sum p^2 as sum p (1 - p), which stays exact near certainty."""
    order = np.sort(shares, axis=1)
    rest = order[:, :-1].sum(axis=1)  # 1 - p1
    return order[:, -1] * rest + (order[:, :-1] * (1 - order[:, :-1])).sum(axis=1)


def doctor_beta(logits: np.ndarray) -> np.ndarray:
    """(1 - p1) / p1; the same ranks as `msp`."""
    doubt = msp(logits)
    return doubt / (1 - doubt)


def temperature(logits: np.ndarray, labels_right: np.ndarray) -> float:
    """The T that makes the stated confidence of the predicted class fit how often it is right.

    Minimises the cross-entropy of "this prediction is right" with chance max softmax(z / T).
    """
    logits = np.asarray(logits, np.float64)

    def loss(log_t: float) -> float:
        doubt = np.clip(msp(logits / np.exp(log_t)), 1e-12, 1 - 1e-12)
        return float(-np.where(labels_right, np.log1p(-doubt), np.log(doubt)).mean())

    return float(np.exp(minimize_scalar(loss, bounds=(-3, 4), method="bounded").x))


SCORES = {
    "msp": msp,
    "margin": margin,
    "entropy": entropy,
    "max_logit": max_logit,
    "energy": energy,
    "doctor_alpha": doctor_alpha,
    "doctor_beta": doctor_beta,
}
