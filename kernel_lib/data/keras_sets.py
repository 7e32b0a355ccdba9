"""Published sets that Keras downloads once, checks, and keeps in its own cache.

The published test split stays the test split; calibration images are cut off the training ones.
"""

from __future__ import annotations

import importlib

from kernel_lib.data._download import downloading
from kernel_lib.data.arrays import from_published_splits
from kernel_lib.data.image_set import ImageSet

_DIGITS = tuple(str(digit) for digit in range(10))
# fmt: off
_CLOTHES = (
    "T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag",
    "ankle boot",
)
_CIFAR10 = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)
_CIFAR100 = (
    "apple", "aquarium_fish", "baby", "bear", "beaver", "bed", "bee", "beetle", "bicycle", "bottle",
    "bowl", "boy", "bridge", "bus", "butterfly", "camel", "can", "castle", "caterpillar", "cattle",
    "chair", "chimpanzee", "clock", "cloud", "cockroach", "couch", "crab", "crocodile", "cup",
    "dinosaur", "dolphin", "elephant", "flatfish", "forest", "fox", "girl", "hamster", "house",
    "kangaroo", "keyboard", "lamp", "lawn_mower", "leopard", "lion", "lizard", "lobster", "man",
    "maple_tree", "motorcycle", "mountain", "mouse", "mushroom", "oak_tree", "orange", "orchid",
    "otter", "palm_tree", "pear", "pickup_truck", "pine_tree", "plain", "plate", "poppy",
    "porcupine", "possum", "rabbit", "raccoon", "ray", "road", "rocket", "rose", "sea", "seal",
    "shark", "shrew", "skunk", "skyscraper", "snail", "snake", "spider", "squirrel", "streetcar",
    "sunflower", "sweet_pepper", "table", "tank", "telephone", "television", "tiger", "tractor",
    "train", "trout", "tulip", "turtle", "wardrobe", "whale", "willow_tree", "wolf", "woman",
    "worm",
)
# fmt: on


def mnist(*, num_images: int | None = None, seed: int = 0) -> ImageSet:
    """Return MNIST: 60,000 + 10,000 handwritten digits, images (70000, 28, 28, 1)."""
    return _keras_set("mnist", _DIGITS, num_images, seed)


def fashion_mnist(*, num_images: int | None = None, seed: int = 0) -> ImageSet:
    """Return Fashion-MNIST: 60,000 + 10,000 pieces of clothing, images (70000, 28, 28, 1)."""
    return _keras_set("fashion_mnist", _CLOTHES, num_images, seed)


def cifar10(*, num_images: int | None = None, seed: int = 0) -> ImageSet:
    """Return CIFAR-10: 50,000 + 10,000 photos, images (60000, 32, 32, 3)."""
    return _keras_set("cifar10", _CIFAR10, num_images, seed)


def cifar100(*, num_images: int | None = None, seed: int = 0) -> ImageSet:
    """Return CIFAR-100 with its 100 fine classes: images (60000, 32, 32, 3)."""
    return _keras_set("cifar100", _CIFAR100, num_images, seed)


def _keras_set(
    name: str, class_names: tuple[str, ...], num_images: int | None, seed: int
) -> ImageSet:
    dataset = importlib.import_module(f"keras.datasets.{name}")
    with downloading(name, "the data sets of Keras"):
        train, test = dataset.load_data()
    return from_published_splits(
        train, test, class_names=class_names, name=name, num_images=num_images, seed=seed
    )
