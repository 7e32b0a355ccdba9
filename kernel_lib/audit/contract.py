"""What every audit keeps, as code that runs over any of them.

`check_audit` is to audits what `check_estimator` of scikit-learn is to estimators: it takes an
audit (ours or one that a package brings), a small network and a few images, and holds it to these
terms.

| term | what is kept |
|---|---|
| model is left | weights, settings and compilation are bit for bit as before, after success |
| model is left when stopped | the same after an exception or an interrupt, wherever it strikes |
| same seed, same bytes | two runs give the same scores, tables, arrays and words |
| batch size is no matter | batches of 1, 7 and all give the same numbers |
| order is no matter | reversed images give the same numbers, up to the order of the images |
| random state stays | global streams (`random`, NumPy, TensorFlow, Keras) go on as before |
| names are no matter | renamed classes leave the numbers alone |
| options are documented | each option stands in the docstring |
| options are recorded | each option stands in the result's parameters |
| options are refused | what is out of bounds is refused before any work, by name and bounds |
| silence | nothing is printed with `progress=False` |
| it comes back | a saved and loaded result is equal, and draws every figure |
| odd names cost nothing | formulas, tags, long, blank, right-to-left class names change nothing |
| no NaN without words | no page shows a bare NaN, infinity or None |
| widget opens | the widget takes the result, fresh and loaded |
"""

from __future__ import annotations

import contextlib
import dataclasses
import fnmatch
import html
import inspect
import io
import json
import random
import re
import tempfile
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment

from kernel_lib.audit.options import NOT_RECORDED, Option, choice, count, flag, number
from kernel_lib.data import ImageSet
from kernel_lib.report.result import AuditResult, _plain, load

TOLERANCE = 1e-5
COARSE = 1e-3  # for what is named in `Case.rounded`
_CLOCKED = "seconds"  # how names of columns end that hold measured times
MOMENTS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)  # of an audit's work, at which it is stopped
ODD_NAMES = (
    r"$\frac{$",
    "<b>&amp;</i>",
    "a very long name " * 12,
    " ",
    "שלום עולם",
    "null",
    r"$_$ and \a_$^$ %",
    'a, "b"\n7',
)


class ContractError(AssertionError):
    """An audit breaks a term of the contract; the message says which, and how."""


@dataclass(frozen=True)
class Case:
    """An audit, and what it is tried on.

    Attributes:
        audit: (model, images, **options) -> a result.
        model: a Keras model, a `Classifier`, or a mapping or list of them.
        images: a small image set, all of which the audit uses.
        options: of the audit, such that it takes a second or two.
        widget: result -> a widget, for audits that have one.
        told_by_place: names of arrays, scores, or table columns ("table.column") that may change
            with the order of the images, and why. Stars stand for any letters.
        rounded: names in the same form of what small differences are enlarged in, and why: it need
            agree only to `COARSE` between batch sizes and orders.
    """

    audit: Callable[..., AuditResult]
    model: Any
    images: ImageSet
    options: Mapping[str, Any] = field(default_factory=dict)
    widget: Callable[[AuditResult], object] | None = None
    told_by_place: Mapping[str, str] = field(default_factory=dict)
    rounded: Mapping[str, str] = field(default_factory=dict)

    def run(self, images: ImageSet | None = None, **changes: Any) -> AuditResult:
        """Run the audit, with some options changed."""
        given = {"progress": False, "seed": 0, **self.options, **changes}
        return self.audit(self.model, self.images if images is None else images, **given)

    @cached_property
    def result(self) -> AuditResult:
        """The result of the options as they stand."""
        return self.run()

    @property
    def option_names(self) -> list[str]:
        """Names of the audit's options."""
        return list(inspect.signature(self.audit).parameters)[2:]


