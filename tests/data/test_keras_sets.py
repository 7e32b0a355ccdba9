"""Sets of Keras, read by Keras' own code from small files in the published formats."""

from __future__ import annotations

import gzip
import importlib
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from kernel_lib.data import load

LABELS = np.arange(50, dtype=np.uint8) % 10
GREY = np.arange(50 * 28 * 28).reshape(50, 28, 28).astype(np.uint8)


def serve(monkeypatch: pytest.MonkeyPatch, name: str, get_file: Callable[..., str]) -> None:
    """Let Keras' reader of one set find files here instead of on the network."""
    module = importlib.import_module(f"keras.src.datasets.{name}")
    monkeypatch.setattr(module, "get_file", get_file)


def test_mnist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mnist.npz"
    np.savez(path, x_train=GREY[:40], y_train=LABELS[:40], x_test=GREY[40:], y_test=LABELS[40:])
    serve(monkeypatch, "mnist", lambda **_: str(path))
    images = load("mnist")
    np.testing.assert_allclose(images.test.images[..., 0], GREY[40:] / 255, atol=1e-7)
    np.testing.assert_array_equal(images.test.labels, LABELS[40:])
    assert len(images.train) == 32
    assert len(images.calibration) == 8
    assert images.class_names == tuple("0123456789")


def test_fashion_mnist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = {"train": (GREY[:40], LABELS[:40]), "t10k": (GREY[40:], LABELS[40:])}
    for part, (pixels, labels) in parts.items():
        images_file = gzip.compress(bytes(16) + pixels.tobytes())
        (tmp_path / f"{part}-images-idx3-ubyte.gz").write_bytes(images_file)
        labels_file = gzip.compress(bytes(8) + labels.tobytes())
        (tmp_path / f"{part}-labels-idx1-ubyte.gz").write_bytes(labels_file)
    serve(monkeypatch, "fashion_mnist", lambda name, **_: str(tmp_path / name))
    images = load("fashion_mnist", num_images=20)
    assert len(images) == 20
    assert np.bincount(images.labels).tolist() == [2] * 10
    assert images.class_names[9] == "ankle boot"


def cifar_batch(labels_key: bytes, labels: np.ndarray) -> bytes:
    """One file of CIFAR: rows of 3072 bytes, red plane first; pixel (0, 0) is the label, 1, 2."""
    planes = np.zeros((len(labels), 3, 32, 32), np.uint8)
    planes[:, :, 0, 0] = np.stack([labels, labels * 0 + 1, labels * 0 + 2], axis=1)
    content = {b"data": planes.reshape(len(labels), -1), labels_key: labels.tolist()}
    return pickle.dumps(content, protocol=3)


def test_cifar10(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for number in range(1, 6):
        # The reader has room for 10,000 images of each batch, which one image fills by broadcast.
        batch = cifar_batch(b"labels", np.array([number]))
        (folder / f"data_batch_{number}").write_bytes(batch)
    (folder / "test_batch").write_bytes(cifar_batch(b"labels", np.arange(10)))
    serve(monkeypatch, "cifar10", lambda **_: str(tmp_path))
    images = load("cifar10", num_images=200)
    assert images.image_shape == (32, 32, 3)
    corner = np.rint(images.images[:, 0, 0] * 255).astype(int)
    np.testing.assert_array_equal(corner[:, 0], images.labels)
    np.testing.assert_array_equal(corner[:, 1:], np.broadcast_to([1, 2], (200, 2)))
    assert images.class_names[6] == "frog"


def test_cifar100(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    (folder / "train").write_bytes(cifar_batch(b"fine_labels", np.arange(300) % 100))
    (folder / "test").write_bytes(cifar_batch(b"fine_labels", np.arange(100)))
    serve(monkeypatch, "cifar100", lambda **_: str(tmp_path))
    images = load("cifar100")
    assert len(images.test) == images.num_classes == 100
    assert len(images.train) == 240
    assert (images.class_names[0], images.class_names[83], images.class_names[99]) == (
        "apple",
        "sweet_pepper",
        "worm",
    )


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10", "cifar100"])
def test_without_a_network_one_line_offers_the_embedded_sets(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> str:
        raise Exception("URL fetch failure on https://there: None -- Name or service not known")

    serve(monkeypatch, name, refuse)
    message = (
        f"'{name}' could not be fetched from the data sets of Keras: .*https://there.*'digits'"
    )
    with pytest.raises(ConnectionError, match=message):
        load(name)
