"""A result with the oddest names still draws every figure, and comes back from its folder equal."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kernel_lib.report import AuditResult
from kernel_lib.report.result import _plain, load

# What Matplotlib reads as formulas, and what pandas reads as missing.
ODD_NAMES = [
    r"$\frac{$",
    "null",
    "$_$ and $_$",
    "NA",
    "{$}$",
    "007",
    'a, "b"\n%',
    "<b>&",
    r"\a_$^$",
]


def with_odd_names(result: AuditResult, names: list[str]) -> AuditResult:
    """The result, with odd names in the place of `names` wherever they stand."""
    odd = {
        name: ODD_NAMES[k % len(ODD_NAMES)] * (1 + k // len(ODD_NAMES))
        for k, name in enumerate(names)
    }
    assert len(set(odd.values())) == len(names)

    def renamed(value: Any) -> Any:
        if isinstance(value, dict):
            return {renamed(key): renamed(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [renamed(item) for item in value]
        return odd.get(value, value) if isinstance(value, str) else value

    def renamed_table(table: pd.DataFrame) -> pd.DataFrame:
        return table.map(lambda cell: odd.get(cell, cell) if isinstance(cell, str) else cell)

    made = replace(
        result,
        tables={name: renamed_table(table) for name, table in result.tables.items()},
        parameters=renamed(result.parameters),
    )
    text = json.dumps(_plain(made.parameters)) + "".join(t.to_csv() for t in made.tables.values())
    assert any(json.dumps(name)[1:-1] in text or name in text for name in odd.values())
    return made


def check_it_comes_back(result: AuditResult, folder: Path) -> AuditResult:
    """Save it, with each warning an error, load it, and hold both against each other."""
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*could not be drawn")
        result.save(folder)
    content = json.loads((folder / "result.json").read_text())
    makers = list(result.figure_makers())
    assert makers
    assert content["failed_figures"] == {}
    assert content["figures"] == makers
    again = load(folder)
    assert type(again) is type(result)
    assert again.scores.keys() == result.scores.keys()
    np.testing.assert_array_equal(list(again.scores.values()), list(result.scores.values()))
    assert (again.verdict, again.parameters, again.provenance, again.intake) == (
        result.verdict, _plain(result.parameters), _plain(result.provenance), _plain(result.intake),
    )  # fmt: skip
    assert list(again.tables) == list(result.tables)
    for name, table in result.tables.items():
        expected = table.reset_index(drop=True)
        pd.testing.assert_frame_equal(again.tables[name], expected, check_dtype=False)
    assert list(again.arrays) == list(result.arrays)
    for name, array in result.arrays.items():
        assert again.arrays[name].tobytes() == np.asarray(array).tobytes(), name
    assert list(again.figure_makers()) == makers
    return again
