"""Read what the original code wrote: two layouts of .npy files, and its table of features.

| file | shape | columns |
|---|---|---|
| test_results1515.npy | (T, N, 5) | index, label, prediction, confidence, step value |
| test_actoverall1515.npy | (T, N, 2, 13) | index, label, prediction, layer, 8 statistics, value |
| mdatabase_r.csv | a row a network | mid, then 5 x 16 measurements |
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from kernel_lib.invariance.features import MATRICES
from kernel_lib.invariance.grids import Grid
from kernel_lib.invariance.measure import MEASUREMENTS
from kernel_lib.invariance.signals import STATISTICS, Signals
from kernel_lib.tasks import atomic_path
from kernel_lib.tasks.untrusted import check_table, load_array, untrusted

if TYPE_CHECKING:
    import pandas as pd


def read_results(
    results: str | os.PathLike[str],
    activations: str | os.PathLike[str] | None = None,
    *,
    identity: float = 0.0,
    num_classes: int = 10,
) -> Signals:
    """Read the signals of one network from the original's .npy files.

    Args:
        results: the file of predictions and confidences.
        activations: the file of convolution statistics, if wanted.
        identity: the value that changes nothing: 0 for rotation, 1 for factors.
        num_classes: classes of the network.

    Returns:
        Signals named "confidence" and, with `activations`, "layerK.STATISTIC" for the two layers.

    Raises:
        ValueError: another layout, or files that do not belong together.
    """
    table = _array(results, (5,))
    index, labels, predictions = (table[:, :, k].astype(np.int64) for k in range(3))
    if (index != index[0]).any() or (labels != labels[0]).any():
        raise ValueError(f"{results}: images or labels are not the same at every step.")
    names, values = ["confidence"], [table[:, :, 3]]
    if activations is not None:
        inner = _array(activations, (2, 13))
        if inner.shape[:2] != table.shape[:2] or (inner[:, :, 0, 0] != table[:, :, 0]).any():
            raise ValueError(f"{activations} does not belong to {results}: other steps or images.")
        for layer in range(2):
            number = int(inner[0, 0, layer, 3])
            names += [f"layer{number}.{statistic}" for statistic in STATISTICS]
            values += [inner[:, :, layer, 4 + k] for k in range(len(STATISTICS))]
    steps = table[:, 0, 4].copy()
    nearest = int(np.abs(steps - identity).argmin())
    if abs(steps[nearest] - identity) < 1e-6:
        steps[nearest] = identity
    grid = Grid(tuple(steps.tolist()), identity)
    stacked = np.stack(values).astype(np.float32)
    return Signals(tuple(names), stacked, predictions, grid, labels[0], None, num_classes)


def write_results(signals: Signals, path: str | os.PathLike[str]) -> None:
    """Write predictions and confidences in the original layout (T, N, 5) float64."""
    shape = signals.predictions.shape
    if signals.labels is None:
        raise ValueError("The original layout holds labels; these signals have none.")
    columns = [
        np.broadcast_to(np.arange(shape[1]), shape),
        np.broadcast_to(signals.labels, shape),
        signals.predictions,
        signals.signal("confidence"),
        np.broadcast_to(np.array(signals.grid.values)[:, None], shape),
    ]
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.save(file, np.stack(columns, axis=-1).astype(np.float64), allow_pickle=False)


def read_features(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read the original's table of features; columns get the names of `feature_names`.

    The original names are ambiguous (`conv8_max_mean` is the mean of `max`), so columns are told by
    their order. The first column, an index in some files and an id in others, becomes `mid`.

    Raises:
        ValueError: not 81 columns, or columns in another order.
    """
    import pandas as pd

    with untrusted(f"{path} cannot be read as a CSV file"):
        table = pd.read_csv(check_table(path))
    if table.shape[1] != 1 + len(MATRICES) * len(MEASUREMENTS):
        raise ValueError(
            f"{path} must have {1 + len(MATRICES) * len(MEASUREMENTS)} columns: mid, then "
            f"{len(MATRICES)} x {len(MEASUREMENTS)} measurements. Received: {table.shape[1]}."
        )
    ends = [name for _ in MATRICES for name in MEASUREMENTS]
    wrong = [
        column
        for column, end in zip(table.columns[1:], ends, strict=True)
        if not str(column).endswith(f"_{end}")
    ]
    if wrong:
        raise ValueError(f"{path}: the columns are in another order, from {wrong[0]!r} on.")
    table.columns = ["mid", *(f"{matrix}/{name}" for matrix in MATRICES for name in MEASUREMENTS)]
    return table


def _array(path: str | os.PathLike[str], tail: tuple[int, ...]) -> np.ndarray:
    with untrusted(f"{path} is no NumPy file of numbers"):
        array = load_array(path)
        if array.dtype.kind not in "iuf":
            raise ValueError(f"it holds {array.dtype}")
    if array.ndim != 2 + len(tail) or array.shape[2:] != tail:
        raise ValueError(
            f"{path} must have shape (num_steps, num_images, {', '.join(map(str, tail))}). "
            f"Received: {array.shape}."
        )
    return array
