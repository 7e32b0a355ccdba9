"""Read LabelMe JSON files of every version, and refuse what is not one.

Versions 3 to 6 differ in what they write beside the points; all of it may be missing here.

| key | from | meaning |
|---|---|---|
| `shapes` | 3 | list of `label`, `points` [[x, y], ...] in pixels, `shape_type`, `group_id` |
| `imageHeight`, `imageWidth` | 3.16 | size of the annotated image; null in odd files |
| `imageData` | 3 | the image file in base64, or null |
| `imagePath` | 3 | the image file, relative to the JSON; may hold backslashes |
| `shape_type` | 3.5 | a missing one is a polygon |
| `mask` of a shape | 5.3 | a PNG of 0 and 1 in base64, for the shape type "mask" |
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kernel_lib.tasks.untrusted import json_content, untrusted

SHAPE_TYPES = (
    "polygon",
    "rectangle",
    "oriented_rectangle",
    "circle",
    "line",
    "linestrip",
    "point",
    "points",
    "mask",
)
# shape type -> (fewest points, most points or None)
_NUM_POINTS = {
    "polygon": (3, None),
    "rectangle": (2, 4),
    "oriented_rectangle": (4, 4),
    "circle": (2, 2),
    "line": (2, 2),
    "linestrip": (2, None),
    "point": (1, 1),
    "points": (1, None),
    "mask": (2, 2),
}
_LARGEST_FILE = 200_000_000  # bytes
_MOST_PIXELS = 90_000_000  # of one annotated image
_MOST_SHAPES = 10_000
_MOST_WORK = 4 * 10**9  # pixels that are looked at, some seconds
_EDGE = 20  # pixels are looked at in the time that an edge takes in a row
_FARTHEST = 10  # sides of the image that a point may lie from it

Source = str | os.PathLike[str] | Mapping[str, Any]


@dataclass(frozen=True)
class Shape:
    """One annotated shape.

    Attributes:
        label: what the person called it.
        kind: one of `SHAPE_TYPES`.
        points: (x, y) pairs in pixels of the annotated image, x to the right, y down.
        group: shapes of one group belong to one object; None where they stand alone.
        mask: a PNG in base64, for the kind "mask".
    """

    label: str
    kind: str
    points: tuple[tuple[float, float], ...]
    group: int | None = None
    mask: str | None = None


@dataclass(frozen=True)
class LabelMeFile:
    """A checked LabelMe file.

    Attributes:
        height, width: size of the annotated image in pixels.
        shapes: at least one shape.
        image_path: what the file says its image is called; "" if it does not.
        image_data: the image file in base64, or None.
        folder: where the file lies; None for a dictionary.
        version: what LabelMe wrote, such as "5.10.1".
    """

    height: int
    width: int
    shapes: tuple[Shape, ...]
    image_path: str = ""
    image_data: str | None = None
    folder: Path | None = None
    version: str = ""


def read_labelme(source: Source) -> LabelMeFile:
    """Read and check a LabelMe file.

    Args:
        source: a path, or the content as a dictionary.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is truncated, no LabelMe file, without shapes, or holds points that cannot
            be drawn; or its size contradicts its image.
    """
    from kernel_lib.data.labelme_image import annotated_size

    content, folder, name = _content(source)
    if not isinstance(content, Mapping) or not isinstance(content.get("shapes"), list):
        raise ValueError(
            f"{name} is no LabelMe file: a LabelMe file is a JSON object with a list `shapes`."
        )
    if not content["shapes"]:
        raise ValueError(f"{name} holds no shapes: nothing was annotated.")
    height, width = annotated_size(content, folder, name)
    if height * width > _MOST_PIXELS:
        raise ValueError(
            f"{name} claims an image of {width}x{height} pixels, more than {_MOST_PIXELS:,}."
        )
    if len(content["shapes"]) > _MOST_SHAPES:
        raise ValueError(
            f"{name} holds {len(content['shapes']):,} shapes; at most {_MOST_SHAPES:,} are drawn."
        )
    shapes = tuple(
        _shape(entry, f"{name}, shape {place}", max(height, width))
        for place, entry in enumerate(content["shapes"])
    )
    _check_work(shapes, height, width, name)
    return LabelMeFile(
        height,
        width,
        shapes,
        image_path=str(content.get("imagePath") or ""),
        image_data=content.get("imageData") or None,
        folder=folder,
        version=str(content.get("version") or ""),
    )


def _content(source: Source) -> tuple[Any, Path | None, str]:
    """The parsed JSON, the folder it lies in, and a name for messages."""
    if isinstance(source, Mapping):
        return source, None, "the annotation"
    path = Path(source)
    if not path.is_file():
        raise FileNotFoundError(f"There is no LabelMe file at {path}.")
    with untrusted(f"{path.name} is truncated or no JSON", "Save it again in LabelMe."):
        return json_content(path, _LARGEST_FILE), path.parent, path.name


def _shape(entry: Any, place: str, side: int) -> Shape:
    if not isinstance(entry, Mapping):
        raise ValueError(f"{place} is no LabelMe shape: it must be a JSON object.")
    kind = entry.get("shape_type") or "polygon"
    if kind not in SHAPE_TYPES:
        raise ValueError(
            f"{place} has the unknown type {kind!r:.80}. Known: {', '.join(SHAPE_TYPES)}."
        )
    points = _points(entry.get("points"), place, side)
    fewest, most = _NUM_POINTS[kind]
    if len(points) < fewest or (most is not None and len(points) > most):
        wanted = f"{fewest}" if fewest == most else f"at least {fewest}"
        raise ValueError(f"{place}: a {kind} needs {wanted} points. Received: {len(points)}.")
    if kind in ("polygon", "oriented_rectangle") and not _encloses_area(points):
        name = kind.replace("_", " ")
        raise ValueError(f"{place} is a {name} without area: its points lie on one line.")
    mask = entry.get("mask")
    if kind == "mask" and not isinstance(mask, str):
        raise ValueError(f"{place} is of the type 'mask' but holds no mask picture.")
    return Shape(str(entry.get("label", "")), kind, points, _group(entry, place), mask)


def _points(entries: Any, place: str, side: int) -> tuple[tuple[float, float], ...]:
    try:
        points = tuple((float(x), float(y)) for x, y in entries)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{place}: `points` must be a list of [x, y] numbers.") from error
    flat = [number for point in points for number in point]
    if not all(map(math.isfinite, flat)):
        raise ValueError(f"{place} has a point that is not finite (NaN or infinity).")
    if any(abs(number) > _FARTHEST * side for number in flat):
        raise ValueError(
            f"{place} has a point farther than {_FARTHEST} times the image's side away from it. "
            "Was it drawn on another image?"
        )
    return points


def _check_work(shapes: tuple[Shape, ...], height: int, width: int, name: str) -> None:
    """Refuse shapes that would take minutes to draw.

    Each edge of a polygon is looked at in each row, a mask is as large as its box, and the holes of
    each group are cut out of the whole image.
    """
    groups = {shape.group for shape in shapes}
    work = height * width * len(groups)
    for shape in shapes:
        if shape.kind in ("polygon", "oriented_rectangle"):
            rows = [y for _, y in shape.points]
            work += _EDGE * int(max(rows) - min(rows) + 1) * len(shape.points)
        elif shape.kind == "mask":
            (x1, y1), (x2, y2) = shape.points
            work += int((abs(x1 - x2) + 1) * (abs(y1 - y2) + 1)) + height * width
    if work > _MOST_WORK:
        raise ValueError(
            f"{name} holds {len(shapes):,} shapes in {len(groups):,} groups on {width}x{height} "
            "pixels, which would take minutes to draw. Simplify them, or split the file."
        )


def _encloses_area(points: tuple[tuple[float, float], ...]) -> bool:
    """Whether the points do not all lie on one line (a bow-tie, whose signed area is 0, passes)."""
    first_x, first_y = points[0]
    far_x, far_y = max(points, key=lambda p: (p[0] - first_x) ** 2 + (p[1] - first_y) ** 2)
    return any(
        (far_x - first_x) * (y - first_y) != (far_y - first_y) * (x - first_x) for x, y in points
    )


def _group(entry: Mapping[str, Any], place: str) -> int | None:
    group = entry.get("group_id")
    if group is None or (isinstance(group, int) and not isinstance(group, bool)):
        return group
    raise ValueError(
        f"{place}: `group_id` must be a whole number or null. Received: {group!r:.80}."
    )
