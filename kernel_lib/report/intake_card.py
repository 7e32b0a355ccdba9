"""The intake of a result as text and as HTML: how the network was fed and judged."""

from __future__ import annotations

import textwrap
from html import escape
from typing import Any

MARKS = {"stop": ("✖", "Stop"), "caution": ("▲", "Caution"), "note": ("•", "Note")}  # and words
_COLORS = {"stop": "#a3262a", "caution": "#8a5a00", "note": "#51606e"}
_MOST_CLASSES = 12


def intake_text(intake: dict[str, Any]) -> str:
    """The intake for a terminal."""
    lines = [textwrap.fill(intake["headline"], 96), ""]
    width = max(len(title) for title, _ in facts(intake))
    for title, text in facts(intake):
        lines += textwrap.wrap(
            text, 96, initial_indent=f"{title:{width}}  ", subsequent_indent=" " * (width + 2)
        )
    for each in intake["findings"]:
        mark, word = MARKS[each["severity"]]
        lines += ["", textwrap.fill(f"{mark} {word}: {each['text']}", 96)]
        if each["cure"]:
            lines += textwrap.wrap(each["cure"], 96, initial_indent="  -> ", subsequent_indent="  ")
    return "\n".join(lines)


def intake_html(intake: dict[str, Any]) -> str:
    """The intake for a notebook or a page, with its own styles inline."""
    if not intake:
        return ""
    rows = "".join(
        f"<tr><th scope='row' style='text-align:left;vertical-align:top;white-space:nowrap;"
        f"padding:.15em 1.2em .15em 0;font-weight:600'>{escape(title)}</th>"
        f"<td style='text-align:left;padding:.15em 0'>{escape(text)}</td></tr>"
        for title, text in facts(intake)
    )
    return (
        "<section aria-label='Intake' style='border:1px solid #8886;border-radius:6px;"
        "padding:.4em 1.1em;margin:.6em 0;max-width:62em'>"
        f"<p style='margin:.4em 0'><b>Intake.</b> {escape(intake['headline'])}</p>"
        f"{''.join(_finding_html(each) for each in intake['findings'])}"
        f"<details{'' if intake['findings'] else ' open'}><summary>How the network is fed and "
        f"judged</summary><table style='margin:.4em 0'>{rows}</table></details></section>"
    )


def _finding_html(finding: dict[str, str]) -> str:
    mark, word = MARKS[finding["severity"]]
    color = _COLORS[finding["severity"]]
    cure = f"<br><span>{escape(finding['cure'])}</span>" if finding["cure"] else ""
    return (
        f"<p style='margin:.45em 0;border-left:4px solid {color};padding-left:.7em'>"
        f"<span style='background:{color};color:#fff;border-radius:4px;padding:.05em .5em;"
        f"margin-right:.5em;white-space:nowrap'>{mark} {word}</span>{escape(finding['text'])}"
        f"{cure}</p>"
    )


def facts(intake: dict[str, Any]) -> list[tuple[str, str]]:
    """Title and sentence of each fact, in reading order."""
    network, feeding, images = intake["network"], intake["feeding"], intake["images"]
    rows = [
        ("Network", _network(network)),
        ("Class scores", network["head_in_words"]),
        ("Fed as", f"{feeding['preprocessing']} ({feeding['source']}). {feeding['evidence']}"),
        ("Images", str(images["summary"])),
    ]
    if intake["standing"]:
        rows.append(("Accuracy", _accuracy(intake["standing"])))
        rows.append(("Classes", _classes(intake["classes"])))
    rows.append(("Reach", str(intake["reach"].get("summary", ""))))
    if intake["forecast"]:
        rows.append(("Forecast", str(intake["forecast"]["summary"])))
    return [(title, text) for title, text in rows if text]


def _network(network: dict[str, Any]) -> str:
    shape = "x".join("any" if side is None else str(side) for side in network["input_shape"])
    return (
        f"{network['name']}: {network['num_parameters']:,} parameters in {network['num_layers']} "
        f"layers, images {shape} ({network['input_dtype']}), {network['num_classes']} classes"
    )


def _accuracy(standing: dict[str, Any]) -> str:
    return (
        f"{standing['accuracy']:.1%} [{standing['low']:.1%}, {standing['high']:.1%}] of "
        f"{standing['num_images']:,} images; guessing {standing['chance']:.1%}, always the most "
        f"common class {standing['largest_class']:.1%}"
    )


def _classes(rows: list[dict[str, Any]]) -> str:
    known = [row for row in rows if row["num_images"]]
    worst = sorted(known, key=lambda row: row["accuracy"])[:_MOST_CLASSES]
    listed = ", ".join(f"{row['class']} {row['accuracy']:.0%}" for row in worst)
    rest = f" and {len(known) - len(worst)} more" if len(known) > len(worst) else ""
    return f"lowest first: {listed}{rest}"
