"""Image sets from NumPy files, in the layouts such files are found in.

| images | labels | splits |
|---|---|---|
| `images`, `x`, `X` or `data` | `labels`, `y` or `lables` | drawn |
| `x_train`, `x_test` | `y_train`, `y_test` | as published, `x_val` and `y_val` too if present |

The second layout is that of Keras' `mnist.npz`. Labels (num_images, num_tasks) hold one column per
task; five columns without names are read as the tasks of the generated shapes, in whose published
files the labels are spelled `lables`. One-hot labels, names, and whole numbers as floats are read
as class ids. The arrays `class_names` (text) and `masks` (bool) are read
where the first layout has them. A file that `ImageSet.save` wrote comes back as it was, with its
tasks, splits and notes. Nothing is unpickled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from kernel_lib._checks import check_choice
from kernel_lib.data import saving
from kernel_lib.data._shape_labels import TASKS
from kernel_lib.data.arrays import flat_labels, from_arrays
from kernel_lib.data.classes import ClassNames, class_name_list
from kernel_lib.data.image_set import ImageSet
from kernel_lib.data.labels import all_names, as_class_ids, is_one_hot
from kernel_lib.data.splits import SPLIT_WORDS, completed_splits
from kernel_lib.tasks.untrusted import load_arrays, untrusted

_IMAGES = ("images", "x", "X", "data")
_LABELS = ("labels", "y", "lables")


def load_npz(
    path: str | Path,
    *,
    test: str | Path | None = None,
    tasks: Sequence[str] | None = None,
    primary: str | None = None,
    class_names: ClassNames | None = None,
    task_class_names: Mapping[str, Sequence[str]] | None = None,
    seed: int = 0,
) -> ImageSet:
    """Read images and labels from a NumPy .npz file.

    Args:
        path: the file; the layouts are in the module's description.
        test: a second file of the same layout, whose images are the test split.
        tasks: names of the label columns, where there are several.
        primary: the task whose classes become `labels`; the first when left out.
        class_names: names of the classes of `labels`, in any form of `class_name_list`. Where the
            file names its classes itself, labels are brought into this order by name.
        task_class_names: names of the classes of each task, which also say how many there are; a
            label that is NaN or -1 is missing.
        seed: seed of the splits that are drawn.

    Raises:
        ValueError: If the file is damaged, holds Python objects or no images and labels, or what
            it holds does not fit together.
        FileNotFoundError: If there is no such file.
    """
    wanted = None if class_names is None else class_name_list(class_names)
    arrays = _read(Path(path))
    with untrusted(str(path)):  # the name of the file stands before all that does not fit in it
        if saving.is_record(arrays):
            return _saved(Path(path), primary, wanted, test, tasks, task_class_names)
        return _made(path, arrays, wanted, test, tasks, primary, task_class_names, seed)


def _made(
    path: str | Path,
    arrays: Mapping[str, np.ndarray],
    wanted: tuple[str, ...] | None,
    test: str | Path | None,
    tasks: Sequence[str] | None,
    primary: str | None,
    task_class_names: Mapping[str, Sequence[str]] | None,
    seed: int,
) -> ImageSet:
    """Make an image set of the arrays of a file; see `load_npz`."""
    parts = _parts(arrays, path)
    if test is not None:
        if len(parts) > 1:
            raise ValueError(f"{path} has a test split of its own, so leave `test` out.")
        parts["test"] = _parts(_read(Path(test)), test)["train"]
    images, labels, published = _joined(parts)
    columns = _columns(labels, tasks)
    schema = dict(TASKS) if tuple(columns) == tuple(TASKS) else {}
    schema |= {task: tuple(names) for task, names in (task_class_names or {}).items()}
    notes: list[str] = []
    own = tuple(arrays["class_names"].astype(str).tolist()) if "class_names" in arrays else None
    if columns:
        primary = check_choice("primary", primary or next(iter(columns)), columns)
        labels, own = columns[primary], schema.get(primary)
    else:
        labels, found, notes = as_class_ids(labels, len(images))
        own = own or found
    made = from_arrays(
        images,
        labels,
        class_names=all_names(labels, own, wanted),
        name=Path(path).stem,
        tasks=columns,
        task_class_names=schema,
        masks=arrays.get("masks") if test is None else None,
        splits=completed_splits(labels, published, seed=seed),
        notes=notes,
    )
    return made if wanted is None else made.with_classes(wanted)


def _saved(
    path: Path, primary: str | None, wanted: Sequence[str] | None, *others: object
) -> ImageSet:
    """Read a set that `ImageSet.save` wrote; the file says all of it itself."""
    if any(other is not None for other in others):
        raise ValueError(
            f"{path} is a saved image set, which names its tasks, their classes and its splits "
            "itself, so leave `test`, `tasks` and `task_class_names` out."
        )
    made = saving.from_record(path)
    made = made if primary is None else made.with_task(primary)
    return made if wanted is None else made.with_classes(wanted)


def _read(path: Path) -> dict[str, np.ndarray]:
    """Read all arrays of a file, with one clear line if that cannot be done."""
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    return load_arrays(path)


def _parts(
    arrays: Mapping[str, np.ndarray], path: str | Path
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return images and labels of each split that the file tells apart, or all as training."""
    parted = {
        split: (arrays[f"x_{word}"], flat_labels(arrays[f"y_{word}"]))
        for word, split in SPLIT_WORDS.items()
        if f"x_{word}" in arrays and f"y_{word}" in arrays
    }
    if parted:
        return parted
    images = next((arrays[name] for name in _IMAGES if name in arrays), None)
    labels = next((arrays[name] for name in _LABELS if name in arrays), None)
    if images is None or labels is None:
        raise ValueError(
            f"{path} must hold images ({', '.join(_IMAGES)}) and labels ({', '.join(_LABELS)}), or "
            f"x_train, y_train, x_test and y_test. Received: {', '.join(arrays) or 'nothing'}."
        )
    return {"train": (images, flat_labels(labels))}


