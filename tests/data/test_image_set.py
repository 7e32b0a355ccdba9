"""ImageSet: what it accepts, what it refuses, and what it promises about splits."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from kernel_lib.data import ImageSet

PIXELS = np.linspace(0, 1, 20 * 4 * 5 * 3).reshape(20, 4, 5, 3)
LABELS = np.arange(20) % 4


def make(**changes: object) -> ImageSet:
    return ImageSet(**({"images": PIXELS, "labels": LABELS} | changes))


def test_arrays_have_the_promised_types() -> None:
    images = make(tasks={"even": (LABELS % 2).astype(np.uint8)}, masks=PIXELS[..., 0] > 0.5)
    assert images.images.dtype == np.float32
    assert images.labels.dtype == images.tasks["even"].dtype == np.int64
    assert images.image_shape == (4, 5, 3)
    assert images.class_names == ("0", "1", "2", "3")
    assert images.task_class_names == {"even": ("0", "1")}
    assert len(images) == 20
    assert images.num_classes == 4


def test_drawn_splits_are_stratified_disjoint_and_seeded() -> None:
    images = make()
    for name, each_class in (("train", 3), ("calibration", 1), ("test", 1)):
        assert np.bincount(images.split(name).labels).tolist() == [each_class] * 4
    everything = np.concatenate(list(images.splits.values()))
    assert sorted(everything) == list(range(20))
    assert all(np.array_equal(images.splits[k], make().splits[k]) for k in images.splits)
    assert not np.array_equal(images.splits["train"], make(seed=1).splits["train"])


def test_given_splits_are_kept_and_missing_ones_are_empty() -> None:
    images = make(splits={"train": [3, 1], "test": [2]})
    np.testing.assert_array_equal(images.train.images, PIXELS[[3, 1]].astype(np.float32))
    assert images.test.labels.tolist() == [2]
    with pytest.raises(ValueError, match="'calibration' holds no images"):
        _ = images.calibration


def test_select_carries_everything_along() -> None:
    images = make(
        tasks={"row": np.arange(20)},
        masks=PIXELS[..., 0] > 0.5,
        splits={"train": range(10), "calibration": range(10, 15), "test": range(15, 20)},
    )
    chosen = images.select([17, 2, 12, 4])
    assert chosen.tasks["row"].tolist() == [17, 2, 12, 4]
    assert chosen.labels.tolist() == [1, 2, 0, 0]
    np.testing.assert_array_equal(chosen.masks, images.masks[[17, 2, 12, 4]])
    assert {name: members.tolist() for name, members in chosen.splits.items()} == {
        "train": [1, 3],
        "calibration": [2],
        "test": [0],
    }
    assert chosen.test.test.tasks["row"].tolist() == [17]
    assert images.select(images.labels == 3).labels.tolist() == [3] * 5


def test_sample_is_balanced_seeded_and_keeps_split_shares() -> None:
    labels = np.repeat(np.arange(3), [300, 100, 20])
    images = ImageSet(np.zeros((420, 2, 2, 1)), labels, tasks={"row": np.arange(420)})
    assert np.bincount(images.sample(60).labels).tolist() == [20, 20, 20]
    assert np.bincount(images.sample(120).labels).tolist() == [50, 50, 20]
    shares = [len(images.sample(60).splits[name]) for name in ("train", "calibration", "test")]
    np.testing.assert_allclose(shares, [36, 12, 12], atol=4)
    rows = images.sample(60).tasks["row"]
    np.testing.assert_array_equal(rows, images.sample(60).tasks["row"])
    assert not np.array_equal(rows, images.sample(60, seed=1).tasks["row"])
    assert len(np.unique(rows)) == 60
    assert len(images.sample(10_000)) == 420


def test_with_task_relabels_and_drops_images_without_a_label() -> None:
    column = np.where(np.arange(20) < 5, -1, np.arange(20) % 2)
    images = make(tasks={"even": column}, task_class_names={"even": ("yes", "no")})
    relabelled = images.with_task("even")
    assert relabelled.class_names == ("yes", "no")
    assert relabelled.labels.tolist() == column[5:].tolist()
    np.testing.assert_array_equal(relabelled.images, PIXELS[5:].astype(np.float32))
    with pytest.raises(ValueError, match="`task` must be one of 'even'"):
        images.with_task("odd")


def test_digest_follows_content_not_name() -> None:
    assert make().digest == make(name="other").digest == pickle.loads(pickle.dumps(make())).digest
    brighter = PIXELS.copy()
    brighter[3, 0, 0, 0] += 0.01
    changed = [
        make(images=brighter),
        make(labels=LABELS[::-1]),
        make(class_names=tuple("abcd")),
        make(seed=5),
        make(masks=PIXELS[..., 0] > 0.5),
        make(tasks={"t": LABELS}),
    ]
    assert len({each.digest for each in [make(), *changed]}) == 7


def test_values_out_of_range_by_rounding_are_clipped_and_said() -> None:
    images = make(images=PIXELS * 1.0011 - 0.0005)
    assert (images.images.min(), images.images.max()) == (0, 1)
    assert images.notes == ("pixels from -0.0005 to 1.0006 clipped to [0, 1]",)
    assert make(images=images.images).notes == ()


def test_arrays_cannot_be_written_through_the_set() -> None:
    images = make()
    with pytest.raises(ValueError, match="read-only"):
        images.images[0] = 0
    assert PIXELS.flags.writeable


def test_it_shows_itself() -> None:
    images = make(class_names=("<a>", "b", "c", "d"), name="toys", tasks={"even": LABELS % 2})
    assert repr(images) == (
        "ImageSet 'toys': 20 images of 4x5x3, 4 classes, "
        "train 12 / calibration 4 / test 4, tasks even"
    )
    page = images._repr_html_()
    assert page.count("data:image/png;base64,") == 4
    assert "&lt;a&gt;" in page
    assert "<a>" not in page
    many = ImageSet(np.zeros((15, 2, 2, 2)), np.arange(15))
    assert "and 5 more classes" in many._repr_html_()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": PIXELS * 255}, "values from 0 to 255. These look like bytes: divide by 255"),
        ({"images": PIXELS * 2 - 1}, r"These look like \[-1, 1\]: images = \(images \+ 1\) / 2"),
        ({"images": PIXELS * 6 - 3}, "If they were standardised, undo that first"),
        ({"images": np.where(PIXELS > 0.9, np.nan, PIXELS)}, "`images` must be finite"),
        ({"images": np.where(PIXELS > 0.9, np.inf, PIXELS)}, "`images` must be finite"),
        ({"images": PIXELS[..., 0]}, r"grey images have one channel, as in images\[..., None\]"),
        ({"images": PIXELS[:0], "labels": []}, "at least one image"),
        ({"labels": LABELS[:19]}, r"each of the 20 images. Received: shape=\(19,\)"),
        ({"labels": np.eye(4)[LABELS]}, r"labels.argmax\(axis=1\)"),
        ({"labels": LABELS - 1}, "`labels` must be at least 0. Received: -1"),
        ({"class_names": ("a", "b")}, "labels must lie in 0..1. Received: a label of 3"),
        ({"labels": LABELS + 1, "class_names": tuple("abcd")}, "start at 1.*labels = labels - 1"),
        ({"class_names": ("a", "b", "a", "c")}, r"Received twice: \['a'\]"),
        ({"labels": np.zeros(20, int)}, "at least two classes"),
        ({"masks": np.ones((20, 4, 4), bool)}, r"`masks` must have the shape .* = \(20, 4, 5\)"),
        ({"splits": {"validation": [1]}}, r"`splits` may be named .*\['validation'\]"),
        ({"splits": {"train": [1, 2], "test": [2]}}, "must be disjoint.*number 2"),
        ({"splits": {"train": [1, 1]}}, "must be disjoint.*number 1"),
        ({"splits": {"train": [20]}}, r"must lie in 0..19. Received: 20 to 20"),
        ({"tasks": {"t": LABELS - 2}}, r"`tasks\['t'\]` must be at least -1. Received: -2"),
        ({"tasks": {"t": LABELS[:3]}}, r"`tasks\['t'\]` must hold one class id for each"),
        ({"task_class_names": {"t": ("a", "b")}}, r"not in `tasks`: \['t'\]"),
    ],
)
def test_wrong_values_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": PIXELS.astype(str)}, "`images` must be an array of numbers"),
        ({"labels": LABELS.astype(float)}, "`labels` must be whole numbers .* dtype=float64"),
        ({"masks": np.ones((20, 4, 5))}, "`masks` must be bool"),
        ({"class_names": "abcd"}, "`class_names` must be a list of names"),
        ({"splits": {"train": [0.5]}}, "must be a list of whole numbers"),
    ],
)
def test_wrong_kinds_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        make(**changes)
