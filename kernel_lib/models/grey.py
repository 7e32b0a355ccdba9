"""Images with as many channels as a network takes, where that takes nothing away."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kernel_lib.data.image_set import ImageSet


def with_channels(images: ImageSet, wanted: int | None) -> ImageSet:
    """Return `images` with `wanted` channels if they hold the same picture so; else as they are.

    Grey pictures are often stored with three equal channels, and networks of color take grey ones
    repeated: both say the same. Color is never made grey here. What was done stands in the notes.
    """
    given = images.image_shape[2]
    if wanted == 1 and given == 3 and _is_grey(images.images):
        note = "three equal channels read as one"
        return replace(images, images=images.images[..., :1], notes=(*images.notes, note))
    if wanted == 3 and given == 1:
        note = "one grey channel repeated three times"
        pixels = np.repeat(images.images, 3, axis=-1)
        return replace(images, images=pixels, notes=(*images.notes, note))
    return images


def _is_grey(pixels: np.ndarray) -> bool:
    return bool((pixels[..., :1] == pixels).all())
