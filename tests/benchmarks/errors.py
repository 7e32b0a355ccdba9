"""Cost of conductance, mutants and the sequential test: `python tests/benchmarks/errors.py`.

One table of ratios from one run. Times are the least of several runs; processor time stands beside
wall time, as it suffers less from a busy machine. Goals: conductance at all taps at least 60 times
faster than per-layer, per-image loops and within 1.5 times a bare forward and backward pass; 100
mutants on 1,000 images 10 times faster than cloning, 20 with activations reused, 100 where only
dense layers change; the sequential test asks at most half of the mutants within 0.005 AUROC.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from kernel_lib import data, models
from kernel_lib.errors import conductance, mutants
from kernel_lib.errors.metrics import auroc
from kernel_lib.errors.recipes import Mutant, Recipe
from kernel_lib.errors.runner import MutantRunner
from kernel_lib.errors.sequential import (
    SequentialTest,
    ask_in_turn,
    default_threshold,
)
from kernel_lib.errors.units import mutable_layers
from kernel_lib.errors.votes import forward_batch_size, votes
from kernel_lib.models import Classifier
from kernel_lib.network import restored_weights

TAPS = ("conv1", "pool1", "conv2", "pool2", "dense1")
STEPS, NUM_PATHS, NUM_IMAGES = 50, 16, 1000
OPERATORS = (("nai", 0.06), ("gf", 0.08))  # with shares that cost little accuracy


@dataclass
class Timing:
    """Seconds of wall and of processor time; the least of several runs of each."""

    wall: float
    processor: float


def timed(work: Callable[[], Any], runs: int) -> Timing:
    """Run `work` once to warm up, unless it is run only once, then `runs` times."""
    if runs > 1:
        work()
    found = []
    for _ in range(runs):
        wall, processor = time.perf_counter(), time.process_time()
        work()
        found.append((time.perf_counter() - wall, time.process_time() - processor))
    walls, processors = zip(*found, strict=True)
    return Timing(min(walls), min(processors))


def row(name: str, one: Timing, base: Timing, scale: float = 1.0) -> None:
    """Print one line: seconds, and how many times faster than `base` (whose work is scaled)."""
    wall, processor = scale * base.wall / one.wall, scale * base.processor / one.processor
    print(f"{name:<66}{one.wall:>9.3f}{one.processor:>9.3f}{wall:>9.1f}{processor:>9.1f}")


def network() -> Classifier:
    """Two convolutions and two dense layers on 28 x 28 grey images, with biases."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((28, 28, 1))
    x = inputs
    for number, filters in ((1, 16), (2, 32)):
        x = layers.Conv2D(
            filters, 3, activation="relu", name=f"conv{number}", bias_initializer="random_normal"
        )(x)
        x = layers.MaxPooling2D(name=f"pool{number}")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(64, activation="relu", name="dense1", bias_initializer="random_normal")(x)
    return Classifier(keras.Model(inputs, layers.Dense(10, name="logits")(x)))


# --- conductance ---------------------------------------------------------------------------------


def by_loops(classifier: Classifier, images: np.ndarray, num_images: int) -> list[np.ndarray]:
    """The plain way: a model for each layer, an image at a time, eager."""
    found = []
    shares = np.linspace(0, 1, STEPS + 1, dtype=np.float32)[:, None, None, None]
    for tap in TAPS:
        layer = classifier.model.get_layer(tap)
        reader = keras.Model(classifier.model.inputs, [layer.output, classifier.model.output])
        for image in images[:num_images]:
            points = tf.constant(shares * image)
            with tf.GradientTape() as tape:
                tape.watch(points)
                values, logits = reader(points, training=False)
                score = logits[:, int(np.argmax(logits[-1]))]
            slope = tape.gradient(score, values).numpy()
            change = np.diff(values.numpy(), axis=0)
            found.append(((slope[1:] + slope[:-1]) / 2 * change).sum(axis=0))
    return found


def by_forward_mode(classifier: Classifier, images: np.ndarray) -> None:
    """Another plain way: as above, with the change along the path as a forward derivative."""
    shares = np.linspace(0, 1, STEPS, dtype=np.float32)[:, None, None, None]
    for tap in TAPS:
        layer = classifier.model.get_layer(tap)
        reader = keras.Model(classifier.model.inputs, [layer.output, classifier.model.output])
        for image in images:
            points = tf.constant(shares * image)
            direction = tf.constant(np.broadcast_to(image, points.shape))
            with (
                tf.autodiff.ForwardAccumulator(points, direction) as forward,
                tf.GradientTape() as tape,
            ):
                tape.watch(points)
                values, logits = reader(points, training=False)
                score = logits[:, 0]
            slope = tape.gradient(score, values)
            _ = tf.reduce_mean(slope * forward.jvp(values), axis=0).numpy()


