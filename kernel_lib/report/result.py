"""The form that every audit's result has: numbers, tables, arrays, a verdict, and where from."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import io
import math
import os
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

import numpy as np

from kernel_lib._checks import check_choice
from kernel_lib.report.saving import (
    LOCK,
    RESULT,
    Staging,
    files_of,
    finish_interrupted,
    opened,
    replacing,
)
from kernel_lib.report.tables import columns_of, read_table, write_table
from kernel_lib.report.theme import theme
from kernel_lib.tasks.arrays import plain_arrays, write_arrays
from kernel_lib.tasks.holding import holder_of
from kernel_lib.tasks.untrusted import (
    UnreadableFileError,
    json_content,
    read_arrays_of,
    reason_of,
    untrusted,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

Found = TypeVar("Found")

SCHEMA = 1
STATUSES = ("pass", "warning", "fail", "undetermined")
_PATIENCE_SECONDS = 5.0
_LEVELS_TO_CALLER = 4  # from `_load_once` over `_patiently` and `load`


@dataclass(frozen=True)
class Verdict:
    """What a result means, in words.

    Attributes:
        status: "pass", "warning", "fail" or "undetermined".
        headline: the answer to the audit's question in one sentence.
        means: what follows from it.
        does_not_mean: what does not follow.
        next_step: what to do now.
    """

    status: str
    headline: str
    means: str
    does_not_mean: str
    next_step: str

    def __post_init__(self) -> None:
        check_choice("status", self.status, STATUSES)

    def __str__(self) -> str:
        return (
            f"[{self.status}] {self.headline}\n\nWhat it means: {self.means}\n\n"
            f"What it does not mean: {self.does_not_mean}\n\nWhat to do next: {self.next_step}"
        )


@dataclass(frozen=True)
class AuditResult:
    """What an audit found. Each audit has a subclass of its own that can plot itself.

    Attributes:
        scores: headline numbers by name.
        tables: tidy tables by name.
        arrays: arrays behind the figures and widgets by name.
        verdict: the finding in words.
        parameters: the audit's arguments, as JSON can hold them.
        provenance: versions, seed, model and data.
        intake: how the network was fed and judged, see `kernel_lib.audit.Intake.describe`.
    """

    scores: dict[str, float]
    tables: dict[str, pd.DataFrame]
    arrays: dict[str, np.ndarray]
    verdict: Verdict
    parameters: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    intake: dict[str, Any] = field(default_factory=dict)

    audit: ClassVar[str] = ""
    question: ClassVar[str] = ""

    def figure_makers(self) -> dict[str, Callable[[], Figure]]:
        """What draws each figure, by its name, the most telling first."""
        return {}

    def figures(self) -> dict[str, Figure]:
        """Figures by name, the most telling one first."""
        with theme():
            return {name: make() for name, make in self.figure_makers().items()}

    def violations(self, limits: Mapping[str, tuple[float | None, float | None]]) -> list[str]:
        """Hold the scores against limits.

        Args:
            limits: score name -> (lowest allowed or None, highest allowed or None).

        Returns:
            One line for each score outside its limits; empty if all hold.
        """
        lines = []
        for name, (low, high) in limits.items():
            value = self.scores[check_choice("score", name, self.scores)]
            too_low = low is not None and not value >= low
            too_high = high is not None and not value <= high
            if too_low or too_high:
                lines.append(f"{name} = {value:.4g} lies outside [{low}, {high}]")
        return lines

    # --- files ----------------------------------------------------------------------------------

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write result.json, tables/*.csv, figures/*.png, arrays.npz and page.html.

        The result takes the place of an older one in one step: whoever loads the folder, now or
        after a crash, finds the old result whole or the new one whole. Files of the old result
        that the new one has not are removed; nothing else in the folder is touched. result.json
        names each file with a digest of its content, and `load` holds them against it.

        A figure that cannot be drawn costs that figure alone: a warning and the page name it.

        Raises:
            FolderInUseError: Another process has been writing a result there for a minute; the
                message says which.
            OSError: The folder cannot be written to, or the disk is full. An older result is as it
                was.
        """
        folder = Path(folder)
        with replacing(folder) as staging:
            self._write_numbers(staging)
            # Sealed before anything is drawn: should drawing end the process, the numbers are kept.
            self._write_page(staging, [], {"figures": "the process ended before they were drawn"})
            drawn, failed = self._write_figures(staging)
            self._write_page(staging, drawn, failed)
        for name, reason in failed.items():
            warnings.warn(
                f"The figure {name!r} could not be drawn: {reason}. Everything else is saved.",
                stacklevel=2,
            )
        return folder

    def _write_numbers(self, staging: Staging) -> None:
        """Write what `load` reads. Subclasses add files of their own."""
        for name, table in self.tables.items():
            staging.write(f"tables/{name}.csv", functools.partial(write_table, table))
        arrays = plain_arrays(self.arrays)
        staging.write("arrays.npz", functools.partial(write_arrays, arrays=arrays, compress=True))

    def _write_figures(self, staging: Staging) -> tuple[list[str], dict[str, str]]:
        """Names of the figures that were drawn, and why the others were not."""
        drawn: list[str] = []
        failed: dict[str, str] = {}
        for name, make in self._separate_figures().items():
            try:
                picture = _picture(make)
            except Exception as error:
                failed[name] = _in_a_line(error)
                continue
            staging.write(f"figures/{name}.png", functools.partial(_write_bytes, picture))
            drawn.append(name)
        return drawn, failed

    def _separate_figures(self) -> dict[str, Callable[[], Figure]]:
        """The makers; those of an audit that overrides `figures` draw all of them at once."""
        try:
            if type(self).figures is AuditResult.figures:
                return self.figure_makers()
            figures = self.figures()
        except Exception as error:
            return {"figures": functools.partial(_raise, error)}
        return {name: functools.partial(_same, figure) for name, figure in figures.items()}

    def _write_page(self, staging: Staging, drawn: list[str], failed: dict[str, str]) -> None:
        pictures = {name: staging.path / "figures" / f"{name}.png" for name in drawn}
        page = self._page(pictures, failed)
        # A half of a surrogate pair, as in names of files that are no text, is no UTF-8.
        content = page.encode("utf-8", "xmlcharrefreplace")
        staging.write("page.html", functools.partial(_write_bytes, content))
        staging.seal(self.describe() | {"figures": drawn, "failed_figures": failed})

    def _page(self, pictures: dict[str, Path], failed: dict[str, str]) -> str:
        """The page, or one that says why there is none: the numbers count more."""
        from kernel_lib.report.page import page_without_details, result_page

        try:
            return result_page(self, pictures, failed)
        except Exception as error:
            reason = _in_a_line(error)
            warnings.warn(
                f"The page could not be made: {reason}. Everything else is saved.", stacklevel=4
            )
            return page_without_details(self, reason)

    def describe(self) -> dict[str, Any]:
        """The content of result.json."""
        return _plain(
            {
                "schema": SCHEMA,
                "audit": self.audit,
                "question": self.question,
                "scores": self.scores,
                "verdict": dataclasses.asdict(self.verdict),
                "parameters": self.parameters,
                "provenance": self.provenance,
                "intake": self.intake,
                "tables": list(self.tables),
                "columns": {name: columns_of(table) for name, table in self.tables.items()},
            }
        )

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> Self:
        """Read what `save` wrote.

        Raises:
            ValueError: the folder holds no complete result, or one of another audit.
        """
        return _patiently(Path(folder), cls._load_once)

    @classmethod
    def _load_once(cls, folder: Path) -> Self:
        content = read_result(folder)
        if content["audit"] != cls.audit:
            raise ValueError(
                f"{folder} holds a result of the audit {content['audit']!r}, not {cls.audit!r}. "
                "Use kernel_lib.report.load(folder) to load any result."
            )
        if "files" not in content:
            warnings.warn(
                f"The result in {folder} was saved by an older version, which noted no digests of "
                "its files: whether they belong together cannot be checked.",
                stacklevel=_LEVELS_TO_CALLER,
            )
        try:
            _check_form(content)
            return cls(**cls._read_parts(folder, content))
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"{folder / RESULT} is damaged: {reason_of(error)}.") from error
        except Exception as error:  # of every reader
            raise IncompleteResultError(f"{folder} is incomplete: {reason_of(error)}.") from error

    @classmethod
    def _read_parts(cls, folder: Path, content: dict[str, Any]) -> dict[str, Any]:
        """The fields of the result. Subclasses read what they have written besides."""
        columns = content.get("columns") or {}
        tables = {}
        for name in content["tables"]:
            if f"tables/{name}.csv" not in files_of({"tables": [name]}):
                raise ValueError(f"a table has the name {name!r}")
            with opened(folder, f"tables/{name}.csv", content) as file:
                tables[name] = read_table(file, columns.get(name))
        with opened(folder, "arrays.npz", content) as file:
            arrays = read_arrays_of(file)
        scores = {name: math.nan if v is None else v for name, v in content["scores"].items()}
        return {
            "scores": scores,
            "tables": tables,
            "arrays": arrays,
            "verdict": Verdict(**content["verdict"]),
            "parameters": content["parameters"],
            "provenance": content["provenance"],
            "intake": content.get("intake", {}),
        }

    # --- notebooks ------------------------------------------------------------------------------

    def _repr_html_(self) -> str:
        from kernel_lib.report.page import verdict_html

        return verdict_html(self)

    def __repr__(self) -> str:
        scores = ", ".join(f"{name}={value:.4g}" for name, value in self.scores.items())
        return f"{type(self).__name__}({self.verdict.status}: {self.verdict.headline} {scores})"


