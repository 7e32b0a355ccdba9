"""The published probe: a fresh perceptron with hidden layers of 512 and 100 units, in Keras.

Dense 512 relu, dropout 0.5, dense 100 relu, dropout 0.3, softmax; Adam with rate 1e-3, batches of
32. Deviations: features are standardised, it learns on the train split for up to `EPOCHS` epochs
and keeps the weights that did best on the calibration split; a seed fixes everything it draws.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from kernel_lib._random import random_stream
from kernel_lib.trust.design import Design, Target
from kernel_lib.trust.readings import Reading, best_temperature, log_softmax, mean_bits

if TYPE_CHECKING:
    import keras

EPOCHS, PATIENCE = 20, 4
BATCH_SIZE, LEARNING_RATE = 32, 1e-3
HIDDEN = ((512, 0.5), (100, 0.3))
_ROWS = 1024


def read(
    design: Design, targets: Sequence[Target], seed: int = 0, epochs: int = EPOCHS
) -> list[Reading]:
    """Read each target off the features of a design; no label may be missing.

    Args:
        design: features and splits.
        targets: with labels for every image of the design.
        seed: of initial weights, dropout and the order of images.
        epochs: the most epochs.

    Returns:
        One reading a target; its strength is the number of epochs kept.
    """
    return [
        _read_one(design, target, [seed, place], epochs) for place, target in enumerate(targets)
    ]


def _read_one(design: Design, target: Target, words: list[int], epochs: int) -> Reading:
    import tensorflow as tf

    start = time.perf_counter()
    model = build(design.num_features, target.num_classes, words)
    step, answer = _compiled(model)
    random = random_stream([*words, 1])
    truth = target.labels[design.calibration]
    best, waited = (-1.0, 0, model.get_weights()), 0
    for epoch in range(1, epochs + 1):
        order = random.permutation(design.train)
        for first in range(0, len(order), BATCH_SIZE):
            rows = order[first : first + BATCH_SIZE]
            step(tf.constant(design.standardized(rows)), tf.constant(target.labels[rows]))
        right = float((_scores(answer, design, design.calibration).argmax(axis=1) == truth).mean())
        waited = 0 if right > best[0] else waited + 1
        if right > best[0]:
            best = (right, epoch, model.get_weights())
        if waited >= PATIENCE:
            break
    model.set_weights(best[2])
    seconds = time.perf_counter() - start
    factor = best_temperature(_scores(answer, design, design.calibration), truth)
    scores = _scores(answer, design, design.test)
    predictions = np.full(len(target.labels), -1, np.int16)
    predictions[design.test] = scores.argmax(axis=1)
    bits = mean_bits(log_softmax(scores * factor), target.labels[design.test])
    return Reading(predictions, bits, float(best[1]), seconds)


def build(num_features: int, num_classes: int, words: Sequence[int]) -> keras.Model:
    """The perceptron, with linear scores; every layer has a seed of its own."""
    import keras
    from keras import layers

    seeds = [int(each) for each in random_stream(words).integers(2**31, size=5)]
    model = keras.Sequential([keras.Input((num_features,))])
    for (units, rate), (first, second) in zip(
        HIDDEN, (seeds[:2], seeds[2:4]), strict=True
    ):  # fmt: skip
        model.add(layers.Dense(units, "relu", kernel_initializer=_glorot(first)))
        model.add(layers.Dropout(rate, seed=second))
    model.add(layers.Dense(num_classes, kernel_initializer=_glorot(seeds[4])))
    return model


def _glorot(seed: int) -> keras.Initializer:
    import keras

    return keras.initializers.GlorotUniform(seed=seed)


def _compiled(model: keras.Model) -> tuple[Callable, Callable]:
    """A training step and the scores, each compiled once."""
    import tensorflow as tf

    from kernel_lib.models.adam import Adam

    weights = [variable.value for variable in model.trainable_variables]
    optimizer = Adam(weights, LEARNING_RATE)
    features = tf.TensorSpec((None, model.input_shape[1]), tf.float32)

    @tf.function(input_signature=[features, tf.TensorSpec((None,), tf.int64)], autograph=False)
    def step(values: tf.Tensor, labels: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            scores = model(values, training=True)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, scores)
            loss = tf.reduce_mean(losses)
        optimizer.apply(tape.gradient(loss, weights))

    @tf.function(input_signature=[features], autograph=False)
    def answer(values: tf.Tensor) -> tf.Tensor:
        return model(values, training=False)

    return step, answer


def _scores(answer: Callable, design: Design, rows: np.ndarray) -> np.ndarray:
    import tensorflow as tf

    parts = [rows[first : first + _ROWS] for first in range(0, len(rows), _ROWS)]
    return np.concatenate([answer(tf.constant(design.standardized(part))) for part in parts])
