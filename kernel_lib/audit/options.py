"""The options of an audit: each has its bounds, is checked before any work, and is recorded.

    @takes(
        num_seeds=count(1, 1000),
        order=choice(("top_down", "bottom_up")),
        weight=optional(number(0, 100)),
    )
    def audit(model, images, *, num_seeds=5, order="top_down", weight=None): ...

`audit.options` then holds the bounds by name, `check_audit` tries what lies outside them, and
`result.parameters` holds what was asked.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numpy as np

from kernel_lib._checks import check_choice, check_count, check_number
from kernel_lib.report.result import AuditResult

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result", bound=AuditResult)

NOT_RECORDED = ("progress", "cache")  # they change no number; folders are nobody's business
LARGEST_COUNT = 1_000_000_000
LARGEST_SEED = 2**31 - 1
_NAN, _INFINITE, _HUGE = float("nan"), float("inf"), 10**30


@dataclass(frozen=True)
class Option:
    """What an option takes.

    Attributes:
        check: (name, value) -> None; raises a `ValueError` or `TypeError` that names the option and
            its bounds.
        bounds: what it takes, in words that the refusal holds too.
        outside: values that must be refused.
    """

    check: Callable[[str, Any], object]
    bounds: tuple[str, ...]
    outside: tuple[Any, ...]


def count(low: int = 1, high: int = LARGEST_COUNT) -> Option:
    """A whole number from `low` to `high`."""
    outside = (low - 1, -1 if low >= 0 else low - 2, high + 1, _HUGE)
    return Option(
        lambda name, value: check_count(name, value, low, high),
        (str(low), str(high)),
        (*outside, 1.5, _NAN, _INFINITE, "many", True, [low]),
    )


def number(low: float, high: float) -> Option:
    """A number from `low` to `high`."""
    outside = (low - 1, high + 1, _HUGE, _NAN, _INFINITE, -_INFINITE)
    return Option(
        lambda name, value: check_number(name, value, low, high),
        (f"{low:g}", f"{high:g}"),
        (*outside, "much", True, [low]),
    )


def flag() -> Option:
    """True or False."""
    return Option(_check_flag, ("True", "False"), ("yes", 1, 0, None))


def choice(known: Iterable[str]) -> Option:
    """One of some names."""
    names = tuple(known)
    return Option(
        lambda name, value: check_choice(name, _text(name, value, names), names),
        names[:1],
        ("no such thing", "", 3, True, [names[0]]),
    )


def several(known: Collection[str], *, least: int = 1, callables: bool = False) -> Option:
    """A list of names; a single text is not taken for its letters.

    Args:
        known: the names, looked up when the list is checked: some can be added to.
        least: how many there must be.
        callables: whether an entry may be a function instead.
    """

    def check(name: str, value: Any) -> None:
        for each in _listed(name, value, least):
            if not (callables and callable(each)):
                check_choice(name, _text(name, each, known), known)

    empty: list[Any] = [[]] if least else []
    return Option(check, (), (["no such thing"], "no such thing", 3, [3], *empty))


def counts(low: int, high: int, *, least: int = 1) -> Option:
    """A list of whole numbers from `low` to `high`."""
    return _all(count(low, high), least)


def numbers(low: float, high: float, *, least: int = 1) -> Option:
    """A list of numbers from `low` to `high`."""
    return _all(number(low, high), least)


def text() -> Option:
    """Any text, such as the name of a part of the network; what it names is looked up later."""
    return of_kind((str,), "a name")


def texts(*, or_kinds: tuple[type, ...] = (), callables: bool = False, least: int = 1) -> Option:
    """A list of names of parts of the network; a single text is not taken for its letters.

    Args:
        or_kinds: what else an entry may be.
        callables: whether an entry may be a function.
        least: how many there must be.
    """

    def check(name: str, value: Any) -> None:
        for each in _listed(name, value, least):
            is_known = isinstance(each, (str, *or_kinds)) and not isinstance(each, bool)
            if not is_known and not (callables and callable(each)):
                raise TypeError(f"`{name}` must be a list of names. Received: {name}={value!r}.")

    empty: list[Any] = [[]] if least else []
    return Option(check, ("list",), ("name", 3, [3.5], *empty))


def of_kind(kinds: tuple[type, ...], words: str, *, callables: bool = False) -> Option:
    """An object of one of some types.

    Args:
        kinds: the types.
        words: what these are, with an article, for the refusal.
        callables: whether a function is taken, too.
    """

    def check(name: str, value: Any) -> None:
        is_known = isinstance(value, kinds) and not isinstance(value, bool)
        if not is_known and not (callables and callable(value)):
            raise TypeError(f"`{name}` must be {words}. Received: {name}={value!r}.")

    unlike = (3.5,) if not {int, float} & set(kinds) else ()
    return Option(check, (words,), (True, *unlike))


def parsed(parse: Callable[[Any], object], outside: Sequence[Any]) -> Option:
    """What a function of the audit reads; it raises an error that names the option.

    Args:
        parse: value -> anything.
        outside: values that it must refuse.
    """
    return Option(lambda name, value: parse(value), (), tuple(outside))


def either(*options: Option) -> Option:
    """What one of some options takes; the refusal is that of the last one."""

    def check(name: str, value: Any) -> None:
        for option in options[:-1]:
            try:
                option.check(name, value)
            except (TypeError, ValueError):
                continue
            return
        options[-1].check(name, value)

    return Option(check, options[-1].bounds, ())


def optional(option: Option) -> Option:
    """The same, or None."""
    return dataclasses.replace(
        option,
        check=lambda name, value: None if value is None else option.check(name, value),
        outside=tuple(each for each in option.outside if each is not None),
    )


def unbounded(reason: str) -> Option:
    """Any object; what it must be is checked where it is used.

    Args:
        reason: why nothing can be said here.
    """
    return Option(lambda name, value: None, (reason,), ())


SEED = count(0, LARGEST_SEED)
BATCH_SIZE = optional(count(1, 1_000_000))
CACHE = optional(of_kind((str, os.PathLike), "a folder"))


def takes(
    **options: Option,
) -> Callable[[Callable[Parameters, Result]], Callable[Parameters, Result]]:
    """Give an audit the bounds of its options.

    They are checked before any work is done, in the order of the audit's signature, and recorded
    in the result's parameters, where the audit has not done so itself.

    Raises:
        TypeError: when the audit is defined, if an option has no bounds here, or one too many.
    """

    def decorate(audit: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
        signature = inspect.signature(audit)
        own = list(signature.parameters)[2:]
        if set(own) != set(options):
            differing = ", ".join(sorted(set(own) ^ set(options)))
            raise TypeError(f"Options and bounds of {audit.__module__} differ: {differing}.")

        @functools.wraps(audit)
        def run(*arguments: Parameters.args, **given: Parameters.kwargs) -> Result:
            bound = signature.bind(*arguments, **given)
            bound.apply_defaults()
            asked = {name: bound.arguments[name] for name in own}
            for name, value in asked.items():
                options[name].check(name, value)
            return recorded(audit(*arguments, **given), asked)

        run.options = {name: options[name] for name in own}  # type: ignore[attr-defined]
        return run

    return decorate


def recorded(result: Result, asked: Mapping[str, Any]) -> Result:
    """The result, with what was asked among its parameters.

    What the audit has recorded under the same name stays: it tells what was done.
    """
    kept = {name: plain(value) for name, value in asked.items() if name not in NOT_RECORDED}
    return dataclasses.replace(result, parameters=kept | dict(result.parameters))


def plain(value: Any) -> Any:
    """An option in types that JSON knows; objects by what tells them apart from others."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Real):
        return float(value)
    if isinstance(value, os.PathLike):
        return Path(value).name
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | range):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return f"array of shape {value.shape}"
    return _described(value)


