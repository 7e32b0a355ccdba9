"""Each audit on two tiny networks and tiny images, as `check_audit` takes them."""

from __future__ import annotations

import functools
from typing import Any

import keras
import numpy as np
from keras import layers

import kernel_lib as kl
from kernel_lib.audit.contract import Case
from kernel_lib.data import ImageSet
from kernel_lib.models import Classifier

SIDE, CLASSES, IMAGES = 12, 3, 72
NETWORKS = ("convolutions", "dense")

_RESAMPLED = dict.fromkeys(
    ("low", "high", "*_low", "*_high", "*.low", "*.high", "*_low_of_all", "*_high_of_all"),
    "ends of bootstrap intervals: images are drawn by their place",
)
_PERMUTED = dict.fromkeys(("*.p_value*", "*.p_holm"), "permutations and bootstraps draw by place")

OPTIONS: dict[str, dict[str, Any]] = {
    "saliency": {
        "methods": ["gradient", "smoothgrad"], "num_seeds": 2, "num_images": 24, "num_display": 24,
        "options": kl.saliency.Options(smoothgrad_samples=2),
    },
    "trust": {"taps": "depth", "num_untrained": 1, "num_permutations": 60},
    "errors": {
        "num_mutants": 4, "gamma": 0.3, "accept_ratio": 0.3, "steps": 2, "num_display": 24,
        "scores": ["msp", "entropy", "conductance", "label_change_rate"],
    },
    "doctor": {
        "epochs": 1, "num_seeds": 1, "min_confidence": 0.0, "num_display": 24,
    },
    "invariance": {"values": [-40.0, 0.0, 40.0], "num_images": 24, "num_display": 24,
        "assessor": None,  # with one, the images are halved by their place
    },
}  # fmt: skip

TOLD_BY_PLACE: dict[str, dict[str, str]] = {
    "saliency": {**_RESAMPLED},
    "trust": {
        **_RESAMPLED,
        **_PERMUTED,
        "codes.*": "online codes read the training images in an order drawn by place",
    },
    "errors": {
        **_RESAMPLED,
        **_PERMUTED,
        "scores.auroc_calibration": "folds of the calibration split are drawn by place",
        "calibration_scores": "scores of learned detectors, out of fold",
        "outcomes.*": "thresholds of learned scores are set on the same folds",
        "shown": "places of images in the test split",
        "neighbour*": "nearest images of the calibration split are gathered by their place",
    },
    "doctor": {
        "background_reliance*": "backgrounds are swapped with images drawn by their place",
        "treatment.background_reliance": "the same",
    },
    "invariance": {**_RESAMPLED, "shown": "places of images in the test split"},
}

ROUNDED: dict[str, dict[str, str]] = {
    "errors": {"gap": "what is left of a sum of float32 numbers"},
    "invariance": {
        "matrices": "distances of signals, which float32 knows to 1e-7 of their size",
        "measurements.value": "ratios of spreads of signals, which float32 knows to 1e-7 of their "
        "size; on random networks they hardly move",
    },
}


@functools.cache
def network(kind: str) -> Classifier:
    """A network with random weights, whose biases spread its answers over the classes."""
    keras.utils.set_random_seed(3)
    inputs = x = keras.Input((SIDE, SIDE, 1))
    if kind == "convolutions":
        x = layers.Conv2D(4, 3, activation="relu", name="conv1")(x)
        x = layers.Conv2D(4, 3, activation="relu", name="conv2")(x)
    x = layers.Flatten(name="flat")(x)
    x = layers.Dense(8, activation="relu", name="hidden")(x)
    model = keras.Model(inputs, layers.Dense(CLASSES, name="logits")(x), name=kind)
    random = np.random.default_rng(5)
    for variable in model.variables:
        variable.assign(random.normal(0, 0.4, variable.shape))
    classifier = Classifier(model, head="logits", preprocessing="unit")
    bias = model.layers[-1].bias
    bias.assign(np.asarray(bias) - classifier.logits(_pixels()).mean(axis=0))
    return classifier


def _pixels() -> np.ndarray:
    return np.random.default_rng(1).random((IMAGES, SIDE, SIDE, 1), np.float32)


@functools.cache
def images(kind: str) -> ImageSet:
    """Noise, labelled as the network answers; a quarter of the labels is wrong. Some have masks."""
    pixels, places = _pixels(), np.arange(IMAGES)
    labels = network(kind).predict(pixels)
    labels = np.where(places % 4 == 3, (labels + 1) % CLASSES, labels)
    masks = np.zeros((IMAGES, SIDE, SIDE), bool)
    masks[::2, 3:9, 3:9] = True
    brightness = (pixels.mean(axis=(1, 2, 3)) > 0.5).astype(int)
    return ImageSet(
        pixels, labels, ("circle", "square", "triangle"), masks=masks,
        tasks={"brightness": brightness}, task_class_names={"brightness": ("dark", "bright")},
        splits={
            "train": places[places % 3 == 0], "calibration": places[places % 3 == 1],
            "test": places[places % 3 == 2],
        },
    )  # fmt: skip


def widget(audit: str) -> Any:
    """The widget of an audit, or None."""
    import kernel_widgets

    names = {"saliency": "CascadeStepper", "trust": "TrustMatrix", "errors": "ErrorTriage",
             "invariance": "InvarianceExplorer"}  # fmt: skip
    return getattr(kernel_widgets, names[audit]) if audit in names else None


@functools.cache
def case(audit: str, kind: str) -> Case:
    """An audit on a network; kept, so that its result is made once."""
    options = OPTIONS[audit]
    if (audit, kind) == ("invariance", "dense"):
        options = options | {"taps": []}
    return Case(
        getattr(kl, audit).audit, network(kind), images(kind), options, widget(audit),
        TOLD_BY_PLACE.get(audit, {}), ROUNDED.get(audit, {}),
    )  # fmt: skip


@functools.cache
def twin() -> Classifier:
    """A network of the same architecture as that with convolutions, with other weights."""
    other = keras.models.clone_model(network("convolutions").model)
    random = np.random.default_rng(8)
    for variable in other.variables:
        variable.assign(random.normal(0, 0.3, variable.shape))
    return Classifier(other, head="logits", preprocessing="unit")
