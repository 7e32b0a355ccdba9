"""Random streams that belong to one thing each: a variable, an image, a mutant."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def random_stream(words: Sequence[int]) -> np.random.Generator:
    """A random stream of its own for each list of non-negative seed words.

    Streams named by what they are for (a seed, a place, an image's checksum) do not depend on the
    order of work or on the batch size.
    """
    return np.random.Generator(np.random.SFC64(list(words)))
