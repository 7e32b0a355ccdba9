"""Bring a folder of LabelMe files together with the images they were drawn on."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from kernel_lib.data.image_set import ImageSet
from kernel_lib.data.labelme import HOLES, Drawing, mask_of
from kernel_lib.data.labelme_file import read_labelme
from kernel_lib.tasks import atomic_path, digest
from kernel_lib.tasks.untrusted import check_size, parsed_json, reason_of, untrusted

if TYPE_CHECKING:
    import pandas as pd

MANIFEST = "manifest.jsonl"
SOURCES = ("labelme", "png", "automatic")


@dataclass(frozen=True)
class MaskImport:
    """Masks of some images of an image set, and what went wrong with others.

    Attributes:
        indices: places of the masked images in the image set, int64 (num_masks,).
        masks: bool (num_masks, height, width), True on the object.
        files: the file of each mask.
        problems: (file, reason) of each file that gave no mask.
        source: "labelme" and "png" were made by people, "automatic" by a rule.
    """

    indices: np.ndarray
    masks: np.ndarray
    files: tuple[str, ...]
    problems: tuple[tuple[str, str], ...] = ()
    source: str = "labelme"

    def __len__(self) -> int:
        return len(self.indices)

    def apply(self, images: ImageSet) -> ImageSet:
        """The same image set with these masks; an image without a mask has an empty one."""
        masks = np.zeros(images.images.shape[:3], bool)
        masks[self.indices] = self.masks
        return replace(images, masks=masks)

    def select(self, chosen: Sequence[int] | np.ndarray) -> MaskImport:
        """Keep the masks at these places; problems stay."""
        places = np.arange(len(self))[np.asarray(chosen)]
        files = tuple(self.files[place] for place in places)
        return replace(self, indices=self.indices[places], masks=self.masks[places], files=files)

    @property
    def table(self) -> pd.DataFrame:
        """One row a file: file, index (-1 without a mask), covered share, problem."""
        import pandas as pd

        shares = self.masks.mean(axis=(1, 2)) if len(self) else []
        good = zip(self.files, self.indices, shares, [""] * len(self), strict=True)
        bad = ((file, -1, 0.0, reason) for file, reason in self.problems)
        return pd.DataFrame([*good, *bad], columns=["file", "index", "covered", "problem"])

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write each mask as a PNG, object 255, and a manifest that says so."""
        folder = Path(folder)
        lines = []
        for index, mask, file in zip(self.indices, self.masks, self.files, strict=True):
            name = f"{index:06d}.png"
            with atomic_path(folder / name) as temporary:
                Image.fromarray(mask.astype(np.uint8) * 255).save(temporary)
            entry = {"file": name, "index": int(index), "from": file}
            lines.append(json.dumps(entry | {"object": 255, "source": self.source}))
        with atomic_path(folder / MANIFEST) as temporary:
            temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return folder

    def __repr__(self) -> str:
        return (
            f"MaskImport({len(self)} {self.source} masks, {len(self.problems)} files with problems)"
        )


def import_labelme(
    folder: str | os.PathLike[str],
    images: ImageSet,
    *,
    labels: Sequence[str] | None = None,
    holes: Sequence[str] = HOLES,
    polarity: str = "object",
    line_width: int = 1,
    point_radius: float = 1.0,
) -> MaskImport:
    """Read all LabelMe files below a folder as masks of `images`.

    A file belongs to the image that the folder's manifest names for it (`find_samples` writes
    one), or else to the image whose place in `images` its name begins with ("00017_cat.json").

    Args:
        folder: where the files lie, with all its subfolders.
        images: the image set that was annotated.
        labels, holes, polarity, line_width, point_radius: see `labelme_mask`.

    Returns:
        The masks at the size of the images; files that cannot be used are named in `problems`.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: it holds no JSON file, or its manifest belongs to other images.

    Example:
        >>> imported = import_labelme("samples", images)  # doctest: +SKIP
        >>> images = imported.apply(images)  # doctest: +SKIP
    """
    drawing = Drawing(labels, holes, polarity, line_width, point_radius)
    size = images.image_shape[0], images.image_shape[1]

    def read(path: Path) -> tuple[np.ndarray, str]:
        file = read_labelme(path)
        return mask_of(file, drawing, size), file.image_path

    return import_files(folder, images, (".json",), read, "labelme")


