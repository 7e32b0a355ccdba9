"""Image sets from a table: one row per image file, one column per label."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kernel_lib._checks import check_choice
from kernel_lib.data import saving
from kernel_lib.data._shape_labels import TASKS
from kernel_lib.data.classes import ClassNames, class_name_list, match_names, quoted
from kernel_lib.data.image_files import from_files
from kernel_lib.data.image_formats import is_image_file
from kernel_lib.data.image_set import ImageSet
from kernel_lib.data.reading import as_reading
from kernel_lib.data.splits import SPLIT_NAMES, SPLIT_WORDS, completed_splits
from kernel_lib.tasks.untrusted import check_table, untrusted

if TYPE_CHECKING:
    import pandas as pd

_OTHER_MARKS = (";", "\t", "|")  # between columns, where it is no comma
_PUBLISHED_ID = "figNum"  # the column that marks the published label files of the shapes


def from_table(
    table: pd.DataFrame | str | Path,
    images_root: str | Path | None = None,
    *,
    path_column: str = "path",
    label_columns: Sequence[str] | None = None,
    primary: str | None = None,
    class_names: Mapping[str, Sequence[str]] | ClassNames | None = None,
    split_column: str | None = None,
    test: pd.DataFrame | str | Path | None = None,
    num_images: int | None = None,
    seed: int = 0,
    **reading: Any,
) -> ImageSet:
    """Read images named by a table that holds one or several labels of each.

    A label may be missing, as an empty field; it is -1 in `ImageSet.tasks`. Rows whose `primary`
    label is missing are left out with a warning. The published label files of the generated shapes
    (`train_lables.csv`, spelled so, beside a folder `train_images`) are recognised by their header.

    Args:
        table: a DataFrame, or the path of a CSV file with a header.
        images_root: folder that paths are relative to and may not leave; the folder of the CSV
            file when left out. Paths of a DataFrame without it are taken as they stand.
        path_column: the column of image paths.
        label_columns: the columns of labels; all but those of paths and splits when left out.
        primary: the column whose classes become `labels`; the first when left out.
        class_names: classes of some or all columns, in order, as {column: names}; or the classes of
            `primary` alone, in any form of `class_name_list`. They fix the number of classes, also
            of those without an image. Whole numbers in the table are then class ids. A column
            without them has the classes that occur in it, sorted.
        split_column: column that holds train, test or calibration (or validation), or nothing for
            images in no split; the column "split" when left out and there is one.
        test: a second table of the same form, whose images are the test split.
        num_images: if given, read at most so many, balanced over the classes.
        seed: seed of the splits that are drawn and of the images kept.
        **reading: how files are read: `size`, `crop`, `channels`, `on_error`, `exif`, `alpha`,
            `interpolation`, `bits`; see `kernel_lib.data.Reading`.

    Raises:
        ValueError: If a column is missing, a label has no class, a split no meaning, a path leaves
            `images_root`, or an image cannot be read.
        FileNotFoundError: If there is no such CSV file.

    Example:
        from_table("faces/labels.csv", label_columns=["smile", "glasses"], primary="smile", size=64)
    """
    frame = _opened(table, images_root, path_column)
    if test is not None:
        frame = _with_test(frame, _opened(test, images_root, path_column))
    if test is not None or (split_column is None and "split" in frame):
        split_column = "split"
    label_columns = _label_columns(frame, label_columns, {path_column, split_column})
    primary = check_choice("primary", primary or label_columns[0], label_columns)
    published_schema = TASKS if set(label_columns) == set(TASKS) else {}
    saved = saving.classes_of_table(Path(table)) if isinstance(table, str | Path) else {}
    known = {column: names for column, names in saved.items() if column in label_columns}
    declared = {**published_schema, **known, **_declared(class_names, primary, label_columns)}
    encoded = {each: _encoded(frame[each], declared.get(each)) for each in label_columns}

    rows, notes = _labelled_rows(primary, encoded[primary][0])
    tasks = {column: labels[rows] for column, (labels, _) in encoded.items()}
    published = _published_splits(frame, split_column, rows)
    return from_files(
        [Path(file) for file in frame[path_column].to_numpy()[rows]],
        tasks[primary],
        completed_splits(tasks[primary], published, seed=seed),
        tasks=tasks,
        class_names=encoded[primary][1],
        task_class_names={column: names for column, (_, names) in encoded.items()},
        name=Path(table).stem if isinstance(table, (str, Path)) else "table",
        num_images=num_images,
        seed=seed,
        reading=as_reading(reading),
        notes=notes,
    )


def _declared(
    class_names: Mapping[str, Sequence[str]] | ClassNames | None,
    primary: str,
    label_columns: Sequence[str],
) -> dict[str, Sequence[str]]:
    """Return the names of classes by column."""
    if class_names is None:
        return {}
    if not isinstance(class_names, Mapping) or all(
        isinstance(value, (str, Integral)) for value in class_names.values()
    ):
        return {primary: class_name_list(class_names)}
    return {
        check_choice("class_names", column, label_columns): class_name_list(names)
        for column, names in class_names.items()
    }


def _opened(
    table: pd.DataFrame | str | Path, images_root: str | Path | None, path_column: str
) -> pd.DataFrame:
    """Return the table with whole paths in its path column."""
    import pandas as pd

    if isinstance(table, pd.DataFrame):
        frame = table.copy()
    else:
        if not Path(table).is_file():
            raise FileNotFoundError(f"There is no file {table}.")
        frame = _read_csv(Path(table))
        images_root = Path(table).parent if images_root is None else images_root
        if {_PUBLISHED_ID, *TASKS} <= set(frame) and path_column not in frame:
            frame = _published_shapes(frame, Path(table), path_column)
    if path_column not in frame:
        raise ValueError(
            f"The table has no column {path_column!r} of image paths; name it with `path_column`. "
            f"Received: {', '.join(map(str, frame))}.{_path_advice(frame)}"
        )
    if len(frame) == 0 or frame[path_column].isna().any():
        raise ValueError("Every row of the table must have an image path, and there must be rows.")
    frame[path_column] = [_confined(each, images_root) for each in frame[path_column]]
    return frame


def _read_csv(table: Path) -> pd.DataFrame:
    import pandas as pd

    advice = (
        "Read it as it is, and pass the table: kernel_lib.data.from_table(pandas.read_csv(path, "
        "sep=..., encoding=...), images_root)."
    )
    with untrusted(f"{table} cannot be read as a CSV file in UTF-8", advice):
        check_table(table)
        # Only empty fields are missing labels: "NA" and "None" may well be names of classes.
        frame = pd.read_csv(table, keep_default_na=False, na_values=[""])
        header = str(frame.columns[0])
        mark = next((mark for mark in _OTHER_MARKS if mark in header), None)
        if frame.shape[1] > 1 or mark is None:
            return frame
        return pd.read_csv(table, sep=mark, keep_default_na=False, na_values=[""])


def _path_advice(frame: pd.DataFrame) -> str:
    """What may be meant where the column of paths is not found."""
    for column in frame:
        values = frame[column].head(20)
        if len(values) and all(is_image_file(Path(str(value))) for value in values):
            return f" It seems to be path_column={column!r}."
    return ""


def _published_shapes(frame: pd.DataFrame, table: Path, path_column: str) -> pd.DataFrame:
    """Return the label file of the generated shapes with a path for each figure number."""
    folder = f"{table.name.partition('_')[0]}_images"
    paths = [f"{folder}/{number}.png" for number in frame[_PUBLISHED_ID]]
    return frame[list(TASKS)].assign(**{path_column: paths})


def _confined(path: object, root: str | Path | None) -> str:
    """Return the whole path, which must not lead out of `root`."""
    if root is None:
        return str(path)
    whole = Path(root) / str(path)
    if not whole.resolve().is_relative_to(Path(root).resolve()):
        raise ValueError(f"The path {str(path)!r} leads out of the folder {root}.")
    return str(whole)


def _with_test(frame: pd.DataFrame, test: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    return pd.concat([frame.assign(split="train"), test.assign(split="test")], ignore_index=True)


def _label_columns(
    frame: pd.DataFrame, wanted: Sequence[str] | None, others: set[str | None]
) -> list[str]:
    columns = (
        [str(each) for each in frame if each not in others] if wanted is None else list(wanted)
    )
    if not columns:
        raise ValueError("The table has no column of labels.")
    missing = [each for each in {*columns, *others} - {None} if each not in frame]
    if missing:
        raise ValueError(
            f"The table has no column {', '.join(map(repr, missing))}. "
            f"Received: {', '.join(map(str, frame))}."
        )
    return columns


def _encoded(column: pd.Series, names: Sequence[str] | None) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return class ids int64 (num_rows,), -1 where missing, and the names of the classes."""
    import pandas as pd

    present = column.notna().to_numpy()
    if pd.api.types.is_numeric_dtype(column):
        values = _whole_numbers(column[present])
    else:
        values = column[present].to_numpy().astype(str)
    found, places = np.unique(values, return_inverse=True)
    ids, names = _class_ids(str(column.name), found, names)
    labels = np.full(len(column), -1)
    labels[present] = ids[places]
    return labels, names


