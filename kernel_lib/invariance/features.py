"""What an assessor sees of a network: five variance matrices, sixteen numbers each.

The matrices are those of the confidence and of two statistics (`max`, `max_mean`) of the last two
convolutions, called `first` and `second` here so that networks with other layer names can be
compared. They need no labels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kernel_lib.invariance.extras import sensitivity
from kernel_lib.invariance.matrices import variance_matrix
from kernel_lib.invariance.measure import MEASUREMENTS, measure
from kernel_lib.invariance.signals import OUTPUT_SIGNALS, Signals

MATRICES = ("confidence", "first.max", "first.max_mean", "second.max", "second.max_mean")

_MATRIX_TITLES = {
    "confidence": "the confidence",
    "first.max": "the last convolution but one (largest value)",
    "first.max_mean": "the last convolution but one (largest mean)",
    "second.max": "the last convolution (largest value)",
    "second.max_mean": "the last convolution (largest mean)",
}
_MEASUREMENT_TITLES = {
    "sstv": "sensitivity to the choice of images",
    "mean": "mean change",
    "s_mean": "mean squared change",
    "std": "spread of the change",
    "robusterror": "share of large changes",
    "discnty": "discontinuity",
    "asymm": "asymmetry",
    "grad_overall": "overall slope",
    "grad_v_mean": "vertical slope",
    "grad_v_std": "spread of the vertical slope",
    "grad_v_wstd": "spread of the vertical slope within rows",
    "grad_h_mean": "horizontal slope",
    "grad_h_std": "spread of the horizontal slope",
    "grad_h_wstd": "spread of the horizontal slope within columns",
    "grad_d_mean": "diagonal slope",
    "grad_d_std": "spread of the diagonal slope",
}


def feature_title(name: str) -> str:
    """A feature as readers meet it: "first.max/mean" is the mean change of that matrix."""
    matrix, _, measurement = name.partition("/")
    if matrix not in _MATRIX_TITLES or measurement not in _MEASUREMENT_TITLES:
        return name
    return f"{_MEASUREMENT_TITLES[measurement]} of {_MATRIX_TITLES[matrix]}"


def feature_names(symmetric: bool = True) -> tuple[str, ...]:
    """Names such as "first.max/discnty"; a grid with one side has no `asymm`."""
    names = [name for name in MEASUREMENTS if symmetric or name != "asymm"]
    return tuple(f"{matrix}/{name}" for matrix in MATRICES for name in names)


def feature_signals(signals: Signals) -> np.ndarray:
    """The five signals (5, num_steps, num_images), convolutions in units of their own spread.

    Raises:
        ValueError: the sweep did not read two convolutions.
    """
    taps = taps_of(signals)
    if len(taps) < 2:
        raise ValueError(
            "An assessor looks at the last two convolutions. This sweep read the taps: "
            f"{', '.join(taps) or 'none'}."
        )
    scaled = signals.scaled()
    names = {"first": taps[-2], "second": taps[-1]}
    wanted = [matrix.partition(".") for matrix in MATRICES]
    return np.stack(
        [scaled.signal(f"{names.get(tap, tap)}{dot}{statistic}") for tap, dot, statistic in wanted]
    )


def taps_of(signals: Signals) -> list[str]:
    """Taps that were read, in their order."""
    inner = (name for name in signals.names if name not in OUTPUT_SIGNALS)
    return list(dict.fromkeys(name.rpartition(".")[0] for name in inner))


def features(signals: Signals, *, mode: str = "clean", seed: int = 2) -> np.ndarray:
    """Features (num_features,) of one network, in the order of `feature_names`.

    Args:
        signals: a sweep that read two convolutions.
        mode: "clean" or "paper", see `measure`.
        seed: seed of the measurement of sensitivity.
    """
    chosen = feature_signals(signals)
    measured = measure(
        variance_matrix(chosen),
        mode,
        plateau=signals.plateau,
        symmetric=signals.grid.is_symmetric,
        sensitivity=sensitivity(chosen, mode, seed=seed),
    )
    names = [name for name in MEASUREMENTS if signals.grid.is_symmetric or name != "asymm"]
    return np.stack([measured[name] for name in names], axis=1).ravel()


def grouped(names: Sequence[str], by: str = "matrix") -> dict[str, list[int]]:
    """Positions of the features that belong together, by "matrix" or by "measurement"."""
    groups: dict[str, list[int]] = {}
    for position, name in enumerate(names):
        matrix, _, measurement = name.partition("/")
        groups.setdefault(matrix if by == "matrix" else measurement, []).append(position)
    return groups
