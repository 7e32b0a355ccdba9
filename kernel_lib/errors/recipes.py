"""A mutant is a recipe: an operator, where it strikes, and the seed of what it draws.

Nothing but the recipe is kept; the changed weights can be made again from it at any time.

| operator | what happens to each chosen filter (output channel) | source |
|---|---|---|
| nai | its kernel changes sign; the bias stays | the published detector's code |
| nai_preact | its pre-activation changes sign: kernel and bias, and behind a batch normalisation also the moving mean and beta | DeepMutation's definition |
| gf | its weights are replaced by draws from Normal(mean, deviation), taken at each position over the layer's filters | the published detector's code |
| gf_additive | noise of `strength` times the layer's deviation is added to its weights | DeepMutation |
| ws | its incoming weights are shuffled | DeepMutation |
| neb | it says nothing any more: its pre-activation is zero | DeepMutation |
| ns | the chosen filters of a layer change places, cyclically | DeepMutation |

With `unit="weights"` the share gamma is of single weights: "nai" flips them, "gf" draws them from
the layer's Normal, "gf_additive" adds noise, "neb" sets them to zero.
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from kernel_lib._checks import check_choice, check_count, check_number
from kernel_lib._random import random_stream
from kernel_lib.errors.units import MutableLayer

OPERATORS = ("nai", "nai_preact", "gf", "gf_additive", "ws", "neb", "ns")
WEIGHT_OPERATORS = ("nai", "gf", "gf_additive", "neb")
UNITS = ("filters", "weights")

_DRAW, _VALUES = 1, 2  # what a random stream is for


@dataclass(frozen=True)
class Mutant:
    """One changed network, as a recipe.

    Attributes:
        operator: a name of `OPERATORS`.
        places: layer (tap name) -> indices of its filters, or of its weights in flat order.
        unit: "filters" or "weights".
        seed: seed of the set it belongs to.
        index: number of the attempt in that set; every attempt has random streams of its own.
        strength: size of additive noise, in deviations of the layer's weights.
    """

    operator: str
    places: Mapping[str, tuple[int, ...]]
    unit: str = "filters"
    seed: int = 0
    index: int = 0
    strength: float = 1.0

    def __post_init__(self) -> None:
        check_choice("operator", self.operator, OPERATORS)
        check_choice("unit", self.unit, UNITS)

    def describe(self) -> dict[str, Any]:
        """The recipe as JSON can hold it."""
        return asdict(self) | {"places": {k: list(v) for k, v in self.places.items()}}

    @classmethod
    def from_description(cls, description: Mapping[str, Any]) -> Mutant:
        """Read what `describe` gave."""
        places = {k: tuple(map(int, v)) for k, v in description["places"].items()}
        return cls(**{**description, "places": places})


@dataclass(frozen=True)
class Recipe:
    """How the mutants of a set are drawn.

    Args:
        operator: a name of `OPERATORS`.
        gamma: share of all filters (or weights) of the chosen layers that is changed.
        unit: "filters" or "weights".
        strength: size of additive noise.
    """

    operator: str = "nai"
    gamma: float = 0.01
    unit: str = "filters"
    strength: float = 1.0

    def __post_init__(self) -> None:
        check_choice("operator", self.operator, OPERATORS)
        check_number("gamma", self.gamma, 0, 1)
        check_choice("unit", self.unit, UNITS)
        check_number("strength", self.strength, 0)
        if self.unit == "weights":
            check_choice("operator for unit='weights'", self.operator, WEIGHT_OPERATORS)

    def draw(self, layers: Sequence[MutableLayer], seed: int, index: int) -> Mutant:
        """Draw attempt number `index` of the set with that `seed`.

        Raises:
            ValueError: gamma is so small that nothing would be touched.
        """
        random = random_stream([check_count("seed", seed, 0), index, _DRAW])
        draw = self._swaps if self.operator == "ns" else self._anywhere
        places = draw(layers, random)
        if not places:
            raise ValueError(self._touches_nothing(layers))
        return Mutant(self.operator, places, self.unit, seed, index, self.strength)

    def _sizes(self, layers: Sequence[MutableLayer]) -> list[int]:
        return [layer.num_filters if self.unit == "filters" else layer.num_weights
                for layer in layers]  # fmt: skip

    def _anywhere(
        self, layers: Sequence[MutableLayer], random: np.random.Generator
    ) -> dict[str, tuple[int, ...]]:
        """int(total * gamma) different units, uniformly over all layers together."""
        ends = np.cumsum(self._sizes(layers))
        chosen = np.sort(random.choice(ends[-1], int(ends[-1] * self.gamma), replace=False))
        layer_of = np.searchsorted(ends, chosen, side="right")
        first = np.concatenate([[0], ends[:-1]])
        return {
            layer.name: tuple((chosen[layer_of == i] - first[i]).tolist())
            for i, layer in enumerate(layers)
            if (layer_of == i).any()
        }

    def _swaps(
        self, layers: Sequence[MutableLayer], random: np.random.Generator
    ) -> dict[str, tuple[int, ...]]:
        """In each layer int(filters * gamma) of them, where these are at least two."""
        places = {}
        for layer in layers:
            count = int(layer.num_filters * self.gamma)
            if count >= 2:
                chosen = random.choice(layer.num_filters, count, replace=False)
                places[layer.name] = tuple(chosen.tolist())
        return places

    def _touches_nothing(self, layers: Sequence[MutableLayer]) -> str:
        sizes = self._sizes(layers)
        least = 2 / max(sizes) if self.operator == "ns" else 1 / sum(sizes)
        return (
            f"`gamma` touches nothing: {self.gamma:g} of {sum(sizes)} {self.unit} in "
            f"{len(sizes)} layers is not one"
            f"{' pair in any layer' if self.operator == 'ns' else ''}. "
            f"Use gamma >= {least:.3g}. Received: gamma={self.gamma}."
        )


def mutated(
    mutant: Mutant, layer: MutableLayer, originals: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Return the changed weights of one layer.

    Args:
        mutant: the recipe.
        layer: one of the layers it touches.
        originals: the layer's own weights by role: "kernel", "bias", "moving_mean", "beta".

    Returns:
        Role -> new value, for the roles that change.
    """
    chosen = np.array(mutant.places[layer.name], np.int64)
    random = random_stream([mutant.seed, mutant.index, _VALUES, layer.position])
    kernel = originals["kernel"]
    if mutant.unit == "weights":
        return {"kernel": _changed_weights(mutant, kernel, chosen, random)}
    change = _FILTER_CHANGES[mutant.operator]
    return change(mutant, dict(originals), chosen, random)


