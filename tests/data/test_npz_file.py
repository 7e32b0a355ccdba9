"""NumPy files in all the layouts they are found in, and damaged ones."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from kernel_lib.data import load
from kernel_lib.data.shapes import TASKS

PIXELS = np.arange(30 * 4 * 4).reshape(30, 4, 4).astype(np.uint8)
LABELS = np.arange(30) % 3


def saved(path: Path, **arrays: object) -> str:
    np.savez(path, **arrays)
    return f"npz:{path}"


@pytest.mark.parametrize("image_key", ["images", "x", "X", "data"])
@pytest.mark.parametrize("label_key", ["labels", "y", "lables"])
def test_one_part_under_any_name(tmp_path: Path, image_key: str, label_key: str) -> None:
    name = saved(tmp_path / "toys.npz", **{image_key: PIXELS, label_key: LABELS})
    images = load(name)
    np.testing.assert_allclose(images.images[..., 0], PIXELS / 255, atol=1e-7)
    np.testing.assert_array_equal(images.labels, LABELS)
    assert images.name == "toys"
    assert len(images.test) == 6


def test_names_and_masks_in_the_file_are_used(tmp_path: Path) -> None:
    name = saved(
        tmp_path / "a.npz", x=PIXELS, y=LABELS, class_names=["r", "g", "b"], masks=PIXELS > 99
    )
    images = load(name)
    assert images.class_names == ("r", "g", "b")
    np.testing.assert_array_equal(images.masks, PIXELS > 99)
    moved = load(name, class_names=["g", "b", "r"])
    assert moved.class_names == ("g", "b", "r")
    assert [moved.class_names[k] for k in moved.labels] == [
        images.class_names[k] for k in images.labels
    ]
    with pytest.raises(ValueError, match="None of the names is the same"):
        load(name, class_names=["x", "y", "z"])
    unnamed = saved(tmp_path / "b.npz", x=PIXELS, y=LABELS)
    assert load(unnamed, class_names="x,y,z").class_names == ("x", "y", "z")


def test_published_splits(tmp_path: Path) -> None:
    arrays = {
        "x_train": PIXELS[:20],
        "y_train": LABELS[:20],
        "x_test": PIXELS[20:],
        "y_test": LABELS[20:, None],
    }
    images = load(saved(tmp_path / "mnist.npz", **arrays))
    np.testing.assert_array_equal(images.test.labels, LABELS[20:])
    assert [len(images.split(name)) for name in images.splits] == [16, 4, 10]
    validation = {"x_val": PIXELS[:2], "y_val": LABELS[:2]}
    images = load(saved(tmp_path / "three.npz", **arrays, **validation), num_images=18)
    assert len(images) == 18


def test_label_columns_become_tasks(tmp_path: Path) -> None:
    columns = np.stack([LABELS, LABELS % 2, np.where(LABELS == 1, -1, LABELS // 2)], axis=1)
    name = saved(tmp_path / "faces.npz", images=PIXELS, labels=columns)
    images = load(name, tasks=("age", "smile", "hat"), primary="smile", class_names=("no", "yes"))
    np.testing.assert_array_equal(images.labels, LABELS % 2)
    assert images.class_names == ("no", "yes")
    assert (images.tasks["hat"] == -1).sum() == 10
    with pytest.raises(
        ValueError, match=r"3 columns and are not one-hot. If they are tasks, name them"
    ):
        load(name)
    with pytest.raises(ValueError, match="names 2 tasks, but there are 3 columns"):
        load(name, tasks=("age", "smile"))
    with pytest.raises(ValueError, match="`primary` must be one of"):
        load(name, tasks=("age", "smile", "hat"), primary="shoe")


def test_published_files_of_the_shapes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    numbers = [len(names) for names in TASKS.values()]
    parts = {}
    for part, count in (("train", 20), ("test", 10)):
        pixels = rng.integers(0, 256, (count, 8, 8, 3), np.uint8)
        parts[part] = (pixels, rng.integers(0, numbers, (count, 5)))
        path = tmp_path / f"synthetic_{part}_data.npz"
        np.savez_compressed(path, data=pixels, lables=parts[part][1])
    train, test = (tmp_path / f"synthetic_{part}_data.npz" for part in ("train", "test"))
    images = load(f"npz:{train}", test=test, primary="quadrant")
    np.testing.assert_allclose(images.test.images, parts["test"][0] / 255, atol=1e-7)
    np.testing.assert_array_equal(images.test.labels, parts["test"][1][:, 3])
    assert images.class_names == TASKS["quadrant"]
    assert dict(images.task_class_names) == TASKS
    assert load(f"npz:{train}").class_names == TASKS["shape"]


def test_one_hot_labels_are_not_taken_for_tasks(tmp_path: Path) -> None:
    name = saved(tmp_path / "a.npz", images=PIXELS, labels=np.eye(5, dtype=int)[LABELS])
    images = load(name)
    assert (images.labels.tolist(), images.num_classes) == (LABELS.tolist(), 5)
    assert not images.tasks
    assert images.notes == ("one-hot labels turned into class ids",)
    columns = np.stack([LABELS, LABELS % 2], axis=1)
    name = saved(tmp_path / "b.npz", images=PIXELS, labels=columns)
    with pytest.raises(ValueError, match="2 columns and are not one-hot.*tasks=") as caught:
        load(name)
    assert list(load(name, tasks=("shape", "color")).tasks) == ["shape", "color"]
    assert "tasks=('shape', 'color')" in str(caught.value)


def test_labels_in_other_forms(tmp_path: Path) -> None:
    words = np.array(["red", "green", "blue"])[LABELS]
    name = saved(tmp_path / "a.npz", images=PIXELS, labels=words)
    assert load(name).class_names == ("blue", "green", "red")
    images = load(name, class_names=["red", "green", "black", "blue"])
    assert [images.class_names[label] for label in images.labels] == words.tolist()
    name = saved(tmp_path / "b.npz", images=PIXELS, labels=LABELS * 1.0)
    assert load(name).labels.tolist() == LABELS.tolist()
    name = saved(tmp_path / "c.npz", images=PIXELS, labels=LABELS + 1)
    with pytest.raises(ValueError, match="from 1 to 3, and class ids start at 0"):
        load(name, class_names=["red", "green", "blue"])


class Harmful:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("harm",)


def test_nothing_is_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez("objects.npz", images=PIXELS, labels=np.array([Harmful()], object))
    Path("pickled.npz").write_bytes(pickle.dumps(Harmful()))
    with pytest.raises(ValueError, match="Python objects, which are never loaded"):
        load("npz:objects.npz")
    with pytest.raises(ValueError, match=r"not an \.npz file of plain arrays"):
        load("npz:pickled.npz")
    assert not Path("harm").exists()


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_truncated_files_are_refused(tmp_path: Path, share: float) -> None:
    saved(tmp_path / "a.npz", images=PIXELS, labels=LABELS)
    whole = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "a.npz").write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ValueError, match=r"Cannot read .*a\.npz: it is damaged, incomplete"):
        load(f"npz:{tmp_path / 'a.npz'}")


def test_a_damaged_middle_is_refused(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", images=PIXELS, labels=LABELS)
    content = bytearray((tmp_path / "a.npz").read_bytes())
    content[100:200] = bytes(100)
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(ValueError, match="it is damaged, incomplete"):
        load(f"npz:{tmp_path / 'a.npz'}")


def test_a_plain_npy_file_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", PIXELS)
    with pytest.raises(ValueError, match=r"or not an \.npz file"):
        load(f"npz:{tmp_path / 'a.npy'}")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"pictures": PIXELS, "labels": LABELS}, "must hold images .*Received: pictures, labels"),
        ({"images": PIXELS, "labels": LABELS[:9]}, "30 images but 9 labels"),
        ({"images": PIXELS * 1.0, "labels": LABELS}, "divide by 255"),
        ({"images": PIXELS, "labels": LABELS * 0}, "at least two classes"),
        (
            {"x_train": PIXELS, "y_train": LABELS, "x_test": PIXELS[:, :2], "y_test": LABELS},
            r"images of the parts differ in shape: \[\(2, 4\), \(4, 4\)\]",
        ),
    ],
)
def test_wrong_contents_are_refused(
    tmp_path: Path, arrays: dict[str, np.ndarray], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        load(saved(tmp_path / "a.npz", **arrays))


def test_contradictory_options_are_refused(tmp_path: Path) -> None:
    name = saved(tmp_path / "a.npz", images=PIXELS, labels=LABELS)
    with pytest.raises(ValueError, match="`tasks` names label columns"):
        load(name, tasks=("a", "b"))
    split = {"x_train": PIXELS, "y_train": LABELS, "x_test": PIXELS, "y_test": LABELS}
    with pytest.raises(ValueError, match="a test split of its own"):
        load(saved(tmp_path / "b.npz", **split), test=tmp_path / "a.npz")
    with pytest.raises(FileNotFoundError, match="There is no file"):
        load("npz:nowhere.npz")


def test_label_columns_may_have_gaps_and_declared_classes(tmp_path):
    path = tmp_path / "two_tasks.npz"
    labels = np.array([[0, 1], [1, np.nan], [0, 0], [1, 1]] * 5)
    np.savez(path, images=np.zeros((20, 4, 4, 1), np.uint8) + 7, labels=labels)
    images = load(
        f"npz:{path}",
        tasks=("shape", "mood"),
        class_names=("round", "square"),
        task_class_names={"mood": ("calm", "sad", "glad")},
    )
    assert images.tasks["mood"][:4].tolist() == [1, -1, 0, 1]
    assert images.task_class_names["mood"] == ("calm", "sad", "glad")
    assert images.labels[:4].tolist() == [0, 1, 0, 1]
