"""Which places of a network are read: all, some spread over its depth, or the last before the head.

A place is written as a tap's name, as its position in `kernel_lib.network.taps` (from the end where
negative), or as "penultimate".
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np

from kernel_lib.models.classifier import Classifier
from kernel_lib.network.compiled import Tap

MOST_DEPTHS = 8


def resolve(classifier: Classifier, taps: str | int | Sequence[str | int]) -> list[str]:
    """Names of taps, in the order the network computes them.

    Args:
        classifier: the network.
        taps: "all"; "depth" for at most eight layers with weights, spread over the network, the
            last of them the one before the head; or one place, or a list of places.

    Raises:
        ValueError: an unknown tap; the message lists those there are.
    """
    known = [tap.name for tap in classifier.network.taps()]
    if isinstance(taps, str) and taps == "all":
        return known
    if isinstance(taps, str) and taps == "depth":
        return _spread(classifier)
    places = [taps] if isinstance(taps, str | int) else list(taps)
    if not places:
        raise ValueError("`taps` is empty. Name at least one, or use 'all' or 'depth'.")
    names = {_name(classifier, place) for place in places}
    return sorted(names, key=known.index)


def penultimate(classifier: Classifier) -> str:
    """The tap that feeds the head."""
    taps = classifier.network.taps()
    owners = [place for place, tap in enumerate(taps) if getattr(tap.layer, "weights", ())]
    head = owners[-1] if owners else len(taps) - 1
    if head == 0:
        return taps[0].name
    return taps[head - 1].name


def _name(classifier: Classifier, place: str | int) -> str:
    if place == "penultimate":
        return penultimate(classifier)
    if isinstance(place, str):
        return classifier.network.tap(place).name
    known = [tap.name for tap in classifier.network.taps()]
    if not -len(known) <= place < len(known):
        raise ValueError(
            f"The network has {len(known)} taps, so a position must lie in [{-len(known)}, "
            f"{len(known) - 1}]. Received: {place}. Its taps are: {', '.join(known)}."
        )
    return known[place]


def _spread(classifier: Classifier) -> list[str]:
    taps = classifier.network.taps()
    last = penultimate(classifier)
    before = taps[: [tap.name for tap in taps].index(last)]
    layers = [tap.name for tap in before if _is_layer(tap)]
    count = min(len(layers), MOST_DEPTHS - 1)
    places = np.unique(np.linspace(0, max(len(layers) - 1, 0), count).round().astype(int))
    return [*(layers[place] for place in places), last]


def _is_layer(tap: Tap) -> bool:
    normalizations = keras.layers.BatchNormalization | keras.layers.LayerNormalization
    owns = bool(getattr(tap.layer, "weights", ()))
    return owns and not isinstance(tap.layer, normalizations | keras.Model)
