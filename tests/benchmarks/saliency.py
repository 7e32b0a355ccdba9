"""Speed and memory of the saliency audit, in one table from one run.

Run it by hand: ``python tests/benchmarks/saliency.py [--mobilenet] [--audit]``. Ratios compare
the same work in the same run; the agreement of the maps stands beside each.

| row | work |
|---|---|
| floor | the compiled forward and backward passes that nobody can avoid, and nothing else |
| cascade | the same through `kernel_lib`: weights drawn, maps made, at every stage |
| rebuilt | tf-keras-vis objects made anew at each stage, as its users do |
"""

from __future__ import annotations

import argparse
import gc
import resource
import time
import warnings
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from keras import layers

import kernel_lib as kl
from kernel_lib.models.classifier import Classifier
from kernel_lib.network import blocks, restored_weights
from kernel_lib.saliency import Options
from kernel_lib.saliency.explainer import Explainer
from kernel_lib.saliency.guided import guided_gradient_function
from kernel_lib.saliency.methods import METHODS

METHOD_NAMES = ("gradient", "smoothgrad", "guided_backprop", "gradcam", "gradcam_plus_plus")
NUM_SAMPLES = 16


def small_cnn() -> keras.Model:
    """The network of the 5 x 5 x 20 comparison: two convolutions, two dense layers."""
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            layers.Input((28, 28, 1)),
            layers.Conv2D(16, 3, activation="relu", name="conv1"),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, activation="relu", name="conv2"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(64, activation="relu", name="hidden"),
            layers.Dense(10, name="scores"),
        ]
    )