def import_files(
    folder: str | os.PathLike[str],
    images: ImageSet,
    suffixes: Sequence[str],
    read: Callable[[Path], tuple[np.ndarray, str]],
    source: str,
) -> MaskImport:
    """Read every file with `read` -> (mask, name of its image), and match it to an image."""
    root = Path(folder)
    if not root.is_dir():
        raise FileNotFoundError(f"There is no folder {root}.")
    known = _manifest(root, images)
    found: dict[int, tuple[np.ndarray, str]] = {}
    problems = []
    for path in _files(root, suffixes):
        name = path.relative_to(root).as_posix()
        try:
            mask, image_name = read(path)
            index = _index_of(name, image_name, known, len(images))
            if index in found:
                raise ValueError(f"image {index} has a mask already, from {found[index][1]}.")
            found[index] = mask, name
        except (ValueError, OSError) as error:
            problems.append((name, str(error)))
        except Exception as error:  # one file never stops the others
            problems.append((name, f"{name} cannot be used: {reason_of(error)}."))
    if not found and not problems:
        raise ValueError(f"{root} holds no file ending in {' or '.join(suffixes)}.")
    order = sorted(found)
    masks = [found[index][0] for index in order]
    return MaskImport(
        np.array(order, np.int64),
        np.stack(masks) if masks else np.zeros((0, *images.image_shape[:2]), bool),
        tuple(found[index][1] for index in order),
        tuple(problems),
        source,
    )


def _files(root: Path, suffixes: Sequence[str]) -> Iterator[Path]:
    """Files below `root` that truly lie below it, in the order of their names."""
    limit = root.resolve()
    for path in sorted(root.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(root).parts)
        is_inside = path.resolve().is_relative_to(limit)
        if path.suffix.lower() in suffixes and path.is_file() and is_inside and not hidden:
            yield path


def _manifest(root: Path, images: ImageSet) -> dict[str, int]:
    """File name without suffix -> place of the image, as the manifest says."""
    path = root / MANIFEST
    if not path.is_file():
        return {}
    with untrusted(f"{path} is damaged: each line must hold a file and an index"):
        lines = check_size(path).read_text(encoding="utf-8").splitlines()
        entries = [parsed_json(line) for line in lines]
        places = {_bare(str(entry["file"])): int(entry["index"]) for entry in entries}
        pixels = {str(entry["pixels"]) for entry in entries if "pixels" in entry}
    if pixels and pixels != {digest(images.images)}:
        raise ValueError(
            f"{path} was written for other images than {images!r}. Load the same image set, with "
            "the same seed and size, that the samples were found in."
        )
    return places


def _index_of(name: str, image_name: str, known: dict[str, int], num_images: int) -> int:
    """Place of the image that a file belongs to."""
    bare = _bare(name)
    by_name = {Path(file).name: index for file, index in known.items()} | known
    for candidate in (bare, Path(bare).name, _bare(PureWindowsPath(image_name).name)):
        if candidate in by_name:
            return _in_range(by_name[candidate], num_images)
    number = None if known else re.match(r"\d+", Path(bare).name)
    if number is None:
        raise ValueError("no sample has this name: keep the names of the files you were given.")
    return _in_range(int(number[0]), num_images)


def _in_range(index: int, num_images: int) -> int:
    if not 0 <= index < num_images:
        raise ValueError(f"image {index} is named, but there are only {num_images} images.")
    return index


def _bare(name: str) -> str:
    """A relative path without its suffix, written with slashes."""
    return Path(name).with_suffix("").as_posix() if name else ""
