"""PNG masks and automatic masks."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from skimage.filters import threshold_otsu

from kernel_lib.data import load
from kernel_lib.doctor.masks import automatic_masks, import_png_masks, otsu_masks

from .conftest import two_layer_network


def test_png_masks_of_either_polarity_and_any_size(images, tmp_path):
    mask = np.zeros((8, 8), np.uint8)
    mask[2:5, 3:7] = 255
    Image.fromarray(mask.repeat(4, 0).repeat(4, 1)).save(tmp_path / "3.png")
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "4.png")
    (tmp_path / "5.png").write_bytes(b"no picture")
    imported = import_png_masks(tmp_path, images)
    np.testing.assert_array_equal(imported.masks[0], mask > 0)
    assert imported.source == "png"
    assert [name for name, _ in imported.problems] == ["4.png", "5.png"]
    assert "no object" in imported.problems[0][1]
    other = import_png_masks(tmp_path, images, polarity="background")
    np.testing.assert_array_equal(other.masks[0], mask == 0)


def test_saved_masks_come_back(images, tmp_path):
    automatic = automatic_masks(None, images, method="border")
    again = import_png_masks(automatic.save(tmp_path), images)
    np.testing.assert_array_equal(again.masks, automatic.masks)
    np.testing.assert_array_equal(again.indices, automatic.indices)


def test_otsu_agrees_with_scikit_image():
    rng = np.random.default_rng(0)
    heat = rng.integers(0, 256, (3, 20, 20)) + 200.0 * (rng.random((3, 20, 20)) > 0.7)
    found = otsu_masks(heat)
    for mask, each in zip(found, heat, strict=True):
        reference = each > threshold_otsu(each.astype(int))
        assert (mask != reference).mean() < 0.02
    assert not otsu_masks(np.ones((1, 4, 4))).any()


def test_the_border_rule_finds_shapes_and_says_that_it_guessed():
    shapes = load("shapes", size=32, num_images=60)
    found = automatic_masks(None, shapes, method="border")
    assert found.source == "automatic"
    both = found.masks & shapes.masks[found.indices]
    either = found.masks | shapes.masks[found.indices]
    assert both.sum() / either.sum() > 0.95


def test_saliency_masks_are_made_batch_by_batch(images):
    classifier = two_layer_network()
    one = automatic_masks(classifier, images, np.arange(9), batch_size=9)
    other = automatic_masks(classifier, images, np.arange(9), batch_size=2)
    np.testing.assert_array_equal(one.masks, other.masks)
    assert len(one) + len(one.problems) == 9
    with pytest.raises(ValueError, match="`method` must be one of"):
        automatic_masks(classifier, images, method="grabcut")
