"""Generated coloured shapes, for which every label, mask and planted leak is known.

One flat shape lies on one flat background. Five things can be asked of each image: which shape,
colour, size, quadrant and background it has. The labels of one task say nothing about another's
unless `correlation` makes them, so a network trained on one task has no need of the others.

The data set follows "Reducing Overlearning through Disentangled Representations by Suppressing
Unknown Tasks" (arXiv 2005.10220), with these deviations: a seed fixes every image, the splits
share no image, any image size is possible, a black background is the same under all shapes
(`legacy_black` brings the difference back), and the centre does not depend on the radius
(`placement="legacy"` brings that back). As there, size means area and the quadrant is that of the
centre: large shapes reach over the mid-lines.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial

import numpy as np

from kernel_lib._checks import check_choice, check_count
from kernel_lib.data._shape_labels import (
    CELLS,
    COLUMNS,
    TASKS,
    Correlation,
    Weights,
    check_correlation,
    check_weights,
    draw_labels,
)
from kernel_lib.data._shape_scenes import cover, draw_scenes, paint
from kernel_lib.data.image_set import ImageSet
from kernel_lib.data.splits import SPLIT_NAMES

_LARGEST_PADDING = 39  # beyond it the largest triangle has no room
_SMALLEST_SIZE = 24  # below it the smallest shapes may fall between the pixels
_MOST_SAMPLES = 15  # per axis; their square is counted in a byte
_MOST_REDRAWS = 100


def shapes(
    *,
    size: int = 64,
    repetitions: int = 5,
    num_images: int | None = None,
    primary: str = "shape",
    placement: str = "radius_free",
    padding: int = 25,
    imbalance: Weights | None = None,
    correlation: Correlation | None = None,
    legacy_black: bool = False,
    supersample: int = 1,
    seed: int = 0,
) -> ImageSet:
    """Generate coloured shapes with five label columns and object masks.

    By default every one of the 1260 combinations of labels occurs equally often in every split, so
    each task and each pair of tasks is exactly balanced in it.

    Args:
        size: height and width in pixels, at least 24.
        repetitions: images of each combination of labels, at least 3. About a fifth of them go to
            the calibration split, as many to the test split, and the rest to training.
        num_images: total number of images, at least 5; overrides `repetitions`.
        primary: the task whose classes become `labels`.
        placement: "radius_free" draws every centre from one range; "legacy" lets small shapes
            stray further, as in the original, so that position tells a little about size.
        padding: distance of centres from the mid-lines, in 1/256 of the side, 0 to 39.
        imbalance: weights of a task's classes, such as {"size": [8, 1, 1]}. Labels are then drawn
            at random instead of in equal numbers.
        correlation: {(source, target): rho}. With probability rho an image's label of the task
            `target` copies its label of the task `source`, modulo the number of target classes;
            otherwise it is drawn by itself. {("color", "shape"): 1.0} lets colour tell the shape.
            Labels are then drawn at random instead of in equal numbers.
        legacy_black: draw black as (1, 1, 1) of 255 behind circles, which gives them away.
        supersample: samples per pixel and axis, 1 to 15; 1 leaves edges hard, as in the original.
        seed: seed of everything drawn. The same seed gives the same bytes.

    Returns:
        An `ImageSet` with images float32 (num_images, size, size, 3), the tasks "shape", "color",
        "size", "quadrant" and "background", and masks (num_images, size, size).

    Raises:
        ValueError: If an argument is out of its range, or so many images are wanted at so small a
            size that the splits cannot be kept apart.

    Example:
        >>> images = shapes(size=32, num_images=100, primary="color")
        >>> images
        ImageSet 'shapes': 100 images of 32x32x3, 7 classes, train 60 / calibration 20 / test 20, \