def bare_pass(classifier: Classifier, num_points: int) -> Callable[[], Any]:
    """The floor: one compiled forward and backward pass of as many images as there are points."""
    points = tf.constant(np.random.default_rng(0).random((num_points, 28, 28, 1), np.float32))
    targets = tf.zeros(num_points, tf.int32)
    function = classifier.network.image_gradient_function()
    return lambda: function(points, targets)


def measure_conductance() -> None:
    classifier = network()
    images = np.random.default_rng(1).random((NUM_PATHS, 28, 28, 1), np.float32)
    whole = NUM_PATHS * (STEPS + 1)

    def ours(batch_size: int = whole) -> Any:
        return conductance(classifier, images, TAPS, steps=STEPS, reduce="none",
                           batch_size=batch_size)  # fmt: skip

    loops = timed(lambda: by_loops(classifier, images, NUM_PATHS), 2)
    row("conductance: loops over layers and images", loops, loops)
    forward = timed(lambda: by_forward_mode(classifier, images), 2)
    row("conductance: the same loops with a forward derivative", forward, loops)
    best = timed(ours, 7)
    row("conductance: all taps at once", best, loops)
    row("conductance: all taps at once, against the forward derivative", best, forward)
    row("conductance: all taps at once, 128 points in memory", timed(lambda: ours(128), 7), loops)
    floor = timed(bare_pass(classifier, whole), 7)
    row("  floor: one bare forward and backward pass", floor, loops)
    summed = timed(lambda: conductance(classifier, images, TAPS, steps=STEPS, batch_size=whole), 7)
    row("conductance: all taps at once, summed over positions", summed, loops)
    print(f"  times the floor: {summed.processor / floor.processor:.2f} (processor)")
    slow = by_loops(classifier, images, 2)
    fast = ours().values
    gaps = [np.abs(fast[tap][i] - slow[2 * t + i]).max() for t, tap in enumerate(TAPS)
            for i in range(2)]  # fmt: skip
    print(f"  largest difference between both ways: {max(gaps):.1e}")
    against_captum(classifier, images)


def against_captum(classifier: Classifier, images: np.ndarray) -> None:
    """Captum's layer conductance on the same weights, where it is installed."""
    try:
        import torch
        from captum.attr import LayerConductance
    except ImportError:
        print("  Captum: not installed, left out")
        return
    blocks = [torch.nn.Conv2d(1, 16, 3), torch.nn.ReLU(), torch.nn.MaxPool2d(2),
              torch.nn.Conv2d(16, 32, 3), torch.nn.ReLU(), torch.nn.MaxPool2d(2),
              torch.nn.Flatten(), torch.nn.Linear(800, 64), torch.nn.ReLU(),
              torch.nn.Linear(64, 10)]  # fmt: skip
    for place, name in ((0, "conv1"), (3, "conv2"), (7, "dense1"), (9, "logits")):
        kernel, bias = (np.asarray(v) for v in classifier.model.get_layer(name).weights)
        if name == "dense1":
            kernel = kernel.reshape(5, 5, 32, 64).transpose(2, 0, 1, 3).reshape(800, 64)
        kernel = kernel.transpose(3, 2, 0, 1) if kernel.ndim == 4 else kernel.T
        blocks[place].weight.data = torch.tensor(kernel.copy())
        blocks[place].bias.data = torch.tensor(bias)
    mirror = torch.nn.Sequential(*blocks).eval()
    batch = torch.tensor(images.transpose(0, 3, 1, 2).copy())
    places = dict(zip(TAPS, (1, 2, 4, 5, 8), strict=True))

    def theirs() -> dict[str, np.ndarray]:
        return {
            tap: LayerConductance(mirror, mirror[place])
            .attribute(batch, target=0, n_steps=STEPS, method="riemann_trapezoid")
            .detach()
            .numpy()
            for tap, place in places.items()
        }

    def ours() -> Any:
        return conductance(classifier, images, TAPS, 0, steps=STEPS, rule="left", reduce="none",
                           batch_size=NUM_PATHS * (STEPS + 1))  # fmt: skip

    captum = timed(theirs, 5)
    row("conductance: Captum, one call a layer", captum, captum)
    row("conductance: all taps at once, same rule", timed(ours, 7), captum)
    one, other = ours().values["conv1"].transpose(0, 3, 1, 2), theirs()["conv1"]
    print(f"  largest difference from Captum at conv1: {np.abs(one - other).max():.1e}")


# --- mutants -------------------------------------------------------------------------------------


def by_cloning(classifier: Classifier, drawn: Sequence[Mutant], images: np.ndarray) -> None:
    """The plain way: clone the model, set its weights, predict."""
    model = classifier.model
    with restored_weights(classifier) as snapshot:
        runner = MutantRunner(classifier, drawn, snapshot)
        for mutant in drawn:
            copy = keras.models.clone_model(model)
            runner.apply(mutant)
            copy.set_weights(model.get_weights())
            copy.predict(images, verbose=0, batch_size=128)


