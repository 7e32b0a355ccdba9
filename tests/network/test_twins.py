"""What audits read of a network does not depend on its type or on how its size is said.

Each network is a twin of a plain one, with the same weights: half and double precision, bytes in,
free sizes. What the five audits read must be what they read of the plain one.
"""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from kernel_lib.doctor import class_gradients
from kernel_lib.errors import conductance
from kernel_lib.errors.graph import places
from kernel_lib.errors.runner import _resume_function
from kernel_lib.invariance.sweep import sweep
from kernel_lib.models import Classifier
from kernel_lib.network import outputs
from kernel_lib.saliency import explain
from kernel_lib.trust.taps import penultimate


def network(shape=(12, 12, 3), policy="float32", head="float32", dtype="float32", before=None):
    inputs = layers.Input(shape, dtype=dtype)
    x = inputs if before is None else before(inputs)
    x = layers.Conv2D(4, 3, activation="relu", name="conv1", dtype=policy)(x)
    x = layers.BatchNormalization(name="norm", dtype=policy)(x)
    x = layers.Conv2D(4, 3, activation="relu", name="conv2", dtype=policy)(x)
    x = layers.GlobalAveragePooling2D(name="pool", dtype=policy)(x)
    x = layers.Dense(6, activation="relu", name="dense", dtype=policy)(x)
    return keras.Model(inputs, layers.Dense(3, name="scores", dtype=head)(x))


@pytest.fixture(scope="module")
def plain():
    keras.utils.set_random_seed(3)
    return Classifier(network(), preprocessing="unit")


@pytest.fixture(scope="module")
def images():
    numbers = np.random.default_rng(0).integers(0, 256, (4, 12, 12, 3))
    return (numbers / 255).astype(np.float32)


TWINS = {  # how it is made, how it is wrapped, how far its arithmetic may be off
    "float16": ({"policy": "mixed_float16", "head": "mixed_float16"}, {}, 2e-2),
    "float64": ({"policy": "float64", "head": "float64"}, {}, 1e-4),
    "free": ({"shape": (None, None, 3)}, {}, 1e-4),
    "said": ({"shape": (None, None, 3)}, {"input_size": 12}, 1e-4),
    "bytes": (
        {"dtype": "uint8", "before": lambda x: layers.Rescaling(1 / 255)(x)},
        {"preprocessing": "bytes"},
        5e-2,  # points of a path and turned images are rounded; bytes themselves agree (below)
    ),
}


@pytest.fixture(scope="module", params=TWINS)
def twin(request, plain):
    made, wrapped, tolerance = TWINS[request.param]
    model = network(**made)
    model.set_weights(plain.model.get_weights())
    return Classifier(model, **{"preprocessing": "unit"} | wrapped), tolerance


def assert_close(found, expected, tolerance):
    assert found.dtype == expected.dtype and found.shape == expected.shape
    size = np.abs(expected).max()
    assert size > 0
    np.testing.assert_allclose(found / size, expected / size, atol=tolerance)


def test_the_graph_is_read_alike(twin, plain):
    def facts(classifier):
        return {
            name: (place.is_cut, place.has_affine_tail, place.is_logits)
            for name, place in places(classifier).items()
            if name in {tap.name for tap in plain.network.taps()}
        }

    assert facts(twin[0]) == facts(plain)
    assert penultimate(twin[0]) == penultimate(plain)


def test_conductance_is_read_alike(twin, plain, images):
    classifier, tolerance = twin
    taps = ["conv1", "conv2", "dense"]
    found, expected = (conductance(each, images, taps, 1, steps=8) for each in (classifier, plain))
    for tap in taps:
        assert_close(found.values[tap], expected.values[tap], tolerance)


def test_a_network_goes_on_from_a_cut(twin, images):
    """What mutants of late layers start from: the values at a tap, instead of the images."""
    classifier, tolerance = twin
    values = outputs(classifier, images, ["norm"])["norm"]
    found = _resume_function(classifier, "norm")(tf.constant(values)).numpy()
    assert_close(found, classifier.logits(images), tolerance)


def test_bytes_are_read_as_the_plain_network_reads_them(plain, images):
    made, wrapped, _ = TWINS["bytes"]
    model = network(**made)
    model.set_weights(plain.model.get_weights())
    twin = Classifier(model, **wrapped)
    assert_close(twin.logits(images), plain.logits(images), 1e-5)
    assert_close(class_gradients(twin, images), class_gradients(plain, images), 1e-4)
    found, expected = (explain(each, images, 1, "gradient") for each in (twin, plain))
    assert_close(found, expected, 1e-4)


def test_saliency_maps_are_alike(twin, plain, images):
    classifier, tolerance = twin
    for method in ("gradient", "gradcam"):
        found, expected = (explain(each, images, 1, method) for each in (classifier, plain))
        assert_close(np.asarray(found), np.asarray(expected), tolerance)


def test_class_gradients_are_alike(twin, plain, images):
    classifier, tolerance = twin
    found, expected = (class_gradients(each, images) for each in (classifier, plain))
    assert_close(found, expected, tolerance)


def test_signals_under_rotation_are_alike(twin, plain, images):
    classifier, tolerance = twin
    options = {"values": [-10.0, 0.0, 10.0], "progress": False}
    found, expected = (sweep(each, images, **options) for each in (classifier, plain))
    assert_close(found.values, expected.values, tolerance)
