"""Splits and balanced subsets, against counts that can be done by hand."""

from __future__ import annotations

import numpy as np
import pytest

from kernel_lib.data.splits import balanced_subset, completed_splits, stratified_splits


@pytest.mark.parametrize("calibration", [0.0, 0.1, 0.2, 0.33])
@pytest.mark.parametrize("test", [0.0, 0.1, 0.2, 0.5])
def test_shares_are_right_to_one_image_for_the_set_and_each_class(
    calibration: float, test: float
) -> None:
    labels = np.random.default_rng(0).integers(0, 7, 503)
    splits = stratified_splits(labels, calibration=calibration, test=test, seed=3)
    assert sorted(np.concatenate(list(splits.values()))) == list(range(503))
    shares = {"train": 1 - calibration - test, "calibration": calibration, "test": test}
    for name, share in shares.items():
        counts = np.bincount(labels[splits[name]], minlength=7)
        assert abs(counts.sum() - 503 * share) <= 1
        # Calibration images are dealt among what the test split left: one more image of slack.
        assert (np.abs(counts - np.bincount(labels) * share) < 2).all()


def test_a_class_of_two_is_never_without_training_images() -> None:
    splits = stratified_splits(np.repeat(np.arange(50), 2))
    assert (np.bincount(np.repeat(np.arange(50), 2)[splits["train"]]) >= 1).all()


def test_nothing_left_to_train_on_is_refused() -> None:
    with pytest.raises(ValueError, match="must be below 1"):
        stratified_splits(np.arange(10), calibration=0.5, test=0.5)


def test_a_published_test_split_is_kept_and_calibration_cut_off_training() -> None:
    labels = np.arange(130) % 10
    published = {"train": np.arange(100), "test": np.arange(100, 130)}
    splits = completed_splits(labels, published, seed=1)
    assert splits["test"].tolist() == list(range(100, 130))
    assert np.bincount(labels[splits["calibration"]]).tolist() == [2] * 10
    assert sorted([*splits["train"], *splits["calibration"]]) == list(range(100))


def test_a_validation_split_stands_in_for_a_missing_test_split() -> None:
    published = {"train": np.arange(0, 20), "calibration": np.arange(20, 30)}
    splits = completed_splits(np.arange(30) % 2, published)
    assert splits["test"].tolist() == list(range(20, 30))
    assert len(splits["calibration"]) == 4
    assert len(splits["train"]) == 16


def test_three_published_splits_stay_and_training_alone_is_shared_out() -> None:
    labels = np.arange(30) % 2
    three = {"train": np.array([4, 1]), "calibration": np.array([2]), "test": np.array([9])}
    splits = completed_splits(labels, three)
    assert {name: each.tolist() for name, each in splits.items()} == {
        "train": [1, 4],
        "calibration": [2],
        "test": [9],
    }
    drawn = completed_splits(labels, {"train": np.arange(30)}, seed=7)
    expected = stratified_splits(labels, seed=7)
    assert all(np.array_equal(drawn[name], expected[name]) for name in expected)
    assert completed_splits(labels, {"test": np.arange(30)})["train"].size == 0


def test_balanced_subset_takes_rare_classes_whole() -> None:
    labels = np.repeat(np.arange(3), [50, 4, 50])
    chosen = balanced_subset(labels, 30, seed=0)
    assert np.bincount(labels[chosen]).tolist() == [13, 4, 13]
    assert (np.diff(chosen) > 0).all()


def test_balanced_subset_keeps_the_share_of_each_group() -> None:
    labels = np.arange(1000) % 2
    groups = (np.arange(1000) >= 800).astype(int)
    chosen = balanced_subset(labels, 100, groups=groups)
    assert np.bincount(labels[chosen]).tolist() == [50, 50]
    assert abs((groups[chosen] == 0).sum() - 80) <= 2


def test_fewer_than_one_image_is_refused() -> None:
    with pytest.raises(ValueError, match="`num_images` must be at least 1"):
        balanced_subset(np.arange(3), 0)
