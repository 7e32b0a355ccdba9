"""What one epoch of one network draws: order, labels, noise and augmentation, with its defect.

Everything is drawn in NumPy from the network's seed and the epoch, before the epoch runs, so it is
the same whatever network is trained beside it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kernel_lib.invariance.transforms import warp
from kernel_lib.invariance.zoo.recipes import ModelRecipe


@dataclass(frozen=True)
class Epoch:
    """S steps of B images; images beyond the last have weight 0.

    Attributes:
        order: (S, B) int32 which images. `labels`: (S, B) int32. `weights`: (S, B) float32.
        moves: (S, B, 8) float32 projective maps of `ImageProjectiveTransformV3`.
        factors: (S, B) float32 that pixels are multiplied with.
        is_noise: (S, B) float32, 1 where an image is replaced by noise.
    """

    order: np.ndarray
    labels: np.ndarray
    weights: np.ndarray
    moves: np.ndarray
    factors: np.ndarray
    is_noise: np.ndarray


def training_indices(
    recipe: ModelRecipe, labels: np.ndarray, num_own: int, num_extra: int
) -> np.ndarray:
    """Which of the images a network learns from.

    Args:
        recipe: of the network.
        labels: (num_own + num_extra,) classes; first the training images, then those that only a
            leak brings in.
        num_own, num_extra: how many of each.
    """
    random = np.random.default_rng([recipe.seed, 1])
    own = np.arange(num_own)
    if recipe.defect == "less_data":
        return np.sort(random.permutation(num_own)[: max(1, round(recipe.amount * num_own))])
    if recipe.defect == "class_imbalance":
        target = recipe.target_class % (int(labels.max()) + 1)
        keep = (labels[own] != target) | (random.random(num_own) < recipe.amount)
        return own[keep]
    if recipe.defect == "leakage":
        leaked = random.permutation(num_extra)[: round(recipe.amount * num_extra)]
        return np.concatenate([own, num_own + np.sort(leaked)])
    return own


def draw_epoch(
    recipe: ModelRecipe,
    epoch: int,
    indices: np.ndarray,
    labels: np.ndarray,
    size: tuple[int, int],
    num_classes: int,
) -> Epoch:
    """Draw one epoch.

    Args:
        recipe: of the network.
        epoch: counted from 0.
        indices: from `training_indices`.
        labels: classes of all images.
        size: height and width of the images.
        num_classes: how many classes.
    """
    random = np.random.default_rng([recipe.seed, 2, epoch])
    order = _order(recipe, indices, labels, random)
    targets = labels[order].copy()
    if recipe.defect == "label_noise":
        wrong = random.random(len(order)) < recipe.amount
        targets[wrong] = random.integers(num_classes, size=int(wrong.sum()))
    is_noise = np.zeros(len(order), np.float32)
    if recipe.defect == "image_noise":
        is_noise[:] = random.random(len(order)) < recipe.amount
    amounts = _amounts(recipe, len(order), random)
    moves, factors = _maps(recipe.augment, amounts, size)
    num_steps = -(-len(order) // recipe.batch_size)
    shape = (num_steps, recipe.batch_size)
    return Epoch(
        _padded(order.astype(np.int32), shape),
        _padded(targets.astype(np.int32), shape),
        _padded(np.ones(len(order), np.float32), shape),
        _padded(moves, shape),
        _padded(factors, shape),
        _padded(is_noise, shape),
    )


def _order(
    recipe: ModelRecipe, indices: np.ndarray, labels: np.ndarray, random: np.random.Generator
) -> np.ndarray:
    if recipe.defect == "fixed_order":
        return indices
    shuffled = random.permutation(indices)
    if recipe.defect == "class_by_class":
        return shuffled[np.argsort(labels[shuffled], kind="stable")]
    return shuffled


def _amounts(recipe: ModelRecipe, count: int, random: np.random.Generator) -> np.ndarray:
    """Angles or factors for each image, uniform in the range of the augmentation."""
    if recipe.augment == "none":
        return np.zeros(count)

    def draw(number: int) -> np.ndarray:
        return random.uniform(*_span(recipe), number)

    amounts = draw(count)
    if recipe.defect != "augment_holes":
        return amounts
    holes = np.random.default_rng([recipe.seed, 3]).choice(np.arange(-5, 6), 2, replace=False)
    for _ in range(100):
        if recipe.augment == "rotation":
            refused = np.isin(np.rint(amounts), holes)
        else:
            refused = np.abs(amounts - 1) < 0.05
        if not refused.any():
            break
        amounts[refused] = draw(int(refused.sum()))
    return amounts


def _span(recipe: ModelRecipe) -> tuple[float, float]:
    """Least and largest amount of the augmentation."""
    middle, least = (0.0, -np.inf) if recipe.augment == "rotation" else (1.0, 0.0)
    low, high = max(least, middle - recipe.max_augment), middle + recipe.max_augment
    return (low + recipe.amount * (high - low) if recipe.defect == "one_sided" else low), high


def _maps(
    augment: str, amounts: np.ndarray, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Projective maps (count, 8) from output to input pixels, and factors (count,)."""
    count = len(amounts)
    maps = np.tile(np.array([1, 0, 0, 0, 1, 0, 0, 0], np.float32), (count, 1))
    factors = np.ones(count, np.float32)
    if augment == "brightness":
        return maps, amounts.astype(np.float32)
    if augment == "none":
        return maps, factors
    matrix_of = warp.rotation_matrix if augment == "rotation" else warp.scaling_matrix
    centre = np.array([(size[1] - 1) / 2, (size[0] - 1) / 2])
    for row, amount in zip(maps, amounts, strict=True):
        matrix = matrix_of(max(amount, 0.05) if augment == "scaling" else amount)
        shift = centre - matrix[:, :2] @ centre
        row[:6] = (*matrix[0, :2], shift[0], *matrix[1, :2], shift[1])
    return maps, factors


def _padded(values: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(count, ...) -> (steps, batch, ...), zeros at the end."""
    padded = np.zeros((shape[0] * shape[1], *values.shape[1:]), values.dtype)
    padded[: len(values)] = values
    return padded.reshape(*shape, *values.shape[1:])
