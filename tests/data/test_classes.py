"""Names of classes in every form, and labels brought into another order by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cures import follow
from kernel_lib.data import ImageSet, class_name_list, from_arrays
from kernel_lib.data.classes import match_names, only_counted, quoted

# An image says its own class: its pixels are a tenth of the letter's place in the alphabet.
LETTERS = "abcd"


def letters(order: str, counts: dict[str, int] | None = None, **more: Any) -> ImageSet:
    """Make images of classes named by the letters of `order`; pixel values tell the letter."""
    counts = counts or dict.fromkeys(order, 6)
    labels = np.repeat(np.arange(len(order)), [counts.get(letter, 0) for letter in order])
    values = np.array([LETTERS.index(letter) / 10 for letter in order])[labels]
    return ImageSet(
        np.broadcast_to(values[:, None, None, None], (len(labels), 2, 2, 1)),
        labels,
        class_names=tuple(order),
        **more,
    )


def told(images: ImageSet) -> list[str]:
    """The true letter of each image, read off its pixels."""
    return [LETTERS[round(value * 10)] for value in images.images[:, 0, 0, 0]]


def named(images: ImageSet) -> list[str]:
    """The letter of each image by its label."""
    return [images.class_names[label] for label in images.labels]


@pytest.mark.parametrize(
    "given",
    [
        ["dog", "cat"],
        ("dog", "cat"),
        np.array(["dog", "cat"]),
        {"cat": 1, "dog": 0},
        {0: "dog", 1: "cat"},
        {"0": "dog", "1": "cat"},
        {"cat": np.int64(1), "dog": np.int64(0)},
        "dog, cat",
    ],
)
def test_every_form_of_names_is_read(given: Any) -> None:
    assert class_name_list(given) == ("dog", "cat")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("names.txt", "dog\ncat\n"),
        ("names.txt", "\ufeffdog\r\n cat \r\n\r\n"),
        ("labels", "dog\ncat"),
        ("names.json", '["dog", "cat"]'),
        ("class_indices.json", '{"cat": 1, "dog": 0}'),
        ("names.json", '{"1": "cat", "0": "dog"}'),
    ],
)
def test_every_file_of_names_is_read(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert class_name_list(tmp_path / name) == class_name_list(str(tmp_path / name))
    assert class_name_list(tmp_path / name) == ("dog", "cat")


def test_ten_and_more_indices_are_in_the_order_of_numbers() -> None:
    mapping = {str(number): f"class {number}" for number in range(12)}
    assert class_name_list(json.loads(json.dumps(mapping))) == tuple(mapping.values())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["cat"], "at least two classes"),
        ([], "at least two classes. Received: none"),
        (["cat", "dog", "cat"], "Received twice: 'cat'"),
        ({"cat": 1, "dog": 2}, "from 0 without a gap"),
        ({"cat": 0, "dog": 0}, "from 0 without a gap"),
        ("cats", "there is no such file"),
        (3, "must be a list of names"),
        ({"cat", "dog"}, "must be a list of names"),
        ("nowhere/names.txt", r"There is no file nowhere.names\.txt"),
    ],
)
def test_other_forms_are_refused(given: Any, message: str) -> None:
    with pytest.raises((ValueError, TypeError, FileNotFoundError), match=message):
        class_name_list(given)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"{", "is not JSON"), (b"3", "must hold a list"), (b"\xff\xfe\x00", "not text in UTF-8")],
)
def test_files_of_something_else_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "names.json").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        class_name_list(tmp_path / "names.json")


def test_names_match_loosely_only_where_that_leaves_one_choice() -> None:
    match = match_names(
        ["Sweet Pepper", "cat", "polar-bear"], ["cat", "polar_bear", "sweet_pepper"]
    )
    assert match.places.tolist() == [2, 0, 1]
    assert match.loose == (("Sweet Pepper", "sweet_pepper"), ("polar-bear", "polar_bear"))
    assert match_names(["Cat"], ["cat", "CAT"]).unknown == ("Cat",)
    assert match_names(["CAT", "Cat"], ["cat", "dog"]).unknown == ("CAT", "Cat")
    # The exact name keeps its own place; the other spelling has none left.
    assert match_names(["cat", "Cat"], ["cat", "dog"]).places.tolist() == [0, -1]
    assert only_counted(("0", "1")) and not only_counted(("1", "0")) and not only_counted("ab")
    assert quoted(map(str, range(12))).endswith("'9' and 2 more")


@pytest.mark.parametrize("wanted", ["cba", "bca", "dcba", "acdb"])
def test_labels_follow_their_names(wanted: str) -> None:
    images = letters("abc", tasks={"letter": np.repeat(np.arange(3), 6), "odd": np.arange(18) % 2},
                     task_class_names={"letter": tuple("abc")})  # fmt: skip
    moved = images.with_classes(list(wanted))
    assert moved.class_names == tuple(wanted)
    assert told(moved) == named(moved)
    assert moved.num_classes == len(wanted)
    np.testing.assert_array_equal(moved.tasks["letter"], moved.labels)
    assert moved.task_class_names["letter"] == tuple(wanted)
    np.testing.assert_array_equal(moved.tasks["odd"], images.tasks["odd"])
    assert all(np.array_equal(moved.splits[name], images.splits[name]) for name in images.splits)
    assert "by name" in moved.notes[0]
    assert ("no image of the classes 'd'" in moved.notes) == ("d" in wanted)


def test_there_and_back_is_the_same_set() -> None:
    images = letters("abc")
    assert images.with_classes("a,b,c") is images
    assert (
        images.with_classes(["c", "a", "b"]).with_classes(["a", "b", "c"]).digest == images.digest
    )


def test_classes_without_images_may_go_unnamed() -> None:
    moved = letters("abc", {"a": 5, "c": 5}).with_classes(["c", "a"])
    assert moved.class_names == ("c", "a")
    assert told(moved) == named(moved)


def test_numbers_get_names_in_the_order_given() -> None:
    images = from_arrays(np.zeros((6, 2, 2, 1)), np.arange(6) % 3)
    assert images.with_classes(["x", "y", "z"]).labels.tolist() == images.labels.tolist()
    four = images.with_classes(["x", "y", "z", "w"])
    assert (four.num_classes, four.notes[1]) == (4, "no image of the classes 'w'")
    assert images.with_classes([str(index) for index in range(5)]).num_classes == 5


def test_unknown_names_are_refused_with_a_cure_that_works() -> None:
    images = letters("abcd")
    with pytest.raises(ValueError, match=r"not among those named: 'b', 'd'\. Named: 'c', 'a'") as e:
        images.with_classes(["c", "a"])
    moved = follow(e.value, images=images).with_classes(["c", "a"])
    assert set(told(moved)) == {"a", "c"}
    assert told(moved) == named(moved)


def test_names_in_another_language_are_refused_with_a_cure_that_works() -> None:
    images = letters("abc")
    with pytest.raises(ValueError, match="None of the names is the same") as caught:
        images.with_classes(["alpha", "beta", "gamma"])
    renamed = follow(caught.value, images=images)
    assert renamed.class_names == ("alpha", "beta", "gamma")
    assert renamed.labels.tolist() == images.labels.tolist()


def test_labels_from_one_are_refused_with_a_cure_that_works() -> None:
    images = from_arrays(np.zeros((6, 2, 2, 1)), np.arange(6) % 3 + 1)
    with pytest.raises(ValueError, match="from 1 to 3, and class ids start at 0") as caught:
        images.with_classes(["x", "y", "z"])
    mended = follow(caught.value, images=images).with_classes(["x", "y", "z"])
    assert mended.labels.tolist() == [0, 1, 2, 0, 1, 2]


def test_numbers_above_the_names_are_refused_with_a_cure_that_works() -> None:
    images = from_arrays(np.zeros((8, 2, 2, 1)), np.arange(8) % 4)
    with pytest.raises(ValueError, match=r"labels must lie in 0\.\.1.*up to 3") as caught:
        images.with_classes(["x", "y"])
    assert follow(caught.value, images=images).with_classes(["x", "y"]).num_classes == 2


def test_labels_that_are_ids_do_not_hang() -> None:
    ids = np.array([10_000_000, 17, 20_000_000, 17])
    with pytest.raises(ValueError, match="run to 20000000 in 4 images: they look like ids") as e:
        from_arrays(np.zeros((4, 2, 2, 1)), ids)
    assert follow(e.value, "labels", labels=ids).tolist() == [1, 0, 2, 0]
    with pytest.raises(ValueError, match=r"`tasks\['person'\]` run to 20000000"):
        from_arrays(np.zeros((4, 2, 2, 1)), [0, 1, 0, 1], tasks={"person": ids})


def test_notes_stay_with_every_part_and_do_not_count() -> None:
    images = letters("abc", notes=("2 files skipped", "2 files skipped"))
    assert images.notes == ("2 files skipped",)
    for part in (
        images.test,
        images.sample(6),
        images.select([0, 7]),
        images.with_classes("c,b,a"),
    ):
        assert part.notes[0] == "2 files skipped"
    assert images.digest == letters("abc").digest
    assert "2 files skipped" in images._repr_html_()
