"""Look through a folder of LabelMe files, and choose which masks to use."""

from __future__ import annotations

import base64
import html
import io
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path, PureWindowsPath
from typing import Any

import anywidget
import numpy as np
import traitlets
from PIL import Image

from kernel_lib.data import ImageSet, MaskImport, import_labelme
from kernel_lib.data.labelme import HOLES, POLARITIES
from kernel_lib.data.labelme_file import read_labelme
from kernel_widgets.assets import module, stylesheet

_SIDE = 112  # pixels of a picture
_MOST_STILL = 24
_MOST_UPLOADED = 200_000_000  # bytes altogether


class MaskImporter(anywidget.AnyWidget):
    """Each LabelMe file with its mask over the image, or with what is wrong with it.

    Args:
        images: the image set that was annotated.
        folder: folder of LabelMe files; None waits for an upload or for `folder` to be set.
        **traits: first values of the traits, such as `polarity="background"`.

    Attributes:
        folder: where the files lie.
        polarity: what the shapes outline, "object" or "background".
        labels: labels that count; empty takes all.
        left_out: files that are not used although they are sound.
        target: folder that the save button writes to.

    Example:
        >>> importer = MaskImporter(images, "to_annotate")  # doctest: +SKIP
        >>> images = importer.apply()  # doctest: +SKIP
    """

    _esm = module("mask_importer")
    _css = stylesheet("mask_importer")

    folder = traitlets.Unicode().tag(sync=True)
    polarity = traitlets.Enum(POLARITIES, "object").tag(sync=True)
    labels = traitlets.List(traitlets.Unicode()).tag(sync=True)
    known_labels = traitlets.List(traitlets.Unicode()).tag(sync=True)
    left_out = traitlets.List(traitlets.Unicode()).tag(sync=True)
    rows = traitlets.List(traitlets.Dict()).tag(sync=True)
    message = traitlets.Unicode().tag(sync=True)
    target = traitlets.Unicode("masks").tag(sync=True)
    uploads = traitlets.Dict().tag(sync=True)
    save_clicks = traitlets.Int(0).tag(sync=True)

    def __init__(
        self, images: ImageSet, folder: str | os.PathLike[str] | None = None, **traits: Any
    ):
        if not isinstance(images, ImageSet):
            raise TypeError(f"`images` must be an ImageSet. Received: {type(images).__name__}.")
        self.images = images
        self._imported: MaskImport | None = None
        self._uploaded: tempfile.TemporaryDirectory | None = None
        super().__init__(folder="" if folder is None else os.fspath(folder), **traits)
        self.observe(self._read, ["folder", "polarity", "labels"])
        self.observe(self._take_uploads, "uploads")
        self.observe(self._save_clicked, "save_clicks")
        self._read()

    @property
    def masks(self) -> MaskImport:
        """The masks that are sound and not left out."""
        if self._imported is None:
            raise ValueError("There are no masks yet: give a folder, or upload files.")
        used = [file not in self.left_out for file in self._imported.files]
        return self._imported.select(np.array(used, bool))

    def apply(self) -> ImageSet:
        """The image set with the masks that are used."""
        return self.masks.apply(self.images)

    def save(self, folder: str | os.PathLike[str] | None = None) -> Path:
        """Write the masks that are used as PNG files, object 255, with a manifest."""
        return self.masks.save(folder or self.target)

    def _read(self, change: Any = None) -> None:
        """Read the folder anew; what is wrong with it as a whole becomes the message."""
        if not self.folder:
            self._imported, self.rows = None, []
            self.message = "Give a folder of LabelMe files, or upload them."
            return
        try:
            self.known_labels = _labels_in(Path(self.folder))
            labels = list(self.labels) or None
            self._imported = import_labelme(
                self.folder, self.images, labels=labels, polarity=self.polarity
            )
        except (ValueError, OSError) as error:
            self._imported, self.rows, self.message = None, [], str(error)
            return
        self.rows = self._described(self._imported)
        bad = len(self._imported.problems)
        self.message = (
            f"{_counted(len(self._imported), 'mask')}, {_counted(bad, 'file')} with problems."
        )

    def _described(self, imported: MaskImport) -> list[dict[str, Any]]:
        good = [
            {
                "file": file,
                "index": int(index),
                "label": self.images.class_names[self.images.labels[index]],
                "covered": round(float(mask.mean()), 4),
                "picture": _overlay(self.images.images[index], mask),
                "problem": "",
            }
            for file, index, mask in zip(
                imported.files, imported.indices, imported.masks, strict=True
            )
        ]
        return [*good, *({"file": file, "problem": why} for file, why in imported.problems)]

    def _take_uploads(self, change: Mapping[str, Any]) -> None:
        """Write uploaded texts into a folder of their own; only the bare names are used."""
        uploads = {
            PureWindowsPath(str(name)).name: str(text) for name, text in change["new"].items()
        }
        if not uploads:
            return
        if sum(map(len, uploads.values())) > _MOST_UPLOADED:
            self.message = f"More than {_MOST_UPLOADED:,} bytes: copy the files into a folder."
            return
        self._uploaded = tempfile.TemporaryDirectory(prefix="labelme-")
        for name, text in uploads.items():
            if name.endswith((".json", ".jsonl")) and not name.startswith("."):
                (Path(self._uploaded.name) / name).write_text(text, encoding="utf-8")
        self.uploads = {}
        self.folder = self._uploaded.name

    def _save_clicked(self, change: Any) -> None:
        try:
            self.message = f"{_counted(len(self.masks), 'mask')} saved to {self.save()}."
        except (ValueError, OSError) as error:
            self.message = str(error)

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """Add a still summary, for readers that run no widgets."""
        bundle = super()._repr_mimebundle_(**kwargs)
        data = bundle[0] if isinstance(bundle, tuple) else bundle
        if data is not None:
            data["text/html"] = self._still()
        return bundle

    def _still(self) -> str:
        rows = "".join(_still_row(row, self.left_out) for row in self.rows[:_MOST_STILL])
        more = len(self.rows) - _MOST_STILL
        rest = f"<p>And {more} more.</p>" if more > 0 else ""
        head = "<tr><th>mask</th><th>file</th><th>image</th><th>covered</th><th>state</th></tr>"
        return (
            f"<div><p><b>{html.escape(self.message)}</b></p>"
            f"<table><thead>{head}</thead><tbody>{rows}</tbody></table>{rest}</div>"
        )


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _still_row(row: Mapping[str, Any], left_out: list[str]) -> str:
    file = html.escape(row["file"])
    if row["problem"]:
        return (
            f'<tr><td></td><td>{file}</td><td colspan="3">{html.escape(row["problem"])}</td></tr>'
        )
    state = "left out" if row["file"] in left_out else "used"
    return (
        f'<tr><td><img alt="mask of {file}" src="{row["picture"]}" width="64"></td><td>{file}</td>'
        f"<td>{row['index']}, {html.escape(row['label'])}</td><td>{100 * row['covered']:.0f} %</td>"
        f"<td>{state}</td></tr>"
    )