class IncompleteResultError(ValueError):
    """A folder holds no result, or parts of one. The message says what does not fit."""


def load(folder: str | os.PathLike[str]) -> AuditResult:
    """Load the result of any audit from the folder it was saved in."""
    folder = Path(folder)
    audit = _patiently(folder, read_result)["audit"]
    for result_class in _result_classes(audit):
        return _patiently(folder, result_class._load_once)
    raise ValueError(f"{folder} holds a result of the audit {audit!r}, which is not known here.")


def read_result(folder: Path) -> dict[str, Any]:
    """The content of a folder's result.json, checked for its form."""
    path = folder / RESULT
    while True:
        if not path.is_file() and not finish_interrupted(folder):
            holder = holder_of(folder, LOCK)
            busy = "" if holder is None or holder.is_dead else f" It is being written by {holder}."
            raise IncompleteResultError(
                f"{folder} holds no {RESULT}: it is not a finished result.{busy}"
            )
        try:
            with untrusted(f"{path} cannot be read"):
                content = json_content(path)
        except UnreadableFileError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                continue  # a writer took it away between the look and the reading
            raise
        break
    needed = {"schema", "audit", "scores", "verdict", "parameters", "provenance", "tables"}
    if not isinstance(content, dict) or not needed <= content.keys():
        raise ValueError(f"{path} is not a result of kernel_lib.")
    if content["schema"] != SCHEMA:
        raise ValueError(
            f"{path} has schema {content['schema']!r}; this version reads schema {SCHEMA}."
        )
    return content


