"""Draw the outline of an object on an image, for people without LabelMe."""

from __future__ import annotations

import base64
import html
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import anywidget
import numpy as np
import traitlets

from kernel_lib.data import labelme_mask, write_labelme
from kernel_lib.data.labelme_export import labelme_content, mask_shapes, png_bytes
from kernel_lib.data.labelme_file import read_labelme
from kernel_widgets.assets import module, stylesheet


class PolygonEditor(anywidget.AnyWidget):
    """Polygons on one image: click to add corners, drag to move them, Delete to take them away.

    Args:
        image: (height, width, channels) in [0, 1].
        shapes: polygons to start with, as LabelMe has them, or a bool mask (height, width).
        label: label of new polygons; "hole" cuts out.
        name: what the image is called.

    Attributes:
        shapes: the polygons, a list of {"label", "points"}, in pixels of the image.
        label: label of the next polygon.

    Example:
        >>> editor = PolygonEditor(images.images[17])  # doctest: +SKIP
        >>> editor.mask  # after drawing  # doctest: +SKIP
    """

    _esm = module("polygon_editor")
    _css = stylesheet("polygon_editor")

    picture = traitlets.Unicode().tag(sync=True)
    size = traitlets.List(traitlets.Int()).tag(sync=True)
    name = traitlets.Unicode().tag(sync=True)
    shapes = traitlets.List(traitlets.Dict()).tag(sync=True)
    label = traitlets.Unicode("object").tag(sync=True)

    def __init__(
        self,
        image: np.ndarray,
        shapes: Sequence[Mapping[str, Any]] | np.ndarray = (),
        *,
        label: str = "object",
        name: str = "image",
    ):
        image = np.asarray(image, np.float32)
        if image.ndim != 3 or not 0 <= image.min() <= image.max() <= 1:
            raise ValueError(
                "`image` must be (height, width, channels) with values in [0, 1]. "
                f"Received: an array of shape {image.shape}."
            )
        if isinstance(shapes, np.ndarray):
            shapes = mask_shapes(shapes, label) if shapes.any() else []
        self.image = image
        super().__init__(
            picture="data:image/png;base64," + base64.b64encode(png_bytes(image)).decode(),
            size=[int(image.shape[0]), int(image.shape[1])],
            name=name,
            shapes=[dict(shape) for shape in shapes],
            label=label,
        )

    @classmethod
    def from_labelme(cls, path: str | os.PathLike[str], image: np.ndarray) -> PolygonEditor:
        """Go on with the polygons of a LabelMe file; shapes of other kinds stay as they are."""
        file = read_labelme(path)
        if (file.height, file.width) != image.shape[:2]:
            raise ValueError(
                f"{Path(path).name} was drawn on {file.width}x{file.height} pixels, the image has "
                f"{image.shape[1]}x{image.shape[0]}."
            )
        shapes = [
            {
                "label": shape.label,
                "points": [list(point) for point in shape.points],
                "shape_type": shape.kind,
                "group_id": shape.group,
                "mask": shape.mask,
            }
            for shape in file.shapes
        ]
        return cls(image, shapes, name=Path(path).stem)

    @property
    def mask(self) -> np.ndarray:
        """The object, bool (height, width)."""
        return labelme_mask(labelme_content(self.shapes, self.size[0], self.size[1]))

    def save(self, path: str | os.PathLike[str], image_path: str = "") -> Path:
        """Write the polygons as a LabelMe file.

        Raises:
            ValueError: nothing was drawn.
        """
        if not self.shapes:
            raise ValueError("Nothing was drawn yet: there is no polygon to save.")
        return write_labelme(path, self.shapes, *self.size, image_path=image_path)

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """Add a still picture, for readers that run no widgets."""
        bundle = super()._repr_mimebundle_(**kwargs)
        data = bundle[0] if isinstance(bundle, tuple) else bundle
        if data is not None:
            count = len(self.shapes)
            data["text/html"] = (
                f'<figure><img alt="{html.escape(self.name)}" src="{self.picture}" width="224">'
                f"<figcaption>{html.escape(self.name)}: {count} "
                f"shape{'s' if count != 1 else ''}</figcaption></figure>"
            )
        return bundle
