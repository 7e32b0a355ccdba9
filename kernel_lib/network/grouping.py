"""The layers that own weights, grouped into blocks from the input to the output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from kernel_lib.network.compiled import CompiledNetwork, Tap


@dataclass(frozen=True)
class Block:
    """Layers whose weights are changed together.

    Attributes:
        name: the name of the layer, or of the tap or group, that the block is known by.
        layers: the layers, each with the variables it owns itself.
        output_tap: the tap where the block's last layer can be read.
    """

    name: str
    layers: tuple[tuple[keras.Layer, tuple[keras.Variable, ...]], ...]
    output_tap: str = ""

    @property
    def variables(self) -> list[keras.Variable]:
        """All variables of the block."""
        return [variable for _, variables in self.layers for variable in variables]


def blocks(
    model: Any, grouping: str | Sequence[str] | Mapping[str, Sequence[str]] = "auto"
) -> list[Block]:
    """Group the layers that own weights, in the order the network computes them.

    Args:
        model: a Keras model or a `Classifier`.
        grouping: "auto": one block a layer, with a normalisation layer joined to the layer before
            it; "layers": one block a layer; a list of tap names: each ends a block that gathers
            all layers since the last one (layers after the final name stay single); a mapping of
            block name -> layer names.

    Returns:
        Blocks from input to output. Layers the network holds but does not use are left out.
    """
    from kernel_lib.models.classifier import as_classifier

    network = as_classifier(model).network
    owners = _owners(network)
    if isinstance(grouping, Mapping):
        return _by_mapping(owners, grouping)
    if not isinstance(grouping, str):
        return _by_ends(network, owners, list(grouping))
    if grouping not in ("auto", "layers"):
        raise ValueError(
            "`blocks` must be 'auto', 'layers', a list of tap names or a mapping of block name to "
            f"layer names. Received: {grouping!r}."
        )
    single = [Block(name, (owner,), name) for name, owner in owners.items()]
    return _join_normalizations(single) if grouping == "auto" else single


def _owners(network: CompiledNetwork) -> dict[str, tuple[keras.Layer, tuple]]:
    """Tap name -> (layer, own variables), first call first; the innermost layer owns a variable."""
    owner_of: dict[int, Tap] = {}
    for tap in sorted(_layer_taps(network), key=lambda tap: tap.name.count("/")):
        for variable in tap.layer.weights:
            previous = owner_of.get(id(variable))
            if previous is None or previous.layer is not tap.layer:
                owner_of[id(variable)] = tap
    owners: dict[str, tuple[keras.Layer, tuple]] = {}
    for tap in _layer_taps(network):
        own = tuple(v for v in tap.layer.weights if owner_of[id(v)] is tap)
        if own:
            owners[tap.name] = (tap.layer, own)
    return owners


def _layer_taps(network: CompiledNetwork) -> list[Tap]:
    return [tap for tap in network.taps() if isinstance(tap.layer, keras.Layer)]


def _join_normalizations(single: list[Block]) -> list[Block]:
    joined: list[Block] = []
    for block in single:
        if joined and is_normalization(block.layers[0][0]):
            both = joined[-1].layers + block.layers
            joined[-1] = Block(joined[-1].name, both, block.output_tap)
        else:
            joined.append(block)
    return joined


def is_normalization(layer: keras.Layer) -> bool:
    """Whether the layer normalises what came before it."""
    return isinstance(
        layer,
        keras.layers.BatchNormalization
        | keras.layers.LayerNormalization
        | keras.layers.GroupNormalization,
    )


def _by_ends(network: CompiledNetwork, owners: dict, ends: list[str]) -> list[Block]:
    known = [tap.name for tap in network.taps()]
    for end in ends:
        network.tap(end)  # says which taps there are
    result: list[Block] = []
    waiting: list = []
    for name in known:
        if name in owners:
            waiting.append((name, owners[name]))
        if name in ends and waiting:
            result.append(Block(name, tuple(owner for _, owner in waiting), name))
            waiting = []
    rest = [Block(name, (owner,), name) for name, owner in waiting]
    return result + _join_normalizations(rest)


def _by_mapping(owners: dict, grouping: Mapping[str, Sequence[str]]) -> list[Block]:
    names = [name for group in grouping.values() for name in group]
    unknown = [name for name in names if name not in owners]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if unknown or repeated:
        problem = f"unknown: {unknown}" if unknown else f"named twice: {repeated}"
        raise ValueError(
            f"`blocks` names layers that cannot be grouped ({problem}). "
            f"Layers that own weights: {', '.join(owners)}."
        )
    order = list(owners)
    found = [
        Block(name, tuple(owners[layer] for layer in group), max(group, key=order.index))
        for name, group in grouping.items()
    ]
    return sorted(found, key=lambda block: min(order.index(n) for n in grouping[block.name]))
