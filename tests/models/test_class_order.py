"""Classifier.aligned: labels in the network's order by name, or a message whose cure works."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from cures import follow
from kernel_lib.data import ImageSet
from kernel_lib.models import Classifier

NAMES = ("red", "green", "blue")


def network(class_names: Any = NAMES, num_classes: int = 3) -> Classifier:
    """Make a network whose class is the channel that is brightest, for its first three classes."""
    inputs = keras.Input((2, 2, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(inputs)
    head = keras.layers.Dense(num_classes)
    model = keras.Model(inputs, head(pooled), name="colors")
    head.set_weights([9 * np.eye(3, num_classes), np.zeros(num_classes)])
    return Classifier(model, class_names=class_names)


def colors(order: tuple[str, ...], class_names: tuple[str, ...] | None = None) -> ImageSet:
    """Make images of pure colors, labelled by their place in `order`."""
    pixels = {"red": (1, 0, 0), "green": (0, 1, 0), "blue": (0, 0, 1), "black": (0, 0, 0)}
    labels = np.arange(20) % len(order)
    flat = np.array([pixels[name] for name in order], float)[labels]
    images = np.broadcast_to(flat[:, None, None], (20, 2, 2, 3))
    return ImageSet(images, labels, class_names=order if class_names is None else class_names)


def accuracy(classifier: Classifier, images: ImageSet) -> float:
    classifier.check_image_set(images)
    return classifier.accuracy(images.images, images.labels)


@pytest.mark.parametrize("order", [("blue", "green", "red"), ("green", "red"), ("blue", "red")])
def test_another_order_is_brought_into_the_networks(order: tuple[str, ...]) -> None:
    classifier, images = network(), colors(order)
    with pytest.raises(ValueError, match="in another order than the model 'colors'") as caught:
        classifier.check_image_set(images)
    moved = classifier.aligned(images)
    assert accuracy(classifier, moved) == 1
    assert moved.notes[0] == "labels brought into the network's order of classes by name"
    assert accuracy(classifier, follow(caught.value, images=images, classifier=classifier)) == 1
    pasted = str(caught.value).partition(", or ")[2]
    assert accuracy(classifier, follow(ValueError(pasted), images=images)) == 1
    assert classifier.aligned(moved) is moved


def test_other_spellings_match_and_are_said() -> None:
    classifier = network(("deep_red", "Green", "BLUE"))
    images = colors(("blue", "green", "red"), ("blue", "green", "Deep Red"))
    moved = classifier.aligned(images)
    assert accuracy(classifier, moved) == 1
    assert "'Deep Red' for 'deep_red'" in moved.notes[0]


def test_the_same_order_and_numbers_are_left_as_they_are() -> None:
    for classifier, images in (
        (network(), colors(NAMES)),
        (network(None), colors(NAMES)),
        (network(), colors(NAMES, ())),
        (network(None), colors(NAMES, ())),
    ):
        assert classifier.aligned(images) is images
        assert accuracy(classifier, images) == 1


def test_images_without_labels_come_back() -> None:
    images = ImageSet(np.zeros((4, 2, 2, 3)), np.zeros(4, int), class_names=("unlabelled",))
    assert network().aligned(images) is images


@pytest.mark.parametrize("order", [("red", "green", "blue", "black"), ("blue", "black", "red")])
def test_unknown_classes_are_refused_with_a_cure(order: tuple[str, ...]) -> None:
    classifier, images = network(), colors(order)
    with pytest.raises(ValueError, match="'colors' do not belong together.*named: 'black'") as e:
        classifier.aligned(images)
    with pytest.raises(ValueError, match="named: 'black'"):
        classifier.check_image_set(images)
    assert accuracy(classifier, classifier.aligned(follow(e.value, images=images))) == 1


@pytest.mark.parametrize("class_names", [NAMES, None])
def test_fewer_numbers_are_refused_with_a_cure(class_names: Any) -> None:
    classifier, images = network(class_names), colors(("red", "green"), ())
    with pytest.raises(ValueError, match=r"images have 2 classes .*'colors' has 3") as caught:
        classifier.aligned(images)
    assert accuracy(classifier, follow(caught.value, images=images)) == 1


@pytest.mark.parametrize("class_names", [NAMES, None])
def test_more_numbers_are_refused_with_a_cure(class_names: Any) -> None:
    classifier, images = network(class_names), colors((*NAMES, "black"), ())
    with pytest.raises(ValueError, match=r"images have 4 classes .*'colors' has 3") as caught:
        classifier.aligned(images)
    assert accuracy(classifier, follow(caught.value, images=images)) == 1


@pytest.mark.parametrize("class_names", [NAMES, None])
def test_labels_from_one_are_refused_with_a_cure(class_names: Any) -> None:
    zero = colors(NAMES)
    images, classifier = ImageSet(zero.images, zero.labels + 1), network(class_names)
    with pytest.raises(ValueError, match="from 1 to 3, and class ids start at 0") as caught:
        classifier.aligned(images)
    assert accuracy(classifier, follow(caught.value, images=images)) == 1


def test_fewer_names_than_numbers_are_refused_with_a_cure() -> None:
    classifier, images = network(None), colors(("blue", "red"))
    with pytest.raises(ValueError, match=r"name all 3 in the model's order.*\[\.\.\.\]") as caught:
        classifier.aligned(images)
    cure = str(caught.value).replace("[...]", repr(list(NAMES)))
    assert accuracy(classifier, follow(ValueError(cure), images=images)) == 1


def test_more_names_than_numbers_are_refused_with_a_cure() -> None:
    classifier, images = network(None), colors(("black", "blue", "green", "red"))
    with pytest.raises(ValueError, match="keep the images of its 3 classes") as caught:
        classifier.aligned(images)
    cure = str(caught.value).replace("(images.labels, [...])", "(images.labels, [1, 2, 3])")
    cure = cure.replace("[...]", repr(list(NAMES)))
    assert accuracy(classifier, follow(ValueError(cure), images=images)) == 1


def test_a_thousand_names_are_not_written_out() -> None:
    names = [f"class {index}" for index in range(1000)]
    classifier, images = network(names, 1000), colors(NAMES, ())
    with pytest.raises(ValueError, match="1000") as caught:
        classifier.aligned(images)
    assert len(str(caught.value)) < 600
    assert follow(caught.value, images=images, classifier=classifier).num_classes == 1000


def test_values_out_of_range_by_rounding_are_clipped() -> None:
    images = np.full((2, 2, 2, 3), 1 + 1e-6, np.float32)
    images[1] = -1e-7
    assert network().check_images(images).max() == 1
    assert network().check_images(images).min() == 0
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\]"):
        network().check_images(images * 1.01)


@pytest.mark.parametrize(
    "names",
    [
        {"blue": 2, "red": 0, "green": 1},  # written in another order than that of the outputs
        {2: "blue", 0: "red", 1: "green"},
        "red,green,blue",
    ],
)
def test_a_network_takes_its_names_in_every_form(names: Any) -> None:
    assert network(names).class_names == NAMES
    assert network(None).with_class_names(names).class_names == NAMES
    assert accuracy(network(names), network(names).aligned(colors(("blue", "green", "red")))) == 1


def test_a_background_class_without_a_name_is_asked_for() -> None:
    class_names = list(NAMES)
    with pytest.raises(ValueError, match="background class") as caught:
        network(class_names, 4)
    told = str(caught.value).split("class_names=")[1].removesuffix(".")
    assert told == "['background', *class_names]"
    assert network(["background", *class_names], 4).num_classes == 4