def _labels_in(folder: Path) -> list[str]:
    """Labels of all readable files of the folder."""
    found: set[str] = set()
    for path in sorted(folder.rglob("*.json")) if folder.is_dir() else []:
        try:
            if path.resolve().is_relative_to(folder.resolve()):
                found |= {shape.label for shape in read_labelme(path).shapes}
        except (ValueError, OSError):
            continue  # shown beside the file
    return sorted(found - set(HOLES))


def _overlay(image: np.ndarray, mask: np.ndarray) -> str:
    """The image with its background darkened and the object's rim in colour, as a data address."""
    color = np.repeat(image, 3, axis=-1) if image.shape[-1] == 1 else image[..., :3]
    grey = color.mean(axis=-1, keepdims=True) * 0.35
    shown = np.where(mask[..., None], color, grey)
    times = max(1, _SIDE // max(mask.shape))
    shown, large = (each.repeat(times, 0).repeat(times, 1) for each in (shown, mask))
    inside = large.copy()
    for axis in (0, 1):
        for step in (-1, 1):
            inside &= np.roll(large, step, axis)
    shown[large & ~inside] = (0.3, 0.75, 1.0)
    picture = Image.fromarray(np.rint(shown * 255).astype(np.uint8))
    picture.thumbnail((_SIDE, _SIDE))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
