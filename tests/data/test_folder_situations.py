"""Folders as people have them: each gives the right pixels and classes, or a cure that works."""

from __future__ import annotations

import contextlib
import os
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

from kernel_lib.data import ImageSet, load
from kernel_lib.data.folder import load_folder
from kernel_lib.data.image_files import SkippedFilesWarning

# A file's pixels tell its true class: the value of every pixel is that of the class it was made of.
VALUES = {"cat": 40, "dog": 80, "emu": 120, "train": 160, "predict": 200, "images": 20, "masks": 60}


def picture(root: Path, where: str, value: int) -> None:
    """Write a flat grey picture."""
    (root / where).parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (3, 2), (value,) * 3).save(root / where)


def fill(root: Path, folders: Sequence[str]) -> None:
    """Make folders of three pictures of the class they are named by; "name/" makes an empty one."""
    for folder in folders:
        if folder.endswith("/"):
            (root / folder).mkdir(parents=True)
            continue
        value = VALUES[folder.lower().split("/")[-1]]
        for number in range(3):
            picture(root, f"{folder}/{number}.png", value)


def check_pixels(images: ImageSet) -> None:
    """Each image must hold the value of the class that its label names."""
    values = np.rint(images.images[:, 0, 0, 0] * 255).astype(int).tolist()
    assert values == [VALUES[images.class_names[label].lower()] for label in images.labels]


@dataclass
class Situation:
    folders: Sequence[str]
    classes: Sequence[str]
    sizes: Sequence[int] | None = None  # of train, calibration and test; None where they are drawn
    warned: str = ""
    noted: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    files: Sequence[str] = ()


