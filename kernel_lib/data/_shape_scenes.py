"""Where a generated shape lies, how large it is, and which pixels it covers.

All lengths are in units of 1/256 of the image's side, so a scene is the same at every image size.
x grows to the right and y downward; the centre of the pixel i of 256 lies at i.
"""

from __future__ import annotations

import numpy as np

SCENE = np.dtype(
    [
        ("shape", np.int64),
        ("radius", np.int64),
        ("x", np.int64),
        ("y", np.int64),
        ("foreground", np.uint8, 3),
        ("background", np.uint8, 3),
    ]
)
_CANVAS = 256
_MIDDLE = 128
_CIRCLE = 0
_NUM_SIDES = (0, 4, 3, 5, 6)  # of each shape; the circle has none
_BLACK, _RANDOM = 1, 2

# Radii (lowest, highest) for each shape and size, matched so that size means area.
_RADII = np.array(
    [
        [(16, 25), (32, 40), (45, 58)],
        [(16, 32), (40, 48), (56, 72)],
        [(20, 38), (50, 60), (70, 88)],
        [(14, 28), (36, 44), (52, 68)],
        [(14, 28), (35, 44), (49, 64)],
    ]
)
_FOREGROUND = np.array(
    [
        (148, 0, 211),
        (75, 0, 130),
        (0, 0, 255),
        (0, 255, 0),
        (255, 255, 0),
        (255, 127, 0),
        (255, 0, 0),
    ],
    np.uint8,
)
_RENDERED_AT_ONCE = 64  # images; small enough for the masks to stay in the processor's cache


def draw_scenes(
    labels: np.ndarray,
    rng: np.random.Generator,
    *,
    placement: str,
    padding: int,
    legacy_black: bool,
) -> np.ndarray:
    """Draw a scene for each row of `labels` (num_images, 5); `SCENE` records (num_images,)."""
    shape, color, size, quadrant, background = labels.T
    scenes = np.empty(len(labels), SCENE)
    scenes["shape"] = shape
    lowest, highest = _RADII[shape, size].T
    scenes["radius"] = rng.integers(lowest, highest + 1)
    reach = scenes["radius"] if placement == "legacy" else np.full(len(labels), _RADII.max())
    right, top = np.isin(quadrant, (0, 3)), np.isin(quadrant, (0, 1))
    scenes["x"] = _draw_centres(right, reach, padding, rng)
    scenes["y"] = _draw_centres(~top, reach, padding, rng)
    scenes["foreground"] = _FOREGROUND[color]
    scenes["background"] = _draw_backgrounds(background, rng)
    if legacy_black:
        scenes["background"][(background == _BLACK) & (shape == _CIRCLE)] = 1
    return scenes


def cover(scenes: np.ndarray, size: int, supersample: int) -> np.ndarray:
    """Count the samples of each pixel that lie inside the object.

    Returns:
        uint8 (num_images, size, size), from 0 to supersample squared.
    """
    coverage = np.zeros((len(scenes), size, size), np.uint8)
    samples = (np.arange(size * supersample) + 0.5) * _CANVAS / (size * supersample) - 0.5
    for shape, num_sides in enumerate(_NUM_SIDES):
        members = np.flatnonzero(scenes["shape"] == shape)
        for start in range(0, len(members), _RENDERED_AT_ONCE):
            chunk = members[start : start + _RENDERED_AT_ONCE]
            inside = _inside(scenes[chunk], num_sides, samples)
            blocks = inside.reshape(len(chunk), size, supersample, size, supersample)
            coverage[chunk] = blocks.sum((2, 4), dtype=np.uint8) if supersample > 1 else inside
    return coverage


def paint(scenes: np.ndarray, coverage: np.ndarray, supersample: int) -> np.ndarray:
    """Colour the object and what is behind it; float32 (num_images, height, width, 3)."""
    images = np.empty((*coverage.shape, 3), np.float32)
    foreground = scenes["foreground"].astype(np.float32) / 255
    background = scenes["background"].astype(np.float32) / 255
    shares = np.arange(supersample**2 + 1, dtype=np.float32)[:, None] / supersample**2
    for image, covered, front, back in zip(images, coverage, foreground, background, strict=True):
        palette = shares * front + (1 - shares) * back  # (supersample² + 1, 3)
        # Every count is a valid place, and "clip" writes without a buffer.
        np.take(palette, covered, axis=0, out=image, mode="clip")
    return images


def _draw_centres(
    far: np.ndarray, reach: np.ndarray, padding: int, rng: np.random.Generator
) -> np.ndarray:
    """Draw one coordinate of each centre, beyond the mid-line where `far`, before it elsewhere."""
    lowest = np.where(far, _MIDDLE + padding, reach)
    highest = np.where(far, _CANVAS - 1 - reach, _MIDDLE - padding)
    return rng.integers(lowest, highest + 1)


def _draw_backgrounds(background: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    colors = np.full((len(background), 3), 255)
    colors[background == _BLACK] = 0
    pastel = rng.integers(200, 246, colors.shape)
    return np.where((background == _RANDOM)[:, None], pastel, colors)


def _inside(scenes: np.ndarray, num_sides: int, samples: np.ndarray) -> np.ndarray:
    """Mark the samples inside circles, or inside polygons; bool (num_images, samples, samples)."""
    across = (samples - scenes["x"][:, None]).astype(np.float32)
    down = (samples - scenes["y"][:, None]).astype(np.float32)
    radius = scenes["radius"][:, None].astype(np.float32)
    if num_sides == 0:
        return (across**2)[:, None, :] <= (radius**2 - down**2)[:, :, None]
    inside = np.ones((len(scenes), len(samples), len(samples)), bool)
    # A polygon is what lies on the inner side of all its edges; the half unit stands for the
    # boundary pixels that a filled polygon includes.
    to_edge = radius * np.float32(np.cos(np.pi / num_sides).round(9)) + np.float32(0.5)
    for side in range(num_sides):
        # Rounded, so that an edge along an axis is not tilted by sin(pi) = 1e-16.
        angle = 2 * np.pi * (side + 0.5) / num_sides
        sine, cosine = np.float32(np.sin(angle).round(9)), np.float32(np.cos(angle).round(9))
        inside &= (across * sine)[:, None, :] <= (to_edge - down * cosine)[:, :, None]
    return inside
