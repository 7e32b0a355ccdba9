"""Image sets and networks that the tests of the trust audit share."""

from __future__ import annotations

import numpy as np
import pytest

from kernel_lib.data import ImageSet, load


@pytest.fixture(scope="session")
def tiny_shapes() -> ImageSet:
    """A few hundred generated shapes of 24 pixels."""
    return load("shapes", size=24, num_images=600, seed=1)


@pytest.fixture(scope="session")
def factorial_shapes() -> ImageSet:
    """Shapes whose labels are exactly balanced, each pair of tasks too, in every split."""
    return load("shapes", size=24, repetitions=5, seed=0)


@pytest.fixture(scope="session")
def network(tiny_shapes: ImageSet):
    """A small network trained for one epoch on the shape."""
    from kernel_lib.models import train

    return train("small_cnn", tiny_shapes, epochs=1, seed=0, progress=False)


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(0)
