"""From raw explanation maps to the views that are compared and shown.

A method returns a raw signed map E of shape (height, width, channels). Two views reduce the
channels (Adebayo et al. 2018, appendix): absolute = sum_c |E_c|, signed = sum_c E_c. Similarities
are computed on these unclipped views; clipping and scaling are for the eye only.
"""

from __future__ import annotations

import numpy as np

from kernel_lib._checks import check_choice

VIEWS = ("absolute", "signed")


def view_of(maps: np.ndarray, view: str) -> np.ndarray:
    """Reduce maps (num_images, height, width[, channels]) to (num_images, height, width).

    Args:
        maps: raw signed maps.
        view: "absolute" (sum of magnitudes over channels) or "signed" (sum over channels).

    Returns:
        float64 array (num_images, height, width).
    """
    check_choice("view", view, VIEWS)
    maps = np.asarray(maps, np.float64)
    if maps.ndim not in (3, 4):
        raise ValueError(
            "Maps must have shape (num_images, height, width) or (num_images, height, width, "
            f"channels). Received: {maps.shape}."
        )
    maps = np.abs(maps) if view == "absolute" else maps
    return maps.sum(axis=-1) if maps.ndim == 4 else maps


def scaled(maps: np.ndarray) -> np.ndarray:
    """Divide each map (num_images, height, width) by its largest magnitude; zero stays zero."""
    largest = np.abs(maps).max(axis=(1, 2), keepdims=True)
    return np.divide(maps, largest, out=np.zeros_like(maps, np.float64), where=largest > 0)


def second_moment_scaled(maps: np.ndarray) -> np.ndarray:
    """Divide each map by its root mean square (Binder et al. 2023); zero stays zero."""
    size = np.sqrt(np.mean(np.square(maps), axis=(1, 2), keepdims=True))
    return np.divide(maps, size, out=np.zeros_like(maps, np.float64), where=size > 0)


def is_constant(maps: np.ndarray) -> np.ndarray:
    """Whether each map has no variation, (num_images,) bool: a dead map that ranks nothing."""
    flat = maps.reshape(len(maps), -1)
    return ~np.isfinite(flat).all(axis=1) | (flat.max(axis=1) == flat.min(axis=1))


def to_bytes(maps: np.ndarray, view: str) -> np.ndarray:
    """Scale each map for display: absolute 0..255; signed with 127 as zero, range 0..254.

    The 99th percentile of magnitude maps to full colour, so that one bright pixel does not
    blacken the rest.
    """
    maps = view_of(maps, view)
    top = np.percentile(np.abs(maps), 99, axis=(1, 2), keepdims=True)
    top = np.where(top > 0, top, np.abs(maps).max(axis=(1, 2), keepdims=True))
    share = np.divide(maps, top, out=np.zeros_like(maps), where=top > 0).clip(-1, 1)
    levels = share * 255 if view == "absolute" else 127 + share * 127
    return np.rint(levels).astype(np.uint8)