def timed(work: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Fastest wall time and processor time of `repeats` runs after one to warm up, seconds."""
    work()
    found = []
    for _ in range(repeats):
        gc.collect()
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        found.append((time.perf_counter() - wall, time.process_time() - cpu))
    return min(w for w, _ in found), min(c for _, c in found)


def cascade(
    classifier: Classifier, images: np.ndarray, methods: tuple[str, ...], batch_size: int
) -> list[np.ndarray]:
    """Maps of every method at every stage: trained, then one block more random at each."""
    targets = classifier.predict(images).astype(np.int32)
    options = Options(smoothgrad_samples=NUM_SAMPLES)
    maps = []
    with restored_weights(classifier):
        for block in [None, *reversed(blocks(classifier))]:
            if block is not None:
                kl.saliency.randomize(classifier, [block], 0)
            explainer = Explainer(classifier, images, targets, options, batch_size)
            maps += [METHODS[name].compute(explainer) for name in methods]
    return maps


def floor(
    classifier: Classifier, images: np.ndarray, methods: tuple[str, ...], batch_size: int
) -> None:
    """As many compiled passes over as many images as `cascade` needs, and nothing else."""
    network = classifier.network
    targets = tf.zeros(batch_size, tf.int32)
    tap = Explainer(classifier, images, np.zeros(len(images), np.int32)).tap
    functions = {
        "gradient": network.image_gradient_function(),
        "smoothgrad": network.image_gradient_function(),
        "guided_backprop": guided_gradient_function(network),
        "gradcam": network.tap_gradients_function([tap]),
    }
    counts = {name: len(images) for name in functions} | {"smoothgrad": len(images) * NUM_SAMPLES}
    batch = tf.constant(np.resize(images, (batch_size, *images.shape[1:])))
    for _ in range(1 + len(blocks(classifier))):
        for name in methods:
            if name in functions:  # Grad-CAM++ shares the pass of Grad-CAM
                for start in range(0, counts[name], batch_size):
                    size = min(batch_size, counts[name] - start)
                    functions[name](batch[:size], targets[:size])


def rebuilt(classifier: Classifier, images: np.ndarray) -> list[np.ndarray]:
    """tf-keras-vis as its users write it: new objects, on a copy of the network, at each stage."""
    from tf_keras_vis.gradcam import Gradcam
    from tf_keras_vis.gradcam_plus_plus import GradcamPlusPlus
    from tf_keras_vis.saliency import Saliency
    from tf_keras_vis.utils.scores import CategoricalScore

    score = CategoricalScore([int(c) for c in classifier.predict(images)])
    plain = {"keepdims": True, "gradient_modifier": None, "normalize_map": False}
    camera = {
        "penultimate_layer": "conv2",
        "seek_penultimate_conv_layer": False,
        "normalize_cam": False,
        "expand_cam": False,
    }
    maps = []
    with restored_weights(classifier):
        for block in [None, *reversed(blocks(classifier))]:
            if block is not None:
                kl.saliency.randomize(classifier, [block], 0)
            flat = keras.Model(classifier.model.inputs, classifier.model.outputs)
            maps.append(Saliency(flat, _same)(score, images, **plain))
            maps.append(Saliency(flat, _same)(score, images, smooth_samples=NUM_SAMPLES, **plain))
            maps.append(Saliency(flat, _guide)(score, images, **plain))
            maps.append(Gradcam(flat, _same)(score, images, **camera))
            maps.append(GradcamPlusPlus(flat, _same)(score, images, **camera))
    return maps


def _same(model: keras.Model) -> keras.Model:
    return model


def _guide(model: keras.Model) -> keras.Model:
    """Guided backpropagation as tf-keras-vis's documentation does it."""
    from tf_keras_vis.utils.model_modifiers import GuidedBackpropagation

    return GuidedBackpropagation()(model)


def print_ratio(text: str, above: tuple[float, float], below: tuple[float, float]) -> None:
    """Print the ratio of two (wall, processor) times."""
    print(f"  {text:<48}{above[0] / below[0]:8.2f} {above[1] / below[1]:8.2f}")


def agreement(ours: list[np.ndarray], theirs: list[np.ndarray]) -> dict[str, float]:
    """Largest difference by method, of maps scaled to a largest magnitude of one.

    SmoothGrad draws other noise and is left out; class activation maps are compared at the size of
    the tap by the audit's tests.
    """
    found = {}
    for position, name in enumerate(METHOD_NAMES):
        if name in ("gradient", "guided_backprop"):
            pairs = zip(ours[position::5], theirs[position::5], strict=True)
            found[name] = max(float(np.abs(_scaled(a) - _scaled(b)).max()) for a, b in pairs)
    return found


def _scaled(maps: np.ndarray) -> np.ndarray:
    return maps / np.abs(maps).max(axis=(1, 2, 3), keepdims=True).clip(1e-30)


def compare_small(repeats: int) -> None:
    """Five stages, five methods, twenty images of a small network."""
    images = np.random.default_rng(0).random((20, 28, 28, 1), np.float32)
    classifier = Classifier(small_cnn())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = timed(lambda: rebuilt(classifier, images), max(1, repeats // 3))
        maps = rebuilt(classifier, images)
    least = timed(lambda: floor(classifier, images, METHOD_NAMES, 128), repeats)
    ours = timed(lambda: cascade(classifier, images, METHOD_NAMES, 128), repeats)
    print("\n5 stages x 5 methods x 20 images, small network     wall s    CPU s")
    for name, (wall, cpu) in {"floor": least, "cascade": ours, "rebuilt": theirs}.items():
        print(f"  {name:<48}{wall:8.3f} {cpu:8.3f}")
    print_ratio("rebuilt / cascade (wanted: at least 18)", theirs, ours)
    print_ratio("cascade / floor (wanted: at most 1.5)", ours, least)
    found = agreement(cascade(classifier, images, METHOD_NAMES, 128), maps)
    print(
        "  largest difference of scaled maps: "
        + ", ".join(f"{n} {v:.1e}" for n, v in found.items())
    )


def compare_mobilenet(repeats: int) -> None:
    """A cascade over all blocks of MobileNetV2 at 224 pixels, four images."""
    images = np.random.default_rng(0).random((4, 224, 224, 3), np.float32)
    classifier = kl.models.build("MobileNetV2", (224, 224, 3), 1000)
    methods = ("gradient", "smoothgrad", "gradcam")
    least = timed(lambda: floor(classifier, images, methods, 16), repeats)
    ours = timed(lambda: cascade(classifier, images, methods, 16), repeats)
    stages = 1 + len(blocks(classifier))
    print(f"\nMobileNetV2, 224 pixels, {stages} stages x 3 methods x 4 images   wall s    CPU s")
    for name, (wall, cpu) in {"floor": least, "cascade": ours}.items():
        print(f"  {name:<48}{wall:8.1f} {cpu:8.1f}")
    print_ratio("cascade / floor (wanted: at most 1.5)", ours, least)


def whole_audit() -> None:
    """The audit itself, similarities and intervals included, and its memory for 1x and 10x."""
    images = kl.data.load("mnist5k")
    classifier = Classifier(small_cnn())
    print("\nwhole audit, 4 methods + 3 controls, 6 metrics, 1 seed")
    for count in (100, 1000):
        start = time.perf_counter()
        kl.saliency.audit(
            classifier,
            images,
            methods=["gradient", "smoothgrad", "guided_backprop", "gradcam"],
            options=Options(smoothgrad_samples=NUM_SAMPLES),
            num_images=count,
            num_seeds=1,
            progress=False,
        )
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"  {count:5d} images {time.perf_counter() - start:8.1f} s, peak memory {peak:6.0f} MiB"
        )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--mobilenet", action="store_true", help="also the large network (minutes)")
    parser.add_argument("--audit", action="store_true", help="also the whole audit and its memory")
    arguments = parser.parse_args()
    compare_small(arguments.repeats)
    if arguments.audit:
        whole_audit()
    if arguments.mobilenet:
        compare_mobilenet(max(1, arguments.repeats // 3))


if __name__ == "__main__":
    main()
