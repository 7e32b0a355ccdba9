"""Results: saved whole, loaded the same, refused when broken, held against limits."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot

from kernel_lib.report import AuditResult, Verdict
from kernel_lib.report.page import verdict_html
from kernel_lib.report.result import load, read_result
from kernel_lib.report.theme import theme


@dataclass(frozen=True)
class SampleResult(AuditResult):
    audit: ClassVar[str] = "sample"
    question: ClassVar[str] = "Is <this> a sample?"

    def figures(self):
        with theme():
            figure, axes = pyplot.subplots()
            axes.plot([0, 1])
        return {"line": figure}


@pytest.fixture
def result():
    return SampleResult(
        scores={"share": 0.25, "unknown": float("nan")},
        tables={"rows": pd.DataFrame({"name": ["a", "b"], "value": [1.5, np.nan]})},
        arrays={"grid": np.arange(6, dtype=np.float32).reshape(2, 3)},
        verdict=Verdict("warning", "Take <care>.", "This.", "Not that.", "Look."),
        parameters={"seed": 3, "levels": (0.1, 0.2), "size": np.int64(4)},
        provenance={"model": {"name": "net"}},
    )


def test_what_is_saved_comes_back(result, tmp_path):
    result.save(tmp_path)
    again = SampleResult.load(tmp_path)
    assert again.scores["share"] == 0.25
    assert np.isnan(again.scores["unknown"])
    pd.testing.assert_frame_equal(again.tables["rows"], result.tables["rows"])
    np.testing.assert_array_equal(again.arrays["grid"], result.arrays["grid"])
    assert again.verdict == result.verdict
    assert again.parameters == {"seed": 3, "levels": [0.1, 0.2], "size": 4}


def test_the_folder_holds_what_people_open(result, tmp_path):
    result.save(tmp_path)
    names = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()}
    assert names == {
        "result.json", "arrays.npz", "page.html", "tables/rows.csv", "figures/line.png",
    }  # fmt: skip
    content = json.loads((tmp_path / "result.json").read_text())
    assert content["schema"] == 1
    assert content["figures"] == ["line"]
    assert content["scores"]["unknown"] is None


def test_the_page_needs_nothing_else_and_escapes_text(result, tmp_path):
    result.save(tmp_path)
    page = (tmp_path / "page.html").read_text()
    assert "Is &lt;this&gt; a sample?" in page
    assert "Take &lt;care&gt;." in page
    assert "data:image/png;base64," in page
    assert "http" not in page.replace("http-equiv", "")


def test_an_interrupted_save_is_no_result(result, tmp_path, monkeypatch):
    def interrupt(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(SampleResult, "figures", interrupt)
    with pytest.raises(KeyboardInterrupt):
        result.save(tmp_path)
    with pytest.raises(ValueError, match=r"holds no result.json: it is not a finished result"):
        SampleResult.load(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read"),
        ("[]", "is not a result of kernel_lib"),
        ('{"schema": 1}', "is not a result of kernel_lib"),
    ],
)
def test_broken_files_are_named(tmp_path, text, message):
    (tmp_path / "result.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_result(tmp_path)


def test_a_future_schema_is_refused(result, tmp_path):
    result.save(tmp_path)
    path = tmp_path / "result.json"
    path.write_text(path.read_text().replace('"schema": 1', '"schema": 2'))
    with pytest.raises(ValueError, match="has schema 2; this version reads schema 1"):
        SampleResult.load(tmp_path)


def test_a_missing_table_is_named(result, tmp_path):
    result.save(tmp_path)
    (tmp_path / "tables" / "rows.csv").unlink()
    with pytest.raises(ValueError, match="is incomplete"):
        SampleResult.load(tmp_path)


@pytest.mark.parametrize("audit", ["sample", "no_such", "../evil", "os.path"])
def test_load_knows_only_the_audits(result, tmp_path, audit):
    result.save(tmp_path)
    path = tmp_path / "result.json"
    path.write_text(path.read_text().replace('"audit": "sample"', f'"audit": "{audit}"'))
    with pytest.raises(ValueError, match="which is not known here"):
        load(tmp_path)


def test_pickled_arrays_are_refused(result, tmp_path):
    result.save(tmp_path)
    np.savez(tmp_path / "arrays.npz", grid=np.array([{"a": 1}], dtype=object))
    with pytest.raises(ValueError, match="is incomplete"):
        SampleResult.load(tmp_path)


def test_limits(result):
    assert result.violations({"share": (0.2, 0.3)}) == []
    assert result.violations({"share": (0.3, None), "unknown": (0, 1)}) == [
        "share = 0.25 lies outside [0.3, None]",
        "unknown = nan lies outside [0, 1]",
    ]
    with pytest.raises(ValueError, match="`score` must be one of 'share', 'unknown'"):
        result.violations({"shares": (0, 1)})


def test_the_card_says_the_status_in_a_word(result):
    card = verdict_html(result)
    assert "take care" in card
    assert "share" in card


def test_a_status_is_one_of_four():
    with pytest.raises(ValueError, match="`status` must be one of"):
        Verdict("good", "", "", "", "")


def test_figures_are_the_callers_alone(result):
    before = pyplot.get_fignums()
    size = pyplot.rcParams["font.size"]
    result.figures()
    assert pyplot.get_fignums() == before
    assert pyplot.rcParams["font.size"] == size
