"""A result as HTML: the verdict card of notebooks, and a page that needs nothing else."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from kernel_lib.report.intake_card import intake_html

if TYPE_CHECKING:
    from kernel_lib.report.result import AuditResult

# A word and a shape beside each colour: the colour alone carries nothing.
MARKS = {
    "pass": ("✔", "passes", "#00684a"),
    "warning": ("▲", "take care", "#8a5a00"),
    "fail": ("✖", "fails", "#a3262a"),
    "undetermined": ("?", "undetermined", "#51606e"),
}

_STYLE = """
:root{color-scheme:light dark}
body{margin:0;font:16px/1.55 system-ui,sans-serif;background:#fff;color:#1b2530}
main{max-width:1000px;margin:0 auto;padding:2rem 1.25rem}
h1{font-size:1.7rem;line-height:1.25;margin:.2rem 0 1rem}
h2{font-size:1.15rem;margin:2rem 0 .6rem}
figure{margin:0 0 1.5rem}figure img{max-width:100%;background:#fff;border-radius:6px}
figcaption{font-size:.9rem;opacity:.8}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
td,th{padding:.25rem .8rem .25rem 0;text-align:left;border-bottom:1px solid #8884}
.wide{overflow-x:auto}small{opacity:.8}
@media(prefers-color-scheme:dark){body{background:#14191f;color:#e6ebf0}}
"""


def verdict_html(result: AuditResult) -> str:
    """The verdict and the scores as one card, with its own styles inline."""
    mark, word, color = MARKS[result.verdict.status]
    verdict = result.verdict
    paragraphs = "".join(
        f"<p style='margin:.45em 0'><b>{title}</b> {escape(text)}</p>"
        for title, text in (
            ("What it means.", verdict.means),
            ("What it does not mean.", verdict.does_not_mean),
            ("What to do next.", verdict.next_step),
        )
    )
    return (
        f"<section style='border-left:6px solid {color};padding:.4em 1.1em;margin:.6em 0;"
        f"max-width:62em'><p style='margin:.3em 0;font-size:1.15em'>"
        f"<span style='background:{color};color:#fff;border-radius:4px;padding:.1em .55em;"
        f"margin-right:.6em;white-space:nowrap'>{mark} {word}</span>"
        f"<b>{escape(verdict.headline)}</b></p>{paragraphs}{_scores_html(result)}</section>"
    )


def result_page(
    result: AuditResult, figures: Mapping[str, Path], failed: Mapping[str, str] | None = None
) -> str:
    """One self-contained page: verdict, figures, provenance.

    Args:
        result: the result.
        figures: its figures by name, saved as PNG files, in the order of the page.
        failed: why others could not be drawn, by name.
    """
    pictures = "".join(
        f"<figure><img alt='{_words(name)}' src='{data_uri(path)}'>"
        f"<figcaption>{_words(name)}</figcaption></figure>"
        for name, path in figures.items()
    )
    missing = "".join(
        f"<li><b>{_words(name)}</b>: {escape(reason)}</li>"
        for name, reason in (failed or {}).items()
    )
    if missing:
        pictures += (
            "<p>These figures could not be drawn. The numbers behind them are in the tables and "
            f"arrays beside this page.</p><ul>{missing}</ul>"
        )
    title = escape(f"{result.audit}: {result.question}")
    return (
        f"<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        f"<meta name='viewport' content='width=device-width,initial-scale=1'>"
        f"<title>{title}</title><style>{_STYLE}</style></head><body><main>"
        f"<small>{escape(result.audit)} audit</small><h1>{escape(result.question)}</h1>"
        f"{verdict_html(result)}{intake_html(result.intake)}<h2>Figures</h2>{pictures}"
        f"<h2>Where this comes from</h2><div class='wide'>{_provenance_html(result)}</div>"
        f"</main></body></html>"
    )


def page_without_details(result: AuditResult, reason: str) -> str:
    """A page for a result that `result_page` cannot show."""
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><title>Result</title></head>"
        f"<body><h1>{escape(str(result.question))}</h1><p>{escape(str(result.verdict))}</p>"
        f"<p>This page could not be made: {escape(reason)}. The numbers are in result.json, the "
        "tables and the arrays beside it.</p></body></html>"
    )


def data_uri(path: Path) -> str:
    """A PNG file as a data URI."""
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode("ascii")


def _words(name: str) -> str:
    return escape(name.replace("_", " "), quote=True)


def _scores_html(result: AuditResult) -> str:
    cells = "".join(
        f"<tr><td style='padding:.1em 1.2em .1em 0;text-align:left'>"
        f"{escape(name.replace('_', ' '))}</td>"
        f"<td style='padding:.1em 0;text-align:right'>{_number(value)}</td></tr>"
        for name, value in result.scores.items()
    )
    return f"<table style='margin:.5em 0'>{cells}</table>" if cells else ""


def _provenance_html(result: AuditResult) -> str:
    rows = [*_flat("", result.provenance), *_flat("parameters", result.parameters)]
    cells = "".join(
        f"<tr><th scope='row'>{escape(name)}</th><td>{escape(_in_words(value))}</td></tr>"
        for name, value in rows
    )
    return f"<table>{cells}</table>"


def _number(value: float) -> str:
    """A score; what could not be measured is said so."""
    return f"{value:.3g}" if math.isfinite(value) else "not measured"


def _in_words(value: object) -> str:
    """A parameter for people, who know neither None nor NaN."""
    if value is None:
        return "not given"
    if isinstance(value, float) and not math.isfinite(value):
        return "no number"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_in_words(each)}" for key, each in value.items())
    if isinstance(value, list | tuple) and any(isinstance(each, Mapping) for each in value):
        return "; ".join(_in_words(each) for each in value)
    if isinstance(value, list | tuple):
        return ", ".join(_in_words(each) for each in value) or "none"
    return str(value)


def _flat(prefix: str, value: object) -> list[tuple[str, object]]:
    if isinstance(value, dict):
        name = prefix + " " if prefix else ""
        return [row for key, item in value.items() for row in _flat(f"{name}{key}", item)]
    return [(prefix, value)]
