"""The layers whose filters can be mutated, found by type and by the edges of the graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import keras

from kernel_lib.errors.graph import is_activated, places
from kernel_lib.models.classifier import Classifier

_CONVOLUTIONS = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)
_GROUPS = ("conv", "dense", "all")


@dataclass(frozen=True, eq=False)
class MutableLayer:
    """A layer with a kernel whose last axis holds its filters.

    Attributes:
        name: its tap.
        position: its place among the network's taps; names its random streams.
        variables: role -> variable: "kernel", and where there are any "bias", and "moving_mean"
            and "beta" of the batch normalisation that reads it before any nonlinearity.
        resume_tap: the last cut before the layer, from which a forward pass can go on; "" for the
            image itself.
        is_cut: whether every path runs through the layer.
        is_dense: whether it is a dense layer.
        parent: the tap it reads, if it reads just one.
    """

    name: str
    position: int
    variables: dict[str, keras.Variable]
    resume_tap: str
    is_cut: bool
    is_dense: bool
    parent: str

    @property
    def num_filters(self) -> int:
        """Number of output channels."""
        return int(self.variables["kernel"].shape[-1])

    @property
    def num_weights(self) -> int:
        """Number of weights in the kernel."""
        size = 1
        for length in self.variables["kernel"].shape:
            size *= int(length)
        return size


def mutable_layers(
    classifier: Classifier, layers: str | Sequence[str] | None = None
) -> list[MutableLayer]:
    """The layers that mutants may strike.

    Args:
        classifier: the network.
        layers: tap names; "conv", "dense" (all but the last layer) or "all" of both; None for all
            convolutions, or all dense layers where there are none.

    Raises:
        ValueError: an unknown layer, or one without filters.
    """
    known = _known(classifier)
    conv = [layer for layer in known if not layer.is_dense]
    dense = [layer for layer in known[:-1] if layer.is_dense]
    groups = {"conv": conv, "dense": dense, "all": known[:-1]}
    if layers is None:
        chosen = conv or dense
    elif isinstance(layers, str) and layers in _GROUPS:
        chosen = groups[layers]
    else:
        chosen = _named(known, [layers] if isinstance(layers, str) else list(layers))
    if not chosen:
        names = ", ".join(layer.name for layer in known)
        raise ValueError(
            f"{classifier.name!r} has no layers to mutate here. Layers with filters: {names}. "
            f"Received: layers={layers!r}."
        )
    return chosen


def _named(known: list[MutableLayer], names: list[str]) -> list[MutableLayer]:
    unknown = sorted(set(names) - {layer.name for layer in known})
    if unknown:
        raise ValueError(
            f"`layers` names what has no filters to mutate: {', '.join(unknown)}. Layers with "
            f"filters: {', '.join(layer.name for layer in known)}, or 'conv', 'dense', 'all'."
        )
    return [layer for layer in known if layer.name in names]


def _known(classifier: Classifier) -> list[MutableLayer]:
    """Convolutions and dense layers in the order of computation; a shared layer counts once."""
    found = places(classifier)
    result: list[MutableLayer] = []
    seen: set[int] = set()
    resume = ""
    for position, (name, place) in enumerate(found.items()):
        layer = place.tap.layer
        is_dense = isinstance(layer, keras.layers.Dense)
        if (is_dense or isinstance(layer, _CONVOLUTIONS)) and id(layer) not in seen:
            seen.add(id(layer))
            result.append(
                MutableLayer(
                    name=name,
                    position=position,
                    variables=_variables(classifier, name),
                    resume_tap=resume,
                    is_cut=place.is_cut,
                    is_dense=is_dense,
                    parent=place.parents[0] if len(place.parents) == 1 else "",
                )
            )
        if place.is_cut:
            resume = name
    return result


def _variables(classifier: Classifier, name: str) -> dict[str, keras.Variable]:
    layer = places(classifier)[name].tap.layer
    found = {"kernel": layer.kernel}
    if layer.bias is not None:
        found["bias"] = layer.bias
    norm = None if is_activated(layer) else _normalization_after(classifier, name)
    if norm is not None:
        found["moving_mean"] = norm.moving_mean
        if norm.beta is not None:
            found["beta"] = norm.beta
    return found


def _normalization_after(classifier: Classifier, name: str) -> keras.Layer | None:
    for place in places(classifier).values():
        layer = place.tap.layer
        if isinstance(layer, keras.layers.BatchNormalization) and place.parents == (name,):
            return layer
    return None