def _joined(
    parts: Mapping[str, tuple[np.ndarray, np.ndarray]],
) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Return all images, all labels, and which of them each part was."""
    for split, (images, labels) in parts.items():
        if len(images) != len(labels):
            raise ValueError(f"The {split} part has {len(images)} images but {len(labels)} labels.")
    for kind, number in (("images", 0), ("labels", 1)):
        shapes = {part[number].shape[1:] for part in parts.values()}
        if len(shapes) > 1:
            raise ValueError(f"The {kind} of the parts differ in shape: {sorted(shapes)}.")
    images, labels = (np.concatenate(column) for column in zip(*parts.values(), strict=True))
    ends = np.cumsum([len(part[1]) for part in parts.values()])
    published = dict(zip(parts, np.split(np.arange(len(labels)), ends[:-1]), strict=True))
    return images, labels, published


def _columns(labels: np.ndarray, tasks: Sequence[str] | None) -> dict[str, np.ndarray]:
    """Return the label columns by task, none where there is only one column."""
    if labels.ndim != 2:
        if tasks is not None:
            raise ValueError("`tasks` names label columns, but the labels are a single column.")
        return {}
    num_columns = labels.shape[1]
    if tasks is None and is_one_hot(labels):
        return {}
    labels = _missing_as_minus_one(labels)
    if tasks is None and num_columns == len(TASKS):
        tasks = tuple(TASKS)
    if tasks is None:
        raise ValueError(
            f"The labels have {num_columns} columns and are not one-hot. If they are tasks, name "
            "them, as in tasks=('shape', 'color')."
        )
    if len(tasks) != num_columns:
        raise ValueError(f"`tasks` names {len(tasks)} tasks, but there are {num_columns} columns.")
    return dict(zip(tasks, labels.T, strict=True))


def _missing_as_minus_one(labels: np.ndarray) -> np.ndarray:
    """Return label columns as whole numbers, -1 where they were NaN."""
    if labels.dtype.kind != "f":
        return labels
    filled = np.where(np.isnan(labels), -1, labels)
    return filled.astype(np.int64) if (filled == np.round(filled)).all() else labels