tasks shape, color, size, quadrant, background, masks
    """
    _check_arguments(size, primary, placement, padding, supersample)
    imbalance, correlation = imbalance or {}, correlation or {}
    check_weights(imbalance)
    check_correlation(correlation)
    counts = _split_counts(repetitions, num_images)

    draw = partial(draw_scenes, placement=placement, padding=padding, legacy_black=legacy_black)
    render = partial(cover, size=size, supersample=supersample)
    taken: set[bytes] = set()  # the images of the splits made so far
    parts = []
    for number, count in enumerate(counts):
        rng = np.random.default_rng([seed, number])
        labels = draw_labels(count, primary, imbalance, correlation, rng)
        parts.append((labels, *_render_apart(labels, taken, partial(draw, rng=rng), render)))
    labels, scenes, coverage = (np.concatenate(columns) for columns in zip(*parts, strict=True))

    return ImageSet(
        images=paint(scenes, coverage, supersample),
        labels=labels[:, COLUMNS[primary]],
        class_names=TASKS[primary],
        name="shapes",
        tasks={task: labels[:, column] for task, column in COLUMNS.items()},
        task_class_names=TASKS,
        masks=coverage >= (supersample**2 + 1) // 2,
        splits=dict(
            zip(SPLIT_NAMES, np.split(np.arange(len(labels)), np.cumsum(counts)[:-1]), strict=True)
        ),
    )


def _render_apart(
    labels: np.ndarray,
    taken: set[bytes],
    draw: Callable[[np.ndarray], np.ndarray],
    render: Callable[[np.ndarray], np.ndarray],
) -> tuple[np.ndarray, np.ndarray]:
    """Draw and render scenes, again where the image is already `taken`; then add them to it."""
    scenes = draw(labels)
    coverage = render(scenes)
    names = _pixel_names(scenes, coverage)
    for _ in range(_MOST_REDRAWS):
        repeated = [index for index, name in enumerate(names) if name in taken]
        if not repeated:
            taken.update(names)
            return scenes, coverage
        scenes[repeated] = drawn = draw(labels[repeated])
        coverage[repeated] = rendered = render(drawn)
        for index, name in zip(repeated, _pixel_names(drawn, rendered), strict=True):
            names[index] = name
    raise ValueError(
        f"The splits share images whatever is drawn: {len(labels)} images of "
        f"{coverage.shape[1]} pixels are too many. Ask for fewer images or a larger `size`."
    )


def _pixel_names(scenes: np.ndarray, coverage: np.ndarray) -> list[bytes]:
    """Hash what decides each image's pixels: its coverage and its two colours."""
    colors = np.concatenate([scenes["foreground"], scenes["background"]], axis=1)
    return [
        hashlib.blake2b(covered, digest_size=16, key=color.tobytes()).digest()
        for covered, color in zip(coverage, colors, strict=True)
    ]


def _split_counts(repetitions: int, num_images: int | None) -> tuple[int, int, int]:
    """Return the number of training, calibration and test images."""
    if num_images is None:
        total, unit = check_count("repetitions", repetitions, low=3), len(CELLS)
    else:
        total, unit = check_count("num_images", num_images, low=5), 1
    fifth = max(1, round(total / 5))
    return (total - 2 * fifth) * unit, fifth * unit, fifth * unit


def _check_arguments(
    size: int, primary: str, placement: str, padding: int, supersample: int
) -> None:
    check_count("size", size, low=_SMALLEST_SIZE)
    check_choice("primary", primary, TASKS)
    check_choice("placement", placement, ("legacy", "radius_free"))
    if check_count("padding", padding, low=0) > _LARGEST_PADDING:
        raise ValueError(
            f"`padding` must be at most {_LARGEST_PADDING}, or the largest shapes would not fit "
            f"into the image. Received: padding={padding}."
        )
    if check_count("supersample", supersample) > _MOST_SAMPLES:
        raise ValueError(
            f"`supersample` must be at most {_MOST_SAMPLES}. Received: supersample={supersample}."
        )
