"""Labels of the generated shapes: every combination equally often, or drawn with planted leaks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from kernel_lib._checks import check_choice, check_number
from kernel_lib.data.splits import balanced_subset

# The order of the tasks is the order of the label columns, everywhere.
TASKS: dict[str, tuple[str, ...]] = {
    "shape": ("circle", "quadrilateral", "triangle", "pentagon", "hexagon"),
    "color": ("violet", "indigo", "blue", "green", "yellow", "orange", "red"),
    "size": ("small", "medium", "large"),
    "quadrant": ("upper_right", "upper_left", "bottom_left", "bottom_right"),
    "background": ("white", "black", "random"),
}
COLUMNS = {task: column for column, task in enumerate(TASKS)}
_NUM_CLASSES = tuple(len(names) for names in TASKS.values())
CELLS = np.indices(_NUM_CLASSES).reshape(len(TASKS), -1).T  # (1260, 5)

Weights = Mapping[str, Sequence[float]]
Correlation = Mapping[tuple[str, str], float]


def draw_labels(
    num_images: int,
    primary: str,
    weights: Weights,
    correlation: Correlation,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return labels int64 (num_images, 5), in equal numbers unless that is asked otherwise."""
    if weights or correlation:
        return _random_labels(num_images, weights, correlation, rng)
    return _factorial_labels(num_images, primary, rng)


def _factorial_labels(num_images: int, primary: str, rng: np.random.Generator) -> np.ndarray:
    """Return labels (num_images, 5) in which all combinations occur equally often.

    What is left over after whole rounds of the 1260 combinations is balanced for `primary`.
    """
    rounds, rest = divmod(num_images, len(CELLS))
    labels = np.tile(CELLS, (rounds, 1))
    if rest:
        chosen = balanced_subset(CELLS[:, COLUMNS[primary]], rest, seed=int(rng.integers(2**32)))
        labels = np.concatenate([labels, CELLS[chosen]])
    return rng.permutation(labels)


def _random_labels(
    num_images: int, weights: Weights, correlation: Correlation, rng: np.random.Generator
) -> np.ndarray:
    """Return labels (num_images, 5) drawn at random, with the weights and copies asked for."""
    labels = np.stack(
        [
            rng.choice(len(names), num_images, p=_probabilities(weights.get(task), len(names)))
            for task, names in TASKS.items()
        ],
        axis=1,
    )
    for (source, target), rho in correlation.items():
        copied = labels[:, COLUMNS[source]] % len(TASKS[target])
        copies = rng.random(num_images) < rho
        labels[:, COLUMNS[target]] = np.where(copies, copied, labels[:, COLUMNS[target]])
    return labels


def check_weights(weights: Weights) -> None:
    """Raise unless every task has one non-negative weight per class, and one above zero."""
    for task, values in weights.items():
        check_choice("imbalance", task, TASKS)
        array = np.asarray(values, float)
        if array.shape != (len(TASKS[task]),) or not np.isfinite(array).all():
            raise ValueError(
                f"`imbalance[{task!r}]` must hold one number for each of the {len(TASKS[task])} "
                f"classes {TASKS[task]}. Received: {values!r}."
            )
        if array.min() < 0 or array.sum() == 0:
            raise ValueError(
                f"`imbalance[{task!r}]` must hold weights of at least 0, not all 0. "
                f"Received: {values!r}."
            )


def check_correlation(correlation: Correlation) -> None:
    """Raise unless every target has one source, whose own labels are settled by then."""
    settled: set[str] = set()
    for pair, rho in correlation.items():
        if not isinstance(pair, tuple) or len(pair) != 2 or pair[0] == pair[1]:
            raise ValueError(
                "`correlation` must map pairs (source, target) of two different tasks to numbers, "
                f"as in {{('color', 'shape'): 0.8}}. Received: {pair!r}."
            )
        source, target = (check_choice("correlation", task, TASKS) for task in pair)
        check_number(f"correlation[{pair!r}]", rho, 0, 1)
        if target in settled:
            raise ValueError(
                f"`correlation` must copy into a task once, and before others copy from it. "
                f"Received: {list(correlation)}, where {target!r} comes too late."
            )
        settled |= {source, target}


def _probabilities(weights: Sequence[float] | None, num_classes: int) -> np.ndarray:
    array = np.ones(num_classes) if weights is None else np.asarray(weights, float)
    return array / array.sum()
