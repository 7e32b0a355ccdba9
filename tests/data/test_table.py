"""Tables of image files: several labels, missing labels, declared classes, splits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cures import follow
from kernel_lib.data import from_table, load
from kernel_lib.data.shapes import TASKS


@pytest.fixture
def frame(tmp_path: Path) -> pd.DataFrame:
    """Twelve grey files, each as bright as its row, and three labels of them."""
    for row in range(12):
        Image.new("L", (4, 4), 10 * row).save(tmp_path / f"{row}.png")
    return pd.DataFrame(
        {
            "path": [f"{row}.png" for row in range(12)],
            "animal": ["dog", "cat", "NA"] * 4,
            "age": [9, 10, 9, None] * 3,
            "split": ["train"] * 8 + ["test"] * 4,
        }
    )


def rows_of(images: object) -> list[int]:
    return (np.rint(images.images[:, 0, 0, 0] * 255).astype(int) // 10).tolist()


def test_columns_become_tasks_with_sorted_classes(frame: pd.DataFrame, tmp_path: Path) -> None:
    images = from_table(frame.drop(columns="split"), images_root=tmp_path, channels=1)
    assert rows_of(images) == list(range(12))
    assert images.class_names == ("NA", "cat", "dog")
    assert images.labels.tolist() == [2, 1, 0] * 4
    assert images.task_class_names["age"] == ("9", "10")
    assert images.tasks["age"].tolist() == [0, 1, 0, -1] * 3
    assert images.image_shape == (4, 4, 1)


def test_a_csv_file_is_the_same_as_its_frame(frame: pd.DataFrame, tmp_path: Path) -> None:
    frame.to_csv(tmp_path / "animals.csv", index=False)
    from_file = load(f"table:{tmp_path / 'animals.csv'}", split_column="split")
    from_frame = from_table(frame, tmp_path, split_column="split")
    assert from_file.digest == from_frame.digest
    assert "split" not in load(f"table:{tmp_path / 'animals.csv'}").tasks
    assert from_file.name == "animals"
    assert from_frame.name == "table"


def test_split_column_and_test_table(frame: pd.DataFrame, tmp_path: Path) -> None:
    images = from_table(frame, tmp_path, split_column="split")
    assert rows_of(images.test) == [8, 9, 10, 11]
    assert len(images.calibration) + len(images.train) == 8
    bare = frame.drop(columns="split")
    joined = from_table(bare.iloc[:8], tmp_path, test=bare.iloc[8:])
    assert joined.digest == images.digest
    frame["split"] = ["Train"] * 6 + ["val"] * 3 + [None] * 3
    images = from_table(frame, tmp_path, split_column="split")
    assert rows_of(images.test) == [6, 7, 8]
    assert sum(len(members) for members in images.splits.values()) == 9
    frame["split"] = "fold1"
    with pytest.raises(ValueError, match=r"'split' must hold train.*Received: fold1"):
        from_table(frame, tmp_path, split_column="split")


def test_rows_without_the_primary_label_are_left_out(frame: pd.DataFrame, tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="3 of 12 rows have no label 'age'"):
        images = from_table(frame, tmp_path, label_columns=["animal", "age"], primary="age")
    with pytest.raises(ValueError, match="No row of the table has a label 'age'"):
        from_table(frame.assign(age=None), tmp_path, primary="age", class_names={"age": ["a", "b"]})
    assert rows_of(images) == [0, 1, 2, 4, 5, 6, 8, 9, 10]
    assert images.notes == ("3 of 12 rows have no label 'age' and are left out",)
    assert images.class_names == ("9", "10")
    assert len(images.tasks["animal"]) == 9


def test_declared_classes_fix_their_number_and_order(frame: pd.DataFrame, tmp_path: Path) -> None:
    declared = {"animal": ("cow", "dog", "cat", "NA"), "age": ("10", "9", "8")}
    images = from_table(
        frame, tmp_path, label_columns=["animal", "age"], class_names=declared, num_images=12
    )
    assert images.num_classes == 4
    assert images.labels.tolist() == [1, 2, 3] * 4
    assert images.tasks["age"].tolist() == [1, 0, 1, -1] * 3


def test_whole_numbers_are_ids_of_declared_classes(frame: pd.DataFrame, tmp_path: Path) -> None:
    frame["code"] = [0, 2] * 6
    names = {"code": ("a", "b", "c")}
    images = from_table(frame, tmp_path, label_columns=["code"], class_names=names)
    assert images.labels.tolist() == [0, 2] * 6
    assert images.class_names == ("a", "b", "c")
    frame["code"] = [0, 3] * 6
    with pytest.raises(
        ValueError, match=r"'code' holds '3', but its classes are \('a', 'b', 'c'\)"
    ) as caught:
        from_table(frame, tmp_path, label_columns=["code"], class_names=names)
    kept = follow(caught.value, "frame", frame=frame)
    images = from_table(kept, tmp_path, label_columns=["code"], class_names=names)
    assert images.labels.tolist() == [0] * 6
    frame["code"] = [1, 2, 3] * 4
    with pytest.raises(ValueError, match=r"start at 0: frame\['code'\] -= 1"):
        from_table(frame, tmp_path, label_columns=["code"], class_names=names)
    frame["code"] -= 1
    images = from_table(frame, tmp_path, label_columns=["code"], class_names=names)
    assert images.labels.tolist() == [0, 1, 2] * 4


@pytest.mark.parametrize(
    "form",
    [
        ["cow", "Dog", "cat", "NA"],
        "cow,Dog,cat,NA",
        {"cow": 0, "Dog": 1, "cat": 2, "NA": 3},
    ],
)
def test_names_alone_are_those_of_the_primary_column(
    frame: pd.DataFrame, tmp_path: Path, form: Any
) -> None:
    images = from_table(frame, tmp_path, label_columns=["age", "animal"], primary="animal",
                        class_names=form)  # fmt: skip
    assert images.class_names == ("cow", "Dog", "cat", "NA")
    assert images.labels.tolist() == [1, 2, 3] * 4


def test_a_cap_is_balanced(frame: pd.DataFrame, tmp_path: Path) -> None:
    images = from_table(frame, tmp_path, label_columns=["animal"], num_images=6)
    assert np.bincount(images.labels).tolist() == [2, 2, 2]


def test_paths_may_not_leave_their_folder(frame: pd.DataFrame, tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    frame["path"] = "../0.png"
    with pytest.raises(ValueError, match=r"'\.\./0\.png' leads out of the folder"):
        from_table(frame, inner)
    frame["path"] = [str(tmp_path / f"{row}.png") for row in range(12)]
    assert rows_of(from_table(frame, label_columns=["animal"])) == list(range(12))


def test_unreadable_files_can_be_skipped(frame: pd.DataFrame, tmp_path: Path) -> None:
    (tmp_path / "5.png").unlink()
    with pytest.raises(ValueError, match=r"Cannot read the image file .*5\.png"):
        from_table(frame, tmp_path, label_columns=["animal"])
    with pytest.warns(UserWarning, match=r"1 image files were skipped.*5\.png"):
        images = from_table(frame, tmp_path, label_columns=["animal"], on_error="skip")
    assert rows_of(images) == [0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11]
    assert images.labels.tolist() == [2, 1, 0, 2, 1, 2, 1, 0, 2, 1, 0]


def test_published_tables_of_the_shapes(tmp_path: Path) -> None:
    header = "figNum,shape,color,size,background,quadrant,radius"
    rows = {
        "train": ["0,circle,violet,small,random,3,20", "1,hexagon,red,large,white,0,50"] * 5,
        "test": ["0,triangle,blue,medium,black,2,55"],
    }
    for part, lines in rows.items():
        lines = [f"{number}{line[1:]}" for number, line in enumerate(lines)]
        (tmp_path / f"{part}_lables.csv").write_text("\n".join([header, *lines]))
        (tmp_path / f"{part}_images").mkdir()
        for number in range(len(lines)):
            value = 10 * number + (5 if part == "test" else 0)
            Image.new("RGB", (8, 8), (value,) * 3).save(
                tmp_path / f"{part}_images" / f"{number}.png"
            )
    images = load(
        f"table:{tmp_path / 'train_lables.csv'}",
        test=tmp_path / "test_lables.csv",
        primary="quadrant",
    )
    assert images.class_names == TASKS["quadrant"]
    assert dict(images.task_class_names) == TASKS
    assert images.labels.tolist() == [3, 0] * 5 + [2]
    assert images.tasks["shape"].tolist() == [0, 4] * 5 + [2]
    assert images.tasks["background"].tolist() == [2, 0] * 5 + [1]
    assert "radius" not in images.tasks
    assert len(images.test) == 1
    assert np.rint(images.test.images * 255).max() == 5


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({}, {"path_column": "file"}, "no column 'file' of image paths.*Received: path, animal"),
        ({}, {"label_columns": ["hue"]}, "no column 'hue'. Received: path"),
        ({}, {"split_column": "fold"}, "no column 'fold'"),
        ({}, {"label_columns": []}, "no column of labels"),
        ({}, {"label_columns": ["age"], "primary": "animal"}, "`primary` must be one of 'age'"),
        ({"age": 0.5}, {}, "'age' holds fractions"),
        ({"animal": "dog"}, {}, "at least two classes"),
        ({"path": None}, {}, "must have an image path"),
        (
            {},
            {"class_names": {"animal": ("dog", "cat")}},
            "'animal' holds 'NA', but its classes are",
        ),
        ({}, {"class_names": {"animl": ("dog", "cat")}}, "Did you mean 'animal'"),
    ],
)
def test_wrong_tables_are_refused(
    frame: pd.DataFrame,
    tmp_path: Path,
    change: dict[str, object],
    options: dict[str, object],
    message: str,
) -> None:
    options = {"split_column": "split"} | options
    with pytest.raises(ValueError, match=message):
        from_table(frame.assign(**change), tmp_path, **options)


def test_the_folder_of_images_may_be_elsewhere(frame: pd.DataFrame, tmp_path: Path) -> None:
    (tmp_path / "labels").mkdir()
    frame.to_csv(tmp_path / "labels" / "animals.csv", index=False)
    images = load(f"table:{tmp_path / 'labels' / 'animals.csv'}", images_root=tmp_path)
    assert rows_of(images) == list(range(12))


def test_empty_and_missing_tables_are_refused(frame: pd.DataFrame, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there must be rows"):
        from_table(frame.iloc[:0], tmp_path)
    with pytest.raises(FileNotFoundError, match=r"There is no file .*none\.csv"):
        load(f"table:{tmp_path / 'none.csv'}")


def test_tables_of_another_form_are_refused_with_a_cure(
    frame: pd.DataFrame, tmp_path: Path
) -> None:
    file = tmp_path / "table.csv"
    frame = frame.drop(columns="age")
    for mark in (";", "\t", ","):
        frame.to_csv(file, sep=mark, index=False)
        assert len(from_table(file)) == 12
    frame.rename(columns={"path": "file name"}).to_csv(file, index=False)
    with pytest.raises(ValueError, match="It seems to be path_column='file name'"):
        from_table(file)
    assert len(from_table(file, path_column="file name")) == 12
    file.write_bytes(b"\xff\xfe\x00path")
    with pytest.raises(ValueError, match="cannot be read as a CSV file in UTF-8.*encoding="):
        from_table(file)
    file.write_bytes(b"")
    with pytest.raises(ValueError, match="cannot be read as a CSV file"):
        from_table(file)
