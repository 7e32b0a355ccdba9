"""Find the images a network is sure of, and those it hesitates over, in one pass."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kernel_lib._checks import check_choice, check_count, check_number
from kernel_lib._progress import progress as progress_bar
from kernel_lib.data import ImageSet, export_labelme
from kernel_lib.data.labelme_import import MANIFEST
from kernel_lib.models.classifier import Classifier, as_classifier
from kernel_lib.network.compiled import fitting_batch_size
from kernel_lib.tasks import atomic_path, digest

if TYPE_CHECKING:
    import pandas as pd

POLICIES = ("top", "first")
LOW_POLICIES = ("range", "hard")
SPLITS = ("train", "calibration", "test", "all")
_SMALLEST_BATCH = 64

Batches = Iterable[tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Wanted:
    """What counts as a sample of high and of low confidence.

    Attributes:
        min_confidence: lowest probability of a high-confidence sample, included.
        low_range: probabilities of a low-confidence sample: from the first, included, to the
            second, excluded.
        num_high, num_low: most samples of each class.
        policy: "top" keeps the most confident, whatever their order; "first" keeps the first.
        low_policy: "range" keeps the least confident of `low_range`; "hard" ignores the range and
            keeps confident mistakes, then hesitant right answers.
        allow_wrong: whether a high-confidence sample may be a mistake.
    """

    min_confidence: float = 0.9
    low_range: tuple[float, float] = (0.6, 0.8)
    num_high: int = 100
    num_low: int = 20
    policy: str = "top"
    low_policy: str = "range"
    allow_wrong: bool = False

    def __post_init__(self) -> None:
        check_number("min_confidence", self.min_confidence, 0, 1)
        low, high = (check_number("low_range", value, 0, 1) for value in self.low_range)
        if low >= high:
            raise ValueError(f"`low_range` must rise. Received: low_range={self.low_range}.")
        check_count("num_high", self.num_high)
        check_count("num_low", self.num_low)
        check_choice("policy", self.policy, POLICIES)
        check_choice("low_policy", self.low_policy, LOW_POLICIES)

    def ranks(
        self, probability: np.ndarray, right: np.ndarray, places: np.ndarray
    ) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """For each kind: which images qualify, and their rank (the smallest is kept first)."""
        is_high = (probability >= self.min_confidence) & (right | self.allow_wrong)
        high = places.astype(float) if self.policy == "first" else -probability
        if self.low_policy == "hard":
            return {
                "high": (is_high, high),
                "low": (~is_high, np.where(right, probability, -probability)),
            }
        is_low = (probability >= self.low_range[0]) & (probability < self.low_range[1])
        low = places.astype(float) if self.policy == "first" else probability
        return {"high": (is_high, high), "low": (is_low, low)}


@dataclass
class Samples:
    """What was found.

    Attributes:
        table: one row a sample: kind ("high" or "low"), index, split, label, prediction,
            probability (of the prediction), margin (to the next class).
        counts: one row a class: class, images, accuracy, confidence, high, low, and what was
            wanted of each.
        shortfalls: one sentence for each class that has too few, with what there was.
        images: images of a stream, by index; empty where an image set was searched.
    """

    table: pd.DataFrame
    counts: pd.DataFrame
    shortfalls: tuple[str, ...]
    parameters: dict[str, Any]
    images: dict[int, np.ndarray] = field(default_factory=dict, repr=False)

    def indices(self, kind: str) -> np.ndarray:
        """Places of the samples of one kind, class by class, best first."""
        check_choice("kind", kind, ("high", "low"))
        return self.table.loc[self.table.kind == kind, "index"].to_numpy(np.int64)

    def save(
        self,
        folder: str | os.PathLike[str],
        images: ImageSet | None = None,
        *,
        kind: str = "low",
        scale: int | None = None,
        with_masks: bool = False,
    ) -> Path:
        """Write the samples of one kind as a folder of images with a manifest, for annotation.

        Args:
            folder: where ``class_003/00017_t3_p5_071.png`` and ``manifest.jsonl`` are written:
                place 17, true class 3, predicted 5 with probability 0.71.
            images: the image set that was searched; not needed for a stream.
            kind: "high" or "low".
            scale: times by which images are enlarged, see `kernel_lib.data.export_labelme`.
            with_masks: write the masks that the image set has beside the images, as LabelMe
                files to be corrected.
        """
        rows = self.table[self.table.kind == check_choice("kind", kind, ("high", "low"))]
        if rows.empty:
            raise ValueError(f"There are no samples of {kind} confidence to write.")
        names = [_file_name(row) for row in rows.itertuples()]
        places = rows["index"].to_numpy()
        masks = None
        if with_masks and images is not None and images.masks is not None:
            masks = images.masks[places]
        pictures = self._pictures(images, places)
        export_labelme(pictures, folder, names, masks=masks, scale=scale)
        pixels = {} if images is None else {"pixels": digest(images.images)}
        with atomic_path(Path(folder) / MANIFEST) as temporary:
            lines = (
                json.dumps({"file": f"{name}.png", **row, **pixels})
                for name, row in zip(names, rows.to_dict("records"), strict=True)
            )
            temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return Path(folder)

    def _pictures(self, images: ImageSet | None, indices: np.ndarray) -> np.ndarray:
        if images is not None:
            return images.images[indices]
        if not self.images:
            raise ValueError("Give the image set that the samples were found in.")
        return np.stack([self.images[int(index)] for index in indices])


def find_samples(
    model: Any,
    images: ImageSet | Batches,
    *,
    min_confidence: float = 0.9,
    low_range: tuple[float, float] = (0.6, 0.8),
    num_high: int = 100,
    num_low: int = 20,
    policy: str = "top",
    low_policy: str = "range",
    allow_wrong: bool = False,
    split: str = "train",
    batch_size: int | None = None,
    progress: bool = True,
) -> Samples:
    """Find samples of high confidence (for a diagnosis) and of low confidence (to annotate).

    Args:
        model: a Keras model or a `Classifier`.
        images: an `ImageSet`, or an iterable of batches (images, labels), which is read once and
            never held whole.
        min_confidence, low_range, num_high, num_low, policy, low_policy, allow_wrong: see
            `Wanted`.
        split: which images of an image set are searched: "train", "calibration", "test" or "all".
            Test images are for judging a treatment, so they are not searched unless asked for.
        batch_size: images in memory at once; None fits the image size.
        progress: show a progress bar.

    Returns:
        `Samples`. Classes with too few are named in `shortfalls`.

    Example:
        >>> samples = find_samples(model, images)
        >>> samples.save("to_annotate", images)  # open this folder in LabelMe
    """
    classifier = as_classifier(model)
    wanted = Wanted(min_confidence, low_range, num_high, num_low, policy, low_policy, allow_wrong)
    kept = _Kept(classifier.num_classes, wanted)
    streamed = not isinstance(images, ImageSet)
    if isinstance(images, ImageSet):
        searched = _batches(classifier, images, split, batch_size)
    else:
        searched = _numbered(images)
    for batch, labels, places in progress_bar(searched, "Finding samples", enabled=progress):
        kept.add(classifier, batch, labels, places, keep_images=streamed)
    return kept.finish(images, wanted, split)


def _batches(
    classifier: Classifier, images: ImageSet, split: str, batch_size: int | None
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    check_choice("split", split, SPLITS)
    classifier.check_image_set(images)
    chosen = np.arange(len(images)) if split == "all" else images.splits[split]
    if not len(chosen):
        raise ValueError(f"The split {split!r} holds no images. Received: {images!r}.")
    size = batch_size or max(_SMALLEST_BATCH, fitting_batch_size(images.image_shape))
    check_count("batch_size", size)
    for start in range(0, len(chosen), size):
        places = chosen[start : start + size]
        yield images.images[places], images.labels[places], places


def _numbered(batches: Batches) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    start = 0
    for images, labels in batches:
        yield np.asarray(images), np.asarray(labels), np.arange(start, start + len(labels))
        start += len(labels)


class _Kept:
    """The best samples so far; never more than a few of each class."""

    def __init__(self, num_classes: int, wanted: Wanted):
        self.wanted, self.num_classes = wanted, num_classes
        self.limits = {"high": wanted.num_high, "low": wanted.num_low}
        self.rows: dict[str, np.ndarray] = {kind: np.empty((0, 6)) for kind in self.limits}
        self.images: dict[int, np.ndarray] = {}
        self.seen, self.right = np.zeros(num_classes, int), np.zeros(num_classes, int)
        self.confidence = np.zeros(num_classes)

    def add(
        self,
        classifier: Classifier,
        images: np.ndarray,
        labels: np.ndarray,
        places: np.ndarray,
        keep_images: bool,
    ) -> None:
        """Predict a batch and keep what is better than what is held."""
        labels = classifier.check_targets(labels, images)
        probability, prediction, margin = _read(classifier.logits(images))
        right = prediction == labels
        self.seen += np.bincount(labels, minlength=self.num_classes)
        self.right += np.bincount(labels[right], minlength=self.num_classes)
        self.confidence += np.bincount(labels, probability, self.num_classes)
        for kind, (fits, rank) in self.wanted.ranks(probability, right, places).items():
            columns = (labels, rank, places, prediction, probability, margin)
            new = np.stack([column[fits] for column in columns], axis=1)
            self.rows[kind] = self._best(np.concatenate([self.rows[kind], new]), kind)
        if keep_images:
            self._keep_images(images, places)

    def _best(self, rows: np.ndarray, kind: str) -> np.ndarray:
        """The first few rows of each class, by rank and then by place."""
        rows = rows[np.lexsort((rows[:, 2], rows[:, 1], rows[:, 0]))]
        counts = np.bincount(rows[:, 0].astype(int), minlength=self.num_classes)
        starts = np.cumsum(counts) - counts
        place_in_class = np.arange(len(rows)) - np.repeat(starts, counts)
        return rows[place_in_class < self.limits[kind]]

    def _keep_images(self, images: np.ndarray, places: np.ndarray) -> None:
        held = {int(place) for rows in self.rows.values() for place in rows[:, 2]}
        new = {
            int(p): np.array(image) for image, p in zip(images, places, strict=True) if p in held
        }
        self.images = {p: image for p, image in self.images.items() if p in held} | new

    def finish(self, images: Any, wanted: Wanted, split: str) -> Samples:
        import pandas as pd

        numbers = [str(number) for number in range(self.num_classes)]
        names = list(images.class_names) if isinstance(images, ImageSet) else numbers
        parts: list[pd.DataFrame] = []
        for kind, rows in self.rows.items():
            label, _, place, prediction, probability, margin = rows.T
            columns = {
                "kind": kind,
                "index": place.astype(int),
                "split": _split_of(images, place.astype(int)),
                "label": label.astype(int),
                "prediction": prediction.astype(int),
                "probability": probability,
                "margin": margin,
            }
            parts.append(pd.DataFrame(columns))
        found = {
            kind: np.bincount(rows[:, 0].astype(int), minlength=self.num_classes)
            for kind, rows in self.rows.items()
        }
        seen = np.maximum(self.seen, 1)
        counts = pd.DataFrame(
            {
                "class": names,
                "images": self.seen,
                "accuracy": np.where(self.seen > 0, self.right / seen, np.nan),
                "confidence": np.where(self.seen > 0, self.confidence / seen, np.nan),
                **found,
                "high_wanted": wanted.num_high,
                "low_wanted": wanted.num_low,
            }
        )
        parameters = {**wanted.__dict__, "split": split if isinstance(images, ImageSet) else None}
        table = pd.concat(parts, ignore_index=True)
        return Samples(table, counts, _shortfalls(counts), parameters, self.images)


def _read(logits: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probability of the predicted class, the class, and its lead over the next."""
    shifted = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    shares = shifted / shifted.sum(axis=1, keepdims=True)
    first_two = np.partition(shares, -2, axis=1)[:, -2:]
    return first_two[:, 1], logits.argmax(axis=1), first_two[:, 1] - first_two[:, 0]


def _split_of(images: Any, places: np.ndarray) -> np.ndarray:
    if not isinstance(images, ImageSet):
        return np.full(len(places), "")
    split = np.full(len(images), "", dtype=object)
    for name, members in images.splits.items():
        split[members] = name
    return split[places]


def _shortfalls(counts: pd.DataFrame) -> tuple[str, ...]:
    return tuple(
        f"{row['class']}: {row[kind]} of {row[f'{kind}_wanted']} {kind}-confidence samples "
        f"(there are {row['images']} images, mean confidence {row['confidence']:.2f})"
        for row in counts.to_dict("records")
        for kind in ("high", "low")
        if row[kind] < row[f"{kind}_wanted"]
    )


def _file_name(row: Any) -> str:
    percent = int(np.floor(row.probability * 100))
    return f"class_{row.label:03d}/{row.index:05d}_t{row.label}_p{row.prediction}_{percent:03d}"
