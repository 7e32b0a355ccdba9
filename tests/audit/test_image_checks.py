"""Copies and empty pictures, on images made for it."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from kernel_lib.audit.image_checks import again, leaked, quality, repeated
from kernel_lib.data import ImageSet, load


def photos(number: int, side: int = 32, seed: int = 0) -> np.ndarray:
    """Smooth random color images, all different, in steps of a byte."""
    coarse = np.random.default_rng(seed).integers(0, 256, (number, 5, 5, 3)).astype(np.uint8)
    large = [
        np.asarray(Image.fromarray(each).resize((side, side), Image.Resampling.BICUBIC))
        for each in coarse
    ]
    return (np.stack(large) / 255).astype(np.float32)


def image_set(pixels: np.ndarray, train: int, calibration: int) -> ImageSet:
    places = np.arange(len(pixels))
    return ImageSet(
        pixels,
        places % 2,
        ("a", "b"),
        splits={
            "train": places[:train],
            "calibration": places[train : train + calibration],
            "test": places[train + calibration :],
        },
    )


def test_exact_copies_across_splits_are_found_and_nothing_else():
    pixels = photos(30)
    pixels[25] = pixels[3]  # test copies train
    pixels[27] = pixels[14]  # test copies calibration
    found = leaked(image_set(pixels, 12, 8))
    assert found.of.tolist() == [[25, 3], [27, 14]]
    assert found.exact.all()


@pytest.mark.parametrize("quality_of_jpeg", [75, 95])
def test_an_image_stored_again_is_a_near_copy(quality_of_jpeg):
    pixels = photos(20, side=64)
    buffer = io.BytesIO()
    Image.fromarray(np.rint(pixels[2] * 255).astype(np.uint8)).save(
        buffer, "jpeg", quality=quality_of_jpeg
    )
    pixels[18] = np.asarray(Image.open(buffer), np.float32) / 255
    found = leaked(image_set(pixels, 10, 5))
    assert found.of.tolist() == [[18, 2]]
    assert not found.exact.any()


def test_different_images_of_one_class_are_no_copies():
    digits = load("mnist5k").sample(1500)
    exact = len(digits) - len(np.unique(digits.images.reshape(len(digits), -1), axis=0))
    assert exact == 0
    assert len(leaked(digits)) == 0


def test_flat_images_are_not_near_copies_of_one_another():
    pixels = np.stack([np.full((16, 16, 1), level / 40, np.float32) for level in range(12)])
    assert len(leaked(image_set(pixels, 6, 3))) == 0


def test_images_smaller_than_a_signature():
    pixels = np.random.default_rng(0).random((12, 5, 4, 1), np.float32)
    pixels[11] = pixels[0]
    assert leaked(image_set(pixels, 6, 3)).of.tolist() == [[11, 0]]


def test_repeated_images_count_within_their_split():
    pixels = photos(20)
    pixels[1] = pixels[2] = pixels[0]
    assert repeated(image_set(pixels, 10, 5)) == {"train": 2, "calibration": 0, "test": 0}


def test_quality_names_what_shows_little():
    pixels = photos(12) * 0.6 + 0.2
    pixels[1] = 0.5
    pixels[2] *= 0.1
    pixels[3] = 0.93 + 0.07 * photos(1, seed=9)[0]
    found = {name: places.tolist() for name, places in quality(pixels).items()}
    assert found["blank"] == [1]
    assert found["dark"] == [2]
    assert found["bright"] == [3]


def test_a_blurred_image_among_sharp_ones():
    random = np.random.default_rng(0)
    pixels = random.random((10, 32, 32, 1), np.float32)
    pixels[4] = np.linspace(0, 1, 32, dtype=np.float32)[:, None, None]
    assert quality(pixels)["blurred"].tolist() == [4]


ALTERED = {
    "mirrored": lambda image: image[:, ::-1],
    "darker": lambda image: 0.7 * image + 0.1,
    "mirrored and darker": lambda image: 0.7 * image[:, ::-1],
}


@pytest.mark.parametrize("how", ALTERED)
def test_an_altered_image_is_a_near_copy_within_its_class_only(how):
    pixels = photos(20, side=30)  # no whole number of cells
    pixels[18] = ALTERED[how](pixels[2])
    images = image_set(pixels, 10, 5)  # labels are odd and even numbers
    assert leaked(images).of.tolist() == [[18, 2]]
    pixels[17], pixels[18] = pixels[18], photos(1, side=30, seed=5)[0]
    assert len(leaked(image_set(pixels, 10, 5))) == 0  # another class: that may be the difference


def test_images_that_stand_again_in_their_split_are_all_but_the_first():
    pixels = photos(30)
    random = np.random.default_rng(0)
    for place in (21, 22, 23, 24, 25, 26, 27):  # many near copies of one image, one of them exact
        noise = random.normal(0, 0.002, pixels[20].shape) if place > 21 else 0
        pixels[place] = np.clip(pixels[20] + noise, 0, 1)
    images = image_set(pixels, 10, 5)
    assert again(images, "test").tolist() == [21, 22, 23, 24, 25, 26, 27]
    assert again(images, "calibration").tolist() == []