CATS_DOGS = ("train/cat", "train/dog", "test/cat", "test/dog")
SPLIT = [5, 1, 6]
SITUATIONS = {
    "plain": Situation(("cat", "dog"), ("cat", "dog")),
    "nested": Situation(("cat/old/cat", "cat/young/cat", "dog"), ("cat", "dog")),
    "splits": Situation(CATS_DOGS, ("cat", "dog"), SPLIT),
    "splits in capitals": Situation(
        ("Train/cat", "Train/dog", "TEST/cat", "TEST/dog"), ("cat", "dog"), SPLIT
    ),
    "an empty __MACOSX": Situation(
        (*CATS_DOGS, "__MACOSX/"), ("cat", "dog"), SPLIT, noted="MACOSX"
    ),
    "a __MACOSX beside classes": Situation(("cat", "dog", "__MACOSX/"), ("cat", "dog")),
    "an empty annotations": Situation(
        (*CATS_DOGS, "annotations/"), ("cat", "dog"), SPLIT, noted="annotations"
    ),
    "an empty annotations beside classes": Situation(
        ("cat", "dog", "annotations/"), ("cat", "dog"), noted="annotations"
    ),
    "a flat predict": Situation(
        (*CATS_DOGS, "predict"), ("cat", "dog"), SPLIT, warned=r"predict/ \(3 images\)"
    ),
    "a flat predict beside one split": Situation(
        ("train/cat", "train/dog", "predict"), ("cat", "dog"), warned=r"predict/ \(3 images\)"
    ),
    "a flat test beside train": Situation(
        ("train/cat", "train/dog"), ("cat", "dog"), warned=r"test/ \(2 images\)",
        files=("test/1.png", "test/2.png"),
    ),
    "any other folder beside splits": Situation(
        (*CATS_DOGS, "emu", "logs/"), ("cat", "dog"), SPLIT, warned=r"emu/ \(3 images\)",
        noted="logs",
    ),
    "checkpoints of notebooks": Situation(
        ("cat", "dog", ".ipynb_checkpoints/", "cat/.ipynb_checkpoints/"), ("cat", "dog")
    ),
    "files of systems": Situation(
        ("cat", "dog"), ("cat", "dog"), files=("Thumbs.db", "cat/Thumbs.db", "cat/.DS_Store"),
    ),
    "test and val without train": Situation(
        ("val/cat", "val/dog", "test/cat", "test/dog"), ("cat", "dog"), [0, 6, 6]
    ),
    "test alone": Situation(("test/cat", "test/dog"), ("cat", "dog"), [0, 0, 6]),
    "train alone": Situation(("train/cat", "train/dog"), ("cat", "dog")),
    "validation for test": Situation(
        ("train/cat", "train/dog", "val/cat", "val/dog"), ("cat", "dog"), SPLIT
    ),
    "a class named train": Situation(("cat", "dog", "train"), ("cat", "dog", "train")),
    "a class missing in one split": Situation(
        ("train/cat", "train/dog", "test/dog"), ("cat", "dog"), [5, 1, 3]
    ),
    "a class spelled differently in one split": Situation(
        ("train/Cat", "train/dog", "test/cat", "test/dog"), ("Cat", "dog"), SPLIT,
        noted="'cat' as 'Cat'",
    ),
    "an empty class": Situation(
        ("cat", "dog/", "emu"), ("cat", "dog", "emu"), warned="no image in the folders 'dog'"
    ),
    "an empty class in one split": Situation(
        ("train/cat", "train/dog", "test/cat", "test/dog/"), ("cat", "dog"), [5, 1, 3]
    ),
    "an empty class, ignored": Situation(
        ("cat", "dog/", "emu"), ("cat", "emu"), options={"ignore": ["dog"]}
    ),
    "an order": Situation(
        ("cat", "dog", "emu"), ("emu", "cat", "dog"),
        options={"class_names": ["emu", "cat", "dog"]}, noted="in the order given",
    ),
    "an order as class_indices": Situation(
        CATS_DOGS, ("dog", "cat"), SPLIT, options={"class_names": {"cat": 1, "dog": 0}}
    ),
    "an order with an absent class": Situation(
        ("cat", "emu"), ("emu", "dog", "cat"), options={"class_names": "emu,dog,cat"},
        noted="no image of the classes 'dog'",
    ),
    "one class of two": Situation(
        ("dog",), ("cat", "dog"), options={"class_names": ["cat", "dog"]}
    ),
    "names over looks": Situation(
        ("cat", "predict"), ("predict", "cat"), options={"class_names": ["predict", "cat"]}
    ),
    "an order in other spelling": Situation(
        ("cat", "dog"), ("DOG", "Cat"), options={"class_names": ["DOG", "Cat"]},
        noted="'cat' for 'Cat'",
    ),
    "an empty folder not named": Situation(
        ("cat", "dog", "emu/"), ("dog", "cat"), options={"class_names": ["dog", "cat"]},
        noted="no classes: 'emu'",
    ),
    "pictures beside class folders": Situation(
        ("cat", "dog"), ("cat", "dog"), files=("cover.png",), warned="beside.*, 1: .*cover.png"
    ),
    "pictures beside class folders in a split": Situation(
        CATS_DOGS, ("cat", "dog"), SPLIT, files=("train/c.png",), warned="beside.*train/c.png"
    ),
    "kinds not known": Situation(
        ("cat", "dog"), ("cat", "dog"), files=("cat/1.heic", "dog/2.HEIC", "dog/3.cr2"),
        warned=r"not read, 3: 1 \.cr2, 2 \.heic",
    ),
    "texts and tables": Situation(
        ("cat", "dog"), ("cat", "dog"), files=("cat/1.txt", "labels.csv"),
        noted=r"1 \.csv, 1 \.txt",
    ),
    "layout said: classes": Situation(
        ("train/train", "dog"), ("dog", "train"), options={"layout": "classes"}
    ),
    "layout said: splits": Situation(
        ("test/cat", "test/dog", "emu"), ("cat", "dog"), [0, 0, 6],
        options={"layout": "splits"}, warned=r"emu/ \(3 images\)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SITUATIONS)
def test_right_pixels_and_classes(tmp_path: Path, name: str) -> None:
    here = SITUATIONS[name]
    fill(tmp_path, here.folders)
    for each in here.files:
        picture(tmp_path, "x.png", 0)
        (tmp_path / each).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "x.png").rename(tmp_path / each)
    expecting = (
        pytest.warns(SkippedFilesWarning, match=here.warned)
        if here.warned
        else contextlib.nullcontext()
    )
    with expecting:
        images = load(f"folder:{tmp_path}", **here.options)
    assert images.class_names == tuple(here.classes)
    check_pixels(images)
    notes = " | ".join(images.notes)
    assert re.search(here.warned, notes), "what is warned of is noted"
    assert re.search(here.noted, notes)
    if here.sizes:
        assert [len(images.splits[split]) for split in images.splits] == here.sizes
    if not here.options and not set(here.folders) & {"predict", "annotations/", "__MACOSX/"}:
        assert_as_keras(tmp_path, images)


def assert_as_keras(root: Path, images: ImageSet) -> None:
    """Where there are no splits, Keras must find the same classes in the same order."""
    if not any((root / name).is_dir() for name in images.class_names):
        return
    theirs = keras.utils.image_dataset_from_directory(root, image_size=(2, 3), verbose=False)
    assert tuple(theirs.class_names) == images.class_names


def test_folders_of_numbers_are_in_keras_order_and_say_so(tmp_path: Path) -> None:
    for number in range(11):
        picture(tmp_path, f"{number}/1.png", number)
    images = load(f"folder:{tmp_path}")
    assert images.class_names[2] == "10"
    assert any("alphabetical order" in note for note in images.notes)
    ordered = load(f"folder:{tmp_path}", class_names=[str(number) for number in range(11)])
    assert np.rint(ordered.images[:, 0, 0, 0] * 255).tolist() == ordered.labels.tolist()


@pytest.mark.parametrize(
    ("folders", "message", "cure"),
    [
        (("cat", "dog", "emu"), "does not name: 'emu'", r"ignore=\['emu'\]"),
        (("cat", "predict"), "does not name: 'predict'", r"ignore=\['predict'\]"),
    ],
)
def test_folders_not_named_are_refused_with_a_cure(
    tmp_path: Path, folders: Sequence[str], message: str, cure: str
) -> None:
    fill(tmp_path, folders)
    wanted = {"class_names": ["dog", "cat"]}
    if "predict" in folders:  # it looks like no class, so it is left out, and that is said
        with pytest.warns(SkippedFilesWarning, match=r"predict/ \(3 images\)"):
            images = load(f"folder:{tmp_path}", **wanted)
        check_pixels(images)
        return
    with pytest.raises(ValueError, match=message) as caught:
        load(f"folder:{tmp_path}", **wanted)
    found = re.search(cure, str(caught.value))
    assert found
    options = eval(f"dict({found.group()})")
    images = load(f"folder:{tmp_path}", **wanted, **options)
    assert images.class_names == ("dog", "cat")
    check_pixels(images)


def loaded_as_told(error: BaseException, root: Path, options: str = "") -> ImageSet:
    """Follow a cure that is a call of `kernel_lib.data.load` or an option of it."""
    import kernel_lib.data

    call = re.search(r"kernel_lib\.data\.load\('[^']*'\)", str(error))
    if options:
        return load(f"folder:{root}", **eval(f"dict({options})"))
    assert call
    return eval(call.group(), {"kernel_lib": kernel_lib})


def test_one_split_word_beside_classes_is_refused_with_two_cures(tmp_path: Path) -> None:
    fill(tmp_path, ("test/cat", "test/dog", "emu"))
    with pytest.raises(ValueError, match="whether 'test/' of .* is a split or a class") as caught:
        load(f"folder:{tmp_path}")
    for option in re.findall(r"layout='\w+'", str(caught.value)):
        with warnings.catch_warnings(action="ignore"):
            images = loaded_as_told(caught.value, tmp_path, option)
        expected = {"classes": ("emu", "test"), "splits": ("cat", "dog")}
        assert images.class_names == expected[option.split("'")[1]]


def test_classes_one_folder_deeper_are_pointed_at(tmp_path: Path) -> None:
    fill(tmp_path, ("set/cat", "set/dog"))
    with pytest.raises(ValueError, match="one folder deeper") as caught:
        load(f"folder:{tmp_path}")
    check_pixels(loaded_as_told(caught.value, tmp_path))


def test_pictures_without_folders_are_photos(tmp_path: Path) -> None:
    picture(tmp_path, "1.png", 7)
    with pytest.raises(ValueError, match="1 images lie directly in it") as caught:
        load(f"folder:{tmp_path}")
    assert load(re.search(r"photos:[^']*", str(caught.value)).group()).num_classes == 1


def test_a_single_class_is_refused_with_a_cure(tmp_path: Path) -> None:
    fill(tmp_path, ("dog",))
    with pytest.raises(ValueError, match=r"one class of several.*class_names=\[\.\.\.\]"):
        load(f"folder:{tmp_path}")
    check_pixels(load(f"folder:{tmp_path}", class_names=["cat", "dog"]))


@pytest.mark.parametrize("folders", [("images", "labels/"), ("train/images", "train/masks")])
def test_sets_for_other_tasks_are_told(tmp_path: Path, folders: Sequence[str]) -> None:
    fill(tmp_path, folders)
    with pytest.raises(ValueError, match="detection or segmentation.*table:labels") as caught:
        load(f"folder:{tmp_path}")
    if "train/masks" in folders:
        option = re.search(r"class_names=\[.*?\]", str(caught.value)).group()
        check_pixels(loaded_as_told(caught.value, tmp_path, option))


def test_flat_splits_are_refused_with_cures(tmp_path: Path) -> None:
    picture(tmp_path, "train/1.png", VALUES["cat"])
    picture(tmp_path, "test/2.png", VALUES["dog"])
    with pytest.raises(ValueError, match="without class folders.*table:labels") as caught:
        load(f"folder:{tmp_path}")
    option = re.search(r"layout='classes'", str(caught.value)).group()
    assert loaded_as_told(caught.value, tmp_path, option).class_names == ("test", "train")
    (tmp_path / "labels.csv").write_text("path,label\ntrain/1.png,cat\ntest/2.png,dog\n")
    check_pixels(load(f"table:{tmp_path / 'labels.csv'}"))


def test_broken_links_are_named(tmp_path: Path) -> None:
    fill(tmp_path, ("cat", "dog"))
    (tmp_path / "cat" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    with pytest.warns(SkippedFilesWarning, match="lead nowhere, or no files, 1: 'cat/gone.png'"):
        check_pixels(load(f"folder:{tmp_path}"))


def test_the_same_name_with_two_suffixes_is_noted(tmp_path: Path) -> None:
    fill(tmp_path, ("cat", "dog"))
    picture(tmp_path, "cat/1.bmp", VALUES["cat"])
    images = load(f"folder:{tmp_path}")
    check_pixels(images)
    assert any("2 files share their name" in note for note in images.notes)


def test_unknown_folders_to_ignore_are_refused(tmp_path: Path) -> None:
    fill(tmp_path, ("cat", "dog"))
    with pytest.raises(ValueError, match="`ignore` names folders that are not there: 'god'"):
        load(f"folder:{tmp_path}", ignore="god")


def test_photos_name_what_they_leave_out(tmp_path: Path) -> None:
    picture(tmp_path, "1.png", 7)
    for name in ("2.heic", "notes.txt", ".DS_Store"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "more").mkdir()
    with pytest.warns(SkippedFilesWarning, match=r"files not read, 1: 1 \.heic"):
        images = load(f"photos:{tmp_path}", class_names=["cat", "dog"])
    notes = " | ".join(images.notes)
    assert re.search(r"more.*1 \.txt.*1 \.heic.*have no classes", notes)
    (tmp_path / "more" / "sub").mkdir()
    with pytest.raises(ValueError, match="If its folders are classes"):
        load(f"photos:{tmp_path / 'more'}")


def test_ignored_folders_are_left_out_at_any_depth(tmp_path: Path) -> None:
    fill(tmp_path, ("train/cat", "train/dog", "train/emu", "test/cat", "test/emu"))
    picture(tmp_path, "train/cat/thumbnails/1.png", 1)
    picture(tmp_path, "train/cat/thumbnails/1.heic.png", 1)
    images = load(f"folder:{tmp_path}", ignore="thumbnails, train/emu, test/emu/")
    assert images.class_names == ("cat", "dog")
    check_pixels(images)
    assert any("'train/cat/thumbnails'" in note for note in images.notes)


def test_links_are_followed_where_that_is_asked_for(tmp_path: Path) -> None:
    fill(tmp_path, ("set/cat", "else/dog", "else/emu"))
    root = tmp_path / "set"
    (root / "dog").symlink_to(tmp_path / "else" / "dog", target_is_directory=True)
    (root / "emu").mkdir()
    (root / "emu" / "1.png").symlink_to(tmp_path / "else" / "emu" / "1.png")
    (root / "emu" / "circle").symlink_to(root, target_is_directory=True)
    with pytest.warns(SkippedFilesWarning, match="not followed .*, 1: 'emu/circle'"):
        images = load(f"folder:{root}", follow_links=True)
    assert images.class_names == ("cat", "dog", "emu")
    assert np.bincount(images.labels).tolist() == [3, 3, 1]
    check_pixels(images)
    with pytest.warns(SkippedFilesWarning, match=r"follow_links=True.*, 3: "):
        assert load(f"folder:{root}", class_names=["cat", "emu", "dog"]).num_classes == 3


def test_a_pipe_named_as_an_image_does_not_hang(tmp_path: Path) -> None:
    fill(tmp_path, ("cat", "dog"))
    os.mkfifo(tmp_path / "cat" / "4.png")
    with pytest.warns(SkippedFilesWarning, match=r"or no files, 1: 'cat/4\.png'"):
        check_pixels(load(f"folder:{tmp_path}"))


def test_folders_that_cannot_be_opened_are_not_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path, ("cat", "dog"))
    scandir = os.scandir

    def closed(path: Any) -> Any:
        if Path(path).name == "dog":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)
    with pytest.raises(PermissionError, match="dog"):
        load(f"folder:{tmp_path}")