def _whole_numbers(values: pd.Series) -> np.ndarray:
    numbers = values.to_numpy(float)
    if (numbers % 1 != 0).any():
        raise ValueError(
            f"The column {values.name!r} holds fractions, so it is no column of labels. Name those "
            "that are with `label_columns`."
        )
    return numbers.astype(np.int64)


def _class_ids(
    column: str, found: np.ndarray, names: Sequence[str] | None
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the class id of each value found in a column, and the names of all classes."""
    words = [str(value) for value in found]
    if names is None:
        return np.arange(len(words)), tuple(words)
    names = tuple(str(name) for name in names)
    match = match_names(words, names)
    if not match.unknown:
        return match.places, names
    if found.dtype.kind == "i" and found.min() >= 0 and found.max() < len(names):
        return found, names
    raise ValueError(_unknown_classes(column, found, names, match.unknown))


def _unknown_classes(
    column: str, found: np.ndarray, names: tuple[str, ...], unknown: Sequence[str]
) -> str:
    if found.dtype.kind == "i":
        unknown = [str(value) for value in found if not 0 <= value < len(names)]
    message = f"The column {column!r} holds {quoted(unknown)}, but its classes are {names}."
    if found.dtype.kind == "i" and found.min() == 1 and found.max() == len(names):
        return f"{message} Class ids start at 0: frame[{column!r}] -= 1."
    return (
        f"{message} Name them too in `class_names`, or leave their rows out: "
        f"frame = frame[~frame[{column!r}].astype(str).isin({list(unknown)})]."
    )


def _labelled_rows(primary: str, labels: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Return the rows that have a label, and say how many have none."""
    rows = np.flatnonzero(labels >= 0)
    if len(rows) == 0:
        raise ValueError(f"No row of the table has a label {primary!r}.")
    if len(rows) == len(labels):
        return rows, []
    missing = f"{len(labels) - len(rows)} of {len(labels)}"
    note = f"{missing} rows have no label {primary!r} and are left out"
    warnings.warn(f"{note}.", stacklevel=3)
    return rows, [note]


def _published_splits(
    frame: pd.DataFrame, split_column: str | None, rows: np.ndarray
) -> dict[str, np.ndarray]:
    """Return the places in `rows` of each split that the table names."""
    if split_column is None:
        return {}
    words = frame[split_column].iloc[rows].fillna("").astype(str).str.strip().str.lower()
    unknown = sorted(set(words) - set(SPLIT_WORDS) - {""})
    if unknown:
        raise ValueError(
            f"The column {split_column!r} must hold {', '.join(SPLIT_WORDS)} or nothing. "
            f"Received: {', '.join(unknown)}."
        )
    splits = words.map(SPLIT_WORDS)
    return {split: np.flatnonzero(splits == split) for split in SPLIT_NAMES}
