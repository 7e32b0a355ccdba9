"""Where a result comes from is recorded, whatever holds the images."""

from __future__ import annotations

import numpy as np

from kernel_lib import data
from kernel_lib.models import build
from kernel_lib.report.provenance import provenance
from kernel_lib.tasks import digest


def test_images_and_model_are_named_by_their_content() -> None:
    images = data.load("digits", num_images=40)
    classifier = build("mlp", images.image_shape, 10)
    origin = provenance(classifier, images, 3)
    assert origin["seed"] == 3
    assert origin["model"]["digest"] == classifier.digest
    assert origin["data"] == {"name": images.name, "digest": images.digest, "num_images": 40}
    assert {"python", "kernel-lib", "tensorflow", "keras"} <= set(origin["versions"])


def test_an_array_without_a_name_has_a_digest_too() -> None:
    images = np.zeros((5, 8, 8, 1), np.float32)
    classifier = build("mlp", (8, 8, 1), 10)
    first = provenance(classifier, images, 0)["data"]
    assert first == {"name": "array", "digest": digest(images), "num_images": 5}
    assert provenance(classifier, images + 0.5, 0)["data"]["digest"] != first["digest"]
