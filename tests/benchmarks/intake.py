"""What the intake costs: `python tests/benchmarks/intake.py` prints one table.

Goal: under 3 seconds beyond the forward passes nobody can avoid (1,000 test images), on mnist5k
with a small network; asked again for the same network and images, next to nothing. A network of 224
pixels stands beside it (MobileNetV2, random weights; --large). Processor seconds stand beside wall
seconds, since others may use the machine.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable

import numpy as np

import kernel_lib as kl
from kernel_lib.audit import examine
from kernel_lib.audit.image_checks import leaked, quality
from kernel_lib.data import ImageSet
from kernel_lib.network.compiled import fitting_batch_size, in_batches


def timed(action: Callable[[], object], repeats: int = 3) -> tuple[float, float]:
    """Least wall seconds and processor seconds of a few runs."""
    best = (np.inf, np.inf)
    for _ in range(repeats):
        wall, processor = time.perf_counter(), time.process_time()
        action()
        best = min(best, (time.perf_counter() - wall, time.process_time() - processor))
    return best


def measured(name: str, classifier: kl.models.Classifier, images: ImageSet) -> None:
    """One network: the passes alone, the intake, its parts, and the intake asked again."""
    test = images.test.images[:1000]
    size = fitting_batch_size(images.image_shape)
    function = classifier.network.logits_function()
    in_batches(function, size, test[:size])

    def fresh() -> None:
        examine._kept.clear()
        kl.intake(classifier, images)

    fresh()
    floor = timed(lambda: in_batches(function, size, test))
    whole = timed(fresh)
    rows = {
        "forward passes alone": floor,
        "intake": whole,
        "  of it: copies across splits": timed(lambda: leaked(images)),
        "  of it: quality of images": timed(lambda: quality(test)),
        "intake, asked again": timed(lambda: kl.intake(classifier, images)),
        "intake with a forecast": timed(lambda: kl.intake(classifier, images, audit="saliency")),
    }
    print(f"\n{name}: {len(images):,} images, {len(test)} judged")
    print(f"{'':<36}{'wall s':>9}{'cpu s':>9}")
    for title, (wall, processor) in rows.items():
        print(f"{title:<36}{wall:>9.2f}{processor:>9.2f}", flush=True)
    print(f"beyond the passes: {whole[0] - floor[0]:.2f} s of wall (goal on mnist5k: under 3)")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--large", action="store_true", help="MobileNetV2 at 224 pixels too")
    options = parser.parse_args()
    images = kl.data.load("mnist5k")
    network = kl.models.train("small_cnn", images, epochs=1, progress=False)
    measured("small_cnn on mnist5k", network, images)
    if options.large:
        random = np.random.default_rng(0)
        photos = random.random((200, 224, 224, 3), np.float32)
        large = ImageSet(photos, np.arange(200) % 10, name="noise")
        model = kl.models.build("mobilenet_v2", (224, 224, 3), 10, weights=None)
        measured("MobileNetV2, 224 px", model, large)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\npeak memory of the process: {peak:,.0f} MiB")


if __name__ == "__main__":
    main()
