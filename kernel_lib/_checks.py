"""Checks of arguments. Each says what is wrong, what was expected and what was received."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from numbers import Integral, Real


def check_choice(name: str, value: object, choices: Iterable[str]) -> str:
    """Return `value` if it is one of `choices`; otherwise raise a `ValueError` that lists them."""
    known = sorted(choices)
    if value in known:
        return str(value)
    near = difflib.get_close_matches(str(value), known, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise ValueError(
        f"`{name}` must be one of {', '.join(map(repr, known))}. Received: {name}={value!r}.{hint}"
    )


def check_number(
    name: str, value: object, low: float | None = None, high: float | None = None
) -> float:
    """Return `value` as a float that lies in [low, high]."""
    if isinstance(value, bool) or not isinstance(value, Real):
        bounds = "" if low is None and high is None else f" in {_interval(low, high)}"
        raise TypeError(f"`{name}` must be a number{bounds}. Received: {name}={value!r}.")
    number = float(value)
    outside = number != number or (low is not None and number < low)
    if outside or (high is not None and number > high):
        raise ValueError(f"`{name}` must lie in {_interval(low, high)}. Received: {name}={value}.")
    return number


def check_count(name: str, value: object, low: int = 1, high: int | None = None) -> int:
    """Return `value` as an int from `low` to `high`."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(
            f"`{name}` must be a whole number{_counted(low, high)}. Received: {name}={value!r}."
        )
    count = int(value)
    if count < low:
        above = "" if high is None else f" and at most {high}"
        raise ValueError(f"`{name}` must be at least {low}{above}. Received: {name}={count}.")
    if high is not None and count > high:
        raise ValueError(
            f"`{name}` must be at most {high} and at least {low}. Received: {name}={count}."
        )
    return count


def _counted(low: int, high: int | None) -> str:
    return "" if high is None else f" from {low} to {high}"


def _interval(low: float | None, high: float | None) -> str:
    left = "(-inf" if low is None else f"[{low:g}"
    right = "inf)" if high is None else f"{high:g}]"
    return f"{left}, {right}"
