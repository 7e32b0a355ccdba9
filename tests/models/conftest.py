"""Small real images for training tests."""

from __future__ import annotations

import numpy as np
import pytest

from kernel_lib.data import ImageSet


@pytest.fixture(scope="session")
def digits() -> ImageSet:
    """scikit-learn's 1797 handwritten digits, 8x8, enlarged to 16x16."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = np.kron(bunch.images / 16, np.ones((1, 2, 2)))[..., None]
    return ImageSet(images.astype("float32"), bunch.target, name="digits")


@pytest.fixture(scope="session")
def few_digits(digits: ImageSet) -> ImageSet:
    """A hundred of them."""
    return digits.sample(100, seed=0)
