"""Where a result comes from is recorded, whatever holds the images."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np

from kernel_lib import data
from kernel_lib.models import build
from kernel_lib.report.provenance import machine, provenance
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


def test_the_machine_and_its_settings_are_recorded() -> None:
    import tensorflow as tf
    from tensorflow.python.util import _pywrap_util_port

    found = provenance(build("mlp", (8, 8, 1), 10), np.zeros((5, 8, 8, 1), np.float32), 0)
    here = found["machine"]
    assert here == machine()
    assert here["onednn"] is _pywrap_util_port.IsMklEnabled()
    assert here["gpus"] == len(tf.config.list_physical_devices("GPU"))
    assert here["threads"] == tf.config.threading.get_intra_op_parallelism_threads()
    assert 1 <= here["cores"] <= os.cpu_count()
    assert ("tensor_float_32" in here) == (here["gpus"] > 0)


def test_asking_for_the_machine_starts_no_tensorflow() -> None:
    code = (
        "import sys; from kernel_lib.report.provenance import machine; found = machine();"
        "print(found['onednn'], found['threads'], found['gpus'], 'tensorflow' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert said.stdout == "None None None False\n"
