"""Which images a person is shown, and what stands beside each."""

from __future__ import annotations

from typing import Any

import numpy as np

from kernel_lib.data import ImageSet
from kernel_lib.errors.measure import Measured
from kernel_lib.errors.profiles import ClassProfiles

LARGEST_SIDE = 112  # pixels; larger images are shown smaller
NUM_MAPS = 8
NUM_NEIGHBOURS = 3


def display_arrays(
    measured: Measured, calibration: ImageSet, test: ImageSet, suspicion: np.ndarray, count: int
) -> dict[str, np.ndarray]:
    """Arrays behind the triage widget.

    Args:
        measured: the evidence.
        calibration, test: the images of that evidence.
        suspicion: (num_test,) the score that chooses what is shown.
        count: how many images.

    Returns:
        "shown" (S,) test indices; "inputs" (S, h, w, 3) uint8; "neighbours" (S, K) calibration
        indices; "neighbour_inputs" (U, h, w, 3) of the U different ones, named by
        "neighbour_ids" (U,); "vote_counts" (S, classes); and with conductance "map_ids",
        "map_values", "map_means", "map_deviations" (S, M) at the last tap.
    """
    shown = chosen_images(suspicion, measured.test_wrong, count)
    near = nearest(measured, shown)
    ids = np.unique(near)
    arrays = {
        "shown": shown,
        "inputs": to_display(test.images[shown]),
        "neighbours": near,
        "neighbour_ids": ids,
        "neighbour_inputs": to_display(calibration.images[ids]),
        "neighbour_labels": calibration.labels[ids],
        "neighbour_predicted": measured.calibration.predicted[ids],
    }
    if measured.test.votes is not None:
        arrays["vote_counts"] = _vote_counts(measured, shown)
    if measured.test.conductance:
        arrays |= _profile_arrays(measured, shown)
    return arrays


def chosen_images(suspicion: np.ndarray, wrong: np.ndarray, count: int) -> np.ndarray:
    """Half the most suspicious, a quarter the errors least suspected, the rest spread evenly.

    Returns:
        Test indices in falling order of suspicion.
    """
    order = np.argsort(-suspicion, kind="stable")
    count = min(count, len(order))
    missed = order[::-1][wrong[order[::-1]]]
    spread = order[np.linspace(0, len(order) - 1, count).astype(int)]
    wanted = [*order[: count // 2], *missed[: count // 4], *spread, *order]
    kept = np.array(list(dict.fromkeys(int(i) for i in wanted))[:count])
    return kept[np.argsort(-suspicion[kept], kind="stable")]


def nearest(measured: Measured, shown: np.ndarray) -> np.ndarray:
    """The calibration images most like each shown one in the penultimate layer, (S, K)."""
    asked = _unit(measured.test.features[shown])
    known = _unit(measured.calibration.features)
    count = min(NUM_NEIGHBOURS, len(known))
    return np.argsort(-(asked @ known.T), axis=1, kind="stable")[:, :count]


def to_display(images: np.ndarray) -> np.ndarray:
    """Images in [0, 1] as uint8 RGB of at most `LARGEST_SIDE` pixels."""
    factor = int(np.ceil(max(images.shape[1:3]) / LARGEST_SIDE))
    if factor > 1:
        rows, columns = (side // factor * factor for side in images.shape[1:3])
        blocks = images[:, :rows, :columns].reshape(
            len(images), rows // factor, factor, columns // factor, factor, -1
        )
        images = blocks.mean(axis=(2, 4))
    rgb = np.repeat(images, 3, axis=-1) if images.shape[-1] == 1 else images[..., :3]
    return np.rint(rgb * 255).astype(np.uint8)


def _vote_counts(measured: Measured, shown: np.ndarray) -> np.ndarray:
    predictions = measured.test.votes.predictions[:, shown]  # type: ignore[union-attr]
    num_classes = measured.test.logits.shape[1]
    return np.stack([np.bincount(column, minlength=num_classes) for column in predictions.T])


def _profile_arrays(measured: Measured, shown: np.ndarray) -> dict[str, np.ndarray]:
    profiles = ClassProfiles().fit(measured.calibration, measured.calibration_wrong)
    tap = list(measured.test.conductance)[-1]
    classes = measured.test.predicted[shown]
    maps = profiles.top_maps(tap, NUM_MAPS)[classes]
    values = measured.test.conductance[tap][shown]
    found: dict[str, Any] = {
        "map_values": values,
        "map_means": profiles.mean[tap][classes],
        "map_deviations": profiles.deviation[tap][classes],
    }
    picked = {name: np.take_along_axis(each, maps, axis=1) for name, each in found.items()}
    return {"map_ids": maps, **picked}


def _unit(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, np.float64)
    return values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)
