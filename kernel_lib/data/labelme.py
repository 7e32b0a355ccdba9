"""Masks from LabelMe files: where the object is.

LabelMe (Russell et al. 2008; github.com/wkentaro/labelme) saves outlines that people draw as one
JSON file an image. Every kind of shape of its versions 3 to 6 is understood.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kernel_lib._checks import check_choice, check_count, check_number
from kernel_lib.data.labelme_draw import area_average, draw_shapes
from kernel_lib.data.labelme_file import LabelMeFile, Shape, Source, read_labelme

HOLES = ("hole", "ignore", "__ignore__", "_background_")
POLARITIES = ("object", "background")
_HALF = 0.5 - 1e-6  # an exact half must pass, whatever rounding did to it


@dataclass(frozen=True)
class Drawing:
    """How shapes become pixels.

    Attributes:
        labels: labels of the shapes that count; None takes all.
        holes: labels of shapes that are cut out of the others. A hole with a group is cut out of
            the shapes of that group only.
        polarity: "object" if the shapes outline the object, "background" if they outline all else.
        line_width: width in pixels of lines.
        point_radius: radius in pixels of points.
    """

    labels: Sequence[str] | None = None
    holes: Sequence[str] = HOLES
    polarity: str = "object"
    line_width: int = 1
    point_radius: float = 1.0

    def __post_init__(self) -> None:
        check_choice("polarity", self.polarity, POLARITIES)
        check_count("line_width", self.line_width)
        check_number("point_radius", self.point_radius, 0)
        if isinstance(self.labels, str) or isinstance(self.holes, str):
            raise TypeError("`labels` and `holes` must be lists of labels, such as ['cat'].")


def labelme_mask(
    path_or_dict: Source,
    *,
    size: int | tuple[int, int] | None = None,
    labels: Sequence[str] | None = None,
    holes: Sequence[str] = HOLES,
    polarity: str = "object",
    line_width: int = 1,
    point_radius: float = 1.0,
) -> np.ndarray:
    """The object mask of one LabelMe file.

    Shapes are filled at the size of the annotated image, then averaged by area to `size`; a pixel
    belongs to the object if at least half of it does.

    Args:
        path_or_dict: a LabelMe file, or its content.
        size: height and width of the mask, a number or (height, width); None keeps the size of
            the annotated image.
        labels: labels of the shapes that count; None takes all but holes.
        holes: labels of shapes that are cut out.
        polarity: "object" if the shapes outline the object, "background" if they outline
            everything else.
        line_width: width in pixels of lines; LabelMe's own converter draws 10.
        point_radius: radius in pixels of points; LabelMe's own converter draws 5.

    Returns:
        bool (height, width), True on the object.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged, of another tool, or leaves no object; see `read_labelme`.

    Example:
        >>> square = {"label": "cat", "points": [[0, 0], [1, 1]], "shape_type": "rectangle"}
        >>> labelme_mask({"shapes": [square], "imageHeight": 2, "imageWidth": 3}).astype(int)
        array([[1, 1, 0],
               [1, 1, 0]])
    """
    drawing = Drawing(labels, holes, polarity, line_width, point_radius)
    return mask_of(read_labelme(path_or_dict), drawing, size)


def labelme_instances(path_or_dict: Source, drawing: Drawing | None = None) -> list[np.ndarray]:
    """The masks of single objects: shapes of one group together, others by themselves.

    Args:
        path_or_dict: a LabelMe file, or its content.
        drawing: how shapes become pixels; its polarity is not used.

    Returns:
        bool masks (height, width) at the size of the annotated image, in the order of the file.
    """
    drawing = drawing or Drawing()
    file = read_labelme(path_or_dict)
    solid, holes = _chosen(file, drawing)
    groups: dict[object, list[Shape]] = {}
    for place, shape in enumerate(solid):
        key = ("alone", place) if shape.group is None else shape.group
        groups.setdefault(key, []).append(shape)
    return [_without_holes(file, shapes, holes, drawing) for shapes in groups.values()]


def mask_of(
    file: LabelMeFile, drawing: Drawing, size: int | tuple[int, int] | None = None
) -> np.ndarray:
    """The object mask of a file that was read; see `labelme_mask`."""
    solid, holes = _chosen(file, drawing)
    covered = _without_holes(file, solid, holes, drawing)
    height, width = _target_size(size, file)
    mask = area_average(covered, height, width) >= _HALF
    if drawing.polarity == "background":
        mask = ~mask
    if not mask.any():
        raise ValueError(
            f"No object is left: the shapes cover no pixel of the {width}x{height} mask"
            + (", or all of them." if drawing.polarity == "background" else ".")
        )
    return mask


def _chosen(file: LabelMeFile, drawing: Drawing) -> tuple[list[Shape], list[Shape]]:
    """The shapes that count, and the holes in them."""
    holes = [shape for shape in file.shapes if shape.label in drawing.holes]
    solid = [shape for shape in file.shapes if shape.label not in drawing.holes]
    if drawing.labels is not None:
        solid = [shape for shape in solid if shape.label in drawing.labels]
    if not solid:
        known = ", ".join(sorted({repr(shape.label) for shape in file.shapes}))
        wanted = "any object" if drawing.labels is None else f"any of {list(drawing.labels)}"
        raise ValueError(f"No shape is labelled as {wanted}. The file has: {known}.")
    return solid, holes


def _without_holes(
    file: LabelMeFile, solid: list[Shape], holes: list[Shape], drawing: Drawing
) -> np.ndarray:
    def draw(shapes: list[Shape]) -> np.ndarray:
        pen = drawing.line_width, drawing.point_radius
        return draw_shapes(shapes, file.height, file.width, *pen)

    pierced = {hole.group for hole in holes if hole.group is not None}
    covered = draw([shape for shape in solid if shape.group not in pierced])
    for group in pierced:
        own = draw([shape for shape in solid if shape.group == group])
        covered |= own & ~draw([hole for hole in holes if hole.group == group])
    everywhere = [hole for hole in holes if hole.group is None]
    return covered & ~draw(everywhere) if everywhere else covered


def _target_size(size: int | tuple[int, int] | None, file: LabelMeFile) -> tuple[int, int]:
    if size is None:
        return file.height, file.width
    sizes = (size, size) if isinstance(size, int) else tuple(size)
    if len(sizes) != 2:
        raise ValueError(f"`size` must be a number or (height, width). Received: size={size!r}.")
    return check_count("size", sizes[0]), check_count("size", sizes[1])
