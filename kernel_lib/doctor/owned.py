"""Which images own a mask: an empty one means that there is none."""

from __future__ import annotations

import numpy as np

from kernel_lib.data import ImageSet


def mask_owners(images: ImageSet) -> np.ndarray:
    """Whether each image has an object mask, (num_images,) bool."""
    if images.masks is None:
        return np.zeros(len(images), bool)
    return np.asarray(images.masks.any(axis=(1, 2)))


def masks_or_empty(images: ImageSet) -> np.ndarray:
    """Masks (num_images, height, width) bool; empty ones for images that own none."""
    return np.zeros(images.images.shape[:3], bool) if images.masks is None else images.masks
