"""Features of images at one, several or all taps of a network, from one forward pass a batch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from kernel_lib import __version__
from kernel_lib._checks import check_count
from kernel_lib._progress import progress as progress_bar
from kernel_lib.data import ImageSet
from kernel_lib.models.classifier import Classifier, as_classifier
from kernel_lib.network.compiled import fitting_batch_size
from kernel_lib.tasks import digest
from kernel_lib.trust.reductions import Reduction, in_graph, parse, principal
from kernel_lib.trust.store import Table
from kernel_lib.trust.taps import resolve

_SAVE_EVERY = 16  # batches; a killed run loses at most so many


def features(
    model: Any,
    images: ImageSet | np.ndarray,
    taps: str | int | Sequence[str | int] = "depth",
    *,
    reduction: str = "pooled",
    seed: int = 0,
    batch_size: int | None = None,
    progress: bool = True,
    cache: str | os.PathLike[str] | None = None,
) -> dict[str, np.ndarray]:
    """What a network makes of images at chosen taps.

    Args:
        model: a Keras model or a `Classifier`.
        images: an `ImageSet`, or images (num_images, height, width, channels) in [0, 1].
        taps: "depth" (at most eight, spread over the network), "all", "penultimate", a tap's name
            or position, or a list of such.
        reduction: "pooled", "flattened", "pca:K" or "random_projection:K". PCA is fitted on the
            train split, on all images where there are no splits.
        seed: of random projections and of the start of PCA.
        batch_size: images in memory at once.
        progress: show a progress bar.
        cache: folder for the features, named by the content of weights and images. They are then
            memory-mapped, and an extraction that was killed goes on where it was.

    Returns:
        Tap -> (num_images, num_features) float32, in the order the network computes them.

    Raises:
        ValueError: an unknown tap or reduction, images the model does not take, NaN at a tap.

    Example:
        >>> kl.trust.features(model, images, ["conv3", "penultimate"])["conv3"].shape
        (6300, 64)
    """
    classifier = as_classifier(model)
    pixels = classifier.check_images(images.images if isinstance(images, ImageSet) else images)
    parsed = parse(reduction)
    names = resolve(classifier, taps)
    fitting = fitting_batch_size(pixels.shape[1:], classifier.network)
    batch_size = check_count("batch_size", batch_size or fitting)
    rows = images.splits["train"] if isinstance(images, ImageSet) else np.arange(len(pixels))
    recipe = _recipe(classifier, images, pixels, parsed, seed, rows) if cache is not None else {}
    if parsed.name == "pca":
        plain = _extract(
            classifier, pixels, names, Reduction("flattened"), seed, batch_size, progress, cache,
            recipe | {"reduction": "flattened", "rows": None},
        )  # fmt: skip
        return {
            name: _principal(table, rows, parsed.num_features, seed, cache, recipe | {"tap": name})
            for name, table in plain.items()
        }
    return _extract(classifier, pixels, names, parsed, seed, batch_size, progress, cache, recipe)


def _recipe(
    classifier: Classifier,
    images: ImageSet | np.ndarray,
    pixels: np.ndarray,
    reduction: Reduction,
    seed: int,
    rows: np.ndarray,
) -> dict[str, Any]:
    """Everything features depend on, but for the tap."""
    return {
        "version": __version__,
        "model": classifier.digest,
        "images": images.digest if isinstance(images, ImageSet) else digest(pixels),
        "reduction": reduction.text,
        "seed": seed if reduction.name in ("random_projection", "pca") else None,
        "rows": rows if reduction.name == "pca" else None,
    }


def _extract(
    classifier: Classifier,
    pixels: np.ndarray,
    names: list[str],
    reduction: Reduction,
    seed: int,
    batch_size: int,
    progress: bool,
    cache: str | os.PathLike[str] | None,
    recipe: dict[str, Any],
) -> dict[str, np.ndarray]:
    """Fill a table for each tap; only those that are not full yet are computed."""
    sizes = _sizes(classifier, names, pixels.shape[1:])
    tables = {
        name: Table(cache, recipe | {"tap": name}, (len(pixels), _length(sizes[name], reduction)))
        for name in names
    }
    missing = [name for name, table in tables.items() if not table.is_done]
    if missing:
        function = _function(classifier, missing, reduction, sizes, seed)
        _fill(function, {name: tables[name] for name in missing}, pixels, batch_size, progress)
    return {name: table.values() for name, table in tables.items()}


def _fill(
    function: Any, tables: dict[str, Table], pixels: np.ndarray, batch_size: int, progress: bool
) -> None:
    first = min(table.num_done for table in tables.values())
    starts = range(first, len(pixels), batch_size)
    for count, start in enumerate(progress_bar(starts, "Features", enabled=progress), start=1):
        stop = min(start + batch_size, len(pixels))
        values = function(tf.constant(pixels[start:stop]))
        for (name, table), value in zip(tables.items(), values, strict=True):
            table.write(start, _finite(name, value.numpy()))
        if count % _SAVE_EVERY == 0 or stop == len(pixels):
            for table in tables.values():
                table.save(stop)


def _function(
    classifier: Classifier, names: list[str], reduction: Reduction, sizes: dict, seed: int
) -> Any:
    """Images -> features at each tap, compiled once a set of taps."""
    network = classifier.network
    key = ("trust features", tuple(names), reduction.text, seed, tuple(sizes[n] for n in names))
    reduce = [in_graph(reduction, name, int(np.prod(sizes[name])), seed) for name in names]

    def body(images: tf.Tensor) -> list[tf.Tensor]:
        values = network.forward(images, names)[1]
        return [make(value) for make, value in zip(reduce, values, strict=True)]

    return network.function(key, body, [network.image_spec])


def _sizes(classifier: Classifier, names: list[str], shape: tuple) -> dict[str, tuple[int, ...]]:
    """Shape of each tap's values for images of this shape."""
    known = {tap.name: tap.shape for tap in classifier.network.taps()}
    if all(None not in known[name] for name in names):
        return {name: tuple(int(size or 1) for size in known[name]) for name in names}
    blank = tf.zeros((1, *shape))
    values = classifier.network.outputs_function(names)(blank)[1:]
    return {name: tuple(value.shape[1:]) for name, value in zip(names, values, strict=True)}


def _length(shape: tuple[int, ...], reduction: Reduction) -> int:
    if reduction.name == "pooled":
        return shape[-1] if len(shape) > 1 else int(np.prod(shape))
    size = int(np.prod(shape))
    return min(size, reduction.num_features) if reduction.num_features else size


def _principal(
    table: np.ndarray,
    rows: np.ndarray,
    count: int,
    seed: int,
    cache: str | os.PathLike[str] | None,
    recipe: dict[str, Any],
) -> np.ndarray:
    if table.shape[1] <= count:
        return table
    kept = Table(cache, recipe, (len(table), min(count, len(rows))))
    if not kept.is_done:
        kept.write(0, principal(table, rows, min(count, len(rows)), seed))
        kept.save(len(table))
    return kept.values()


def _finite(name: str, values: np.ndarray) -> np.ndarray:
    if not np.isfinite(values).all():
        raise ValueError(
            f"The network gives NaN or infinite values at the tap {name!r}. Its weights, or the "
            "scale of the images, are not what they should be."
        )
    return values
