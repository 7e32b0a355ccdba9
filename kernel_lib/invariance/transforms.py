"""The transformations one can sweep over, by name, and the rules that keep artefacts away.

A network may react to what a transformation does by the way: black corners that turn into the
picture, or the slight blur of every rotated image that the untouched one lacks. The latter draws a
false cross into every variance matrix. `Rules` say what is done about it; `PAPER` are those of the
original code (nearest pixel, black outside).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from kernel_lib._checks import check_choice, check_number
from kernel_lib.invariance import pixels, warp
from kernel_lib.invariance.grids import Grid, as_grid, even_grid, ratio_grid
from kernel_lib.invariance.warp import RESAMPLINGS, from_columns, to_columns, warp_of

PixelFunction = Callable[[np.ndarray, float], np.ndarray]


@dataclass(frozen=True)
class Rules:
    """How a geometric transformation treats what it cannot know.

    Attributes:
        fill: what lies outside the image: "reflect", "edge", a grey level in [0, 1], or "auto":
            the background's level where the border of the images has one, else "reflect".
        mask: whether everything outside the inscribed circle takes the fill level (the images'
            mean where there is none) at every step, the identity included; "auto" does so for
            rotations of images without a background.
        resampling: "smooth" (each pixel is the mean of 3 x 3 points, at the identity too),
            "bilinear" or "nearest".
    """

    fill: str | float = "auto"
    mask: bool | str = "auto"
    resampling: str = "smooth"

    def __post_init__(self) -> None:
        check_choice("resampling", self.resampling, RESAMPLINGS)
        if isinstance(self.fill, str):
            check_choice("fill", self.fill, ("auto", "reflect", "edge"))
        else:
            check_number("fill", self.fill, 0, 1)
        if self.mask not in (True, False, "auto"):
            raise ValueError(f"`mask` must be True, False or 'auto'. Received: mask={self.mask!r}.")


CLEAN = Rules()
PAPER = Rules(fill=0.0, mask=False, resampling="nearest")
_RULES = {"clean": CLEAN, "paper": PAPER}


def as_rules(rules: Rules | str) -> Rules:
    """Rules themselves, or those named "clean" or "paper"."""
    if isinstance(rules, Rules):
        return rules
    return _RULES[check_choice("rules", rules, _RULES)]


@dataclass(frozen=True)
class Transform:
    """One transformation of images.

    Attributes:
        name, title: for programs and for people.
        grid: the values swept over unless others are asked for.
        matrix: value -> (2, 3) map of a geometric transformation, see `warp`; or
        function: (images, value) -> images of any other.
    """

    name: str
    title: str
    grid: Grid
    matrix: Any = None
    function: Any = None

    @property
    def is_geometric(self) -> bool:
        """Whether pixels move, rather than change."""
        return self.matrix is not None


_SEED_ANGLES = even_grid(-15, 15, 31, 0, "degrees")
_SEED_FACTORS = even_grid(0.7, 1.3, 31, 1)
_SHIFTS = even_grid(-4, 4, 17, 0, "pixels")
_REGISTRY = {
    transform.name: transform
    for transform in (
        Transform("rotation", "Rotation", _SEED_ANGLES, warp.rotation_matrix),
        Transform("scaling", "Scaling", _SEED_FACTORS, warp.scaling_matrix),
        Transform("brightness", "Brightness", _SEED_FACTORS, function=pixels.brightness),
        Transform(
            "translation_x", "Shift to the right", _SHIFTS, lambda v: warp.translation_matrix(v, 0)
        ),
        Transform(
            "translation_y", "Shift downwards", _SHIFTS, lambda v: warp.translation_matrix(0, v)
        ),
        Transform("shear", "Shear", _SEED_ANGLES, warp.shear_matrix),
        Transform("contrast", "Contrast", even_grid(0.5, 1.5, 31, 1), function=pixels.contrast),
        Transform("gamma", "Gamma", ratio_grid(2.0, 31), function=pixels.gamma),
        Transform("saturation", "Saturation", even_grid(0, 2, 31, 1), function=pixels.saturation),
        Transform("hue", "Hue", even_grid(-30, 30, 31, 0, "degrees"), function=pixels.hue),
        Transform("blur", "Blur", even_grid(0, 2, 21, 0, "pixels"), function=pixels.blur),
        Transform("noise", "Noise", even_grid(0, 0.3, 31, 0), function=pixels.noise),
        Transform("occlusion", "Occlusion", even_grid(0, 0.5, 21, 0), function=pixels.occlusion),
        Transform("jpeg", "JPEG compression", even_grid(0, 90, 16, 0), function=pixels.jpeg),
    )
}


def transforms() -> tuple[str, ...]:
    """Names of the transformations that `sweep` and `audit` know."""
    return tuple(_REGISTRY)


def as_transform(
    transform: str | Transform | PixelFunction,
    values: Sequence[float] | Grid | None = None,
    *,
    identity: float = 0.0,
    seed: int = 0,
) -> Transform:
    """Find a transformation by name, or make one of a function; set its values.

    Args:
        transform: a name of `transforms()`, a `Transform`, or a function (images, value) ->
            images that keeps the shape and the range [0, 1].
        values: values to sweep over, one of them the identity; None takes the usual ones. A
            function needs them.
        identity: for a function, the value that changes nothing.
        seed: seed of noise and of places to cover.

    Raises:
        ValueError: an unknown name, or values without the identity.
    """
    if isinstance(transform, str):
        found = _REGISTRY[check_choice("transform", transform, _REGISTRY)]
        if found.name in ("noise", "occlusion"):
            found = replace(found, function=partial(found.function, seed=seed))
    elif isinstance(transform, Transform):
        found = transform
    elif callable(transform):
        if values is None:
            raise ValueError(
                "A transformation of your own needs `values`, one of them the identity."
            )
        name = getattr(transform, "__name__", "transformation").strip("<>")
        grid = as_grid(values, identity, "")
        return Transform(name, name.replace("_", " ").capitalize(), grid, function=transform)
    else:
        raise TypeError(
            "`transform` must be a name, a Transform or a function (images, value) -> images. "
            f"Received: {type(transform).__name__}."
        )
    if values is None:
        return found
    return replace(found, grid=as_grid(values, found.grid.identity, found.grid.unit))


class Stepper:
    """A transformation made ready for images of one shape: all its steps, batch by batch.

    Args:
        transform: what is done, and its values.
        rules: how borders are treated.
        images: images that tell the background and the mean (num_images, h, w, channels).
    """

    def __init__(self, transform: Transform, rules: Rules, images: np.ndarray):
        self.transform, self.grid = transform, transform.grid
        self.size = images.shape[1:3]
        self.rules, self.level = _settled(transform, rules, images)
        self.circle = inscribed_circle(self.size) if self.rules.mask else None
        self._warps: dict[int, warp.Warp] = {}  # made at a step's first use

    def _warp(self, step: int) -> warp.Warp:
        if step not in self._warps:
            border = self.rules.fill if isinstance(self.rules.fill, str) else "fill"
            matrix = self.transform.matrix(self.grid.values[step])
            self._warps[step] = warp_of(
                matrix, self.size, resampling=self.rules.resampling, border=border,
                inside=self.circle,
            )  # fmt: skip
        return self._warps[step]

    def steps(self, images: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """Yield each step's number and the images at it; the identity comes first."""
        first = self.grid.identity_index
        order = [first, *(step for step in range(len(self.grid)) if step != first)]
        columns = to_columns(images) if self.transform.is_geometric else None
        for step in order:
            yield step, self._at(step, images, columns)

    def _at(self, step: int, images: np.ndarray, columns: np.ndarray | None) -> np.ndarray:
        value = self.grid.values[step]
        if columns is None:
            return self._checked(self.transform.function(images, value), images)
        fill = np.tile(self.level, len(images))
        moved = from_columns(self._warp(step).apply(columns, fill), images.shape)
        return np.clip(moved, 0, 1, out=moved)

    def _checked(self, changed: Any, images: np.ndarray) -> np.ndarray:
        changed = np.asarray(changed, np.float32)
        if changed.shape != images.shape:
            raise ValueError(
                f"The transformation {self.transform.name!r} must keep the shape {images.shape}. "
                f"It gave: {changed.shape}."
            )
        if not np.isfinite(changed).all() or changed.min() < -1e-6 or changed.max() > 1 + 1e-6:
            raise ValueError(
                f"The transformation {self.transform.name!r} must keep pixels in [0, 1]. "
                f"It gave: values from {changed.min():g} to {changed.max():g}."
            )
        return changed

    def describe(self) -> dict[str, Any]:
        """Everything the pixels depend on besides the images, as JSON can hold it."""
        return {
            "transform": self.transform.name,
            "grid": self.grid.describe(),
            "fill": self.rules.fill,
            "mask": self.rules.mask,
            "resampling": self.rules.resampling if self.transform.is_geometric else "none",
            "level": self.level.tolist(),
        }


