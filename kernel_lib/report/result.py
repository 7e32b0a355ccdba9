"""The form that every audit's result has: numbers, tables, arrays, a verdict, and where from."""

from __future__ import annotations

import dataclasses
import importlib
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from kernel_lib._checks import check_choice
from kernel_lib.tasks import atomic_path

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

SCHEMA = 1
STATUSES = ("pass", "warning", "fail", "undetermined")


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

    def figures(self) -> dict[str, Figure]:
        """Figures by name, the most telling one first."""
        return {}

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

        result.json is written last and in one piece, so a folder that holds one is complete.
        """
        from kernel_lib.report.page import result_page

        folder = Path(folder)
        for part in ("tables", "figures"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        for name, table in self.tables.items():
            with atomic_path(folder / "tables" / f"{name}.csv") as temporary:
                table.to_csv(temporary, index=False)
        with atomic_path(folder / "arrays.npz") as temporary, open(temporary, "wb") as file:
            np.savez_compressed(file, **self.arrays)  # type: ignore[arg-type]
        figures = self._save_figures(folder / "figures")
        with atomic_path(folder / "page.html") as temporary:
            Path(temporary).write_text(result_page(self, folder / "figures"), encoding="utf-8")
        with atomic_path(folder / "result.json") as temporary:
            text = json.dumps(self.describe() | {"figures": figures}, indent=1, allow_nan=False)
            Path(temporary).write_text(text, encoding="utf-8")
        return folder

    def _save_figures(self, folder: Path) -> list[str]:
        names = []
        for name, figure in self.figures().items():
            with atomic_path(folder / f"{name}.png") as temporary:
                figure.savefig(temporary, format="png", dpi=120, bbox_inches="tight")
            names.append(name)
        return names

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
            }
        )

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> Self:
        """Read what `save` wrote.

        Raises:
            ValueError: the folder holds no complete result, or one of another audit.
        """
        import pandas as pd

        folder = Path(folder)
        content = read_result(folder)
        if content["audit"] != cls.audit:
            raise ValueError(
                f"{folder} holds a result of the audit {content['audit']!r}, not {cls.audit!r}. "
                "Use kernel_lib.report.load(folder) to load any result."
            )
        try:
            tables = {
                name: pd.read_csv(folder / "tables" / f"{name}.csv", keep_default_na=True)
                for name in content["tables"]
            }
            with np.load(folder / "arrays.npz", allow_pickle=False) as arrays:
                loaded = {name: arrays[name] for name in arrays.files}
        except (OSError, ValueError) as error:
            raise ValueError(f"{folder} is incomplete: {error}") from error
        scores = {name: math.nan if v is None else v for name, v in content["scores"].items()}
        verdict = Verdict(**content["verdict"])
        return cls(
            scores, tables, loaded, verdict, content["parameters"], content["provenance"],
            content.get("intake", {}),
        )  # fmt: skip

    # --- notebooks ------------------------------------------------------------------------------

    def _repr_html_(self) -> str:
        from kernel_lib.report.page import verdict_html

        return verdict_html(self)

    def __repr__(self) -> str:
        scores = ", ".join(f"{name}={value:.4g}" for name, value in self.scores.items())
        return f"{type(self).__name__}({self.verdict.status}: {self.verdict.headline} {scores})"


def load(folder: str | os.PathLike[str]) -> AuditResult:
    """Load the result of any audit from the folder it was saved in."""
    audit = read_result(Path(folder))["audit"]
    for result_class in _result_classes(audit):
        return result_class.load(folder)
    raise ValueError(f"{folder} holds a result of the audit {audit!r}, which is not known here.")


def read_result(folder: Path) -> dict[str, Any]:
    """The content of a folder's result.json, checked for its form."""
    path = folder / "result.json"
    if not path.is_file():
        raise ValueError(f"{folder} holds no result.json: it is not a finished result.")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    needed = {"schema", "audit", "scores", "verdict", "parameters", "provenance", "tables"}
    if not isinstance(content, dict) or not needed <= content.keys():
        raise ValueError(f"{path} is not a result of kernel_lib.")
    if content["schema"] != SCHEMA:
        raise ValueError(
            f"{path} has schema {content['schema']!r}; this version reads schema {SCHEMA}."
        )
    return content


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
    if isinstance(value, list | tuple | set | frozenset):
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