def _changed_weights(
    mutant: Mutant, kernel: np.ndarray, chosen: np.ndarray, random: np.random.Generator
) -> np.ndarray:
    flat = kernel.copy().ravel()
    noise = random.standard_normal(len(chosen)).astype(kernel.dtype)
    flat[chosen] = {
        "nai": -flat[chosen],
        "neb": np.zeros(len(chosen), kernel.dtype),
        "gf": kernel.mean() + kernel.std() * noise,
        "gf_additive": flat[chosen] + mutant.strength * kernel.std() * noise,
    }[mutant.operator]
    return flat.reshape(kernel.shape)


def _scale(roles: Sequence[str], factor: float) -> Any:
    def change(mutant: Mutant, values: dict, chosen: np.ndarray, random: Any) -> dict:
        found = {}
        for role in roles:
            if role in values:
                found[role] = values[role].copy()
                found[role][..., chosen] *= factor
        return found

    return change


def _replaced(mutant: Mutant, values: dict, chosen: np.ndarray, random: Any) -> dict:
    """Statistics are of the layer as trained, so the order of the filters does not matter."""
    kernel = values["kernel"].copy()
    mean, deviation = kernel.mean(axis=-1, keepdims=True), kernel.std(axis=-1, keepdims=True)
    noise = random.standard_normal((*kernel.shape[:-1], len(chosen)))
    kernel[..., chosen] = mean + deviation * noise
    return {"kernel": kernel}


def _noisy(mutant: Mutant, values: dict, chosen: np.ndarray, random: Any) -> dict:
    kernel = values["kernel"].copy()
    noise = random.standard_normal((*kernel.shape[:-1], len(chosen)))
    kernel[..., chosen] += (mutant.strength * kernel.std() * noise).astype(kernel.dtype)
    return {"kernel": kernel}


def _shuffled(mutant: Mutant, values: dict, chosen: np.ndarray, random: Any) -> dict:
    kernel = values["kernel"].copy()
    columns = kernel.reshape(-1, kernel.shape[-1])
    columns[:, chosen] = random.permuted(columns[:, chosen], axis=0)
    return {"kernel": columns.reshape(kernel.shape)}


def _swapped(mutant: Mutant, values: dict, chosen: np.ndarray, random: Any) -> dict:
    found = {}
    for role in ("kernel", "bias"):
        if role in values:
            found[role] = values[role].copy()
            found[role][..., chosen] = values[role][..., np.roll(chosen, 1)]
    return found


_PREACTIVATION = ("kernel", "bias", "moving_mean", "beta")
_FILTER_CHANGES = {
    "nai": _scale(["kernel"], -1),
    "nai_preact": _scale(_PREACTIVATION, -1),
    "gf": _replaced,
    "gf_additive": _noisy,
    "ws": _shuffled,
    "neb": _scale(_PREACTIVATION, 0),
    "ns": _swapped,
}