def check_audit(
    audit: Callable[..., AuditResult],
    model: Any,
    images: ImageSet,
    *,
    options: Mapping[str, Any] | None = None,
    widget: Callable[[AuditResult], object] | None = None,
    told_by_place: Mapping[str, str] | None = None,
    rounded: Mapping[str, str] | None = None,
    terms: Collection[str] | None = None,
) -> None:
    """Hold an audit to the contract of all audits.

    Args:
        audit: (model, images, **options) -> an `AuditResult`.
        model: a small network.
        images: a small image set, all of which the audit uses with these options.
        options: of the audit, such that it takes a second or two: it is run some thirty times.
        widget: result -> a widget, for audits that have one.
        told_by_place: what may change with the order of the images, and why, see `Case`.
        rounded: what small differences are enlarged in, and why, see `Case`.
        terms: names of `TERMS`; None for all.

    Raises:
        ContractError: terms are broken; the message names all of them.

    Example:
        >>> from kernel_lib.audit.contract import check_audit
        >>> check_audit(kl.invariance.audit, model, images, options={"num_images": 20})
    """
    case = Case(audit, model, images, options or {}, widget, told_by_place or {}, rounded or {})
    broken = {}
    for name in TERMS if terms is None else terms:
        try:
            TERMS[name](case)
        except ContractError as error:
            broken[name] = str(error)
    if broken:
        listed = "\n".join(f"- {name}: {reason}" for name, reason in broken.items())
        raise ContractError(f"The audit breaks {len(broken)} terms of the contract:\n{listed}")


# --- the model -----------------------------------------------------------------------------------


def check_model_is_left(case: Case) -> None:
    """After success the model is as before."""
    before = fingerprint(case.model)
    case.run()
    _require_untouched(before, case.model, "after success")


def check_model_is_left_when_stopped(case: Case, moments: Sequence[float] = MOMENTS) -> None:
    """After an exception or an interrupt at any moment the model is as before."""
    case.run()  # so that what is kept from run to run is there, and the count is the same
    with _stopping(None, KeyboardInterrupt) as counted:
        case.run()
    if not counted.total:
        raise ContractError("The audit neither shows progress nor calls a compiled function.")
    before = fingerprint(case.model)
    for moment in moments:
        place = 1 + round(moment * (counted.total - 1))
        for kind in (RuntimeError, KeyboardInterrupt):
            _stop_once(case, place, kind)
            where = f"after a {kind.__name__} at step {place} of {counted.total}"
            _require_untouched(before, case.model, where)


def _stop_once(case: Case, place: int, kind: type[BaseException]) -> None:
    try:
        with _stopping(place, kind):
            case.run()
    except kind:
        return
    if kind is KeyboardInterrupt:
        raise ContractError(f"The audit went on after an interrupt at step {place}.")


def fingerprint(model: Any) -> list[Any]:
    """All that an audit may not change: variables to the bit, settings, compilation."""
    if isinstance(model, Mapping):
        return [part for each in model.values() for part in fingerprint(each)]
    if isinstance(model, list | tuple):
        return [part for each in model for part in fingerprint(each)]
    network = getattr(model, "model", model)
    optimizer = getattr(network, "optimizer", None)
    return [
        [np.asarray(variable).tobytes() for variable in network.variables],
        [variable.trainable for variable in network.variables],
        [layer.trainable for layer in network._flatten_layers()],
        json.dumps(network.get_config(), default=str, sort_keys=True),
        (id(optimizer), id(getattr(network, "loss", None)), network.compiled),
        [np.asarray(variable).tobytes() for variable in getattr(optimizer, "variables", ())],
    ]


def _require_untouched(before: list[Any], model: Any, when: str) -> None:
    parts = ("variables", "trainable variables", "trainable layers", "settings", "compilation",
             "variables of the optimizer")  # fmt: skip
    after = fingerprint(model)
    changed = [parts[at % len(parts)] for at in range(len(before)) if before[at] != after[at]]
    if changed:
        raise ContractError(f"The model is not as it was {when}: {', '.join(changed)} differ.")


@dataclass
class _Stop:
    """Counts steps of progress and calls of compiled functions; raises at one of them."""

    place: int | None
    kind: type[BaseException]
    total: int = 0
    is_over: bool = False

    def step(self) -> None:
        if self.is_over:
            return
        self.total += 1
        if self.total == self.place:
            self.is_over = True  # what tidies up may compute
            raise self.kind("stopped by the contract")


@contextlib.contextmanager
def _stopping(place: int | None, kind: type[BaseException]) -> Iterator[_Stop]:
    import tensorflow as tf

    from kernel_lib import _progress

    stop = _Stop(place, kind)

    class Bar(_progress.tqdm):
        def __iter__(self) -> Iterator[Any]:
            for item in super().__iter__():
                stop.step()
                yield item

    sample = tf.function(lambda: tf.constant(0))
    kinds = (type(sample), type(sample.get_concrete_function()))
    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.object(_progress, "tqdm", Bar))
        for each in kinds:
            stack.enter_context(mock.patch.object(each, "__call__", _counted(each, stop)))
        yield stop


