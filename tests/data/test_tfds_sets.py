"""TensorFlow Datasets: a stand-in with its real interface, and the package itself if present."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from kernel_lib.data import load

Pairs = list[tuple[np.ndarray, int]]


class StandIn(ModuleType):
    """The part of `tensorflow_datasets` that is used, serving `parts` under any name but "none"."""

    def __init__(self, parts: dict[str, Pairs], shape: tuple[int | None, ...], **info: object):
        super().__init__("tensorflow_datasets")
        self.core = SimpleNamespace(DatasetNotFoundError=type("NotFound", (ValueError,), {}))
        self.parts, self.failure, self.asked = parts, None, []
        label = SimpleNamespace(names=["red", "green", "blue"], shape=())
        self.info = SimpleNamespace(
            features={"image": SimpleNamespace(shape=shape), "label": label},
            supervised_keys=("image", "label"),
            splits=dict.fromkeys(parts),
        )
        vars(self.info).update(info)

    def builder(self, name: str, data_dir: str | None = None) -> StandIn:
        self.asked.append((name, data_dir))
        if name == "none":
            raise self.core.DatasetNotFoundError("Dataset none not found.")
        return self

    def download_and_prepare(self) -> None:
        if self.failure:
            raise self.failure

    def as_dataset(self, split: str, as_supervised: bool) -> Pairs:
        assert as_supervised
        return self.parts[split]

    def as_numpy(self, dataset: Pairs) -> Iterator[tuple[np.ndarray, np.int64]]:
        return ((image, np.int64(label)) for image, label in dataset)


def pairs(count: int, height: int = 6, width: int = 6, channels: int = 3) -> Pairs:
    return [
        (np.full((height, width, channels), 40 * (k % 3) + 10, np.uint8), k % 3)
        for k in range(count)
    ]


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    stand_in = StandIn(
        {"train": pairs(60), "test": pairs(30), "unlabelled": pairs(5)}, shape=(6, 6, 3)
    )
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", stand_in)
    return stand_in


def test_published_test_split_stays_and_others_are_left_alone(served: StandIn) -> None:
    images = load("tfds:colours", data_dir="there")
    assert served.asked == [("colours", "there")]
    assert [len(images.split(name)) for name in images.splits] == [48, 12, 30]
    assert images.class_names == ("red", "green", "blue")
    assert images.name == "colours"
    corner = np.rint(images.images[:, 0, 0, 0] * 255).astype(int)
    np.testing.assert_array_equal(corner, 40 * images.labels + 10)
    assert len(load("tfds:colours", num_images=30)) == 30


@pytest.mark.parametrize(("name", "asked"), [("svhn", "svhn_cropped"), ("stl10", "stl10")])
def test_named_sets_are_asked_for(served: StandIn, name: str, asked: str) -> None:
    assert len(load(name)) == 90
    assert served.asked[0][0] == asked


def test_validation_stands_in_for_a_missing_test_split(served: StandIn) -> None:
    served.info.splits = {"train": None, "validation": None}
    served.parts = {"train": pairs(60), "validation": pairs(21)}
    assert len(load("tfds:colours").test) == 21


def test_training_alone_is_shared_out(served: StandIn) -> None:
    served.info.splits = {"train": None}
    images = load("tfds:colours", num_images=30)
    assert [len(images.split(name)) for name in images.splits] == [18, 6, 6]


def test_images_of_many_sizes_are_brought_to_one(served: StandIn) -> None:
    served.info.features["image"].shape = (None, None, 1)
    served.parts = {"train": pairs(9, 8, 12, 1) + pairs(9, 5, 3, 1), "test": pairs(6, 9, 9, 1)}
    with pytest.raises(ValueError, match=r"differ in size.*load\('tfds:colours', size=64\)"):
        load("tfds:colours")
    images = load("tfds:colours", size=(4, 5))
    assert images.image_shape == (4, 5, 1)
    np.testing.assert_allclose(images.images[:, 0, 0, 0], (40 * images.labels + 10) / 255)


def test_what_is_no_classification_of_images_is_refused(served: StandIn) -> None:
    served.info.supervised_keys = None
    with pytest.raises(ValueError, match="does not hold pairs of an image and its class"):
        load("tfds:text")
    served.info.supervised_keys = ("image", "image")
    with pytest.raises(ValueError, match="does not hold images with one class each"):
        load("tfds:masks")
    served.info.supervised_keys = ("image", "label")
    served.info.splits = {"all": None}
    with pytest.raises(ValueError, match="no split 'train', only all"):
        load("tfds:odd")


def test_unknown_sets_and_failed_downloads_are_one_line(served: StandIn) -> None:
    with pytest.raises(ValueError, match="TensorFlow Datasets has no set 'none'"):
        load("tfds:none")
    served.failure = OSError("no route to host")
    with pytest.raises(ConnectionError, match=r"'stl10' could not .* no route to host\. Without"):
        load("stl10")


def test_without_the_package_the_line_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(ValueError, match=r'pip install "kernel-lib\[tfds\]"'):
        load("tfds:mnist")


def test_the_real_package(tmp_path: Path) -> None:
    import tensorflow_datasets as tfds

    class TwoGreys(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self) -> tfds.core.DatasetInfo:
            features = tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(4, 4, 1)),
                    "label": tfds.features.ClassLabel(names=["dark", "light"]),
                }
            )
            return tfds.core.DatasetInfo(
                builder=self, features=features, supervised_keys=("image", "label")
            )

        def _split_generators(self, _: object) -> dict[str, object]:
            return {"train": self._generate_examples(20), "test": self._generate_examples(8)}

        def _generate_examples(self, count: int) -> Iterator[tuple[int, dict[str, object]]]:
            for k in range(count):
                yield k, {"image": np.full((4, 4, 1), 200 * (k % 2), np.uint8), "label": k % 2}

    images = load("tfds:two_greys", data_dir=str(tmp_path))
    assert [len(images.split(name)) for name in images.splits] == [16, 4, 8]
    assert images.class_names == ("dark", "light")
    np.testing.assert_allclose(images.images[:, 0, 0, 0], images.labels * 200 / 255)
    with pytest.raises(ValueError, match="TensorFlow Datasets has no set 'nothing_like_this'"):
        load("tfds:nothing_like_this", data_dir=str(tmp_path))
