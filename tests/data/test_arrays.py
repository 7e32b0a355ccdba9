"""from_arrays: bytes, grey images and column labels are brought into form, the rest refused."""

from __future__ import annotations

import numpy as np
import pytest

from kernel_lib.data import from_arrays
from kernel_lib.data.arrays import from_published_splits

PIXELS = np.arange(12 * 4 * 4).reshape(12, 4, 4).astype(np.uint8)
LABELS = np.arange(12) % 3


def test_bytes_grey_and_column_labels() -> None:
    images = from_arrays(
        PIXELS, LABELS[:, None].astype(np.uint8), class_names=("a", "b", "c"), name="toys"
    )
    np.testing.assert_allclose(images.images[..., 0], PIXELS / 255, atol=1e-7)
    assert images.labels.tolist() == LABELS.tolist()
    assert images.class_names == ("a", "b", "c")
    assert images.name == "toys"


def test_floats_stay_as_they_are() -> None:
    floats = (PIXELS / 255)[..., None].repeat(3, -1)
    np.testing.assert_array_equal(from_arrays(floats, LABELS).images, floats.astype(np.float32))


def test_everything_else_is_passed_on() -> None:
    images = from_arrays(
        PIXELS,
        LABELS,
        tasks={"even": LABELS % 2},
        task_class_names={"even": ("yes", "no")},
        masks=PIXELS > 100,
        splits={"train": [0, 1], "test": [2]},
    )
    assert images.task_class_names["even"] == ("yes", "no")
    assert images.masks.sum() == (PIXELS > 100).sum()
    assert images.test.labels.tolist() == [2]
    assert not np.array_equal(
        from_arrays(PIXELS, LABELS, seed=1).splits["train"],
        from_arrays(PIXELS, LABELS, seed=2).splits["train"],
    )


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (PIXELS, np.eye(3, dtype=int)[LABELS], r"labels.argmax\(axis=1\)"),
        (PIXELS.astype(float), LABELS, "look like bytes: divide by 255"),
        (PIXELS.astype(int) * 16, LABELS, "look like numbers of 12 bits: divide by 4095"),
        (PIXELS / 255 * 1.5, LABELS, r"clip them: images = np\.clip\(images, 0, 1\)"),
        (np.zeros((12, 3, 8, 8)), LABELS, r"channels first.*np\.moveaxis\(images, 1, -1\)"),
        ((PIXELS > 100).astype(np.uint8), LABELS, "nothing above 1"),
        (PIXELS[:0], LABELS[:0], "at least one image"),
        (PIXELS[0], LABELS, r"\(num_images, height, width, channels\)"),
        (PIXELS, LABELS[:-1], "each of the 12 images"),
    ],
)
def test_wrong_arrays_are_refused(images: np.ndarray, labels: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        from_arrays(images, labels)


@pytest.mark.parametrize("labels", [LABELS * 1.0, LABELS.astype(str), LABELS > 0])
def test_labels_that_are_no_whole_numbers_are_refused(labels: np.ndarray) -> None:
    with pytest.raises(TypeError, match="must be whole numbers"):
        from_arrays(PIXELS, labels)


def test_published_splits_survive_a_cap() -> None:
    rows = np.arange(100, dtype=np.uint8)
    pixels = np.broadcast_to(rows[:, None, None], (100, 2, 2))
    labels = np.arange(100) % 4
    parts = (pixels[:80], labels[:80]), (pixels[80:], labels[80:, None])
    images = from_published_splits(*parts, num_images=20, seed=3)
    assert np.bincount(images.labels).tolist() == [5] * 4
    rows_read = np.rint(images.images[:, 0, 0, 0] * 255).astype(int)
    np.testing.assert_array_equal(images.labels, rows_read % 4)
    assert set(images.splits["test"]) == set(np.flatnonzero(rows_read >= 80))
    whole = from_published_splits(*parts)
    assert [len(whole.split(name)) for name in whole.splits] == [64, 16, 20]