def _counted(kind: type, stop: _Stop) -> Callable[..., Any]:
    original = kind.__call__

    def call(self: Any, *arguments: Any, **options: Any) -> Any:
        stop.step()
        return original(self, *arguments, **options)

    return call


# --- the numbers ---------------------------------------------------------------------------------


def check_same_seed_same_bytes(case: Case) -> None:
    """Two runs with one seed give the same bytes, words included."""
    again = case.run()
    _require_same(differences(case.result, again, 0), "A second run with the same seed")
    if again.verdict != case.result.verdict or again.parameters != case.result.parameters:
        raise ContractError("A second run with the same seed gives other words or parameters.")


def check_batch_size(case: Case, sizes: Sequence[int] = (1, 7)) -> None:
    """Batches of 1, 7 and all give the same numbers."""
    whole = case.run(batch_size=len(case.images))
    for size in sizes:
        other = case.run(batch_size=size)
        found = _beyond_rounding(case, whole, other)
        _require_same(found, f"A batch size of {size}")


def check_order(case: Case) -> None:
    """Reversed images give the same numbers, up to their order."""
    other = case.run(reversed_images(case.images))
    found = _beyond_rounding(case, case.result, other, any_order=True, but=[*case.told_by_place])
    _require_same(found, "The images in reversed order")


def _beyond_rounding(
    case: Case,
    a: AuditResult,
    b: AuditResult,
    *,
    any_order: bool = False,
    but: Sequence[str] = (),
) -> list[str]:
    """Differences to `TOLERANCE`, and to `COARSE` of what is named in `Case.rounded`."""
    found = differences(a, b, TOLERANCE, any_order=any_order, but=[*but, *case.rounded])
    if case.rounded:
        known = set(found)
        coarse = differences(a, b, COARSE, any_order=any_order, but=but)
        found += [each for each in coarse if each not in known]
    return found


def reversed_images(images: ImageSet) -> ImageSet:
    """The same images, labels, masks and splits, from the last to the first."""
    last = len(images) - 1
    return dataclasses.replace(
        images,
        images=images.images[::-1],
        labels=images.labels[::-1],
        tasks={name: column[::-1] for name, column in images.tasks.items()},
        masks=None if images.masks is None else images.masks[::-1],
        splits={name: np.sort(last - place) for name, place in images.splits.items()},
    )


def check_random_state(case: Case) -> None:
    """What is drawn from the global streams after an audit is what would have been drawn."""
    import keras
    import tensorflow as tf

    def draws() -> list[float]:
        from_keras = float(keras.random.uniform(()))
        from_tensorflow = float(tf.random.uniform(()))
        from_numpy = float(np.random.random())  # noqa: NPY002
        return [random.random(), from_numpy, from_tensorflow, from_keras]

    kept = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        keras.utils.set_random_seed(7)
        expected = draws()
        keras.utils.set_random_seed(7)
        case.run()
        found = draws()
    finally:
        random.setstate(kept[0])
        np.random.set_state(kept[1])  # noqa: NPY002
    names = ("random", "numpy.random", "tensorflow.random", "keras.random")
    moved = [name for name, a, b in zip(names, expected, found, strict=True) if a != b]
    if moved:
        raise ContractError(f"The audit moves the global state of {', '.join(moved)}.")


def check_class_names(case: Case) -> None:
    """Renamed classes leave scores, arrays and numbers in tables alone."""
    other = case.run(with_class_names(case.images, _plain_names))
    found = differences(case.result, other, 0, words=False)
    _require_same(found, "Other class names")


def _plain_names(position: int) -> str:
    return f"name {(7 * position + 3) % 101}"


