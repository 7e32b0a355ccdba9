"""An image set in a file or in a folder, and out of it.

| where | what | comes back |
|---|---|---|
| `NAME.npz` | arrays `images`, `labels`, `class_names`, `masks` as `load_npz` reads them, and the rest | equal to the last bit |
| a folder | `SPLIT/CLASS/NUMBER.png`, `labels.csv`, `classes.json`, `image_set.json`, `masks/` | equal, where pixels are whole 255ths, each split in the order of the images |

`from_table(FOLDER / "labels.csv")` and `load_folder(FOLDER)` read the folder too, as may anything
else that reads images and tables.
"""  # noqa: E501

from __future__ import annotations

import csv
import json
import os
import secrets
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kernel_lib.data.image_set import ImageSet
from kernel_lib.data.splits import SPLIT_NAMES
from kernel_lib.tasks.record_file import ABOUT, read_record, write_record
from kernel_lib.tasks.untrusted import check_table, csv_rows, json_content, untrusted

TABLE, CLASSES, ABOUT_SET = "labels.csv", "classes.json", "image_set.json"
_KIND = "an image set"
_NO_SPLIT = "no_split"
_MOST_LETTERS = 80  # in the name of a class folder
_RESERVED = frozenset(
    ["con", "prn", "aux", "nul"] + [f"{port}{k}" for port in ("com", "lpt") for k in range(10)]
)  # names that Windows keeps for itself


def save(images: ImageSet, path: str | os.PathLike[str]) -> Path:
    """Write an image set; see `ImageSet.save`."""
    path = Path(path).expanduser()
    return _save_npz(images, path) if path.suffix == ".npz" else _save_folder(images, path)


def load(path: str | os.PathLike[str]) -> ImageSet:
    """Read an image set; see `ImageSet.load`."""
    path = Path(path).expanduser()
    return _load_folder(path) if path.is_dir() else from_record(path)


def classes_of_folder(folder: Path) -> list[str] | None:
    """Classes of a saved folder in their order, where its class folders bear their names."""
    if not (folder / ABOUT_SET).is_file():
        return None
    names = list(_about(folder)["class_names"])
    return names if _folder_names(names) == names else None


def classes_of_table(table: Path) -> dict[str, list[str]]:
    """Classes of the label columns of a saved folder's table in their order, as far as names tell.

    A table reader takes whole numbers for class ids, so names that are numbers only tell where
    each is its own id.
    """
    if table.name != TABLE or not (table.parent / ABOUT_SET).is_file():
        return {}
    about = _about(table.parent)
    columns = [(about["label_column"], about["class_names"])]
    columns += [(column, names) for _, column, names in about["tasks"]]
    return {
        column: list(names)
        for column, names in columns
        if names == [str(k) for k in range(len(names))] or not any(map(_is_number, names))
    }


def _is_number(name: str) -> bool:
    try:
        float(name)
    except ValueError:
        return False
    return True


# --- one file ------------------------------------------------------------------------------------


def _save_npz(images: ImageSet, path: Path) -> Path:
    pixels = _bytes(images.images)
    arrays = {
        "images": images.images if pixels is None else pixels,
        "labels": images.labels,
        "class_names": np.array(images.class_names, dtype=np.str_),
    }
    if images.masks is not None:
        arrays["masks"] = images.masks
    arrays |= {f"splits/{name}": places for name, places in images.splits.items()}
    for place, column in enumerate(images.tasks.values()):
        arrays[f"tasks/{place}"] = column
    about = {
        "name": images.name,
        "notes": list(images.notes),
        "tasks": [[task, list(images.task_class_names[task])] for task in images.tasks],
    }
    return write_record(path, _KIND, about, arrays)


def is_record(arrays: Mapping[str, np.ndarray]) -> bool:
    """Whether arrays of an ``.npz`` file are those of a saved image set."""
    return ABOUT in arrays and "splits/train" in arrays


def from_record(path: Path) -> ImageSet:
    """Read an image set from the ``.npz`` file that `save` wrote."""
    about, arrays = read_record(path, _KIND)
    with untrusted(f"{path} is no whole image set"):
        tasks = {task: arrays[f"tasks/{k}"] for k, (task, _) in enumerate(about["tasks"])}
        return ImageSet(
            _unit(arrays["images"]),
            arrays["labels"],
            tuple(arrays["class_names"].astype(str).tolist()),
            name=str(about["name"]),
            tasks=tasks,
            task_class_names={task: tuple(names) for task, names in about["tasks"]},
            masks=arrays.get("masks"),
            splits={name: arrays[f"splits/{name}"] for name in SPLIT_NAMES},
            notes=tuple(about["notes"]),
        )