def by_swapping(classifier: Classifier, drawn: Sequence[Mutant], images: np.ndarray) -> None:
    """Weights swapped in place, one compiled function, nothing reused."""
    with restored_weights(classifier) as snapshot:
        runner = MutantRunner(classifier, drawn, snapshot)
        for mutant in drawn:
            runner.apply(mutant)
            classifier.logits(images, forward_batch_size(images))


def forward_passes(classifier: Classifier, images: np.ndarray) -> Callable[[], Any]:
    """The floor: 100 compiled passes over all images, no weight changed, no result read."""
    size = forward_batch_size(images)
    parts = [tf.constant(images[i : i + size]) for i in range(0, len(images), size)]
    function = classifier.network.logits_function()
    return lambda: [function(part) for _ in range(100) for part in parts]


def measure_mutants() -> None:
    classifier = network()
    images = np.random.default_rng(1).random((NUM_IMAGES, 28, 28, 1), np.float32)
    every = ["conv1", "conv2", "dense1", "logits"]
    cases = {
        "all layers": [every] * 4,
        "one layer each": [[name] for name in every],
        "dense layers": [["dense1", "logits"]] * 4,
    }
    for title, turns in cases.items():
        found = [mutable_layers(classifier, names) for names in turns]
        drawn = [Recipe("gf", 0.11).draw(found[index % 4], 0, index) for index in range(100)]
        plain = timed(lambda drawn=drawn: by_cloning(classifier, drawn[:8], images), 1)
        row(f"8 mutants, {title}: clone and predict", plain, plain)
        swapped = timed(lambda drawn=drawn: by_swapping(classifier, drawn, images), 2)
        row(f"100 mutants, {title}: swapped in place", swapped, plain, 100 / 8)
        ours = timed(lambda drawn=drawn: votes(classifier, drawn, images), 5)
        row(f"100 mutants, {title}: as the audit does", ours, plain, 100 / 8)
        if title == "all layers":
            floor = timed(forward_passes(classifier, images), 5)
            row("  floor: the 100 forward passes alone", floor, plain, 100 / 8)
            print(f"  times the floor: {ours.wall / floor.wall:.2f} (wall), "
                  f"{ours.processor / floor.processor:.2f} (processor)")  # fmt: skip


# --- sequential test -----------------------------------------------------------------------------


def measure_sequential() -> None:
    """Mutants asked, and AUROC less that of the full rate, for networks from three seeds."""
    images = data.load("mnist5k", seed=0)
    found = []
    for seed in range(3):
        classifier = models.train("small_cnn", images, epochs=5, seed=seed, progress=False)
        found += [_sequential(classifier, images, seed, *each) for each in OPERATORS]
    asked, gaps = np.mean(found, axis=0)
    print(f"sequential test, mean: asks {asked:.1f} of 100, AUROC {gaps:+.4f} from the full rate")


def _sequential(
    classifier: Classifier, images: data.ImageSet, seed: int, operator: str, gamma: float
) -> tuple[float, float]:
    known, new = images.calibration, images.test
    wrong = classifier.predict(new.images) != new.labels
    right = classifier.predict(known.images) == known.labels
    found = mutants(classifier, known.images, known.labels, operator=operator, gamma=gamma)
    test = SequentialTest(default_threshold(found.votes.rate[right]))
    said = votes(classifier, list(found), new.images)
    full, soft = auroc(said.rate, wrong), auroc(said.soft_rate, wrong)
    turns = ask_in_turn(classifier, list(found), new.images, test)
    ours, asked = auroc(turns.suspicion, wrong), float(turns.asked.mean())
    print(
        f"sequential test, {operator}, seed {seed}: asks {asked:.1f} of {len(found)} mutants, "
        f"AUROC {ours:.4f}, full rate {full:.4f}, soft {soft:.4f} (accuracy {1 - wrong.mean():.3f})"
    )
    return asked, ours - full


# --- memory --------------------------------------------------------------------------------------


def measure_memory() -> None:
    """Peak memory after 16 and after 160 images at the same batch size."""
    classifier = network()
    for count in (NUM_PATHS, 10 * NUM_PATHS):
        images = np.random.default_rng(1).random((count, 28, 28, 1), np.float32)
        conductance(classifier, images, TAPS, steps=STEPS, batch_size=128)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"peak memory after {count} images x {STEPS} steps, 128 in memory: {peak:.0f} MB")


def main() -> None:
    """Print the table."""
    measure_memory()
    print(f"{'':<66}{'wall s':>9}{'cpu s':>9}{'x wall':>9}{'x cpu':>9}")
    measure_conductance()
    measure_mutants()
    measure_sequential()


if __name__ == "__main__":
    main()
