"""A still picture of a cascade, for readers that run no widgets: mail, GitHub, unsigned notebooks.

Notebook readers clean what they show, so this is a bare table: text, hexadecimal colours and PNG
pictures inside the page.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from kernel_widgets.palettes import DIVERGING, MAGMA, palette

_SIDE = 64  # pixels of one picture
_MAX_IMAGES = 2
_CELL = 'style="padding:2px 4px;text-align:center;vertical-align:top;min-width:68px"'


def still_picture(frames: Mapping[str, Any]) -> str:
    """Draw inputs x methods at the first, the middle and the last step.

    Args:
        frames: checked frames; the first seed and the first metric are shown.

    Returns:
        HTML: a table of PNG pictures, each with its similarity to the trained model's map.
    """
    steps = sorted({0, len(frames["steps"]) // 2, len(frames["steps"]) - 1})
    rows = [row for step in steps for row in _step_rows(frames, step)]
    words = "".join(f"<p>{html.escape(sentence)}</p>" for sentence in frames["words"])
    return (
        f"<div><p><b>{html.escape(frames['title'])}</b><br>"
        "Under each map: its similarity with the trained model's map "
        f"({html.escape(frames['metrics'][0]['title'])}).</p>"
        f"<table>{_head(frames)}<tbody>{''.join(rows)}</tbody></table>{words}</div>"
    )


def _head(frames: Mapping[str, Any]) -> str:
    titles = ["input", *(method["title"] for method in frames["methods"])]
    cells = "".join(f"<th {_CELL}>{html.escape(title)}</th>" for title in titles)
    return f"<thead><tr>{cells}</tr></thead>"


def _step_rows(frames: Mapping[str, Any], step: int) -> list[str]:
    num_columns = len(frames["methods"]) + 1
    sentence = html.escape(_sentence(frames["steps"][step]))
    head = f'<tr><td colspan="{num_columns}" style="text-align:left">{sentence}</td></tr>'
    num_images = min(_MAX_IMAGES, len(frames["images"]))
    return [head, *(_image_row(frames, step, image) for image in range(num_images))]


def _sentence(step: Mapping[str, Any]) -> str:
    if step["accuracy"] is None or "accuracy" in step["sentence"]:
        return str(step["sentence"])
    return f"{step['sentence'].rstrip('.')}; accuracy {step['accuracy']:.0%}."


def _image_row(frames: Mapping[str, Any], step: int, image: int) -> str:
    record = frames["images"][image]
    caption = f"{record['label']}: predicted {record['predictions'][0][step]}"
    cells = [_cell(picture(frames["inputs"][image], caption), caption)]
    cells += [_map_cell(frames, step, index, image) for index in range(len(frames["methods"]))]
    return f"<tr>{''.join(cells)}</tr>"


def _map_cell(frames: Mapping[str, Any], step: int, method: int, image: int) -> str:
    if frames["empty"][0, step, method, image]:
        return _cell("", "empty map")
    view = frames["metrics"][0]["view"]
    levels = frames[f"maps_{view}"][0, step, method, image]
    colours = palette(MAGMA) if view == "absolute" else palette(DIVERGING, zero=127)
    value = frames["values"][0, step, method, 0, image]
    number = f"{value:.2f}" if np.isfinite(value) else "-"
    title = frames["methods"][method]["title"]
    return _cell(picture(colours[levels], f"{title}, similarity {number}"), number)


def _cell(shown: str, caption: str) -> str:
    return f"<td {_CELL}>{shown}<div>{html.escape(caption)}</div></td>"


def picture(pixels: np.ndarray, alt: str) -> str:
    """Return an <img> that holds the pixels (height, width, 3) themselves."""
    image = Image.fromarray(pixels)
    # Whole multiples of small maps stay sharp; readers would blur a small picture.
    scale = _SIDE / max(image.size)
    method = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BOX
    size = [max(1, round(side * scale)) for side in image.size]
    buffer = io.BytesIO()
    image.resize((size[0], size[1]), method).quantize(64).save(buffer, "PNG", optimize=True)
    data = base64.b64encode(buffer.getvalue()).decode()
    return (
        f'<img alt="{html.escape(alt, quote=True)}" width="{size[0]}" height="{size[1]}" '
        f'src="data:image/png;base64,{data}">'
    )
