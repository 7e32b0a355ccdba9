"""The mask importer and the polygon editor in Python: files in, masks out, still pictures."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from kernel_lib.data import ImageSet, import_labelme, labelme_mask, write_labelme
from kernel_widgets import MaskImporter, PolygonEditor

SQUARE = {"label": "cat", "points": [[2, 2], [5, 5]], "shape_type": "rectangle"}
OTHER = {"label": "dog", "points": [[8, 8], [9, 9]], "shape_type": "rectangle"}


@pytest.fixture
def images():
    rng = np.random.default_rng(0)
    return ImageSet(rng.random((6, 12, 12, 3), np.float32), np.arange(6) % 2, ("a", "b"))


@pytest.fixture
def folder(tmp_path):
    write_labelme(tmp_path / "1.json", [SQUARE], 12, 12)
    write_labelme(tmp_path / "4.json", [SQUARE, OTHER], 12, 12)
    (tmp_path / "5.json").write_text("{")
    return tmp_path


def test_it_shows_masks_and_problems(images, folder):
    importer = MaskImporter(images, folder)
    assert importer.message == "2 masks, 1 file with problems."
    assert [row["file"] for row in importer.rows] == ["1.json", "4.json", "5.json"]
    assert importer.rows[0]["covered"] == pytest.approx(16 / 144, abs=1e-4)
    assert importer.rows[0]["picture"].startswith("data:image/png;base64,")
    assert "truncated" in importer.rows[2]["problem"]
    assert importer.known_labels == ["cat", "dog"]


def test_choices_reach_the_masks(images, folder):
    importer = MaskImporter(images, folder)
    assert importer.masks.masks.sum() == 16 + 20
    importer.labels = ["dog"]
    assert importer.masks.indices.tolist() == [4]
    importer.labels = []
    importer.polarity = "background"
    assert importer.masks.masks.sum() == 2 * 144 - 16 - 20
    importer.polarity = "object"
    importer.left_out = ["1.json"]
    assert importer.apply().masks.any(axis=(1, 2)).tolist() == [False] * 4 + [True, False]


def test_saving_by_button_and_by_hand(images, folder, tmp_path):
    importer = MaskImporter(images, folder, target=str(tmp_path / "out"))
    importer.save_clicks += 1
    assert importer.message.startswith("2 masks saved to")
    assert len(list((tmp_path / "out").glob("*.png"))) == 2


def test_uploads_stay_in_a_folder_of_their_own(images):
    importer = MaskImporter(images)
    assert "upload" in importer.message
    text = json.dumps({"shapes": [SQUARE], "imageHeight": 12, "imageWidth": 12})
    importer.uploads = {"../../3.json": text, r"C:\x\2.json": text, ".hidden.json": text}
    assert importer.masks.indices.tolist() == [2, 3]


def test_a_folder_that_is_not_there_becomes_the_message(images, tmp_path):
    importer = MaskImporter(images, tmp_path / "none")
    assert "There is no folder" in importer.message
    with pytest.raises(ValueError, match="no masks yet"):
        importer.apply()
    with pytest.raises(TypeError, match="must be an ImageSet"):
        MaskImporter(images.images)


def test_the_still_summary_is_a_table_of_text_and_pictures(images, folder):
    write_labelme(folder / "<b>0.json", [], 12, 12)
    bundle = MaskImporter(images, folder, left_out=["1.json"])._repr_mimebundle_()
    still = (bundle[0] if isinstance(bundle, tuple) else bundle)["text/html"]
    assert still.count("<img") == 2
    assert "left out" in still
    assert "&lt;b&gt;0.json" in still
    assert not re.search(r"<script|https?:", still)


def test_the_editor_draws_saves_and_goes_on(images, tmp_path):
    editor = PolygonEditor(images.images[0])
    with pytest.raises(ValueError, match="Nothing was drawn"):
        editor.save(tmp_path / "0.json")
    editor.shapes = [{"label": "cat", "points": [[2, 2], [5, 2], [5, 5], [2, 5]]}]
    assert editor.mask.sum() == 16
    path = editor.save(tmp_path / "0.json")
    np.testing.assert_array_equal(labelme_mask(path), editor.mask)
    again = PolygonEditor.from_labelme(path, images.images[0])
    np.testing.assert_array_equal(again.mask, editor.mask)
    assert import_labelme(tmp_path, images).indices.tolist() == [0]
    with pytest.raises(ValueError, match="12x12 pixels, the image has 8x8"):
        PolygonEditor.from_labelme(path, images.images[0][:8, :8])


def test_the_editor_starts_from_a_mask(images):
    mask = np.zeros((12, 12), bool)
    mask[3:7, 2:9] = True
    np.testing.assert_array_equal(PolygonEditor(images.images[0], mask).mask, mask)
    with pytest.raises(ValueError, match="values in"):
        PolygonEditor(images.images[0] * 255)
