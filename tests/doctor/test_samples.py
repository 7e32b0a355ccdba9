"""Samples of high and low confidence: edges, ranks, streams and files."""

from __future__ import annotations

import json
from dataclasses import replace

import keras
import numpy as np
import pytest
from PIL import Image

from kernel_lib.data import ImageSet, import_labelme, write_labelme
from kernel_lib.doctor import find_samples
from kernel_lib.doctor.samples import Wanted
from kernel_lib.models import Classifier


@pytest.fixture(scope="module")
def classifier():
    """Two classes; an image's mean grey is a known function of the probability of class 1."""
    inputs = keras.Input((4, 4, 1))
    mean = keras.layers.GlobalAveragePooling2D()(inputs)
    logits = keras.layers.Dense(2, name="logits")(mean)
    model = keras.Model(inputs, logits)
    # z1 - z0 = 20 x - 10: sure at both ends, torn at 0.5
    model.get_layer("logits").set_weights([np.array([[0.0, 20.0]]), np.array([0.0, -10.0])])
    return Classifier(model, head="logits")


def grey_for(probability):
    """The grey at which class 1 has this probability."""
    return (np.log(probability / (1 - probability)) + 10) / 20


def image_set(probabilities, labels):
    greys = grey_for(np.asarray(probabilities, float)).astype(np.float32)
    pictures = np.broadcast_to(greys[:, None, None, None], (len(greys), 4, 4, 1)).copy()
    splits = {"train": np.arange(len(greys)), "calibration": [], "test": []}
    return ImageSet(pictures, labels, ("no", "yes"), splits=splits)


def test_limits_are_included_below_and_excluded_above():
    wanted = Wanted()
    probability = np.array([0.9, np.nextafter(0.9, 0), 0.6, 0.8, np.nextafter(0.8, 0)])
    ranks = wanted.ranks(probability, np.ones(5, bool), np.arange(5))
    assert ranks["high"][0].tolist() == [True, False, False, False, False]
    assert ranks["low"][0].tolist() == [False, False, True, False, True]


def test_high_samples_are_right_sure_and_ranked(classifier):
    probabilities = [0.95, 0.99, 0.91, 0.85, 0.97, 0.02, 0.05]
    labels = [1, 1, 1, 1, 0, 0, 0]
    images = image_set(probabilities, labels)
    samples = find_samples(classifier, images, num_high=2, progress=False)
    assert samples.indices("high").tolist() == [5, 6, 1, 0]
    allowed = find_samples(classifier, images, allow_wrong=True, progress=False)
    assert allowed.indices("high").tolist() == [5, 4, 6, 1, 0, 2]
    first = find_samples(classifier, images, num_high=2, policy="first", progress=False)
    assert first.indices("high").tolist() == [5, 6, 0, 1]


def test_low_samples_hesitate(classifier):
    images = image_set([0.7, 0.62, 0.79, 0.45, 0.3, 0.99], [1, 1, 0, 0, 0, 0])
    samples = find_samples(classifier, images, progress=False)
    assert samples.indices("low").tolist() == [4, 2, 1, 0]
    hard = find_samples(classifier, images, low_policy="hard", progress=False)
    assert hard.indices("low").tolist()[:2] == [5, 2]  # confident mistakes first


def test_shuffling_changes_nothing(classifier):
    rng = np.random.default_rng(0)
    probabilities, labels = rng.uniform(0.01, 0.99, 80), rng.integers(0, 2, 80)
    order = rng.permutation(80)
    one = find_samples(classifier, image_set(probabilities, labels), num_high=5, progress=False)
    other = find_samples(
        classifier, image_set(probabilities[order], labels[order]), num_high=5, progress=False
    )
    assert order[other.indices("high")].tolist() == one.indices("high").tolist()


def test_batches_and_streams_agree(classifier):
    rng = np.random.default_rng(1)
    images = image_set(rng.uniform(0.01, 0.99, 90), rng.integers(0, 2, 90))
    one = find_samples(classifier, images, batch_size=90, progress=False)
    stream = ((images.images[i : i + 7], images.labels[i : i + 7]) for i in range(0, 90, 7))
    other = find_samples(classifier, stream, progress=False)
    assert other.indices("high").tolist() == one.indices("high").tolist()
    assert set(other.images) == set(other.table["index"])
    np.testing.assert_array_equal(
        other.images[int(other.indices("low")[0])], images.images[other.indices("low")[0]]
    )


def test_classes_that_have_too_few_are_named(classifier):
    images = image_set([0.95, 0.99, 0.5001], [1, 1, 0])
    samples = find_samples(classifier, images, progress=False)
    assert "no: 0 of 100 high-confidence samples (there are 1 images" in samples.shortfalls[0]
    assert "yes: 2 of 100 high-confidence samples" in " ".join(samples.shortfalls)


def test_the_way_to_labelme_and_back(classifier, tmp_path):
    images = image_set([0.7, 0.65, 0.2, 0.01], [1, 0, 0, 0])
    samples = find_samples(classifier, images, low_range=(0.6, 0.85), progress=False)
    folder = samples.save(tmp_path / "samples", images)
    entries = [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]
    names = {entry["file"] for entry in entries}
    assert "class_001/00000_t1_p1_070.png" in names | {n.replace("069", "070") for n in names}
    with Image.open(folder / entries[0]["file"]) as picture:
        assert picture.size == (384, 384)
    shape = {"label": "x", "points": [[0, 0], [191, 191]], "shape_type": "rectangle"}
    write_labelme((folder / entries[0]["file"]).with_suffix(".json"), [shape], 384, 384)
    imported = import_labelme(folder, images)
    assert imported.indices.tolist() == [entries[0]["index"]]
    assert imported.masks[0].tolist() == [[True, True, False, False]] * 2 + [[False] * 4] * 2


def test_known_masks_are_written_beside_the_images(classifier, tmp_path):
    images = image_set([0.7, 0.65, 0.2, 0.01], [1, 0, 0, 0])
    masks = np.zeros((4, *images.image_shape[:2]), bool)
    masks[:3, 1:, 2:] = True
    images = replace(images, masks=masks)
    samples = find_samples(classifier, images, low_range=(0.6, 0.85), progress=False)
    plain = samples.save(tmp_path / "plain", images)
    assert not list(plain.rglob("*.json"))
    imported = import_labelme(samples.save(tmp_path / "known", images, with_masks=True), images)
    assert imported.indices.tolist() == sorted(samples.indices("low").tolist())
    np.testing.assert_array_equal(imported.masks, masks[imported.indices])


def test_wrong_settings_are_refused(classifier):
    images = image_set([0.9], [1])
    with pytest.raises(ValueError, match="`low_range` must rise"):
        find_samples(classifier, images, low_range=(0.8, 0.6), progress=False)
    with pytest.raises(ValueError, match="holds no images"):
        find_samples(classifier, images, split="test", progress=False)
    with pytest.raises(ValueError, match="no samples of low confidence"):
        find_samples(classifier, image_set([0.99], [1]), progress=False).save("nowhere")
