"""Folders of LabelMe files: matching by name, problems by file, and the round trip."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from kernel_lib.data import ImageSet, export_labelme, import_labelme, labelme_mask, write_labelme
from kernel_lib.data.labelme_export import mask_shapes
from kernel_lib.data.labelme_import import MANIFEST
from kernel_lib.tasks import digest

SQUARE = {"label": "cat", "points": [[2, 2], [5, 5]], "shape_type": "rectangle"}


@pytest.fixture
def images():
    rng = np.random.default_rng(0)
    return ImageSet(rng.random((6, 12, 12, 3), np.float32), np.arange(6) % 2)


def annotate(path, shapes=(SQUARE,), **more):
    return write_labelme(path, shapes, 12, 12, **more)


def test_names_begin_with_the_place_of_the_image(images, tmp_path):
    annotate(tmp_path / "a" / "00004_cat.json")
    annotate(tmp_path / "1.json")
    imported = import_labelme(tmp_path, images)
    assert imported.indices.tolist() == [1, 4]
    assert imported.files == ("1.json", "a/00004_cat.json")
    with_masks = imported.apply(images)
    assert with_masks.masks.sum(axis=(1, 2)).tolist() == [0, 16, 0, 0, 16, 0]
    np.testing.assert_array_equal(with_masks.images, images.images)


def test_a_manifest_names_the_images(images, tmp_path):
    entry = {"file": "class_000/x_0.71.png", "index": 3, "pixels": digest(images.images)}
    (tmp_path / MANIFEST).write_text(json.dumps(entry) + "\n")
    annotate(tmp_path / "anywhere" / "9.json", image_path=r"..\class_000\x_0.71.png")
    assert import_labelme(tmp_path, images).indices.tolist() == [3]


def test_a_manifest_of_other_images_is_refused(images, tmp_path):
    (tmp_path / MANIFEST).write_text(json.dumps({"file": "1.png", "index": 3, "pixels": "x"}))
    with pytest.raises(ValueError, match="written for other images"):
        import_labelme(tmp_path, images)
    (tmp_path / MANIFEST).write_text("{")
    with pytest.raises(ValueError, match="damaged"):
        import_labelme(tmp_path, images)


def test_each_problem_stands_beside_its_file(images, tmp_path):
    annotate(tmp_path / "0.json")
    annotate(tmp_path / "0_again.json")
    annotate(tmp_path / "77.json")
    annotate(tmp_path / "cat.json")
    annotate(tmp_path / "2.json", shapes=[])
    (tmp_path / "3.json").write_text("{")
    imported = import_labelme(tmp_path, images)
    assert imported.indices.tolist() == [0]
    reasons = dict(imported.problems)
    assert "has a mask already, from 0.json" in reasons["0_again.json"]
    assert "only 6 images" in reasons["77.json"]
    assert "keep the names" in reasons["cat.json"]
    assert "holds no shapes" in reasons["2.json"]
    assert "truncated" in reasons["3.json"]
    assert imported.table.problem.ne("").sum() == 5
    assert "1 labelme masks, 5 files with problems" in repr(imported)


def test_files_outside_the_folder_are_not_read(images, tmp_path):
    outside = annotate(tmp_path / "0.json")
    inner = tmp_path / "inner"
    annotate(inner / "1.json")
    (inner / "2.json").symlink_to(outside)
    assert import_labelme(inner, images).indices.tolist() == [1]


def test_an_empty_folder_and_none_at_all(images, tmp_path):
    with pytest.raises(ValueError, match=r"no file ending in \.json"):
        import_labelme(tmp_path, images)
    with pytest.raises(FileNotFoundError, match="no folder"):
        import_labelme(tmp_path / "none", images)


def test_labels_and_polarity_reach_every_file(images, tmp_path):
    annotate(tmp_path / "0.json")
    assert "has: 'cat'" in import_labelme(tmp_path, images, labels=["dog"]).problems[0][1]
    assert import_labelme(tmp_path, images, polarity="background").masks.sum() == 144 - 16


@pytest.mark.parametrize("version", ["3.16.7", "4.6.0", "5.10.1", "6.3.1"])
def test_the_round_trip_brings_every_pixel_back(version, images, tmp_path):
    y, x = np.mgrid[:12, :12]
    masks = np.stack(
        [
            (x - 5) ** 2 + (y - 6) ** 2 < 16,
            (x > 2) & (x < 10) & (y > 2) & (y < 10) & ~((x == 5) & (y == 5)),
            (x + y) % 2 == 0,
            x < 1,
            np.zeros((12, 12), bool),
            (x == 4) & (y == 4),
        ]
    )
    names = [f"class_{label:03d}/{i:05d}" for i, label in enumerate(images.labels)]
    files = export_labelme(images.images, tmp_path, names, masks=masks, version=version)
    imported = import_labelme(tmp_path, images)
    assert imported.problems == ()
    np.testing.assert_array_equal(imported.apply(images).masks, masks)
    with Image.open(files[0]) as picture:
        assert picture.size == (384, 384)


def test_an_exported_mask_is_a_polygon_a_person_can_edit():
    y, x = np.mgrid[:64, :64]
    shapes = mask_shapes((abs(x - 30) + abs(y - 30) < 20) & (abs(x - 30) + abs(y - 30) > 5))
    assert [(s["shape_type"], s["label"]) for s in shapes] == [
        ("polygon", "object"),
        ("polygon", "hole"),
    ]
    assert len(shapes[0]["points"]) == 4
    island = np.zeros((20, 20), bool)
    island[2:18, 2:18] = True
    island[5:15, 5:15] = False
    island[8:12, 8:12] = True
    (single,) = mask_shapes(island)
    assert single["shape_type"] == "mask"
    content = {"shapes": [single], "imageHeight": 20, "imageWidth": 20}
    np.testing.assert_array_equal(labelme_mask(content), island)


def test_saved_masks_say_their_polarity(images, tmp_path):
    annotate(tmp_path / "in" / "4.json")
    folder = import_labelme(tmp_path / "in", images).save(tmp_path / "out")
    entry = json.loads((folder / MANIFEST).read_text())
    assert (entry["index"], entry["object"], entry["source"]) == (4, 255, "labelme")
    with Image.open(folder / entry["file"]) as picture:
        assert np.asarray(picture).sum() == 16 * 255


def test_the_number_of_names_must_fit(images, tmp_path):
    with pytest.raises(ValueError, match="6 images"):
        export_labelme(images.images, tmp_path, ["a"])
