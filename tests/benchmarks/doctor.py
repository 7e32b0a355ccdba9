"""How fast the model doctor is, beside the plain ways and the floor.

    python tests/benchmarks/doctor.py [--images 60000]

Prints one table. CPU seconds stand beside wall seconds, because other work may share the machine;
each is the least of several runs.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from kernel_lib.data import ImageSet, labelme_mask, write_labelme
from kernel_lib.doctor import Course, Recipe, class_gradients, find_samples
from kernel_lib.doctor.batches import Batches
from kernel_lib.models import build
from kernel_lib.models.copying import copied

CLASSES = 10

Row = tuple[str, tuple[float, float]]  # what, and its wall and CPU seconds


def least(work: Callable[[], object], runs: int = 5) -> tuple[float, float]:
    """Least wall and CPU seconds of several runs, after one that compiles."""
    work()
    found = []
    for _ in range(runs):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        found.append((time.perf_counter() - wall, time.process_time() - cpu))
    return min(w for w, _ in found), min(c for _, c in found)


def all_class_gradients(images: np.ndarray) -> list[Row]:
    """Ours, the loop over images and classes (timed on a few images), and the floor."""
    classifier = build("small_cnn", images.shape[1:], CLASSES)
    model = classifier.model
    maps = keras.Model(model.input, [model.get_layer("conv3").output, model.output])
    few = 2

    def loop() -> None:
        for image in images[:few]:
            for label in range(CLASSES):
                with tf.GradientTape() as tape:
                    found, logits = maps(image[None], training=False)
                    score = logits[:, label]
                np.abs(tape.gradient(score, found).numpy()).sum(axis=(1, 2))

    head_in = keras.Input(model.get_layer("conv3").output.shape[1:])
    x = head_in
    for layer in model.layers[model.layers.index(model.get_layer("conv3")) + 1 :]:
        x = layer(x)
    head = keras.Model(head_in, x)
    trunk = keras.Model(model.input, model.get_layer("conv3").output)

    @tf.function(jit_compile=False)
    def bare(batch: tf.Tensor) -> tf.Tensor:
        found = trunk(batch, training=False)
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
            tape.watch(found)
            each = tf.unstack(head(found, training=False), axis=1)
        sizes = [tf.reduce_sum(tf.abs(tape.gradient(s, found)), axis=(1, 2)) for s in each]
        return tf.stack(sizes, axis=1)

    def floor() -> None:
        for start in range(0, len(images), 128):
            bare(tf.constant(images[start : start + 128])).numpy()

    slow = least(loop, 2)
    scale = len(images) / few
    return [
        ("all-class gradients", least(lambda: class_gradients(classifier, images))),
        ("  image by class loop (scaled up)", (slow[0] * scale, slow[1] * scale)),
        ("  bare compiled function", least(floor)),
    ]


def treatment_step(images: ImageSet) -> list[Row]:
    """One epoch of the treatment, of its control, and of the same with one constraint."""
    classifier = build("small_cnn", images.image_shape, CLASSES)
    relies = np.random.default_rng(0).random((CLASSES, 64)) > 0.5
    height = images.image_shape[0] // 4
    batches = Batches(
        images.images, images.labels, np.ones((len(images), height, height)),
        np.ones(len(images)), batch_size=64, seed=0,
    )  # fmt: skip
    rows = []
    for name, alpha, beta in (
        ("plain step (control)", 0, 0),
        ("  treatment step, both losses", 1, 1),
        ("  treatment step, spatial loss", 0, 1),
    ):
        course = Course(copied(classifier), Recipe("conv3", alpha, beta), relies)
        course.build((None, *images.image_shape))
        course.compile(keras.optimizers.SGD(0.01, momentum=0.9), jit_compile=False)
        course.make_train_function()
        step = course.train_function
        batch = batches.at(np.arange(64))
        tensors = tf.nest.map_structure(tf.constant, batch)
        data = tf.data.Dataset.from_tensors(tensors).repeat()

        def run(step: Callable = step, data: tf.data.Dataset = data) -> None:
            iterator = iter(data)
            for _ in range(10):
                step(iterator)

        rows.append((name, least(run, 4)))
    return rows


def mining(num_images: int) -> list[Row]:
    """Finding samples in a stream beside bare prediction of the same stream, and what they hold."""
    classifier = build("small_cnn", (28, 28, 1), CLASSES)
    random = np.random.default_rng(0)
    batch = random.random((500, 28, 28, 1), np.float32), np.arange(500) % CLASSES

    def stream(count: int = num_images) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        return (batch for _ in range(count // 500))

    def bare() -> None:
        for images, _ in stream():
            classifier.logits(images, len(images))

    def search(count: int = num_images) -> object:
        return find_samples(classifier, stream(count), progress=False)

    few, many = (peak_memory(lambda count=count: search(count)) for count in (5000, num_images))
    print(f"Memory of finding samples: {few / 1e6:.1f} MB in 5,000 images, {many / 1e6:.1f} MB in "
          f"{num_images:,}.")  # fmt: skip
    prediction = least(bare, 3)
    return [
        (f"bare prediction of {num_images:,} images", prediction),
        ("  finding samples among them", least(search, 3)),
    ]


def peak_memory(work: Callable[[], object]) -> int:
    """Most bytes that Python and NumPy hold at once during `work`."""
    work()
    tracemalloc.start()
    work()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def masks() -> list[Row]:
    """1,000 polygons of 50 points, from files to masks of 224 pixels."""
    random = np.random.default_rng(0)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for side in (224, 640):
            paths = []
            for place in range(1000):
                angle = np.sort(random.random(50)) * 2 * np.pi
                radius = (0.3 + 0.15 * random.random(50)) * side
                points = side / 2 + np.stack([np.cos(angle), np.sin(angle)], 1) * radius[:, None]
                shape = {"label": "a", "points": points.tolist()}
                path = Path(folder) / f"{side}_{place}.json"
                paths.append(write_labelme(path, [shape], side, side))
            seconds = least(lambda paths=paths: [labelme_mask(p, size=224) for p in paths], 2)
            rows.append((f"1,000 LabelMe files of {side} pixels to masks of 224", seconds))
    return rows


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=60_000, help="images searched for samples")
    num_images = parser.parse_args().images
    random = np.random.default_rng(0)
    pictures = random.random((640, 32, 32, 3), np.float32)
    labels = np.arange(640) % CLASSES
    images = ImageSet(pictures, labels)
    rows = all_class_gradients(pictures[:200])
    rows += treatment_step(images.select(np.arange(640)))
    rows += mining(num_images)
    rows += masks()
    print(f"{'what':52}{'wall s':>10}{'CPU s':>10}{'ratio':>9}{'CPU ratio':>11}")
    base = rows[0][1]
    for name, seconds in rows:
        base = base if name.startswith("  ") else seconds
        ratio, cpu = seconds[0] / base[0], seconds[1] / base[1]
        print(f"{name:52}{seconds[0]:10.4f}{seconds[1]:10.4f}{ratio:9.2f}{cpu:11.2f}")


if __name__ == "__main__":
    main()
