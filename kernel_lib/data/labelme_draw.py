"""Fill the pixels of LabelMe shapes, and scale masks by area.

As in LabelMe's own converter, a point lies in the pixel that its coordinates fall into, (4.7, 2.1)
in column 4 and row 2, and the pixels of the outline belong to the shape.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from PIL import Image, ImageDraw

from kernel_lib.data.labelme_file import Shape
from kernel_lib.data.labelme_image import decoded_mask


def draw_shapes(
    shapes: Iterable[Shape], height: int, width: int, line_width: int = 1, point_radius: float = 1
) -> np.ndarray:
    """Union of the pixels of all shapes.

    Args:
        shapes: checked shapes.
        height, width: size of the annotated image.
        line_width: width in pixels of "line" and "linestrip".
        point_radius: radius in pixels of "point" and "points".

    Returns:
        bool (height, width). What lies outside the image is cut off.
    """
    canvas = Image.new("L", (width, height))
    pen = ImageDraw.Draw(canvas)
    pasted = []
    for shape in shapes:
        if shape.kind == "mask":
            pasted.append(shape)
        else:
            _draw(pen, shape, line_width, point_radius)
    covered = np.asarray(canvas) > 0
    for shape in pasted:
        covered |= _pasted(shape, height, width)
    return covered


def _draw(pen: ImageDraw.ImageDraw, shape: Shape, line_width: int, point_radius: float) -> None:
    # Pillow cuts decimals off, which is the same but for the pixels left and above of the image.
    points = [(math.floor(x), math.floor(y)) for x, y in shape.points]
    match shape.kind:
        case "polygon" | "oriented_rectangle":
            pen.polygon(points, fill=1, outline=1)
        case "rectangle":
            xs, ys = zip(*points, strict=True)
            # Pillow wants the upper left corner first.
            pen.rectangle((min(xs), min(ys), max(xs), max(ys)), fill=1, outline=1)
        case "circle":
            _disc(pen, shape.points[0], math.dist(*shape.points))
        case "line" | "linestrip":
            pen.line(points, fill=1, width=line_width)
        case "point" | "points":
            for point in shape.points:
                _disc(pen, point, point_radius)


def _disc(pen: ImageDraw.ImageDraw, middle: tuple[float, float], radius: float) -> None:
    x, y = middle
    pen.point((math.floor(x), math.floor(y)), fill=1)  # a disc without a radius is its middle
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=1, outline=1)


def _pasted(shape: Shape, height: int, width: int) -> np.ndarray:
    """A mask shape, laid on the image at its box; what hangs over is cut off."""
    mask = decoded_mask(shape.mask, f"the shape {shape.label!r}")
    (x1, y1), (x2, y2) = shape.points
    left, top = int(min(x1, x2)), int(min(y1, y2))
    box = int(max(y1, y2)) - top + 1, int(max(x1, x2)) - left + 1
    # LabelMe itself writes boxes that are one pixel off.
    if any(abs(got - want) > 1 for got, want in zip(mask.shape, box, strict=True)):
        raise ValueError(
            f"the shape {shape.label!r} holds a mask of {mask.shape[1]}x{mask.shape[0]} pixels in "
            f"a box of {box[1]}x{box[0]}."
        )
    canvas = np.zeros((height, width), bool)
    rows = slice(max(top, 0), max(min(top + mask.shape[0], height), 0))
    columns = slice(max(left, 0), max(min(left + mask.shape[1], width), 0))
    part = mask[rows.start - top :, columns.start - left :]
    target = canvas[rows, columns]
    target[:] = part[: target.shape[0], : target.shape[1]]
    return canvas


def area_average(masks: np.ndarray, height: int, width: int) -> np.ndarray:
    """Scale masks by averaging over the area that each new pixel covers.

    The mean is kept exactly and nothing is shifted: both grids span the same rectangle. Works for
    any ratio of sizes, up or down.

    Args:
        masks: (..., old_height, old_width), bool or numbers.

    Returns:
        float32 (..., height, width), the covered share of each new pixel.
    """
    masks = np.asarray(masks)
    old = masks.shape[-2:]
    if old != (height, width):
        values, most = (masks.view(np.uint8), 1) if masks.dtype == bool else (masks, None)
        for new in (height, width):
            most = most and most * values.shape[-2]
            values = np.ascontiguousarray(np.swapaxes(_summed(values, new, most), -2, -1))
        masks = values / (old[0] * old[1])
    return masks.astype(np.float32)


def _summed(values: np.ndarray, new: int, most: int | None) -> np.ndarray:
    """Sum rows over what each new row covers, in units of 1 / new of an old row.

    All overlaps are whole numbers then, so sums of masks are exact. They are kept in the smallest
    integers that hold `most`, because to get memory costs more here than to add.
    """
    old = values.shape[-2]
    kind = np.dtype(np.float64) if most is None else np.min_scalar_type(most)
    total = np.zeros((*values.shape[:-2], new, values.shape[-1]), kind)
    starts = np.arange(new) * old
    for step in range(-(-old // new) + 1):
        row = starts // new + step
        overlap = np.minimum(starts + old, (row + 1) * new) - np.maximum(starts, row * new)
        weights = np.maximum(overlap, 0).astype(kind)[:, None]
        total += weights * values.take(np.minimum(row, old - 1), axis=-2)
    return total
