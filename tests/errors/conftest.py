"""Fixtures of the error audit's tests."""

from __future__ import annotations

import numpy as np
import pytest

from error_networks import plain_network, residual_network
from kernel_lib.data import ImageSet
from kernel_lib.models import Classifier


@pytest.fixture
def pictures() -> np.ndarray:
    return np.random.default_rng(5).random((7, 8, 8, 1), np.float32)


@pytest.fixture
def plain() -> Classifier:
    return plain_network()


@pytest.fixture
def residual() -> Classifier:
    return residual_network()


@pytest.fixture(scope="session")
def stripes() -> ImageSet:
    """600 noisy 8x8 images of three kinds of stripes; some are hard to tell apart."""
    random = np.random.default_rng(3)
    labels = np.arange(600) % 3
    rows, columns = np.mgrid[:8, :8]
    patterns = np.stack([rows % 4 < 2, columns % 4 < 2, (rows + columns) % 4 < 2]).astype(float)
    contrast = random.uniform(0.03, 0.4, 600)[:, None, None]
    images = 0.5 + contrast * (patterns[labels] - 0.5) + random.normal(0, 0.09, (600, 8, 8))
    return ImageSet(np.clip(images, 0, 1)[..., None].astype(np.float32), labels, name="stripes")