# --- a folder ------------------------------------------------------------------------------------


def _save_folder(images: ImageSet, folder: Path) -> Path:
    """Write everything beside its place, then move it there in one step."""
    pixels = _checked_pixels(images)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f"{folder} exists and is not empty. Choose a new folder.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.parent / f".{folder.name}-{secrets.token_hex(8)}"
    try:
        temporary.mkdir()
        _write_folder(images, pixels, temporary)
        if folder.exists():
            folder.rmdir()
        os.replace(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def _write_folder(images: ImageSet, pixels: np.ndarray, folder: Path) -> None:
    names = _folder_names(images.class_names)
    splits = np.full(len(images), "", dtype=object)
    for split, places in images.splits.items():
        splits[places] = split
    digits = max(6, len(str(len(images))))
    paths = [
        f"{splits[k] or _NO_SPLIT}/{names[label]}/{k:0{digits}}.png"
        for k, label in enumerate(images.labels)
    ]
    for name in names:  # also of a class without an image
        (folder / "train" / name).mkdir(parents=True)
    for k, path in enumerate(paths):
        _write_png(folder / path, pixels[k])
        if images.masks is not None:
            _write_png(folder / "masks" / path, images.masks[k, ..., None].astype(np.uint8) * 255)
    columns = _columns(images)
    _write_table(images, folder / TABLE, paths, splits, columns)
    about = {
        "kernel_lib": _KIND,
        "schema": 1,
        "name": images.name,
        "class_names": list(images.class_names),
        "label_column": columns[0],
        "tasks": [
            [task, column, list(images.task_class_names[task])]
            for task, column in zip(images.tasks, columns[1:], strict=True)
        ],
        "masks": images.masks is not None,
        "notes": list(images.notes),
    }
    for file, content in ((CLASSES, about["class_names"]), (ABOUT_SET, about)):
        (folder / file).write_text(json.dumps(content, indent=1), encoding="utf-8")


def _columns(images: ImageSet) -> list[str]:
    """The column of the labels, then one for each task, with names that are none of the others."""
    taken = {"path", "split"}
    columns = []
    for wanted in ("label", *images.tasks):
        name = wanted
        while name in taken or not name:
            name += "_"
        taken.add(name)
        columns.append(name)
    return columns


def _write_table(
    images: ImageSet, file: Path, paths: Sequence[str], splits: np.ndarray, columns: Sequence[str]
) -> None:
    labels = [_named(images.labels, images.class_names)]
    labels += [
        _named(column, images.task_class_names[task]) for task, column in images.tasks.items()
    ]
    with open(file, "w", encoding="utf-8", newline="") as lines:
        writer = csv.writer(lines, quoting=csv.QUOTE_MINIMAL, lineterminator="\n")
        writer.writerow(["path", *columns, "split"])
        writer.writerows(zip(paths, *labels, splits, strict=True))


def _named(labels: np.ndarray, names: Sequence[str]) -> list[str]:
    return ["" if label < 0 else names[label] for label in labels]


def _load_folder(folder: Path) -> ImageSet:
    from kernel_lib.data.image_files import read_images

    about = _about(folder)
    with untrusted(f"{folder} holds no whole image set"):
        rows = _rows(folder / TABLE)
        paths = [_inside(folder, row["path"]) for row in rows]
        channels = {"L": 1}.get(_mode(paths[0]), 3)
        pixels, _ = read_images(paths, channels=channels)
        masks = None
        if about["masks"]:
            files = [_inside(folder / "masks", row["path"]) for row in rows]
            masks = read_images(files, channels=1)[0][..., 0] > 127
        tasks = {
            task: _ids([row[column] for row in rows], names, column)
            for task, column, names in about["tasks"]
        }
        column = about["label_column"]
        found = [row["split"] for row in rows]
        return ImageSet(
            _unit(pixels),
            _ids([row[column] for row in rows], about["class_names"], column),
            tuple(about["class_names"]),
            name=about["name"],
            tasks=tasks,
            task_class_names={task: tuple(names) for task, _, names in about["tasks"]},
            masks=masks,
            splits={name: np.flatnonzero([each == name for each in found]) for name in SPLIT_NAMES},
            notes=tuple(about["notes"]),
        )


def _about(folder: Path) -> dict[str, Any]:
    path = folder / ABOUT_SET
    if not path.is_file():
        raise ValueError(
            f"{folder} holds no {ABOUT_SET}: it is no saved image set. Read any folder of images "
            f"with kernel_lib.data.load('folder:{folder}')."
        )
    with untrusted(f"{path} cannot be read"):
        about = json_content(path)
        names = about["class_names"]
        if about["kernel_lib"] != _KIND or about["schema"] != 1:
            raise ValueError("it is of another kind or version")
        if not _are_names(names):
            raise ValueError("`class_names` is no list of names")
        if not _are_names([about["label_column"]]) or not all(map(_is_task, about["tasks"])):
            raise ValueError("`label_column` and `tasks` are not names of columns and classes")
    return about


def _are_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _is_task(value: Any) -> bool:
    is_row = isinstance(value, list) and len(value) == 3
    return is_row and _are_names(value[:2]) and _are_names(value[2])


def _rows(file: Path) -> list[dict[str, str]]:
    if not file.is_file():
        raise ValueError(f"There is no table {file}.")
    with untrusted(f"The table {file} cannot be read"):
        with open(check_table(file), encoding="utf-8", newline="") as lines:
            names, *found = csv_rows(lines)
        rows = [dict(zip(names, row, strict=True)) for row in found]
    if not rows:
        raise ValueError(f"The table {file} holds no rows.")
    return rows


def _ids(texts: Sequence[str], names: Sequence[str], column: str) -> np.ndarray:
    place = {name: k for k, name in enumerate(names)}
    unknown = sorted({text for text in texts if text and text not in place})
    if unknown:
        raise ValueError(
            f"The column {column!r} of {TABLE} holds {unknown[0]!r}, which is none of its classes "
            f"in {ABOUT_SET}: {', '.join(names)}."
        )
    return np.array([place[text] if text else -1 for text in texts], np.int64)


def _inside(folder: Path, path: str) -> Path:
    """The whole path of a file, which must lie in the folder."""
    file = folder / path
    if not file.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"The path {path!r} leads out of the folder {folder}.")
    return file


