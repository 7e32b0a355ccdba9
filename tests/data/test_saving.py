"""What is saved comes back: to the last bit from a file, as others read it from a folder."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from kernel_lib.data import ImageSet, from_table, load
from kernel_lib.data.folder import load_folder
from kernel_lib.data.npz_file import load_npz
from kernel_lib.tasks.record_file import read_record, write_record


def a_set(num_images=24, channels=3, names=("zebra", "ape", "cat"), **changes):
    random, place = np.random.default_rng(channels), np.arange(num_images)
    pixels = random.integers(0, 256, (num_images, 6, 5, channels), np.uint8)
    made = ImageSet(
        np.divide(pixels, 255, dtype=np.float32),
        place % 3,
        names,
        name="a set",
        tasks={"size": np.where(place == 4, -1, place % 2), "split": place % 3},
        task_class_names={"size": ("small", "large"), "split": ("a", "b", "c")},
        masks=random.random((num_images, 6, 5)) < 0.3,
        splits={"train": place[11::-1], "calibration": place[12:15], "test": place[15:21]},
        notes=("3 files skipped: a.png",),
    )
    return replace(made, **changes)


def assert_equal(one, other):
    assert (one.name, one.class_names, one.notes) == (other.name, other.class_names, other.notes)
    assert one.images.tobytes() == other.images.tobytes()
    np.testing.assert_array_equal(one.labels, other.labels)
    assert list(one.tasks) == list(other.tasks)
    assert one.task_class_names == other.task_class_names
    for task in one.tasks:
        np.testing.assert_array_equal(one.tasks[task], other.tasks[task])
    assert (one.masks is None) == (other.masks is None)
    if one.masks is not None:
        np.testing.assert_array_equal(one.masks, other.masks)
    for name in one.splits:
        np.testing.assert_array_equal(np.sort(one.splits[name]), np.sort(other.splits[name]))


# --- one file ------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("is_bytes", [True, False])
def test_a_file_holds_everything_to_the_last_bit(channels, is_bytes, tmp_path):
    images = a_set(channels=channels)
    if not is_bytes:
        images = replace(
            images,
            images=images.images * np.float32(0.7),
            masks=None,
            tasks={},
            task_class_names={},
        )
    path = images.save(tmp_path / "set.npz")
    for again in (ImageSet.load(path), load_npz(path), load(f"npz:{path}")):
        assert_equal(images, again)
        assert again.digest == images.digest
    with np.load(path, allow_pickle=False) as arrays:  # as any other program reads it
        assert arrays["images"].dtype == (np.uint8 if is_bytes else np.float32)
        assert arrays["labels"].tolist() == images.labels.tolist()
    assert ImageSet.load(path).save(tmp_path / "again.npz").read_bytes() == path.read_bytes()


def test_a_saved_file_takes_the_options_that_fit(tmp_path):
    images = a_set()
    path = images.save(tmp_path / "set.npz")
    assert load_npz(path, primary="size").class_names == ("small", "large")
    assert load_npz(path, class_names=["ape", "cat", "zebra"]).labels[0] == 2
    with pytest.raises(ValueError, match="names its tasks, their classes and its splits itself"):
        load_npz(path, tasks=["size"])


def test_a_file_that_is_not_whole_is_refused(tmp_path):
    path = a_set().save(tmp_path / "set.npz")
    about, arrays = read_record(path, "an image set")
    for name in set(arrays) - {"masks"}:
        lacking = {key: value for key, value in arrays.items() if key != name}
        write_record(path, "an image set", about, lacking)
        with pytest.raises(ValueError, match="no whole image set"):
            ImageSet.load(path)
    with pytest.raises(FileNotFoundError):
        ImageSet.load(tmp_path / "none.npz")


# --- a folder ------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
def test_a_folder_comes_back(channels, tmp_path):
    images = a_set(channels=channels)
    folder = images.save(tmp_path / "set")
    again = ImageSet.load(folder)
    assert_equal(images, again)
    assert again.image_shape[2] == channels
    in_order = {name: np.sort(places) for name, places in images.splits.items()}
    assert again.digest == replace(images, splits=in_order).digest
    assert not [each for each in tmp_path.iterdir() if each.name.startswith(".")]


@pytest.mark.parametrize(
    "names",
    [
        ("a/b", "../up", "con"),
        ("Ape", "ape", "APE"),
        ("", "$\\frac{$", "x" * 300),
        ("null", "NA", "1"),
        ("3", "1", "2"),
        ('say "a, b"', " lead", "tail."),
        ("class_1", ".x", "ü"),
    ],
)
def test_names_of_classes_may_be_anything(names, tmp_path):
    images = a_set(names=names, tasks={}, task_class_names={})
    if "" in names:
        with pytest.raises(ValueError, match=r"empty name.*images\.save\('images\.npz'\)"):
            images.save(tmp_path / "set")
        assert ImageSet.load(images.save(tmp_path / "set.npz")).digest == images.digest
        return
    assert_equal(images, ImageSet.load(images.save(tmp_path / "set")))
    assert [each.name for each in tmp_path.iterdir()] == ["set"]


def test_the_readers_of_folders_and_tables_read_it(tmp_path):
    images = a_set()
    folder = images.save(tmp_path / "set")
    placed = np.concatenate([np.sort(images.splits[name]) for name in images.splits])

    found = load_folder(folder)
    assert found.class_names == images.class_names  # in their order, not the alphabet's
    expected = images.select(np.sort(placed))
    for split in ("train", "calibration", "test"):
        ours, theirs = expected.split(split), found.split(split)
        by_pixels = [
            np.argsort([image.tobytes() for image in each.images]) for each in (ours, theirs)
        ]
        assert ours.images[by_pixels[0]].tobytes() == theirs.images[by_pixels[1]].tobytes()
        assert ours.labels[by_pixels[0]].tolist() == theirs.labels[by_pixels[1]].tolist()

    table = from_table(
        folder / "labels.csv", label_columns=["label", "size"], class_names=folder / "classes.json"
    )
    assert table.images.tobytes() == images.images.tobytes()
    assert table.labels.tolist() == images.labels.tolist()
    assert table.class_names == images.class_names
    for name in images.splits:
        assert table.splits[name].tolist() == np.sort(images.splits[name]).tolist()
    assert table.task_class_names["size"] == ("small", "large")  # their order, not the alphabet's
    assert table.tasks["size"].tolist() == images.tasks["size"].tolist()
    bare = from_table(folder / "labels.csv", label_columns=["label"])
    assert (bare.class_names, bare.labels.tolist()) == (table.class_names, table.labels.tolist())


@pytest.mark.parametrize("names", [("1", "0", "2"), ("3", "1", "2"), ("0", "1", "2")])
def test_names_that_are_numbers_are_not_taken_for_class_ids(names, tmp_path):
    folder = a_set(names=names, tasks={}, task_class_names={}).save(tmp_path / "set")
    table = from_table(folder / "labels.csv")
    assert [table.class_names[k] for k in table.labels] == [names[k % 3] for k in range(24)]


def test_pixels_that_png_would_round_are_refused(tmp_path):
    images = a_set()
    with pytest.raises(ValueError, match="not whole 255ths, and PNG files would round them"):
        replace(images, images=images.images * np.float32(0.7)).save(tmp_path / "set")
    with pytest.raises(ValueError, match="2 channels, and PNG files hold 1 or 3"):
        a_set(channels=2).save(tmp_path / "set")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_holds_something_is_left_alone(tmp_path):
    (tmp_path / "set").mkdir()
    a_set().save(tmp_path / "set")  # an empty one is filled
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="exists and is not empty. Choose a new folder"):
        a_set().save(tmp_path / "full")
    assert [each.name for each in (tmp_path / "full").iterdir()] == ["mine.txt"]


def test_an_interrupted_folder_is_not_there(tmp_path, monkeypatch):
    from kernel_lib.data import saving

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(saving, "_write_table", interrupt)
    with pytest.raises(KeyboardInterrupt):
        a_set().save(tmp_path / "set")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("labels.csv", "zebra,", "lion,", "holds 'lion', which is none of its classes"),
        ("labels.csv", "train/zebra/000000", "../../x", "leads out of the folder"),
        ("labels.csv", "path,", "place,", "holds no whole image set"),
        ("image_set.json", '"an image set"', '"a cake"', "of another kind"),
        ("image_set.json", '"class_names": [', '"class_names": [3,', "no list of names"),
        ("image_set.json", "{", "{{", "cannot be read"),
        ("image_set.json", '"tasks": [', '"tasks": [3, ', "not names of columns and classes"),
        ("image_set.json", '"masks": true', '"mask": true', "holds no whole image set"),
    ],
)
def test_a_changed_folder_is_refused_in_words(file, old, new, message, tmp_path):
    folder = a_set(names=("zebra", "ape", "cat")).save(tmp_path / "set")
    path = folder / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(ValueError, match=message):
        ImageSet.load(folder)


def test_another_folder_is_told_how_to_be_read(tmp_path):
    with pytest.raises(
        ValueError, match=r"holds no image_set.json.*kernel_lib\.data\.load\('folder:"
    ):
        ImageSet.load(tmp_path)
    (tmp_path / "image_set.json").write_text(json.dumps([]))
    with pytest.raises(ValueError, match="cannot be read"):
        ImageSet.load(tmp_path)
