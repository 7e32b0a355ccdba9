"""Any network people build: read as Keras reads it, and judged or declined in words.

Each recipe of `recipes.RECIPES` is held against an independent tape and put through all five
audits. Fed at a wrong scale or judged in a wrong order, none gets a verdict.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import softmax

import kernel_lib as kl
from kernel_lib.audit.guards import guarded
from kernel_lib.models.classifier import Classifier
from kernel_lib.report.result import Verdict
from recipes import CAFFE_MEAN, NAMES, RECIPES, TORCH_MEAN, TORCH_STD

SOUND = [name for name, recipe in RECIPES.items() if not recipe.refused]
REFUSED = [name for name, recipe in RECIPES.items() if recipe.refused]
PASS = Verdict("pass", "All is well.", "It is.", "Nothing.", "Go on.")
# What deep machinery says, and no message of ours may.
MACHINERY = re.compile(r"Traceback|Graph execution|\{\{node|tf\.|StagingError|KerasTensor|Eager")

AUDITS: dict[str, dict[str, Any]] = {
    "saliency": {
        "test": "full", "methods": ["gradient"], "num_images": 6, "num_seeds": 2, "num_display": 2,
    },
    "errors": {
        "scores": ["msp", "conductance", "label_change_rate"], "num_mutants": 3, "steps": 2,
        "num_display": 4, "accept_ratio": 0.5,
    },
    "doctor": {"treatment": False, "min_confidence": 0.5, "per_class": 10, "num_display": 2},
    "invariance": {"transform": "brightness", "num_images": 40, "num_display": 2},
    "trust": {"controls": ("untrained",), "num_untrained": 1, "taps": ["penultimate"]},
}  # fmt: skip


@lru_cache(maxsize=2)
def made(name: str) -> tuple[keras.Model, Any]:
    return RECIPES[name].made(), RECIPES[name].images()


def taken_in(name: str, **options: Any) -> Any:
    model, images = made(name)
    return kl.intake(Classifier(model, **{**RECIPES[name].options, **options}), images)


def fed(name: str, images: tf.Tensor) -> tf.Tensor:
    """The images as the network wants them, for an independent tape."""
    ways = {
        "unit": lambda x: x,
        "bytes": lambda x: x * 255,
        "symmetric": lambda x: x * 2 - 1,
        "imagenet_torch": lambda x: (x - TORCH_MEAN) / TORCH_STD,
        "imagenet_caffe": lambda x: x[..., ::-1] * 255 - CAFFE_MEAN,
    }
    return ways[RECIPES[name].feed](images)


def log_odds(name: str, images: tf.Tensor) -> tf.Tensor:
    """Scores whose differences between classes are those of the logits, by Keras alone."""
    recipe, (model, _) = RECIPES[name], made(name)
    inputs = fed(name, images)
    if name == "uint8 input":
        inputs = tf.cast(tf.round(inputs), tf.uint8)
    output = model(inputs, training=False)
    if isinstance(output, dict):
        output = output[recipe.options.get("output", next(iter(output)))]
    elif isinstance(output, list | tuple):
        output = output[recipe.options["output"]]
    output = tf.cast(output, tf.float64)
    if recipe.kind in ("logits", "log_softmax"):
        return output
    if recipe.kind == "sigmoid":
        return tf.concat([tf.math.log1p(-output), tf.math.log(output)], axis=-1)
    if recipe.kind == "sigmoids":
        return tf.math.log(output) - tf.math.log1p(-output)
    return tf.math.log(output)


def centered(values: np.ndarray) -> np.ndarray:
    return values - values.mean(axis=1, keepdims=True)


@pytest.mark.parametrize("name", SOUND)
def test_a_network_is_read_as_keras_reads_it(name):
    recipe, (_, images) = RECIPES[name], made(name)
    found = taken_in(name)
    pixels = images.images[images.splits["test"]]
    expected = log_odds(name, tf.constant(pixels)).numpy()
    logits = found.classifier.logits(pixels)
    keep = (softmax(expected, axis=1) > 1e-6).all(axis=1) | (recipe.kind == "logits")
    if recipe.kind == "sigmoids":
        np.testing.assert_allclose(
            logits[keep], expected[keep], atol=20 * recipe.tolerance, rtol=1e-3
        )
    np.testing.assert_allclose(
        centered(logits)[keep], centered(expected)[keep], atol=20 * recipe.tolerance, rtol=1e-3
    )
    assert (logits.argmax(axis=1) == expected.argmax(axis=1)).mean() >= 1 - recipe.tolerance
    labels = images.labels[images.splits["test"]]
    assert found.standing.accuracy == pytest.approx(
        (expected.argmax(axis=1) == labels).mean(),
        abs=1e-9 + (0.02 if recipe.tolerance > 1e-3 else 0),
    )
    assert found.standing.accuracy > 0.9
    assert not found.stops


@pytest.mark.parametrize("name", [name for name in SOUND if name not in ("SavedModel",)])
def test_gradients_are_those_of_an_independent_tape(name):
    recipe, (_, images) = RECIPES[name], made(name)
    if name == "uint8 input":
        pytest.skip("Whole numbers have no gradient to compare with.")
    classifier = taken_in(name).classifier
    pixels = images.images[images.splits["test"]][:6]
    variable = tf.constant(pixels)
    with tf.GradientTape() as tape:
        tape.watch(variable)
        scores = log_odds(name, variable)
        difference = scores[:, 0] - scores[:, 1]
    expected = tape.gradient(difference, variable).numpy()
    ours = kl.network.gradients(classifier, pixels, 0) - kl.network.gradients(classifier, pixels, 1)
    size = np.abs(expected).max()
    assert size > 0
    np.testing.assert_allclose(ours, expected, atol=max(1e-4, 10 * recipe.tolerance) * size)


@pytest.mark.parametrize("audit", AUDITS)
@pytest.mark.parametrize("name", SOUND)
def test_every_audit_concludes_or_declines_in_words(name, audit):
    model, images = made(name)
    classifier = Classifier(model, **RECIPES[name].options)
    before = [np.asarray(variable).copy() for variable in model.variables]
    options = dict(AUDITS[audit])
    if audit == "saliency" and name == "multilayer perceptron":
        options["methods"] = ["gradient"]
    try:
        result = getattr(kl, audit).audit(classifier, images, progress=False, **options)
    except (TypeError, ValueError) as error:
        assert "kernel_lib" in error.__traceback__.tb_next.tb_frame.f_code.co_filename
        assert not MACHINERY.search(str(error)), str(error)
        assert len(str(error)) > 40, str(error)
    else:
        assert result.verdict.status in ("pass", "warning", "fail", "undetermined")
        assert result.intake["standing"]["accuracy"] > 0.9
    after = [np.asarray(variable) for variable in model.variables]
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_audited_is_refused_with_a_cure_that_works(name):
    recipe, (model, images) = RECIPES[name], made(name)
    try:
        told = " ".join(each.text for each in kl.intake(Classifier(model), images).stops)
    except ValueError as error:
        told = str(error)
    assert re.search(recipe.refused, told), told
    assert not MACHINERY.search(told)
    if recipe.cure:
        for option in recipe.cure:
            assert f"{option}=" in told
        assert kl.intake(Classifier(model, **recipe.cure), images).standing.accuracy > 0.9


@pytest.mark.parametrize(
    ("name", "scale"),
    [
        (name, scale)
        for place, name in enumerate(SOUND)
        # The scale that people mix up with the right one, and one of the others in turn.
        for scale in (
            "unit" if RECIPES[name].feed == "bytes" else "bytes",
            ("symmetric", "imagenet_torch", "imagenet_caffe")[place % 3],
        )
        if scale != RECIPES[name].feed
    ],
)
def test_a_network_that_is_fed_at_a_wrong_scale_gets_no_verdict(name, scale):
    """Unless the scale makes no difference to it."""
    right = taken_in(name)
    found = taken_in(name, preprocessing=scale)
    if found.standing.accuracy < right.standing.accuracy - 0.1:
        assert guarded(PASS, found).status == "undetermined"


@pytest.mark.parametrize("name", [n for n in SOUND if RECIPES[n].num_classes == 3])
def test_a_network_that_is_judged_in_another_order_gets_no_verdict(name):
    right = taken_in(name).classifier
    model, images = made(name)
    permuted = kl.data.ImageSet(
        images.images,
        np.array([1, 2, 0])[images.labels],
        (NAMES[2], NAMES[0], NAMES[1]),
        splits=images.splits,
    )
    del model
    found = kl.intake(right, permuted)
    assert [each.name for each in found.stops] == ["class_order"]
    assert f"class_names={list(NAMES)!r}" in found.stops[0].cure
    assert guarded(PASS, found).status == "undetermined"
    cured = kl.models.Classifier(
        right.model, preprocessing=right.preprocessing, class_names=NAMES, **RECIPES[name].options
    )
    assert kl.intake(cured, permuted).standing.accuracy > 0.9
