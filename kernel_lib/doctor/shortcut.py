"""Plant a shortcut: backgrounds whose colour tells the class in training, but not in the test."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kernel_lib._checks import check_number
from kernel_lib.data import ImageSet
from kernel_lib.doctor.owned import mask_owners


def plant_shortcut(images: ImageSet, strength: float = 0.95, seed: int = 0) -> ImageSet:
    """Paint each background in a colour that belongs to the image's class.

    In the training and calibration splits an image gets its own class's colour with probability
    `strength`, and otherwise any class's. In the test split any class's colour is as likely, so a
    network that reads the background fails there.

    Args:
        images: an image set with object masks, such as ``load("shapes")``.
        strength: how often the background tells the class in training, in [0, 1].
        seed: seed of the colours.

    Returns:
        The image set with new backgrounds; the task "background" holds the colour's number.

    Raises:
        ValueError: the images have no masks.

    Example:
        >>> images = plant_shortcut(kl.data.load("shapes", size=48, num_images=2000))
    """
    check_number("strength", strength, 0, 1)
    if images.masks is None or not images.masks.any():
        raise ValueError("Backgrounds can be painted only where masks say what is background.")
    random = np.random.default_rng([seed, 77])
    count = images.num_classes
    told = random.random(len(images)) < strength
    told[images.splits["test"]] = False
    number = np.where(told, images.labels, random.integers(count, size=len(images)))
    colors = (_colors(count) if images.image_shape[2] == 3 else _greys(count))[number]
    colors = np.clip(colors + random.uniform(-0.06, 0.06, colors.shape), 0, 1)
    has_mask = mask_owners(images)[:, None, None]
    background = (~images.masks & has_mask)[..., None]
    painted = np.where(background, colors[:, None, None, :].astype(np.float32), images.images)
    return replace(
        images,
        images=painted,
        name=f"{images.name} with a shortcut",
        tasks={**images.tasks, "background": number.astype(np.int64)},
        task_class_names={
            **images.task_class_names,
            "background": tuple(f"colour {i}" for i in range(count)),
        },
    )


def _colors(count: int) -> np.ndarray:
    """Pale colours that differ in hue, (count, 3) in [0, 1]."""
    hues = np.arange(count) / count
    phases = (hues[:, None] + np.array([0, 1 / 3, 2 / 3])[None, :]) * 2 * np.pi
    return 0.62 + 0.3 * np.cos(phases)


def _greys(count: int) -> np.ndarray:
    """Levels of grey, evenly apart, (count, 1) in [0, 1]."""
    return np.linspace(0.25, 0.9, count)[:, None]
