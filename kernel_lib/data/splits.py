"""Disjoint splits and balanced subsets, always the same for the same seed.

Every image set has three splits. `train` is what a network learned from, `calibration` is what an
audit may fit its own parts on (probes, thresholds, detectors), and `test` is what scores are
reported on. They never share an image.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from kernel_lib._checks import check_count, check_number

SPLIT_NAMES = ("train", "calibration", "test")
# What folders, files and tables call them.
SPLIT_WORDS = {
    "train": "train",
    "training": "train",
    "calibration": "calibration",
    "validation": "calibration",
    "valid": "calibration",
    "val": "calibration",
    "test": "test",
    "testing": "test",
}


def stratified_splits(
    labels: np.ndarray, *, calibration: float = 0.2, test: float = 0.2, seed: int = 0
) -> dict[str, np.ndarray]:
    """Share images among the three splits so that every class is shared alike.

    Images are lined up class by class, in random order within a class, and dealt to the splits in
    a fixed rhythm. So each split's share of the whole set, and of each class, is right to within
    one image.

    Args:
        labels: class ids (num_images,).
        calibration: share of the images in the calibration split, in [0, 1].
        test: share of the images in the test split, in [0, 1].
        seed: seed of the order within a class.

    Returns:
        Sorted int64 indices of the images of "train", "calibration" and "test".

    Raises:
        ValueError: If the two shares leave nothing to train on.
    """
    check_number("calibration", calibration, 0, 1)
    check_number("test", test, 0, 1)
    if calibration + test >= 1:
        raise ValueError(
            "`calibration` + `test` must be below 1, so that images are left to train on. "
            f"Received: calibration={calibration}, test={test}."
        )
    shuffle = np.random.default_rng([seed]).random(len(labels))
    order = np.lexsort((shuffle, labels))
    in_test = _every(len(order), test, phase=0.0)
    rest = order[~in_test]
    # Half a beat later than the test images, so that a class of two never lies in both.
    in_calibration = _every(len(rest), calibration / (1 - test), phase=0.5)
    return {
        "train": np.sort(rest[~in_calibration]),
        "calibration": np.sort(rest[in_calibration]),
        "test": np.sort(order[in_test]),
    }


def completed_splits(
    labels: np.ndarray, published: Mapping[str, np.ndarray], *, seed: int = 0
) -> dict[str, np.ndarray]:
    """Keep published splits as they are, and draw the ones an audit needs besides.

    A missing calibration split is cut off the training one, a fifth of it. Where only the test
    split is missing, the published calibration (validation) split is the test split. If no image
    is published as anything but training, all splits are drawn.

    Args:
        labels: class ids (num_images,).
        published: indices of the images of the splits that exist.
        seed: seed of what is drawn.

    Returns:
        Sorted int64 indices of "train", "calibration" and "test".
    """
    known = {name: np.sort(members) for name, members in published.items() if len(members)}
    if set(known) <= {"train"}:
        return stratified_splits(labels, seed=seed)
    if "test" not in known:
        known["test"] = known.pop("calibration")
    if "calibration" not in known and "train" in known:
        train = known["train"]
        drawn = stratified_splits(labels[train], test=0.0, seed=seed)
        known |= {name: train[drawn[name]] for name in ("train", "calibration")}
    return {name: known.get(name, np.zeros(0, np.int64)) for name in SPLIT_NAMES}


def balanced_subset(
    labels: np.ndarray, num_images: int, *, groups: np.ndarray | None = None, seed: int = 0
) -> np.ndarray:
    """Choose at most `num_images` images, as many of each class as there are to be had.

    Args:
        labels: class ids (num_images,).
        num_images: number of images wanted; all are returned when there are fewer.
        groups: optional group ids (num_images,), such as splits, which keep their proportions.
        seed: seed of the choice.

    Returns:
        Sorted int64 indices of the chosen images.
    """
    check_count("num_images", num_images)
    rng = np.random.default_rng([seed])
    groups = np.zeros_like(labels) if groups is None else groups
    strata = np.unique(np.stack([labels, groups]), axis=1, return_inverse=True)[1].reshape(-1)
    # Depth into a stratum, from 0 to 1: the first images by depth are a fair share of each group.
    rank = _rank_within(strata, rng.random(len(labels)))
    depth = (rank + rng.random(len(labels))) / np.bincount(strata)[strata]
    turn = _rank_within(labels, depth)
    return np.sort(np.lexsort((rng.random(len(labels)), turn))[:num_images])


def split_numbers(splits: Mapping[str, np.ndarray], num_images: int) -> np.ndarray:
    """Return the number of the split each image is in, -1 for none; int64 (num_images,)."""
    numbers = np.full(num_images, -1)
    for number, name in enumerate(SPLIT_NAMES):
        numbers[splits[name]] = number
    return numbers


def restricted_splits(
    splits: Mapping[str, np.ndarray], chosen: np.ndarray
) -> dict[str, np.ndarray]:
    """Return the splits of the images at `chosen`, numbered by their places there."""
    return {name: np.flatnonzero(np.isin(chosen, members)) for name, members in splits.items()}


def _every(length: int, share: float, phase: float) -> np.ndarray:
    """Mark evenly spaced places, `share` of them all; bool (length,)."""
    # The small term keeps 5 * 0.2 from falling just below 1.
    beats = np.floor(np.arange(length + 1) * share + phase + 1e-9)
    return np.diff(beats) > 0


def _rank_within(groups: np.ndarray, key: np.ndarray) -> np.ndarray:
    """Rank of each entry of `key` (0, 1, ...) among the entries of its own group."""
    order = np.lexsort((key, groups))
    ordered = groups[order]
    rank = np.empty(len(groups), np.int64)
    rank[order] = np.arange(len(groups)) - np.searchsorted(ordered, ordered)
    return rank
