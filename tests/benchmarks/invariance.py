"""Speed of the invariance audit: `python tests/benchmarks/invariance.py` prints ratios of one run.

Each row holds a plain way against ours, in wall and in processor time, each the best of a few
runs. The goals: a sweep 10 times faster than image by image and within 1.5 times its floor,
measurements 50 times faster than loops, training 4 times faster than one `fit` after another.

`--zoo` also builds 24 networks in one process and in two (goal 1.6 times; some minutes);
`--memory` shows what a sweep of 1,000 and of 4,000 images needs beyond the images. Run both on an
idle machine.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))

from kernel_lib.data import load
from kernel_lib.invariance import measure, sweep, zoo
from kernel_lib.invariance.transforms import PAPER, as_transform
from kernel_lib.invariance.zoo.trainer import assign, template, train_together
from kernel_lib.models import build
from plain_measurements import plain_paper

_NUM_PLAIN = 20  # images that the plain way is timed on; its time grows with their number


def best(work: Callable[[], object], runs: int = 3) -> tuple[float, float]:
    """Least wall and processor seconds of a few runs."""
    seconds = []
    for _ in range(runs):
        wall, processor = time.perf_counter(), time.process_time()
        work()
        seconds.append((time.perf_counter() - wall, time.process_time() - processor))
    return min(wall for wall, _ in seconds), min(processor for _, processor in seconds)


def report(
    name: str, plain: tuple[float, float], ours: tuple[float, float], note: str = ""
) -> None:
    """Print one row."""
    ratios = f"{plain[0] / ours[0]:>9.1f}{plain[1] / ours[1]:>9.1f}"
    print(f"{name:<44}{plain[0]:>9.2f}{ours[0]:>9.2f}{ratios}  {note}", flush=True)


def benchmark_sweep() -> None:
    """31 rotations of 1,000 images of 32 pixels, all signals of CNN5."""
    images = np.random.default_rng(0).random((1000, 32, 32, 1), np.float32)
    classifier = build("cnn5", (32, 32, 1), 10)
    options = {"transform": "rotation", "progress": False}
    sweep(classifier, images[:4], **options)
    ours = best(lambda: sweep(classifier, images, **options))
    paper = best(lambda: sweep(classifier, images, rules=PAPER, **options))
    plain = best(lambda: _image_by_image(classifier, images[:_NUM_PLAIN]), 1)
    scale = len(images) / _NUM_PLAIN
    report("sweep, against image by image (scaled up)", (plain[0] * scale, plain[1] * scale), ours)
    floors = {size: best(lambda size=size: _floor(classifier, images, size)) for size in
              (64, 128, 256, 500, 512)}  # fmt: skip
    size = min(floors, key=lambda each: floors[each])
    report("sweep, against 31,000 forward passes", floors[size], ours, f"batch {size}")
    report("the same, nearest pixel", floors[size], paper, f"batch {size}")


def _image_by_image(classifier: object, images: np.ndarray) -> None:
    """Transform each image on its own, one forward pass each."""
    matrix = as_transform("rotation").matrix
    for image in images:
        for angle in np.linspace(-15, 15, 31):
            a = matrix(angle)
            shift = np.array([15.5, 15.5]) - a[:, :2] @ [15.5, 15.5]
            transform = [a[0, 0], a[0, 1], shift[0], a[1, 0], a[1, 1], shift[1], 0.0, 0.0]
            moved = keras.ops.image.affine_transform(
                tf.constant(image[None]), tf.constant([transform], tf.float32)
            )
            classifier.model(moved * 2 - 1, training=False)


def _floor(classifier: object, images: np.ndarray, batch_size: int) -> None:
    """The same number of forward passes, and nothing else."""
    function = classifier.network.logits_function()
    batches = [tf.constant(images[s : s + batch_size]) for s in range(0, len(images), batch_size)]
    for _ in range(31):
        for batch in batches:
            function(batch)


def benchmark_measurements() -> None:
    """85 matrices, 16 measurements each, T = 31."""
    random = np.random.default_rng(0)
    signal = random.normal(size=(85, 31))
    matrices = np.abs(signal[:, :, None] - signal[:, None])
    found = measure(matrices, "paper")
    plain = [plain_paper(matrix) for matrix in matrices]
    gap = max(
        abs(found[name][k] - value) / max(1, abs(value))
        for k, one in enumerate(plain)
        for name, value in one.items()
    )
    slow = best(lambda: [plain_paper(matrix) for matrix in matrices], 2)
    note = f"largest difference {gap:.0e}"
    report("85 matrices, against loops", slow, best(lambda: measure(matrices, "paper"), 5), note)


def benchmark_training() -> None:
    """Eight networks, four epochs each."""
    images = load("mnist5k", num_images=4000)
    recipes = [
        replace(recipe, augment="none", defect="none", epochs=4, adversarial=False)
        for recipe in zoo.small_plan("rotation", 8)
    ]
    trained: list = []
    ours = best(lambda: trained.append(train_together(recipes, images)), 2)
    accuracies: list[float] = []
    plain = best(lambda: accuracies.extend(_fit_each(recipes, images)), 1)
    classifier = template("cnn5", images.image_shape, 10)
    own = []
    for values in trained[0]:
        assign(classifier, values)
        own.append(classifier.accuracy(images.test.images, images.test.labels))
    note = f"accuracy {np.mean(accuracies):.3f} by fit, {np.mean(own):.3f} stacked"
    report("8 networks, against one fit after another", plain, ours, note)


def _fit_each(recipes: list, images: object) -> list[float]:
    accuracies = []
    for recipe in recipes:
        classifier = build("cnn5", images.image_shape, 10, seed=recipe.seed)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        optimizer = keras.optimizers.Adam(recipe.learning_rate)
        classifier.model.compile(optimizer, loss)
        pixels = images.train.images * 2 - 1
        classifier.model.fit(pixels, images.train.labels, batch_size=64, epochs=4, verbose=0)
        accuracies.append(classifier.accuracy(images.test.images, images.test.labels))
    return accuracies


def benchmark_zoo(num_models: int = 24) -> None:
    """The same zoo in one process and in two; both start from nothing."""
    seconds = []
    for workers in (1, 2):
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            zoo.build(zoo.small_plan("scaling", num_models), folder, transform="scaling",
                      workers=workers, progress=False)  # fmt: skip
            seconds.append(time.perf_counter() - start)
    one, two = seconds
    print(f"{f'{num_models} networks, two processes':<44}{one:>9.1f}{two:>9.1f}{one / two:>9.1f}")


_SWEEP_ALONE = """
import resource, sys, numpy as np
from kernel_lib.invariance import sweep
from kernel_lib.models import build
images = np.random.default_rng(0).random((int(sys.argv[1]), 32, 32, 1), np.float32)
sweep(build("cnn5", (32, 32, 1), 10), images, store=sys.argv[2], progress=False)
# Pages of the file of signals count too, though the system may drop them at will.
stored = np.load(sys.argv[2], mmap_mode="r").nbytes
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print((peak - images.nbytes - stored) / 2**20)
"""


def benchmark_memory() -> None:
    """Peak memory of a sweep into a file, less the images and the file, in a process of its own."""
    for num_images in (1000, 4000):
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-c", _SWEEP_ALONE, str(num_images), f"{folder}/signals.npy"]
            found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        print(f"{f'sweep of {num_images:,} images, peak memory':<44}{float(found):>9.0f} MB")


def main() -> None:
    """Run all and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--zoo", action="store_true", help="one process against two")
    parser.add_argument("--memory", action="store_true", help="memory against number of images")
    options = parser.parse_args()
    print(f"{'':<44}{'plain s':>9}{'ours s':>9}{'x wall':>9}{'x cpu':>9}")
    benchmark_measurements()
    benchmark_sweep()
    benchmark_training()
    if options.memory:
        benchmark_memory()
    if options.zoo:
        benchmark_zoo()


if __name__ == "__main__":
    main()
