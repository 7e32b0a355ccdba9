"""Photos without labels."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from kernel_lib.data import load


@pytest.fixture
def folder(tmp_path):
    for index, (width, height) in enumerate([(40, 20), (30, 30), (16, 32)]):
        pixels = np.full((height, width, 3), 60 * (index + 1), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"photo{index}.png")
    (tmp_path / "notes.txt").write_text("no photo")
    return tmp_path


def test_a_folder_of_photos(folder):
    images = load(f"photos:{folder}", size=16)
    assert images.image_shape == (16, 16, 3)
    assert len(images) == len(images.test) == 3
    assert images.class_names == ("unlabelled",)
    np.testing.assert_allclose(
        images.images.mean(axis=(1, 2, 3)), np.array([60, 120, 180]) / 255, rtol=1e-6
    )


def test_one_photo(folder):
    images = load(f"photos:{folder / 'photo1.png'}")
    assert images.image_shape == (30, 30, 3)


def test_what_is_not_there(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match="no photo and no folder"):
        load(f"photos:{folder / 'lost.png'}")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="holds no photos"):
        load(f"photos:{tmp_path / 'empty'}")
