"""Numbers of small networks, written to a file: `python network_numbers.py FILE`.

Run in processes of their own with other settings of TensorFlow, to be compared.
"""

from __future__ import annotations

import math
import os
import sys
import warnings

import kernel_lib as kl
from kernel_lib import _onednn


def main(path: str) -> None:
    """Write logits, gradients and one step of stacked training, and what TensorFlow was told."""
    import numpy as np
    import tensorflow as tf

    found = {"onednn": np.array(_onednn.is_on()), "variable": np.array(_asked())}
    found["warned"] = np.array(_says_so_if_too_late())
    random = np.random.default_rng(0)
    images = random.random((8, 28, 28, 1), np.float32)
    for name, model in (
        ("chain", kl.models.build("cnn5", (28, 28, 1), 10).model),
        ("norm", _norm()),
    ):
        classifier = kl.models.Classifier(model)
        for variable, value in zip(
            classifier.model.trainable_variables, _values(classifier, random), strict=True
        ):
            variable.assign(value)
        found[f"{name} logits"] = classifier.logits(images)
        found[f"{name} gradients"] = kl.saliency.explain(classifier, images, 0, "gradient")
    found |= _stacked(images, tf, np)
    np.savez(path, **found)


def _asked() -> str:
    return os.environ.get(_onednn.VARIABLE, "")


def _says_so_if_too_late() -> bool:
    """Whether `switch_on` would warn had nobody set the variable, now that TensorFlow is there."""
    asked = os.environ.pop(_onednn.VARIABLE)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        _onednn.switch_on()
    os.environ[_onednn.VARIABLE] = asked
    return [each.category for each in caught] == [_onednn.SlowTensorFlowWarning]


def _norm():
    from keras import Sequential, layers

    return Sequential(
        [
            layers.Input((28, 28, 1)),
            layers.Conv2D(8, 3, strides=2, padding="same"),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.DepthwiseConv2D(3),
            layers.GlobalAveragePooling2D(),
            layers.Dense(10),
        ]
    )


def _values(classifier, random) -> list:
    """Weights that do not depend on TensorFlow's own random numbers."""
    return [
        ((2 / max(1, math.prod(w.shape[:-1]))) ** 0.5 * random.normal(size=w.shape)).astype(
            "float32"
        )
        for w in classifier.model.trainable_variables
    ]


def _stacked(images, tf, np) -> dict:
    from kernel_lib.invariance.zoo.stacked import StackedNetworks
    from kernel_lib.invariance.zoo.trainer import _StackedAdam, _step_of, template

    classifier = template("cnn5", (28, 28, 1), 10)
    random = np.random.default_rng(1)
    networks = StackedNetworks(classifier, [_values(classifier, random) for _ in range(2)])
    step = _step_of(networks, _StackedAdam(networks), False)
    batch = tf.constant(np.stack([images, images[::-1]]))
    labels = tf.constant(np.arange(16).reshape(2, 8) % 10)
    rates, seed = tf.constant([1e-3, 1e-3]), tf.constant([0, 0])
    losses = step(batch, labels, tf.ones((2, 8)), rates, seed)
    return {
        "stacked losses": losses.numpy(),
        "stacked logits after a step": networks.logits(batch, seed).numpy(),
    }


if __name__ == "__main__":
    main(sys.argv[1])
