"""Throughput of image sets: `python tests/benchmarks/data.py` prints a table.

The goal for generated shapes is 5,000 images of 64 pixels a second on two cores.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from kernel_lib.data import ImageSet, load

_REPETITIONS = 5

CASES: dict[str, Callable[[], ImageSet]] = {
    "shapes, 32 px": lambda: load("shapes", size=32),
    "shapes, 64 px": lambda: load("shapes", size=64),
    "shapes, 64 px, 3x3 samples": lambda: load("shapes", size=64, supersample=3, num_images=3000),
    "shapes, 128 px": lambda: load("shapes", size=128, num_images=2000),
    "shapes, 256 px": lambda: load("shapes", size=256, num_images=600),
    "digits": lambda: load("digits"),
    "mnist5k": lambda: load("mnist5k"),
}


def main() -> None:
    """Time each case a few times and print the median and the best."""
    print(f"{'image set':<28}{'images':>8}{'median s':>10}{'best s':>9}{'images/s (median)':>20}")
    for name, make in CASES.items():
        num_images, seconds = 0, []
        for _ in range(_REPETITIONS):
            start = time.perf_counter()
            num_images = len(make())
            seconds.append(time.perf_counter() - start)
        median = statistics.median(seconds)
        print(
            f"{name:<28}{num_images:>8,}{median:>10.3f}{min(seconds):>9.3f}"
            f"{num_images / median:>20,.0f}"
        )


if __name__ == "__main__":
    main()
