"""Speed and memory of the trust audit: `python tests/benchmarks/trust.py` prints one table.

Goals on generated shapes, 5,040 images to learn from and 1,260 to test on, at 64 pixels: features
of all layers for at most 1.2 forward passes; the whole 5 x 5 matrix with linear probes at least 10
times faster than the published Keras perceptrons at equal or better mean accuracy; memory of
flattened features bounded by their memory map; at least 5,000 images generated a second.

Times are the least of a few runs; processor seconds stand beside them, since others may use the
machine.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from kernel_lib.data import load
from kernel_lib.models import build
from kernel_lib.network.compiled import in_batches
from kernel_lib.trust import features, train_primaries
from kernel_lib.trust.columns import columns_of
from kernel_lib.trust.design import Target, design_of
from kernel_lib.trust.mlp import build as build_perceptron
from kernel_lib.trust.probing import read_all, read_rows

SPLITS = ("train", "calibration", "test")


def timed(action: Callable[[], object], repeats: int = 3) -> tuple[float, float, object]:
    """Least wall seconds and processor seconds of a few runs, and what the last one gave."""
    best, outcome = (np.inf, np.inf), None
    for _ in range(repeats):
        wall, processor = time.perf_counter(), time.process_time()
        outcome = action()
        best = min(best, (time.perf_counter() - wall, time.process_time() - processor))
    return (*best, outcome)


def row(name: str, wall: float, processor: float, note: str = "") -> None:
    """Print one line of the table."""
    print(f"{name:<58}{wall:>9.2f}{processor:>9.2f}  {note}", flush=True)


def main() -> None:
    """Run every comparison and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=5, help="epochs of the five networks")
    parser.add_argument("--memory", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory:
        _flattened_memory(int(options.memory))
        return
    print(f"{'':<58}{'wall s':>9}{'cpu s':>9}")
    wall, processor, images = timed(lambda: load("shapes", size=64, seed=0))
    row("shapes, 6,300 images of 64 px", wall, processor, f"{6300 / wall:,.0f} images/s")
    _forward_passes(images)
    with tempfile.TemporaryDirectory() as cache:
        _matrices(images, options.epochs, cache)
    _memory()


def _forward_passes(images: object) -> None:
    """All layers against the forward pass alone, by turns, so that both meet the same machine."""
    network = build("small_cnn", (64, 64, 3), 5)
    forward = lambda: in_batches(network.network.logits_function(), 32, images.images)  # noqa: E731
    every = lambda: features(network, images, "all", batch_size=32, progress=False)  # noqa: E731
    forward(), every()
    pairs = [(timed(forward, 1), timed(every, 1)) for _ in range(4)]
    one = min((each[0][:2] for each in pairs), key=lambda each: each[0])
    all_layers = min((each[1][:2] for each in pairs), key=lambda each: each[0])
    row("forward pass alone", *one)
    passes = [mine / theirs for mine, theirs in zip(all_layers, one, strict=True)]
    note = f"{passes[0]:.2f} passes by wall, {passes[1]:.2f} by cpu"
    row("features of all 9 layers, pooled", *all_layers, note)


def _matrices(images: object, epochs: int, cache: str) -> None:
    """The 5 x 5 matrix at the last convolution's pooling and before the head, by each probe."""
    networks = train_primaries("small_cnn", images, epochs=epochs, cache=cache, progress=False)
    columns = columns_of(images)
    splits = {name: images.splits[name] for name in SPLITS}
    for tap, reduction in (("dense1", "pooled"), ("flatten", "random_projection:1024")):
        rows = {
            task: [
                features(each, images, tap, reduction=reduction, cache=cache, progress=False)[tap]
            ]
            for task, (each,) in networks.items()
        }
        size = next(iter(rows.values()))[0].shape[1]
        print(f"-- 5 x 5 matrix at {tap}, {size} features, in cache")
        wall, processor, found = timed(lambda rows=rows: read_rows(rows, columns, splits, "ridge"))
        ours = wall, processor, found.accuracy.mean()
        row("ridge", wall, processor, f"mean accuracy {ours[2]:.4f}")
        if size <= 64:
            wall, processor, found = timed(
                lambda rows=rows: read_rows(rows, columns, splits, "logistic"), 1
            )
            row("logistic, float32", wall, processor, f"mean accuracy {found.accuracy.mean():.4f}")
        recipes = {"the published recipe, 1 epoch": 1}
        if size <= 64:
            recipes["with early stopping"] = 12
        for name, count in recipes.items():
            # One row of five stands for the matrix: every row costs the same.
            values = next(iter(rows.values()))[0]
            wall, processor, accuracy = timed(
                lambda values=values, count=count: _keras_row(values, columns, splits, count), 1
            )
            row(f"Keras perceptrons by fit, {name} (1 row x 5)", 5 * wall, 5 * processor,
                f"row mean {accuracy:.4f} (ridge {_row_mean(values, columns, splits):.4f}); "
                f"ridge is {5 * wall / ours[0]:.0f} x faster")  # fmt: skip
        _plain_logistic(rows, columns, splits, ours)


def _keras_row(values: np.ndarray, columns: dict, splits: dict, epochs: int) -> float:
    """The published probes as they are written there: one `fit` a task."""
    import keras

    right = []
    rows = np.concatenate([splits["train"], splits["calibration"]])
    for place, column in enumerate(columns.values()):
        model = build_perceptron(values.shape[1], column.num_classes, [0, place])
        model.compile(
            keras.optimizers.Adam(1e-3),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
        )
        stop = keras.callbacks.EarlyStopping("val_accuracy", patience=3, restore_best_weights=True)
        model.fit(
            values[rows], column.labels[rows], batch_size=32, epochs=epochs, validation_split=0.2,
            callbacks=[stop] if epochs > 1 else [], verbose=0,
        )  # fmt: skip
        scores = model.predict(values[splits["test"]], batch_size=256, verbose=0)
        right.append((scores.argmax(axis=1) == column.labels[splits["test"]]).mean())
    return float(np.mean(right))


def _row_mean(values: np.ndarray, columns: dict, splits: dict) -> float:
    return float(read_rows({"row": [values]}, columns, splits, "ridge").accuracy.mean())


def _plain_logistic(rows: dict, columns: dict, splits: dict, ours: tuple) -> None:
    """The plain way: scikit-learn in float64 with its default penalty, one task at a time."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    values = next(iter(rows.values()))[0]
    learned = np.concatenate([splits["train"], splits["calibration"]])
    scaled = StandardScaler().fit(values[learned]).transform(values.astype(np.float64))
    column = columns["size"]

    def fit() -> float:
        model = LogisticRegression(max_iter=300).fit(scaled[learned], column.labels[learned])
        return float(model.score(scaled[splits["test"]], column.labels[splits["test"]]))

    wall, processor, _ = timed(fit, 1)
    target = [Target(column.labels, column.num_classes)]
    one, one_processor, _ = timed(lambda: read_all(design_of(values, splits), target, "ridge"))
    row("float64 logistic, default penalty, 1 task", wall, processor)
    row(
        "ridge with its search for a penalty, 1 task",
        one,
        one_processor,
        f"{wall / one:.0f} x faster",
    )


def _memory() -> None:
    """Peak memory of our own pages while 65,536 features an image are extracted and read."""
    for count in (500, 1500):
        command = [sys.executable, __file__, "--memory", str(count)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        print(f"{f'65,536 features an image, {count} images, extracted and read':<58}"
              f"{done.stdout.strip().splitlines()[-1]}", flush=True)  # fmt: skip


def _flattened_memory(count: int) -> None:
    """In a process of its own: anonymous memory (not the memory map, which the system may drop)."""
    images = load("shapes", size=64, num_images=count, seed=0)
    network = build("small_cnn", (64, 64, 3), 5)
    features(network, images.images[:32], "conv1", batch_size=32, progress=False)
    before = _anonymous()
    with tempfile.TemporaryDirectory() as cache:
        found = features(
            network, images, "conv1", reduction="flattened", batch_size=32, cache=cache,
            progress=False,
        )["conv1"]  # fmt: skip
        after_features = _anonymous()
        columns = columns_of(images)
        splits = {name: images.splits[name] for name in SPLITS}
        read_rows({"row": [found]}, columns, splits, "ridge")
        table = found.nbytes / 1e6
    print(
        f"table {table:,.0f} MB on disk; own memory +{after_features - before:,.0f} MB after "
        f"extraction, +{_anonymous() - before:,.0f} MB after reading"
    )


def _anonymous() -> float:
    """Megabytes of this process's own memory, without pages of files."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1e3
    return float("nan")


if __name__ == "__main__":
    main()