def _described(value: Any) -> Any:
    known = getattr(value, "digest", None)
    if isinstance(known, str):
        return f"{type(value).__name__} {known[:12]}"
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}
        return {name: plain(item) for name, item in fields.items()}
    name = getattr(value, "__name__", None) or getattr(value, "name", None)
    return name if isinstance(name, str) else type(value).__name__


def _all(option: Option, least: int) -> Option:
    def check(name: str, value: Any) -> None:
        for each in _listed(name, value, least, f" of numbers from {' to '.join(option.bounds)}"):
            option.check(name, each)

    outside = [[each] for each in option.outside if not isinstance(each, list)]
    return Option(check, option.bounds, (*outside, "1", *([[]] if least else [])))


def _listed(name: str, value: Any, least: int, words: str = "") -> list[Any]:
    is_list = isinstance(value, Collection | np.ndarray) and not isinstance(value, str | bytes)
    if not is_list or isinstance(value, Mapping):
        raise TypeError(
            f"`{name}` must be a list{words}. Received: {name}={value!r}."
            + (f" Did you mean [{value!r}]?" if isinstance(value, str | int | float) else "")
        )
    entries = list(value)
    if len(entries) < least:
        raise ValueError(f"`{name}` is empty: it must be a list{words} with at least {least}.")
    return entries


def _text(name: str, value: Any, known: Iterable[str]) -> str:
    if not isinstance(value, str):
        listed = ", ".join(map(repr, sorted(known)))
        raise TypeError(f"`{name}` must be one of {listed}. Received: {name}={value!r}.")
    return value


def _check_flag(name: str, value: Any) -> None:
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"`{name}` must be True or False. Received: {name}={value!r}.")
