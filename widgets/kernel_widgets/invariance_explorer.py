"""Walk through a transformation: images, predictions, the variance matrix and the curves."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping
from typing import Any

import anywidget
import numpy as np
import traitlets
from PIL import Image

from kernel_widgets.assets import module, stylesheet
from kernel_widgets.palettes import palette

_FIELDS = (
    "schema", "title", "steps", "identity", "plateau", "class_names", "images", "pictures",
    "top_classes", "top_shares", "matrices", "values", "curves", "verdict", "words",
)  # fmt: skip
_ARRAYS = {
    "pictures": np.uint8,
    "top_classes": np.uint16,
    "top_shares": np.float32,
    "values": np.float32,
}
MAX_BYTES = 20_000_000
# Matplotlib's viridis at eighths; `static/invariance_explorer.js` has the same.
VIRIDIS = (
    "#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c", "#28ae80", "#5ec962", "#addc30",
    "#fde725",
)  # fmt: skip


class InvarianceExplorer(anywidget.AnyWidget):
    """A slider over a transformation, with images, predictions, a variance matrix and curves.

    All pictures are made beforehand and travel with the widget, so a step needs no kernel. What a
    person chooses is kept in the traits below and can be read or set from Python.

    Args:
        source: frames, or a result with a `frames()` method such as that of
            `kernel_lib.invariance.audit`.
        max_bytes: the most the pictures may weigh; beyond it images are left out, which a note
            on the page says.
        **traits: first values of the traits, such as `step=2`.

    Attributes:
        step, other: the two steps that are compared, counted from 0; `step` is shown.
        matrix: the name of the matrix that is shown.
        playing: whether it steps by itself.

    Raises:
        TypeError, ValueError: if frames are missing, incomplete or do not fit together.

    Example:
        >>> InvarianceExplorer(result)  # doctest: +SKIP
    """

    _esm = module("invariance_explorer")
    _css = stylesheet("invariance_explorer")

    atlas = traitlets.Bytes().tag(sync=True)
    atlas_layout = traitlets.Dict().tag(sync=True)
    meta = traitlets.Dict().tag(sync=True)

    step = traitlets.Int(0, min=0).tag(sync=True)
    other = traitlets.Int(0, min=0).tag(sync=True)
    matrix = traitlets.Unicode().tag(sync=True)
    playing = traitlets.Bool(False).tag(sync=True)

    def __init__(self, source: Any, *, max_bytes: int = MAX_BYTES, **traits: Any) -> None:
        frames = check_frames(_frames_of(source))
        self.frames, notes = fitted(frames, max_bytes)
        atlas, layout = packed(self.frames)
        start = {
            "step": self.frames["identity"],
            "other": self.frames["identity"],
            "matrix": self.frames["matrices"][0]["name"],
        }
        meta = {name: self.frames[name] for name in _FIELDS if name not in _ARRAYS}
        super().__init__(
            atlas=atlas, atlas_layout=layout, meta=meta | {"notes": notes}, **(start | traits)
        )

    @traitlets.validate("step", "other")
    def _check_index(self, proposal: Mapping[str, Any]) -> int:
        name, value = proposal["trait"].name, proposal["value"]
        if value >= len(self.frames["steps"]):
            raise traitlets.TraitError(
                f"`{name}` must lie in [0, {len(self.frames['steps']) - 1}]. "
                f"Received: {name}={value}."
            )
        return int(value)

    @traitlets.validate("matrix")
    def _check_matrix(self, proposal: Mapping[str, Any]) -> str:
        known = [entry["name"] for entry in self.frames["matrices"]]
        if proposal["value"] not in known:
            raise traitlets.TraitError(
                f"`matrix` must be one of {', '.join(known)}. "
                f"Received: matrix={proposal['value']!r}."
            )
        return str(proposal["value"])

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """Add a still picture, for readers that run no widgets."""
        bundle = super()._repr_mimebundle_(**kwargs)
        data = bundle[0] if isinstance(bundle, tuple) else bundle
        if data is not None:
            data["text/html"] = still_picture(self.frames)
        return bundle


def _frames_of(source: Any) -> Any:
    make = None if isinstance(source, Mapping) else getattr(source, "frames", None)
    return make() if callable(make) else source


def check_frames(frames: Any) -> dict[str, Any]:
    """Return the frames with arrays of the right types, or say what does not fit.

    Args:
        frames: with I images, T steps, M matrices and K named classes: `schema` 1; `title`;
            `steps` {label, value}; `identity`; `plateau` (T); `class_names`; `images` {label};
            `pictures` (I, T, h, w, 3) uint8; `top_classes` and `top_shares` (I, T, K);
            `matrices` {name, title}; `values` (M, T, T); `curves` {name, title, values, low,
            high}; `verdict` {status, headline, probability}; `words`.
    """
    if not isinstance(frames, Mapping):
        raise TypeError(
            "The frames must be a dictionary, or a result that has `frames()`. "
            f"Received: {type(frames).__name__}."
        )
    for name in _FIELDS:
        if name not in frames:
            raise ValueError(f"The frames lack the field {name!r}.")
    if frames["schema"] != 1:
        raise ValueError(f"The schema of the frames must be 1. Received: {frames['schema']}.")
    checked = dict(frames) | {
        name: np.ascontiguousarray(frames[name], dtype) for name, dtype in _ARRAYS.items()
    }
    counts = {"images": len(frames["images"]), "steps": len(frames["steps"])}
    shown, steps, matrices = *counts.values(), len(frames["matrices"])
    expected = {
        "pictures": (shown, steps),
        "top_classes": (shown, steps),
        "top_shares": (shown, steps),
        "values": (matrices, steps, steps),
    }
    for name, shape in expected.items():
        if checked[name].shape[: len(shape)] != shape:
            raise ValueError(
                f"`{name}` must begin with the shape {shape}. Received: {checked[name].shape}."
            )
    for curve in frames["curves"]:
        if len(curve["values"]) != steps:
            raise ValueError(
                f"The curve {curve['name']!r} must have {steps} values. "
                f"Received: {len(curve['values'])}."
            )
    return checked


def fitted(frames: dict[str, Any], limit: int) -> tuple[dict[str, Any], list[str]]:
    """Leave out the last images until the pictures take at most `limit` bytes."""
    each = frames["pictures"][:1].nbytes
    fixed = frames["values"].nbytes
    keep = int(min(len(frames["images"]), (limit - fixed) // max(1, each)))
    if keep < 1:
        raise ValueError(
            f"One image at every step takes {each / 1e6:.1f} MB; at most {limit / 1e6:.1f} MB fit. "
            "Use smaller images or fewer steps."
        )
    if keep == len(frames["images"]):
        return frames, []
    names = ("images", "pictures", "top_classes", "top_shares")
    kept = {name: frames[name][:keep] for name in names}
    return frames | kept, [f"{keep} of {len(frames['images'])} images are shown; more are too big."]


def packed(frames: Mapping[str, Any]) -> tuple[bytes, dict[str, Any]]:
    """Lay the arrays end to end; each begins at a multiple of 4."""
    chunks: list[bytes] = []
    layout: dict[str, Any] = {}
    offset = 0
    for name in _ARRAYS:
        array = frames[name]
        little = array.astype(array.dtype.newbyteorder("<"))
        layout[name] = {"offset": offset, "shape": list(array.shape), "dtype": str(array.dtype)}
        content = little.tobytes() + b"\0" * (-little.nbytes % 4)
        chunks.append(content)
        offset += len(content)
    return b"".join(chunks), layout


# --- for readers that run no widgets --------------------------------------------------------------


def still_picture(frames: Mapping[str, Any], num_images: int = 3) -> str:
    """Some images at five steps, and the first matrix, as plain HTML with pictures inside."""
    last = len(frames["steps"]) - 1
    steps = sorted({0, last // 4, frames["identity"], 3 * last // 4, last})
    head = "".join(f"<th>{html.escape(frames['steps'][step]['label'])}</th>" for step in steps)
    rows = "".join(
        f"<tr>{''.join(_image_cell(frames, image, step) for step in steps)}</tr>"
        for image in range(min(num_images, len(frames["images"])))
    )
    matrix = frames["values"][0]
    scale = max(float(matrix.max()), 1e-9)
    levels = np.rint(255 * matrix[::-1] / scale).astype(np.uint8)
    title = html.escape(frames["matrices"][0]["title"])
    words = "".join(f"<p>{html.escape(sentence)}</p>" for sentence in frames["words"])
    return (
        f"<div><p><b>{html.escape(frames['title'])}</b><br>"
        f"{html.escape(frames['verdict']['headline'])}</p>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
        f"<p>{title}: difference between any two steps, from 0 (dark) to {scale:.2f} (bright)</p>"
        f"{_png(palette(VIRIDIS)[levels], title, 160)}{words}</div>"
    )


def _image_cell(frames: Mapping[str, Any], image: int, step: int) -> str:
    first = frames["top_classes"][image, frames["identity"], 0]
    said = frames["top_classes"][image, step, 0]
    name = html.escape(frames["class_names"][said])
    share = frames["top_shares"][image, step, 0]
    sign = "" if said == first else "≠ "
    picture = _png(frames["pictures"][image, step], f"image {image} at step {step}", 64)
    return f'<td style="text-align:center">{picture}<br>{sign}{name} {share:.0%}</td>'


def _png(pixels: np.ndarray, alt: str, side: int) -> str:
    content = io.BytesIO()
    shown = Image.fromarray(pixels).resize((side, side), Image.Resampling.NEAREST)
    shown.save(content, "PNG", optimize=True)
    data = base64.b64encode(content.getvalue()).decode("ascii")
    return f'<img alt="{alt}" width="{side}" height="{side}" src="data:image/png;base64,{data}">'