def test_files_that_cannot_be_read_are_refused_with_a_cure(tmp_path: Path) -> None:
    fill(tmp_path, ("cat", "dog"))
    (tmp_path / "cat" / "0.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"not an image\. on_error='skip' leaves"):
        load(f"folder:{tmp_path}")
    with pytest.warns(SkippedFilesWarning):
        images = load(f"folder:{tmp_path}", on_error="skip")
    check_pixels(images)
    assert "1 file skipped" in images.notes[0]


def test_kinds_not_known_alone_are_told_with_a_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("cat", "dog"):
        picture(tmp_path, f"{name}/1.png", VALUES[name])
        (tmp_path / name / "1.png").rename(tmp_path / name / "1.heic")
    with pytest.raises(ValueError, match=r"2 \.heic .*pillow_heif\.register_heif_opener\(\)"):
        load(f"folder:{tmp_path}")
    # What the plugin does once it is registered: its suffix is one that Pillow knows.
    monkeypatch.setitem(Image.EXTENSION, ".heic", "PNG")
    check_pixels(load(f"folder:{tmp_path}"))


def test_unknown_options_of_reading_are_answered_with_the_known_ones(tmp_path: Path) -> None:
    fill(tmp_path, ("cat", "dog"))
    with pytest.raises(TypeError, match="options size, crop, .*Received: sise"):
        load_folder(tmp_path, sise=3)