def _odd_name(position: int) -> str:
    return ODD_NAMES[position % len(ODD_NAMES)] + "'" * (position // len(ODD_NAMES))


def with_class_names(images: ImageSet, name: Callable[[int], str]) -> ImageSet:
    """The images with other names of all classes, tasks' classes included."""
    return dataclasses.replace(
        images,
        class_names=tuple(name(each) for each in range(images.num_classes)),
        task_class_names={
            task: tuple(name(each) for each in range(len(known)))
            for task, known in images.task_class_names.items()
        },
    )


def differences(
    a: AuditResult,
    b: AuditResult,
    tolerance: float,
    *,
    any_order: bool = False,
    words: bool = True,
    but: Collection[str] = (),
) -> list[str]:
    """Where the scores, tables and arrays of two results differ, a line each.

    Args:
        a, b: results of one audit.
        tolerance: largest difference, relative where a number is above 1; 0 compares bytes. Levels
            of pictures (uint8) may differ by one where it is not 0.
        any_order: whether rows of tables, and entries along one axis of an array, may be permuted.
        words: whether texts in tables count.
        but: names that are left out, see `Case.told_by_place`.
    """
    found = _differing_scores(a.scores, b.scores, tolerance, but)
    for kind, ours, theirs in (("table", a.tables, b.tables), ("array", a.arrays, b.arrays)):
        if list(ours) != list(theirs):
            found.append(f"{kind}s {sorted(set(ours) ^ set(theirs)) or 'in another order'}")
    for name in [name for name in a.tables if name in b.tables]:
        found += _differing_table(name, a.tables[name], b.tables[name], tolerance, any_order,
                                  words, but)  # fmt: skip
    for name in [name for name in a.arrays if name in b.arrays]:
        if not _is_among(name, but):
            found += _differing_array(name, a.arrays[name], b.arrays[name], tolerance, any_order)
    return found


def _differing_scores(
    a: Mapping[str, float], b: Mapping[str, float], tolerance: float, but: Collection[str]
) -> list[str]:
    if list(a) != list(b):
        return [f"scores {sorted(set(a) ^ set(b)) or 'in another order'}"]
    return [
        f"score {name}: {a[name]:.9g} and {b[name]:.9g}"
        for name in a
        if not _is_among(name, but)
        and not _are_close(np.asarray(a[name]), np.asarray(b[name]), tolerance)
    ]


def _differing_table(
    name: str,
    a: pd.DataFrame,
    b: pd.DataFrame,
    tolerance: float,
    any_order: bool,
    words: bool,
    but: Collection[str],
) -> list[str]:
    if list(a.columns) != list(b.columns) or len(a) != len(b):
        return [f"table {name}: other columns or rows"]
    columns = [each for each in a.columns if not _is_among(f"{name}.{each}", but)]
    columns = [each for each in columns if not str(each).endswith(_CLOCKED)]
    if not words:
        columns = [each for each in columns if pd.api.types.is_numeric_dtype(a[each])]
    if any_order and columns:
        codes = [_codes(a[each], b[each]) for each in columns]
        ours, theirs = (np.stack([pair[side] for pair in codes], axis=1) for side in (0, 1))
        if _are_permuted(ours, theirs, 0, tolerance):
            return []
    return [
        f"table {name}, column {each}: {_first_difference(a[each], b[each], tolerance)}"
        for each in columns
        if not _are_close(*_codes(a[each], b[each]), tolerance)
    ]


def _codes(a: pd.Series, b: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Two columns as numbers; different texts lie far apart."""
    if pd.api.types.is_numeric_dtype(a) and pd.api.types.is_numeric_dtype(b):
        return a.to_numpy(np.float64), b.to_numpy(np.float64)
    both = [json.dumps(_plain(each)) for each in (*a, *b)]
    places = {each: 1000.0 * place for place, each in enumerate(dict.fromkeys(both))}
    coded = np.array([places[each] for each in both])
    return coded[: len(a)], coded[len(a) :]


def _first_difference(a: pd.Series, b: pd.Series, tolerance: float) -> str:
    off = _excess(*_codes(a, b), tolerance)
    place = int(np.argmax(off))
    return f"{a.iloc[place]!r} and {b.iloc[place]!r} in row {place}"


def _differing_array(
    name: str, a: np.ndarray, b: np.ndarray, tolerance: float, any_order: bool
) -> list[str]:
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape or a.dtype != b.dtype:
        return [f"array {name}: {a.dtype} {a.shape} and {b.dtype} {b.shape}"]
    if _are_close(a, b, tolerance):
        return []
    if any_order and any(_are_permuted(a, b, axis, tolerance) for axis in range(a.ndim)):
        return []
    if a.dtype.kind in "fiub":
        with np.errstate(invalid="ignore"):
            off = np.nanmax(np.abs(a.astype(np.float64) - b.astype(np.float64)))
        return [f"array {name}: differs by up to {off:.3g}"]
    return [f"array {name}: differs"]


def _are_close(a: np.ndarray, b: np.ndarray, tolerance: float) -> bool:
    if tolerance == 0 or a.dtype.kind not in "fiub":
        same = a.dtype.kind == "f" and np.array_equal(a, b, equal_nan=True)
        return bool(same or a.tobytes() == b.tobytes())
    return bool(np.all(_excess(a, b, tolerance) <= 0))


def _excess(a: np.ndarray, b: np.ndarray, tolerance: float) -> np.ndarray:
    """By how much differences of broadcast arrays exceed what is allowed; NaN equals NaN."""
    allowed = 1.0 if a.dtype == np.uint8 else tolerance
    a, b = a.astype(np.float64), b.astype(np.float64)
    with np.errstate(invalid="ignore"):
        off = np.abs(a - b) - allowed * np.maximum(1, np.abs(b))
    both = (np.isnan(a) & np.isnan(b)) | (a == b)
    return np.where(both, -1.0, np.where(np.isnan(off), np.inf, off))


def _are_permuted(a: np.ndarray, b: np.ndarray, axis: int, tolerance: float) -> bool:
    """Whether the entries along an axis are the same in another order."""
    if a.dtype.kind not in "fiub" or not 0 < a.shape[axis] <= 500:
        return False
    ours, theirs = (np.moveaxis(each, axis, 0).reshape(a.shape[axis], -1) for each in (a, b))
    costs = np.stack(
        [_excess(row[None], theirs, tolerance).max(axis=1, initial=-1) for row in ours]
    )
    is_other = costs > 0
    rows, columns = linear_sum_assignment(is_other)
    return not is_other[rows, columns].any()


def _is_among(name: str, patterns: Collection[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, each) for each in patterns)


def _require_same(found: Sequence[str], what: str) -> None:
    if found:
        more = f" and {len(found) - 8} more" if len(found) > 8 else ""
        raise ContractError(f"{what} changes the numbers: {'; '.join(found[:8])}{more}.")


# --- the options ---------------------------------------------------------------------------------


def check_options_are_documented(case: Case) -> None:
    """Each option stands in the docstring, before a colon."""
    text = inspect.getdoc(case.audit) or ""
    heads = " ".join(re.findall(r"^ +([\w, ]+):", text, re.M))
    missing = [name for name in case.option_names if not re.search(rf"\b{name}\b", heads)]
    if missing:
        raise ContractError(f"The docstring does not tell of {', '.join(missing)}.")


def check_options_are_recorded(case: Case) -> None:
    """Each option stands in the result's parameters."""
    known = case.result.parameters
    missing = [name for name in case.option_names if name not in (*known, *NOT_RECORDED)]
    if missing:
        raise ContractError(f"`result.parameters` does not hold {', '.join(missing)}.")


def check_options_are_refused(case: Case) -> None:
    """What is out of bounds is refused before any work; the refusal names option and bounds."""
    faults = [
        f"{name}={value!r} {fault}"
        for name, option in options_of(case.audit).items()
        for value in option.outside
        if (fault := _fault_of_refusal(case, name, option, value))
    ]
    if faults:
        raise ContractError("; ".join(faults) + ".")


def options_of(audit: Callable[..., Any]) -> dict[str, Option]:
    """The options as the audit declares them with `takes`, or as their defaults let guess."""
    declared = getattr(audit, "options", None)
    if declared is not None:
        return dict(declared)
    parameters = list(inspect.signature(audit).parameters.items())[2:]
    guesses = {name: _guessed(parameter.default) for name, parameter in parameters}
    return {name: option for name, option in guesses.items() if option is not None}


def _guessed(default: Any) -> Option | None:
    if isinstance(default, bool):
        return flag()
    if isinstance(default, int):
        return dataclasses.replace(count(), outside=(-1, float("nan"), "many"), bounds=())
    if isinstance(default, float):
        return dataclasses.replace(number(0, 1), outside=(float("nan"), "much"), bounds=())
    if isinstance(default, str):
        return dataclasses.replace(choice([default]), bounds=())
    return None


def _fault_of_refusal(case: Case, name: str, option: Option, value: Any) -> str:
    try:
        with _stopping(1, _WorkError):
            case.run(**{name: value})
    except _WorkError:
        return "is not refused before work begins"
    except (TypeError, ValueError) as error:
        missing = [word for word in (name, *option.bounds) if word not in str(error)]
        return f"is refused without {missing}: {error}" if missing else ""
    except Exception as error:
        return f"ends in {type(error).__name__}: {error}"
    return "is not refused"


class _WorkError(BaseException):
    """Work has begun."""


# --- words, files and pictures -------------------------------------------------------------------


def check_silence(case: Case) -> None:
    """Nothing is printed with `progress=False`."""
    heard = io.StringIO()
    to_heard = contextlib.redirect_stdout(heard), contextlib.redirect_stderr(heard)
    with to_heard[0], to_heard[1], warnings.catch_warnings(record=True):
        case.run(progress=False)
    if heard.getvalue().strip():
        raise ContractError(f"With progress=False is printed: {heard.getvalue().strip()[:200]!r}.")


def check_it_comes_back(case: Case) -> None:
    """A saved and loaded result is equal, and draws every figure."""
    with tempfile.TemporaryDirectory() as folder:
        _come_back(case.result, Path(folder) / "result")


def check_odd_class_names(case: Case) -> None:
    """Odd class names change no number, cost no figure, and come back."""
    result = case.run(with_class_names(case.images, _odd_name))
    _require_same(differences(case.result, result, 0, words=False), "Odd class names")
    with tempfile.TemporaryDirectory() as folder:
        page = _come_back(result, Path(folder) / "result")
    if "<b>&amp;</i>" in page:
        raise ContractError("The page holds a class name as it is, tags and all.")


def check_no_nan_without_words(case: Case) -> None:
    """The page shows no bare NaN, infinity or None."""
    with tempfile.TemporaryDirectory() as folder:
        case.result.save(folder)
        page = (Path(folder) / "page.html").read_text(encoding="utf-8")
    bare = bare_numbers(page)
    if bare:
        raise ContractError(f"The page shows {'; '.join(bare[:5])}.")


def bare_numbers(page: str) -> list[str]:
    """Where a page shows NaN, infinity or None to its reader, with the words around."""
    page = re.sub(r"<style.*?</style>|<script.*?</script>|data:[^'\"]*", " ", page, flags=re.S)
    text = html.unescape(re.sub(r"<[^>]+>", " | ", page))
    text = re.sub(r"\s+", " ", text)
    marks = re.finditer(r"(?<![\w'.])[-+]?(?:nan|inf|None|NaT)(?![\w'])", text, re.I)
    return [
        f"'...{text[max(0, mark.start() - 40) : mark.end() + 10]}...'"
        for mark in marks
        if mark.group().lstrip("+-") in ("nan", "NaN", "inf", "None", "NaT")
    ]


def check_widget(case: Case) -> None:
    """The widget takes the result, fresh and loaded."""
    if case.widget is None:
        return
    with tempfile.TemporaryDirectory() as folder:
        loaded = load(case.result.save(folder))
    for when, result in (("fresh", case.result), ("loaded", loaded)):
        try:
            case.widget(result)
        except Exception as error:
            raise ContractError(f"The widget does not take the {when} result: {error}") from error


def _come_back(result: AuditResult, folder: Path) -> str:
    """Save, load, compare and draw; the page that was written."""
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("always")
        result.save(folder)
    content = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    if content["failed_figures"]:
        raise ContractError(f"Figures cannot be drawn: {content['failed_figures']}.")
    again = load(folder)
    if type(again) is not type(result):
        raise ContractError(f"{type(again).__name__} is loaded for {type(result).__name__}.")
    _require_same(differences(result, again, 0), "Saving and loading")
    for name in ("verdict", "parameters", "provenance", "intake"):
        if getattr(again, name) != _as_loaded(getattr(result, name)):
            raise ContractError(f"`{name}` of the loaded result differs.")
    _draw_all(again)
    return (folder / "page.html").read_text(encoding="utf-8")


def _as_loaded(value: Any) -> Any:
    return value if dataclasses.is_dataclass(value) else _plain(value)


def _draw_all(result: AuditResult) -> None:
    """Draw every figure of a loaded result."""
    with warnings.catch_warnings(record=True):
        _draw(result)


def _draw(result: AuditResult) -> None:
    from matplotlib import pyplot as plt

    try:
        for figure in result.figures().values():
            figure.savefig(io.BytesIO(), format="png", dpi=30)
    except Exception as error:
        raise ContractError(
            f"Not every figure can be drawn from the loaded result: {error}"
        ) from error
    finally:
        plt.close("all")


TERMS: dict[str, Callable[[Case], None]] = {
    "model is left": check_model_is_left,
    "model is left when stopped": check_model_is_left_when_stopped,
    "same seed, same bytes": check_same_seed_same_bytes,
    "batch size is no matter": check_batch_size,
    "order is no matter": check_order,
    "random state stays": check_random_state,
    "names are no matter": check_class_names,
    "options are documented": check_options_are_documented,
    "options are recorded": check_options_are_recorded,
    "options are refused": check_options_are_refused,
    "silence": check_silence,
    "it comes back": check_it_comes_back,
    "odd names cost nothing": check_odd_class_names,
    "no NaN without words": check_no_nan_without_words,
    "widget opens": check_widget,
}