def _settled(transform: Transform, rules: Rules, images: np.ndarray) -> tuple[Rules, np.ndarray]:
    """Decide what "auto" means for these images, and which level fills and masks."""
    mean = images.mean(axis=(0, 1, 2), dtype=np.float64).astype(np.float32)
    level = background(images)
    fill, mask = rules.fill, rules.mask
    if fill == "auto":
        fill = "reflect" if level is None else float(level.mean())
    if mask == "auto":
        mask = transform.name == "rotation" and isinstance(fill, str)
    if not isinstance(fill, str) and rules.fill != "auto":
        level = np.full(images.shape[-1], fill, np.float32)
    mask = bool(mask) and transform.is_geometric
    return Rules(fill, mask, rules.resampling), mean if level is None else level


def background(images: np.ndarray) -> np.ndarray | None:
    """The level (channels,) of the images' border if nine tenths of it have it, else None."""
    edges = (images[:, 0], images[:, -1], images[:, :, 0], images[:, :, -1])
    border = np.concatenate([edge.reshape(-1, images.shape[-1]) for edge in edges])
    level = np.median(border, axis=0)
    has_level = np.abs(border - level).max(axis=1) <= 0.02
    return level.astype(np.float32) if has_level.mean() >= 0.9 else None


def inscribed_circle(size: tuple[int, int]) -> np.ndarray:
    """(height, width) True inside the largest circle; no rotation moves anything in or out."""
    height, width = size
    row, column = np.indices(size)
    distance = np.hypot(row - (height - 1) / 2, column - (width - 1) / 2)
    return distance <= min(size) / 2
