"""The steps of a transformation: values in order, one of which leaves the image as it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kernel_lib._checks import check_number


@dataclass(frozen=True)
class Grid:
    """Values of a transformation, from the lowest to the highest.

    Attributes:
        values: (num_steps,) strictly increasing.
        identity: the value that changes nothing; it is one of the values.
        unit: what a value counts, such as "degrees".
    """

    values: tuple[float, ...]
    identity: float
    unit: str = ""

    def __post_init__(self) -> None:
        values = tuple(check_number("values", _plain(value)) for value in self.values)
        object.__setattr__(self, "values", values)
        if len(values) < 3:
            raise ValueError(f"A grid needs at least 3 steps. Received: values={list(values)}.")
        if not np.all(np.isfinite(values)) or np.any(np.diff(values) <= 0):
            raise ValueError(
                "The values of a grid must be finite and grow from step to step. "
                f"Received: values={list(values)}."
            )
        if not np.any(np.isclose(values, self.identity, rtol=0, atol=1e-9)):
            raise ValueError(
                f"A grid must hold its identity step, the value {self.identity:g} that changes "
                f"nothing: everything is compared with it. Received: values={list(values)}."
            )

    def __len__(self) -> int:
        return len(self.values)

    @property
    def identity_index(self) -> int:
        """Position of the identity step."""
        return int(np.argmin(np.abs(np.array(self.values) - self.identity)))

    @property
    def is_symmetric(self) -> bool:
        """Whether each step has a mirror, by difference or by ratio; asymmetry needs one."""
        if 2 * self.identity_index != len(self) - 1:
            return False
        values = np.array(self.values)
        if np.allclose(values + values[::-1], 2 * self.identity):
            return True
        return bool(self.identity > 0 and np.allclose(values * values[::-1], self.identity**2))

    def label(self, step: int) -> str:
        """The value of a step with its unit, for people."""
        sign = "\N{MINUS SIGN}" if self.values[step] < 0 else ""
        text = f"{sign}{abs(self.values[step]):.4g}"
        return f"{text}°" if self.unit == "degrees" else f"{text} {self.unit}".strip()

    def describe(self) -> dict[str, object]:
        """The content, as JSON can hold it."""
        return {"values": list(self.values), "identity": self.identity, "unit": self.unit}


def even_grid(low: float, high: float, num_steps: int, identity: float, unit: str = "") -> Grid:
    """Equal steps from `low` to `high`; the one nearest to the identity is the identity itself.

    Raises:
        ValueError: No step comes near the identity.
    """
    values = np.linspace(low, high, num_steps)
    nearest = int(np.argmin(np.abs(values - identity)))
    # Rounding must not make 0.7 + 15 * 0.02 miss 1 by a hair.
    if abs(values[nearest] - identity) < 1e-6 * max(1.0, abs(high - low)):
        values[nearest] = identity
    return Grid(tuple(values.tolist()), identity, unit)


def ratio_grid(highest: float, num_steps: int, unit: str = "") -> Grid:
    """Equal ratios from 1 / `highest` to `highest`, an odd number of steps around 1."""
    half = num_steps // 2
    exponents = np.arange(-half, half + 1) / half
    return Grid(tuple((highest**exponents).tolist()), 1.0, unit)


def _plain(value: object) -> object:
    return value.item() if isinstance(value, np.generic) else value


def as_grid(values: Sequence[float] | np.ndarray | Grid, identity: float, unit: str) -> Grid:
    """Values a person wrote down, as a grid."""
    return values if isinstance(values, Grid) else Grid(tuple(values), identity, unit)
