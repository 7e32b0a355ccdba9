"""as_images: every form of images gives the same set, or a message whose cure works."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from PIL import Image

import kernel_lib.data
from cures import follow
from kernel_lib.data import ImageSet, as_images, load

BYTES = np.random.default_rng(0).integers(0, 256, (30, 6, 7, 3), np.uint8)
UNIT = (BYTES / 255).astype(np.float32)
LABELS = np.arange(30) % 3
DATA = tf.data.Dataset.from_tensor_slices((UNIT, LABELS))


class Sequence:
    """A data set as PyTorch has it: by index, without an end of its own."""

    classes = ("red", "green", "blue")

    def __init__(self, images: Any = UNIT, labels: Any = LABELS):
        self.pairs = list(zip(images, labels, strict=True))

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, place: int) -> Any:
        return self.pairs[place % len(self)]


class Loader:
    """A data loader as PyTorch has it: batches, by iteration."""

    def __init__(self, dataset: Any, batch_size: int = 8):
        self.dataset, self.batch_size = dataset, batch_size

    def __len__(self) -> int:
        return -(-len(self.dataset) // self.batch_size)

    def __iter__(self) -> Any:
        for start in range(0, len(self.dataset), self.batch_size):
            stop = min(start + self.batch_size, len(self.dataset))
            pairs = [self.dataset[place] for place in range(start, stop)]
            yield [np.stack(column) for column in zip(*pairs, strict=True)]


class Batches(keras.utils.PyDataset):
    """A data set as Keras has it: batches, by index."""

    def __len__(self) -> int:
        return 3

    def __getitem__(self, place: int) -> Any:
        part = slice(place * 10, place * 10 + 10)
        return UNIT[part], keras.utils.to_categorical(LABELS[part])


FORMS: dict[str, Callable[[], Any]] = {
    "pair of floats": lambda: (UNIT, LABELS),
    "pair of bytes": lambda: (BYTES, LABELS),
    "pair of lists": lambda: (UNIT.tolist(), LABELS.tolist()),
    "list of two": lambda: [UNIT, LABELS],
    "tensors": lambda: (tf.constant(UNIT), tf.constant(LABELS)),
    "half precision": lambda: (UNIT.astype(np.float64), LABELS.astype(np.uint8)),
    "labels in a column": lambda: (UNIT, LABELS[:, None]),
    "labels as floats": lambda: (UNIT, LABELS.astype(np.float32)),
    "one-hot": lambda: (UNIT, np.eye(3)[LABELS]),
    "one-hot, smoothed": lambda: (UNIT, np.eye(3)[LABELS] * 0.9 + 0.1 / 3),
    "with weights": lambda: (UNIT, LABELS, np.ones(30)),
    "labels as objects": lambda: (UNIT, LABELS.astype(object)),
    "labels as text": lambda: (UNIT, LABELS.astype(str)),
    "mapping": lambda: {"image": BYTES, "label": LABELS},
    "image set": lambda: ImageSet(UNIT, LABELS),
    "examples": lambda: DATA,
    "batches": lambda: DATA.batch(8),
    "batches with one-hot labels": lambda: DATA.map(lambda x, y: (x, tf.one_hot(y, 3))).batch(8),
    "batches with weights": lambda: DATA.map(lambda x, y: (x, y, 1.0)).batch(8),
    "batches of mappings": lambda: DATA.map(lambda x, y: {"image": x, "label": y}).batch(8),
    "batches of bytes": lambda: tf.data.Dataset.from_tensor_slices((BYTES, LABELS)).batch(8),
    "unknown length": lambda: DATA.filter(lambda x, y: True),
    "list of pairs": lambda: list(zip(UNIT, LABELS, strict=True)),
    "list of batches": lambda: [(UNIT[:20], LABELS[:20]), (UNIT[20:], LABELS[20:])],
    "pictures of Pillow": lambda: [
        (Image.fromarray(each), int(label)) for each, label in zip(BYTES, LABELS, strict=True)
    ],
    "generator": lambda: zip(UNIT, LABELS, strict=True),
    "Keras batches": Batches,
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_set(form: str) -> None:
    images = as_images(FORMS[form]())
    np.testing.assert_allclose(images.images, UNIT, atol=1e-7)
    np.testing.assert_array_equal(images.labels, LABELS)
    assert images.class_names == ("0", "1", "2")
    turned = as_images(FORMS[form](), class_names=["c", "b", "a"])
    assert turned.class_names == ("c", "b", "a")
    np.testing.assert_array_equal(turned.labels, LABELS)
    some = as_images(FORMS[form](), num_images=9, seed=1)
    assert len(some) == 9
    for image, label in zip(some.images, some.labels, strict=True):
        assert label in LABELS[np.abs(UNIT - image).max((1, 2, 3)) < 1e-6]


@pytest.mark.parametrize("form", [Sequence, lambda: Loader(Sequence())])
def test_names_that_a_data_set_knows_are_kept(form: Any) -> None:
    images = as_images(form())
    assert images.class_names == ("red", "green", "blue")
    np.testing.assert_array_equal(images.labels, LABELS)
    turned = as_images(form(), class_names=["green", "blue", "red"])
    np.testing.assert_array_equal(turned.labels, (LABELS + 2) % 3)


def test_what_is_done_is_said() -> None:
    assert as_images((BYTES, LABELS)).notes == ("bytes divided by 255",)
    assert as_images((UNIT, np.eye(3)[LABELS])).notes == ("one-hot labels turned into class ids",)
    assert as_images((UNIT[..., 0], LABELS)).notes == ("grey images given a channel axis",)
    assert as_images(UNIT, LABELS > 0).notes == (
        "labels False and True turned into classes 0 and 1",
    )
    assert as_images(ImageSet(UNIT, LABELS)).notes == ()


def test_labels_that_are_names() -> None:
    words = np.array(["red", "green", "blue"])[LABELS]
    images = as_images((UNIT, words.tolist()))
    assert images.class_names == ("blue", "green", "red")
    assert [images.class_names[label] for label in images.labels] == words.tolist()
    turned = as_images((UNIT, words), class_names=["red", "black", "green", "blue"])
    assert [turned.class_names[label] for label in turned.labels] == words.tolist()
    reds = as_images((UNIT[LABELS == 0], words[LABELS == 0]), class_names=["green", "red"])
    assert set(reds.labels.tolist()) == {1}
    stream = tf.data.Dataset.from_tensor_slices((UNIT, words)).batch(4)
    np.testing.assert_array_equal(as_images(stream).labels, images.labels)


def test_labels_that_are_numbers_as_text_are_in_the_order_of_numbers() -> None:
    labels = np.arange(30) % 12
    images = as_images((UNIT, labels.astype(str)))
    assert images.labels.tolist() == labels.tolist()
    assert images.class_names == tuple(map(str, range(12)))


def test_images_of_other_sizes_are_refused_with_a_cure() -> None:
    ragged = [UNIT[0], UNIT[1, :3]]
    with pytest.raises(ValueError, match="differ in shape") as caught:
        as_images(ragged)
    assert as_images(follow(caught.value, images=ragged)).image_shape == (64, 64, 3)
    assert as_images(Image.fromarray(BYTES[0])).images.shape == (1, 6, 7, 3)


def test_one_class_of_several() -> None:
    images = as_images((UNIT, np.full(30, 2)), class_names=["a", "b", "c", "d"])
    assert (images.num_classes, set(images.labels.tolist())) == (4, {2})


@pytest.mark.parametrize("value", [UNIT, BYTES, list(UNIT), [Image.fromarray(x) for x in BYTES],
                                   (UNIT, None), tf.constant(UNIT),
                                   DATA.map(lambda x, y: x)])  # fmt: skip
def test_images_alone_are_for_testing(value: Any) -> None:
    images = as_images(value, class_names=["a", "b"])
    assert images.class_names == ("unlabelled",)
    assert [len(images.splits[name]) for name in images.splits] == [0, 0, 30]
    np.testing.assert_allclose(images.images, UNIT, atol=1e-7)


def test_published_splits() -> None:
    images = as_images(((BYTES[:20], LABELS[:20, None]), (BYTES[20:], LABELS[20:, None])))
    assert [len(images.splits[name]) for name in images.splits] == [16, 4, 10]
    np.testing.assert_allclose(images.test.images, UNIT[20:], atol=1e-7)
    assert images.notes == ("bytes divided by 255",)


def test_streams_without_an_end_do_not_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="never ends") as caught:
        as_images(DATA.batch(8).repeat())
    images = follow(caught.value, images=DATA.batch(8).repeat(), kernel_lib=kernel_lib)
    assert len(images) == 1000
    assert "the first 1000 images of a data set without a known end" in images.notes

    def forever() -> Any:
        while True:
            yield UNIT[0], 1

    monkeypatch.setattr("kernel_lib.data.streams._MOST_IMAGES", 500)
    with pytest.raises(ValueError, match="too large, or does not end: 501 images") as caught:
        as_images(forever())
    assert len(follow(caught.value, images=forever(), kernel_lib=kernel_lib)) == 1000
    monkeypatch.setattr("kernel_lib.data.streams._MOST_BYTES", 2000)
    with pytest.raises(ValueError, match="too large"):
        as_images(DATA.batch(8))
    assert len(as_images(DATA.batch(8), num_images=6)) == 6


def test_a_stream_in_the_order_of_classes_is_drawn_from_evenly() -> None:
    ordered = np.sort(np.arange(300) % 3)
    stream = tf.data.Dataset.from_tensor_slices((np.zeros((300, 2, 2, 1)), ordered)).batch(7)
    images = as_images(stream, num_images=90, seed=3)
    assert np.bincount(images.labels).min() > 15
    assert "90 of 300 images of the data set drawn evenly" in images.notes
    assert images.digest == as_images(stream, num_images=90, seed=3).digest


@pytest.mark.parametrize("mode", ["int", "categorical", "binary"])
def test_what_keras_makes_of_a_folder(tmp_path: Path, mode: str) -> None:
    for name, place in (("cat", 0), ("dog", 1)):
        (tmp_path / name).mkdir()
        for number in range(4):
            Image.fromarray(BYTES[place * 4 + number]).save(tmp_path / name / f"{number}.png")
    stream = keras.utils.image_dataset_from_directory(
        tmp_path, image_size=(5, 4), label_mode=mode, shuffle=False, verbose=False
    )
    images = as_images(stream)
    ours = load(f"folder:{tmp_path}", size=(5, 4), interpolation="keras")
    assert images.class_names == ("cat", "dog")
    np.testing.assert_array_equal(images.labels, ours.labels)
    np.testing.assert_allclose(images.images, ours.images, atol=1e-6)
    assert any("divided by 255" in note for note in images.notes)
    # A step of a person's own may have scaled it: then it is not divided unasked.
    with pytest.raises(ValueError, match="which look like bytes") as caught:
        as_images(stream.map(lambda x, y: (x, y)))
    mended = follow(caught.value, images=stream.map(lambda x, y: (x, y)), kernel_lib=kernel_lib)
    np.testing.assert_allclose(mended.images, ours.images, atol=1e-6)
    scaled = as_images(stream.map(lambda x, y: (x / 255, y)))
    np.testing.assert_allclose(scaled.images, ours.images, atol=1e-6)


def test_what_an_image_data_generator_makes_of_a_folder(tmp_path: Path) -> None:
    for name, place in (("cat", 0), ("dog", 1)):
        (tmp_path / name).mkdir()
        for number in range(4):
            Image.fromarray(BYTES[place * 4 + number]).save(tmp_path / name / f"{number}.png")
    flow = tf.keras.preprocessing.image.ImageDataGenerator().flow_from_directory(
        tmp_path, target_size=(5, 4), shuffle=False, batch_size=3, classes=["dog", "cat"]
    )
    with pytest.raises(ValueError, match="which look like bytes") as caught:
        as_images(flow)
    images = follow(caught.value, images=flow, kernel_lib=kernel_lib)
    flow = tf.keras.preprocessing.image.ImageDataGenerator(rescale=1 / 255).flow_from_directory(
        tmp_path, target_size=(5, 4), shuffle=False, batch_size=3, classes=["dog", "cat"]
    )
    ours = load(f"folder:{tmp_path}", size=(5, 4), interpolation="nearest", exif=False,
                alpha="ignore", class_names=["dog", "cat"])  # fmt: skip
    assert as_images(flow).class_names == ours.class_names == ("dog", "cat")
    for each in (images, as_images(flow)):
        order = np.argsort(ours.labels, kind="stable")
        np.testing.assert_array_equal(each.labels, ours.labels[order])
        np.testing.assert_allclose(each.images, ours.images[order], atol=1e-6)


def test_places(tmp_path: Path) -> None:
    for number, name in enumerate(("cat", "dog")):
        (tmp_path / "set" / name).mkdir(parents=True)
        Image.fromarray(BYTES[number]).save(tmp_path / "set" / name / "1.png")
    np.savez(tmp_path / "a.npz", x=BYTES, y=LABELS)
    (tmp_path / "t.csv").write_text("path,label\nset/cat/1.png,a\nset/dog/1.png,b\n")
    folder = as_images(tmp_path / "set", class_names=["dog", "cat"])
    assert folder.labels.tolist() == [1, 0]
    assert as_images(str(tmp_path / "set")).class_names == ("cat", "dog")
    assert as_images(f"folder:{tmp_path / 'set'}", size=3).image_shape == (3, 3, 3)
    assert as_images(tmp_path / "set" / "cat").class_names == ("unlabelled",)
    assert as_images(tmp_path / "set" / "cat" / "1.png").class_names == ("unlabelled",)
    assert len(as_images(tmp_path / "a.npz", num_images=6)) == 6
    assert as_images(tmp_path / "t.csv").class_names == ("a", "b")
    assert as_images("digits", num_images=20).name == "digits"


def no_images(tmp_path: Path, name: str) -> Path:
    (tmp_path / name).write_bytes(b"")
    return tmp_path / name


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda t: 3, TypeError, "must be an ImageSet; the name of a set.*Received: int"),
        (lambda t: None, TypeError, "Received: NoneType"),
        (lambda t: b"x", TypeError, "Received: bytes"),
        (lambda t: pd.DataFrame({"path": ["1.png"]}), TypeError, "kernel_lib.data.from_table"),
        (lambda t: t / "nowhere", FileNotFoundError, "no file and no folder .*nowhere"),
        (lambda t: "nowhere", ValueError, "`name` must be one of"),
        (lambda t: no_images(t, "a.zip"), ValueError, "Unpack an archive first"),
        (lambda t: (UNIT, LABELS[:9]), ValueError, "a label for each of the 30 images.*9"),
        (lambda t: (UNIT, LABELS / 2), ValueError, "whole numbers.*fractions"),
        (lambda t: (UNIT, np.ones((30, 3))), ValueError, "must be one-hot.*each column is a task"),
        (lambda t: {"pixels": UNIT}, ValueError, "must hold 'images' and 'labels'"),
        (lambda t: "nowhere/a.npz", FileNotFoundError, "no file and no folder nowhere"),
        (lambda t: ["a.png", "b.png"], TypeError, "loaded as a table.*from_table"),
        (lambda t: (LABELS, UNIT), ValueError, r"go in as a pair \(images, labels\)"),
        (lambda t: (UNIT, LABELS, UNIT), ValueError, "go in as a pair"),
        (lambda t: DATA.map(lambda x, y: (x, {"a": y})), ValueError, r"several labels.*y\['a'\]"),
        (lambda t: (UNIT, [0, None] * 15), ValueError, "Labels must be whole numbers or names"),
        (lambda t: iter(()), ValueError, "holds no images"),
        (lambda t: [(UNIT[0], 0), (UNIT[1, :3], 1)], ValueError, "differ in shape"),
        (lambda t: [(UNIT[0, 0, 0], 0)] * 3, ValueError, r"an image of the shape \(3,\)"),
        (lambda t: [(UNIT[0], 0, 1, 2)] * 3, ValueError, "Received: 4 parts"),
        (lambda t: [{"pixels": UNIT[0]}] * 3, ValueError, "must hold 'image' and 'label'"),
        (lambda t: (UNIT, LABELS * 2 // 2 * 10_000_000), ValueError, "they look like ids"),
    ],
)
def test_other_things_are_refused(
    tmp_path: Path, make: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        as_images(make(tmp_path))


@pytest.mark.parametrize(
    ("value", "labels", "message"),
    [
        (np.moveaxis(UNIT, -1, 1), LABELS, "channels first"),
        (UNIT[0], None, "looks like a single image"),
        (UNIT * 2 - 1, LABELS, r"look like \[-1, 1\]"),
        (BYTES.astype(float), LABELS, "look like bytes"),
        (BYTES.astype(np.int64), LABELS, "look like bytes"),
        (np.rint(UNIT * 4095).astype(np.uint16), LABELS, "numbers of 12 bits"),
    ],
)
def test_arrays_of_another_form_are_refused_with_a_cure(
    value: np.ndarray, labels: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        as_images(value, labels)
    mended = as_images(follow(caught.value, images=value), labels)
    np.testing.assert_allclose(mended.images, UNIT[: len(mended)], atol=2e-4)


@pytest.mark.parametrize("form", [lambda each: each, Loader, lambda each: each.pairs])
def test_channels_first_in_a_data_set_is_refused_with_a_cure(form: Any) -> None:
    value = form(Sequence(np.moveaxis(UNIT, -1, 1), LABELS))
    with pytest.raises(ValueError, match="channels first, as PyTorch has it") as caught:
        as_images(value)
    mended = follow(caught.value, images=value, kernel_lib=kernel_lib)
    np.testing.assert_allclose(mended.images, UNIT, atol=1e-6)
    np.testing.assert_array_equal(mended.labels, LABELS)


def test_labels_of_minus_one_and_one_are_refused_with_a_cure() -> None:
    labels = np.array([-1, 1] * 15)
    with pytest.raises(ValueError, match="must be at least 0") as caught:
        as_images(UNIT, labels)
    mended = as_images(UNIT, follow(caught.value, "labels", labels=labels))
    assert mended.labels.tolist() == [0, 1] * 15


def test_options_of_loading_are_for_places() -> None:
    with pytest.raises(TypeError, match="size: only names and paths take options"):
        as_images(UNIT, LABELS, size=3)


def test_a_tensor_on_another_device_is_told() -> None:
    class Tensor:
        shape = (30, 6, 7, 3)

        def __array__(self, *arguments: Any, **options: Any) -> Any:
            raise TypeError("can't convert cuda:0 device type tensor to numpy")

    with pytest.raises(TypeError, match=r"images\.detach\(\)\.cpu\(\)\.numpy\(\)"):
        as_images(Tensor(), LABELS)