# --- pixels and names ----------------------------------------------------------------------------


def _bytes(images: np.ndarray) -> np.ndarray | None:
    """The pixels as uint8 if they come back to the last bit; otherwise None."""
    pixels = np.rint(images * 255).astype(np.uint8)
    return pixels if np.array_equal(_unit(pixels), images) else None


def _unit(pixels: np.ndarray) -> np.ndarray:
    return np.divide(pixels, 255, dtype=np.float32) if pixels.dtype == np.uint8 else pixels


def _checked_pixels(images: ImageSet) -> np.ndarray:
    pixels = _bytes(images.images)
    reason = ""
    if pixels is None:
        reason = "its pixels are not whole 255ths, and PNG files would round them"
    elif images.image_shape[2] not in (1, 3):
        reason = f"its images have {images.image_shape[2]} channels, and PNG files hold 1 or 3"
    elif "" in {
        *images.class_names,
        *(n for each in images.task_class_names.values() for n in each),
    }:
        reason = "a class has the empty name, which a table holds for a missing label"
    if pixels is None or reason:
        raise ValueError(
            f"The image set {images.name!r} cannot be written as a folder: {reason}. Save it as "
            "one file: images.save('images.npz')."
        )
    return pixels


def _folder_names(class_names: Sequence[str]) -> list[str]:
    """Folders of the classes: their names where every file system can bear them."""
    seen: set[str] = set()
    names = []
    for k, name in enumerate(class_names):
        is_plain = (
            name.isprintable()
            and not set(name) & set('/\\:*?"<>|')
            and 0 < len(name) <= _MOST_LETTERS
            and name[0] not in ". "
            and name[-1] not in ". "
            and name.split(".")[0].lower() not in _RESERVED
            and name.casefold() not in seen
        )
        folder = name if is_plain else f"class_{k}"
        while folder.casefold() in seen:
            folder += "_"
        seen.add(folder.casefold())
        names.append(folder)
    return names


def _write_png(path: Path, pixels: np.ndarray) -> None:
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(path, "PNG")


def _mode(path: Path) -> str:
    from PIL import Image

    with untrusted(f"{path} cannot be read as an image"), Image.open(path) as image:
        return image.mode