def _check_form(content: dict[str, Any]) -> None:
    """Refuse values of a kind that `describe` never writes.

    Raises:
        TypeError: It names the value.
    """
    for name in ("scores", "verdict", "parameters", "provenance", "intake", "files", "columns"):
        if not isinstance(content.get(name) or {}, dict):
            raise TypeError(f"{name!r} is no object")
    for name, value in content["scores"].items():
        if isinstance(value, bool) or not isinstance(value, float | int | None):
            raise TypeError(f"the score {name!r:.80} is no number")
    for name, value in content["verdict"].items():
        if not isinstance(value, str):
            raise TypeError(f"{name!r:.80} of the verdict is no text")
    if not isinstance(content["tables"], list):
        raise TypeError("'tables' is no list")


def _patiently(folder: Path, read: Callable[[Path], Found]) -> Found:
    """Read again what was just being replaced: a reader may come between two moves of a writer."""
    end = time.monotonic() + _PATIENCE_SECONDS
    attempts = 0
    while True:
        try:
            return read(folder)
        except IncompleteResultError:
            attempts += 1
            holder = holder_of(folder, LOCK)
            is_busy = attempts < 3 or (holder is not None and not holder.is_dead)
            if not is_busy or time.monotonic() > end:
                raise
        time.sleep(0.05)


def _picture(make: Callable[[], Figure]) -> bytes:
    """A figure as the content of a PNG file."""
    content = io.BytesIO()
    with theme():
        make().savefig(content, format="png", dpi=120, bbox_inches="tight")
    return content.getvalue()


def _write_bytes(content: bytes, path: Path) -> None:
    path.write_bytes(content)


def _same(figure: Figure) -> Figure:
    return figure


def _raise(error: Exception) -> Figure:
    raise error


def _in_a_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__


def _result_classes(audit: str) -> list[type[AuditResult]]:
    """The subclass for `audit`, found where the folders say it must be.

    "errors" lies in kernel_lib/errors/result.py, "invariance_zoo" in
    kernel_lib/invariance/zoo/result.py.
    """
    if not audit.isidentifier():
        return []
    for place in (audit, audit.replace("_", ".", 1)):
        try:
            importlib.import_module(f"kernel_lib.{place}.result")
        except ModuleNotFoundError:
            continue
        return [known for known in AuditResult.__subclasses__() if known.audit == audit]
    return []


def _plain(value: Any) -> Any:
    """The same content in types that JSON knows; NaN and infinities become null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, set | frozenset):  # in an order that is the same in every process
        return [
            _plain(item) for item in sorted(value, key=lambda item: (str(type(item)), str(item)))
        ]
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int | bool):
        return value
    return str(value)
