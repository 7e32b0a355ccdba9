"""How an `ImageSet` shows itself in a notebook: one image per class and a line of facts."""

from __future__ import annotations

import base64
import html
import io
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from kernel_lib.data.image_set import ImageSet

_MOST_CLASSES = 10
_SHOWN_HEIGHT = 72


def image_set_html(images: ImageSet) -> str:
    """Return self-contained HTML for `images`."""
    present, first = np.unique(images.labels, return_index=True)
    figures = "".join(
        _figure(images.images[index], images.class_names[label])
        for label, index in zip(present[:_MOST_CLASSES], first, strict=False)
    )
    more = len(present) - _MOST_CLASSES
    rest = f"<span>and {more} more classes</span>" if more > 0 else ""
    notes = "".join(f"<li>{html.escape(note)}</li>" for note in images.notes)
    notes = f"<ul>{notes}</ul>" if notes else ""
    return f"<div><p>{html.escape(repr(images))}</p>{figures}{rest}{notes}</div>"


def _figure(image: np.ndarray, label: str) -> str:
    caption = html.escape(label)
    return (
        '<figure style="display:inline-block;margin:4px;text-align:center">'
        f'<img alt="{caption}" height="{_SHOWN_HEIGHT}" style="image-rendering:pixelated" '
        f'src="data:image/png;base64,{_png(image)}"><figcaption>{caption}</figcaption></figure>'
    )


def _png(image: np.ndarray) -> str:
    from PIL import Image

    pixels = np.round(image * 255).astype(np.uint8)
    # Only grey and colour have a picture form; of other channel counts the first is shown.
    shown = pixels if image.shape[-1] == 3 else pixels[..., 0]
    buffer = io.BytesIO()
    Image.fromarray(shown).save(buffer, format="PNG")
    return base64.b64encode(buffer.getvalue()).decode()
