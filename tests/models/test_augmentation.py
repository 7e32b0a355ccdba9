"""Random moves of images: each is a crop, a flip or a turn by hand, and masks move alike."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from kernel_lib.data import ImageSet
from kernel_lib.models import train
from kernel_lib.models.augmentation import (
    OF_IMAGE_SETS,
    Augmentation,
    _turned,
    augmentation,
)
from kernel_lib.models.fitting import Fit


@pytest.fixture
def numbered() -> np.ndarray:
    """Images in which each pixel has a number of its own, from 1; (40, 6, 7, 2)."""
    pixels = np.arange(1, 6 * 7 * 2 + 1, dtype=np.float32).reshape(1, 6, 7, 2)
    return pixels.repeat(40, axis=0)


def blank(side: int = 8, name: str = "") -> ImageSet:
    return ImageSet(np.zeros((4, side, side, 1), np.float32), np.arange(4) % 2, name=name)


def moved(augment: Augmentation, *stacks: np.ndarray, seed: int = 0) -> list[np.ndarray]:
    return [each.numpy() for each in augment.moved(tf.constant([seed, 3]), *stacks)]


def by_hand(image: np.ndarray, crop: int) -> dict[tuple[bool, int, int], np.ndarray]:
    """Every crop of the padded image, as it is and mirrored."""
    height, width = image.shape[:2]
    padded = np.pad(image, [(crop, crop), (crop, crop), (0, 0)])
    places = [(down, right) for down in range(2 * crop + 1) for right in range(2 * crop + 1)]
    crops = {(d, r): padded[d : d + height, r : r + width] for d, r in places}
    return {
        (flip, d, r): part[:, ::-1] if flip else part
        for (d, r), part in crops.items()
        for flip in (False, True)
    }


def test_each_image_is_a_crop_or_a_mirrored_crop(numbered: np.ndarray) -> None:
    found = moved(Augmentation(crop=1, flip=True), numbered)[0]
    wanted = by_hand(numbered[0], 1)
    kinds = []
    for image in found:
        same = [kind for kind, part in wanted.items() if np.array_equal(part, image)]
        assert len(same) == 1
        kinds += same
    assert 10 <= sum(flip for flip, _, _ in kinds) <= 30
    assert {d for _, d, _ in kinds} == {r for _, _, r in kinds} == {0, 1, 2}


def test_masks_move_exactly_with_their_images(numbered: np.ndarray) -> None:
    masks = numbered[..., 0] > 40
    augment = Augmentation(crop=3, flip=True, rotate=40.0)
    images, carried = moved(augment, numbered, masks)
    np.testing.assert_array_equal(carried, images[..., 0] > 40)
    assert carried.dtype == bool
    assert len(np.unique(carried, axis=0)) > 20


def test_a_turn_by_a_right_angle_is_that_of_numpy() -> None:
    image = np.arange(25).reshape(5, 5)
    x, y = np.meshgrid(np.arange(5), np.arange(5))
    old_x, old_y = _turned(tf.constant(x), tf.constant(y), np.pi / 2, 5, 5)
    np.testing.assert_array_equal(image[old_y.numpy(), old_x.numpy()], np.rot90(image, -1))


def test_turns_keep_the_middle_and_differ() -> None:
    images = np.zeros((30, 9, 9, 1), np.float32)
    images[:, 4, 4], images[:, 0, 4] = 1, 0.5
    turned = moved(Augmentation(rotate=45), images)[0]
    assert (turned[:, 4, 4] == 1).all()
    columns = {int(np.argmax((image == 0.5).any(axis=0))) for image in turned[..., 0]}
    assert min(columns) <= 2
    assert max(columns) >= 6


def test_nothing_to_do_changes_nothing(numbered: np.ndarray) -> None:
    np.testing.assert_array_equal(moved(Augmentation(), numbered)[0], numbered)


def test_the_seed_names_what_is_drawn(numbered: np.ndarray) -> None:
    augment = Augmentation(crop=2, flip=True)
    first, second, other = (moved(augment, numbered, seed=seed)[0] for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)


def test_names_are_understood_and_written() -> None:
    found = augmentation("crop4_flip_rotate15", blank())
    assert found == Augmentation(4, True, 15.0)
    assert augmentation("rotate7.5", blank()) == Augmentation(rotate=7.5)
    for name in ("crop4", "flip", "crop2_flip", "crop4_flip_rotate15", "rotate7.5"):
        assert augmentation(name, blank()).recipe == name


def test_auto_follows_the_image_set() -> None:
    assert augmentation("auto", blank(name="cifar10")) == Augmentation(crop=4, flip=True)
    assert augmentation("auto", blank(name="mnist")) == Augmentation(crop=2)
    assert augmentation("auto", blank(name="svhn")) is None
    assert augmentation("none", blank(name="cifar10")) is None
    for name in OF_IMAGE_SETS:
        assert augmentation("auto", blank(name=name)).recipe == OF_IMAGE_SETS[name]


@pytest.mark.parametrize("name", ["mirror", "crop", "crop0", "flip_flip", "crop-2", "rotate", ""])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="`augment` must be 'none', 'auto', or words such as"):
        augmentation(name, blank())


def test_crops_as_wide_as_the_image_are_refused() -> None:
    with pytest.raises(ValueError, match="crop by 8 pixels can leave nothing of images of 8x8"):
        augmentation("crop8", blank())
    with pytest.raises(TypeError, match="must be a name such as 'crop4_flip', or a function"):
        augmentation(4, blank())


def test_a_killed_training_with_moves_goes_on_to_the_same_bytes(
    few_digits: ImageSet, tmp_path, monkeypatch
) -> None:
    settings = {"epochs": 3, "batch_size": 32, "augment": "crop2_flip_rotate20", "progress": False}
    expected = train("small_cnn", few_digits, **settings)
    run = Fit.run

    def killed(fit: Fit, parts) -> dict[str, float]:
        entry = run(fit, parts)
        if len(fit.history) == 1:
            raise KeyboardInterrupt
        return entry

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Fit, "run", killed)
        train("small_cnn", few_digits, cache=tmp_path, **settings)
    resumed = train("small_cnn", few_digits, cache=tmp_path, **settings)
    plain = train("small_cnn", few_digits, **{**settings, "augment": "none"})
    assert resumed.digest == expected.digest != plain.digest
