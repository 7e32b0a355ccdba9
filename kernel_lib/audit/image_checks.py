"""What is wrong with the images themselves: copies, and pictures that show nothing.

Copies of training images among the images an audit rests on would let it praise memory. Exact
copies have the same pixels. Near copies look alike at 16 x 16 cells (a perceptual signature) and
differ by no more than what storing them again does, pixel by pixel. Within a class an image that
was mirrored, or given another brightness and contrast, is a near copy too; between classes that may
be the very difference.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from kernel_lib.data import ImageSet

# Of a signature, each way. A mean over cells differs by no more than the pixels do, so nothing that
# pixels would show is passed over; fewer cells leave more pairs to be compared pixel by pixel.
CELLS = 16
SIGNATURE_DISTANCE = 0.1  # root mean square over cells, of contrast-normalized signatures
PIXEL_DISTANCE = 0.08  # root mean square of the difference, in deviations of the image
_ROWS = 512  # signatures compared at once
_NEAREST = 4  # images by signature that are compared pixel by pixel
_FLAT = 0.004  # deviation of pixels; less than one step of 8 bits


@dataclass(frozen=True)
class Copies:
    """Images that stand twice.

    Attributes:
        of: (num_pairs, 2) indices of an image and an earlier or training image that it copies.
        exact: (num_pairs,) bool, whether pixel by pixel.
    """

    of: np.ndarray
    exact: np.ndarray

    def __len__(self) -> int:
        return len(self.of)


class Signs:
    """What all images are known by, each computed when first asked for."""

    def __init__(self, pixels: np.ndarray):
        self.pixels = pixels

    @cached_property
    def prints(self) -> np.ndarray:
        """(num_images,) 64-bit hashes of the pixels as bytes."""
        return fingerprints(self.pixels)

    @cached_property
    def plain(self) -> np.ndarray:
        """(num_images, num_cells) of the images as they are."""
        return signatures(self.pixels)

    @cached_property
    def mirrored(self) -> np.ndarray:
        """(num_images, num_cells) of the images with left and right exchanged."""
        return signatures(self.pixels[:, :, ::-1])


def leaked(images: ImageSet, signs: Signs | None = None) -> Copies:
    """Calibration and test images that are copies of training images, or test of calibration."""
    signs = signs or Signs(images.images)
    order = ("train", "calibration", "test")
    found = []
    for position, name in enumerate(order[1:], start=1):
        known = np.concatenate([images.splits[each] for each in order[:position]])
        found.append(copies(signs, images.splits[name], known, images.labels))
    return Copies(
        np.concatenate([each.of for each in found]), np.concatenate([each.exact for each in found])
    )


def repeated(images: ImageSet, signs: Signs | None = None) -> dict[str, int]:
    """Split -> how many of its images are exact copies of another one in it."""
    signs = signs or Signs(images.images)
    return {
        name: len(indices) - len(np.unique(signs.prints[indices]))
        for name, indices in images.splits.items()
        if len(indices)
    }


def again(images: ImageSet, split: str, signs: Signs | None = None) -> np.ndarray:
    """Indices of the images of a split that copy, exactly or nearly, an earlier one in it."""
    signs = signs or Signs(images.images)
    indices = np.sort(images.splits[split])
    if len(indices) < 2:
        return indices[:0]
    prints = signs.prints[indices]
    first = np.sort(np.unique(prints, return_index=True)[1])
    exact, kept = np.delete(indices, first), indices[first]
    near = {image for image, _ in _near(signs, kept, kept, images.labels, earlier_only=True)}
    return np.union1d(exact, np.array(sorted(near), indices.dtype))


def copies(signs: Signs, asked: np.ndarray, known: np.ndarray, labels: np.ndarray) -> Copies:
    """Which of the images at `asked` are copies of one at `known`.

    Args:
        signs: of all images.
        asked, known: disjoint indices.
        labels: (num_images,) classes.
    """
    pairs: dict[int, tuple[int, bool]] = {}
    if len(asked) and len(known):
        first_with = dict(zip(signs.prints[known][::-1], known[::-1], strict=True))
        for image, print_ in zip(asked, signs.prints[asked], strict=True):
            if print_ in first_with:
                pairs[int(image)] = (int(first_with[print_]), True)
        rest = np.array([image for image in asked if int(image) not in pairs], np.int64)
        for image, other in _near(signs, rest, known, labels):
            pairs.setdefault(image, (other, False))
    images = sorted(pairs)
    of = np.array([(image, pairs[image][0]) for image in images], np.int64).reshape(-1, 2)
    return Copies(of, np.array([pairs[image][1] for image in images], bool))


def fingerprints(pixels: np.ndarray) -> np.ndarray:
    """(num_images,) 64-bit hashes of the pixels as bytes."""
    found = np.empty(len(pixels), np.int64)
    for place, image in enumerate(pixels):
        data = np.rint(image * 255).astype(np.uint8).tobytes()
        found[place] = int.from_bytes(
            hashlib.blake2b(data, digest_size=8).digest(), "little", signed=True
        )
    return found


def _near(
    signs: Signs,
    asked: np.ndarray,
    known: np.ndarray,
    labels: np.ndarray,
    *,
    earlier_only: bool = False,
) -> Iterator[tuple[int, int]]:
    """Pairs that look alike at 16 x 16 cells and nearly agree pixel by pixel.

    With `earlier_only`, `asked` and `known` are the same and an image is held only against those
    before it.
    """
    if not len(asked):
        return
    pixels = signs.pixels
    known_signs = signs.plain[known]
    for mirrored in (False, True):
        looks = pixels[:, :, ::-1] if mirrored else pixels  # a view
        asked_signs = (signs.mirrored if mirrored else signs.plain)[asked]
        for row, column in _alike(asked_signs, known_signs, earlier_only):
            image, other = int(asked[row]), int(known[column])
            same_class = bool(labels[image] == labels[other])
            if mirrored and not same_class:
                continue
            if _distance(looks[image], pixels[other], fitted=same_class) <= PIXEL_DISTANCE:
                yield image, other


def _alike(asked: np.ndarray, known: np.ndarray, earlier_only: bool) -> Iterator[tuple[int, int]]:
    """Rows of signatures in `asked` and of the nearest in `known`, where these are close."""
    limit = known.shape[1] * SIGNATURE_DISTANCE**2
    norms = (known**2).sum(axis=1)
    for start in range(0, len(asked), _ROWS):
        rows = asked[start : start + _ROWS]
        squares = norms - 2 * rows @ known.T
        close = squares <= limit - (rows**2).sum(axis=1)[:, None]
        if earlier_only:
            close &= np.arange(len(known)) < start + np.arange(len(rows))[:, None]
        for row in np.flatnonzero(close.any(axis=1)):
            columns = np.flatnonzero(close[row])
            for column in columns[np.argsort(squares[row, columns], kind="stable")][:_NEAREST]:
                yield start + int(row), int(column)


def _distance(one: np.ndarray, other: np.ndarray, *, fitted: bool) -> float:
    """Root mean square of the difference of two images, in deviations of the first.

    Where `fitted`, of what is left once the other explains the first up to brightness and contrast:
    sqrt(1 - r^2) with the correlation r of their pixels.
    """
    spread = float(one.std())
    if spread == 0:
        return np.inf
    if not fitted:
        return float(np.square(one - other).mean()) ** 0.5 / spread
    product = float(((one - one.mean()) * (other - other.mean())).mean())
    correlation = product / max(spread * float(other.std()), 1e-12)
    return float(np.sqrt(max(0.0, 1 - correlation**2))) if correlation > 0 else np.inf


def signatures(pixels: np.ndarray) -> np.ndarray:
    """(num_images, CELLS * CELLS) float32: means of cells, without brightness and contrast.

    Flat images have no signature: theirs is far from all others.
    """
    height, width = pixels.shape[1:3]
    down, across = (np.linspace(0, side, CELLS + 1).astype(int)[:-1] for side in (height, width))
    down, across = np.unique(down), np.unique(across)
    areas = np.outer(np.diff(down, append=height), np.diff(across, append=width)).ravel()
    to_grey = np.full(pixels.shape[3], 1 / pixels.shape[3], np.float32)
    found = np.empty((len(pixels), len(areas)), np.float32)
    for start in range(0, len(pixels), _ROWS):
        part = pixels[start : start + _ROWS] @ to_grey
        sums = np.add.reduceat(np.add.reduceat(part, down, 1), across, 2)
        cells = sums.reshape(len(part), -1) / areas
        spread = part.std(axis=(1, 2))[:, None]
        cells = (cells - part.mean(axis=(1, 2))[:, None]) / np.maximum(spread, 1e-6)
        found[start : start + _ROWS] = np.where(spread > _FLAT, cells, 1e3)
    flat = found[:, 0] > 500
    found[flat] += 1e3 * np.arange(1, flat.sum() + 1, dtype=np.float32)[:, None]
    return found


def quality(pixels: np.ndarray) -> dict[str, np.ndarray]:
    """Places of images that show little.

    Args:
        pixels: (num_images, height, width, channels) in [0, 1].

    Returns:
        "blank" (one color), "dark" (99 % of pixels below 0.1), "bright" (99 % above 0.9), "blurred"
        (a thirtieth of the usual energy of fine detail, while the contrast is usual) -> indices.
    """
    grey = pixels.mean(axis=3)
    deviation = grey.std(axis=(1, 2))
    low, high = np.quantile(grey, (0.01, 0.99), axis=(1, 2))
    blank = deviation < _FLAT
    dark, bright = ~blank & (high < 0.1), ~blank & (low > 0.9)
    detail = _detail(grey) / np.maximum(deviation, 1e-6)
    blurred = ~blank & (detail < np.median(detail[~blank]) / 30) if (~blank).any() else blank
    named = {"blank": blank, "dark": dark, "bright": bright, "blurred": blurred}
    return {name: np.flatnonzero(found) for name, found in named.items()}


def _detail(grey: np.ndarray) -> np.ndarray:
    """Deviation of the Laplacian of each image."""
    if min(grey.shape[1:]) < 3:
        return np.ones(len(grey))
    middle = grey[:, 1:-1, 1:-1]
    around = grey[:, :-2, 1:-1] + grey[:, 2:, 1:-1] + grey[:, 1:-1, :-2] + grey[:, 1:-1, 2:]
    return (around - 4 * middle).std(axis=(1, 2))
