"""Write images and masks in a form that LabelMe opens."""

from __future__ import annotations

import base64
import io
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from kernel_lib._checks import check_choice, check_count
from kernel_lib.data.labelme_draw import draw_shapes
from kernel_lib.data.labelme_file import Shape
from kernel_lib.tasks import atomic_path

VERSIONS = ("3.16.7", "4.6.0", "5.10.1", "6.3.1")
_GOOD_SIDE = 384  # pixels; smaller images are hard to annotate


def write_labelme(
    path: str | os.PathLike[str],
    shapes: Sequence[Mapping[str, Any]],
    height: int,
    width: int,
    *,
    image_path: str = "",
    image: np.ndarray | None = None,
    version: str = "5.10.1",
) -> Path:
    """Write one LabelMe JSON file.

    Args:
        path: file to write.
        shapes: dictionaries with "label" and "points", and optionally "shape_type", "group_id"
            and "mask", as LabelMe has them.
        height, width: size of the annotated image.
        image_path: file name of the image, relative to `path`.
        image: float (height, width, channels) in [0, 1] to embed; None embeds nothing.
        version: one of `VERSIONS`, whose form is written.
    """
    content = labelme_content(shapes, height, width, image_path, image, version)
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2), encoding="utf-8")
    return Path(path)


def labelme_content(
    shapes: Sequence[Mapping[str, Any]],
    height: int,
    width: int,
    image_path: str = "",
    image: np.ndarray | None = None,
    version: str = "5.10.1",
) -> dict[str, Any]:
    """The content of a LabelMe file; see `write_labelme`."""
    check_choice("version", version, VERSIONS)
    data = None if image is None else base64.b64encode(png_bytes(image)).decode("ascii")
    content: dict[str, Any] = {
        "version": version,
        "flags": {},
        "shapes": [_shape_entry(shape, version) for shape in shapes],
        "imagePath": image_path,
        "imageData": data,
        "imageHeight": int(height),
        "imageWidth": int(width),
    }
    if version < "4":
        content |= {"lineColor": [0, 255, 0, 128], "fillColor": [255, 0, 0, 128]}
    return content


def _shape_entry(shape: Mapping[str, Any], version: str) -> dict[str, Any]:
    kind = shape.get("shape_type", "polygon")
    entry = {
        "label": shape["label"],
        "points": [[float(x), float(y)] for x, y in shape["points"]],
        "group_id": shape.get("group_id"),
        "shape_type": kind,
        "flags": {},
    }
    if version < "4":
        del entry["group_id"]
        entry |= {"line_color": None, "fill_color": None}
        if kind == "polygon":
            del entry["shape_type"]  # as in the oldest files
    if version >= "5":
        entry |= {"description": "", "mask": shape.get("mask")}
    return entry


def export_labelme(
    images: np.ndarray,
    folder: str | os.PathLike[str],
    names: Sequence[str],
    *,
    masks: np.ndarray | None = None,
    label: str = "object",
    scale: int | None = None,
    version: str = "5.10.1",
) -> list[Path]:
    """Write images as PNG files, and masks as LabelMe files beside them, ready to be annotated.

    Args:
        images: (num_images, height, width, channels) in [0, 1].
        folder: where the files are written.
        names: one path an image, relative to `folder`, without suffix.
        masks: bool (num_images, height, width), True on the object; an empty mask writes no
            annotation. None writes images alone.
        label: label of the shapes.
        scale: times by which images are enlarged, so that a person can draw on them; None
            enlarges to about 384 pixels. Masks come back to the images' size on import.
        version: form of the annotation files.

    Returns:
        The PNG files.
    """
    if len(names) != len(images):
        raise ValueError(f"There are {len(images)} images. Received: {len(names)} names.")
    height, width = images.shape[1:3]
    times = max(1, round(_GOOD_SIDE / max(height, width))) if scale is None else scale
    times = check_count("scale", times)
    written = []
    for place, name in enumerate(names):
        path = Path(folder) / f"{name}.png"
        with atomic_path(path) as temporary:
            temporary.write_bytes(png_bytes(_enlarged(images[place], times)))
        written.append(path)
        if masks is not None and masks[place].any():
            shapes = mask_shapes(_enlarged(masks[place], times), label)
            write_labelme(
                path.with_suffix(".json"),
                shapes,
                height * times,
                width * times,
                image_path=path.name,
                version=version,
            )
    return written


def mask_shapes(mask: np.ndarray, label: str = "object") -> list[dict[str, Any]]:
    """A mask as shapes that a person can edit: polygons, and polygons labelled as holes.

    Where polygons cannot give back every pixel, such as at islands in holes, one shape of the
    type "mask" takes their place.

    Args:
        mask: bool (height, width) with an object.
        label: label of the object's shapes.
    """
    from scipy import ndimage

    mask = np.asarray(mask, bool)
    filled = ndimage.binary_fill_holes(mask)
    shapes = [
        {"label": name, "points": points, "shape_type": "polygon"}
        for name, part in ((label, filled), ("hole", filled & ~mask))
        for points in _outlines(part)
    ]
    return shapes if _gives_back(shapes, mask) else [_mask_shape(mask, label)]


def _outlines(mask: np.ndarray) -> list[list[tuple[float, float]]]:
    """Polygons through the middles of the outermost pixels of each part of the mask."""
    import contourpy

    padded = np.pad(mask, 1).astype(np.float32)
    lines = contourpy.contour_generator(z=padded, name="serial").lines(1 - 1e-5)
    outlines = (_corners(np.rint(np.asarray(line) - 1)) for line in lines)
    return [[(float(x), float(y)) for x, y in outline] for outline in outlines if len(outline) > 2]


def _corners(closed: np.ndarray) -> np.ndarray:
    """The points where a closed line turns."""
    line = closed[:-1]
    line = line[(line != np.roll(line, 1, axis=0)).any(axis=1)]
    before, after = line - np.roll(line, 1, axis=0), np.roll(line, -1, axis=0) - line
    turns = before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]
    backs = (before * after).sum(axis=1) < 0
    return line[turns | backs]


def _gives_back(shapes: list[dict[str, Any]], mask: np.ndarray) -> bool:
    def draw(wanted: bool) -> np.ndarray:
        chosen = [s for s in shapes if (s["label"] == "hole") == wanted]
        drawn = [Shape(s["label"], "polygon", tuple(s["points"])) for s in chosen]
        return draw_shapes(drawn, *mask.shape)

    return bool(np.array_equal(draw(False) & ~draw(True), mask))


def _mask_shape(mask: np.ndarray, label: str) -> dict[str, Any]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top, bottom, left, right = rows[0], rows[-1], columns[0], columns[-1]
    part = mask[top : bottom + 1, left : right + 1].astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(part).save(buffer, "PNG")  # LabelMe wants 0 and 1
    return {
        "label": label,
        "points": [(float(left), float(top)), (float(right), float(bottom))],
        "shape_type": "mask",
        "mask": base64.b64encode(buffer.getvalue()).decode("ascii"),
    }


def png_bytes(image: np.ndarray) -> bytes:
    """An image (height, width, channels) in [0, 1] as the bytes of a PNG file."""
    pixels = np.rint(np.asarray(image, np.float32) * 255).astype(np.uint8)
    pixels = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[-1] == 1 else pixels
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def _enlarged(array: np.ndarray, times: int) -> np.ndarray:
    return array.repeat(times, axis=0).repeat(times, axis=1)
