"""The intake of a result as text and as HTML: how the network was fed and judged."""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Sequence
from html import escape
from typing import Any

MARKS = {"stop": ("✖", "Stop"), "caution": ("▲", "Caution"), "note": ("•", "Note")}  # and words
_COLORS = {"stop": "#a3262a", "caution": "#8a5a00", "note": "#51606e"}
_MOST_CLASSES = 12
_MOST_ROWS = 200  # of the table of classes
_CELL = "text-align:left;vertical-align:top;padding:.15em .9em .15em 0;white-space:normal"
_WIDE = ";min-width:6em"
_TITLE = "text-align:left;vertical-align:top;padding:.15em 1.2em .15em 0;white-space:nowrap"
_NUMBER = (
    "text-align:right;vertical-align:top;padding:.15em 0 .15em .9em;white-space:nowrap;"
    "font-variant-numeric:tabular-nums"
)


def intake_text(intake: dict[str, Any]) -> str:
    """The intake for a terminal."""
    lines = [textwrap.fill(opening(intake), 96), ""]
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


def opening(intake: dict[str, Any]) -> str:
    """The first sentence; a stop is told below it, with its cure, and need not be told twice."""
    if any(each["severity"] == "stop" for each in intake["findings"]):
        return "No verdict can stand on this network and these images as they are."
    return str(intake["headline"])


def intake_html(intake: dict[str, Any]) -> str:
    """The intake for a notebook or a page, with its own styles inline.

    Colors are either the reader's own or dark enough for white letters, so it reads the same on
    light and on dark pages.
    """
    if not intake:
        return ""
    has_findings = bool(intake["findings"])
    return (
        "<section aria-label='Intake' style='border:1px solid #8886;border-radius:6px;"
        "padding:.4em 1.1em;margin:.6em 0;max-width:62em;overflow-wrap:anywhere'>"
        f"<p style='margin:.4em 0'><b>Intake.</b> {escape(opening(intake))}</p>"
        f"{''.join(_finding_html(each) for each in intake['findings'])}"
        f"{_folded('How the network is fed and judged', _facts_html(intake), not has_findings)}"
        f"{_folded('Scales that were tried', _scales_html(intake['feeding']))}"
        f"{_folded('Class by class', _classes_html(intake['classes']))}</section>"
    )


def _folded(title: str, content: str, is_open: bool = False) -> str:
    """Content behind a line that opens by mouse and by keyboard; nothing without content."""
    if not content:
        return ""
    return (
        f"<details{' open' if is_open else ''} style='margin:.4em 0'>"
        f"<summary style='cursor:pointer'>{escape(title)}</summary>{content}</details>"
    )


def _finding_html(finding: dict[str, str]) -> str:
    mark, word = MARKS[finding["severity"]]
    color = _COLORS[finding["severity"]]
    cure = f"<br><b>Cure.</b> {cure_html(finding['cure'])}" if finding["cure"] else ""
    return (
        f"<p style='margin:.6em 0;border-left:4px solid {color};padding-left:.7em'>"
        f"<span style='background:{color};color:#fff;border-radius:4px;padding:.05em .5em;"
        f"margin-right:.5em;white-space:nowrap'>{mark} {word}</span>{escape(finding['text'])}"
        f"{cure}</p>"
    )


def cure_html(cure: str) -> str:
    """A cure with its code set off, so that it can be copied."""
    parts: list[str] = []
    done = 0
    for start, end in code_in(cure):
        code = cure[start:end].strip("`")
        parts += [
            escape(cure[done:start]),
            "<code style='background:#8883;color:inherit;border-radius:3px;padding:.05em .3em;"
            f"white-space:pre-wrap'>{escape(code)}</code>",
        ]
        done = end
    return "".join([*parts, escape(cure[done:])])


def code_in(text: str) -> list[tuple[int, int]]:
    """Where code stands in a sentence: calls, `name=value`, and what is between backticks."""
    found: list[tuple[int, int]] = []
    for match in _CODE.finditer(text):
        if found and match.start() < found[-1][1]:
            continue
        end = match.end() if match["whole"] else _end_of_code(text, match.start(), match.end())
        if end is not None:
            found.append((match.start(), end))
    return found


_CODE = re.compile(
    r"""(?P<whole>`[^`]+`|\b[A-Za-z_]\w*=(?:-?\w+(?:\.\d+)?))|\b[A-Za-z_][\w.]*(?:\(|=[\[({'"])"""
)


def _end_of_code(text: str, start: int, opened: int) -> int | None:
    """The first end at which what starts there is an argument of a call, as Python reads it."""
    for match in re.finditer(r"""[\])}'"]""", text[opened:]):
        end = opened + match.end()
        try:
            ast.parse(f"f({text[start:end]})", mode="eval")
        except (SyntaxError, ValueError):
            continue
        return end
    return None


def _facts_html(intake: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><th scope='row' style='{_TITLE};font-weight:600'>"
        f"{escape(title)}</th><td style='{_CELL}'>{escape(text)}</td></tr>"
        for title, text in facts(intake)
    )
    return f"<table style='margin:.4em 0'>{rows}</table>"


def _scales_html(feeding: dict[str, Any]) -> str:
    tried = feeding.get("candidates", [])
    if len(tried) < 2:
        return ""
    rows = [
        (each["preprocessing"], _share(each), f"{each['num_images']:,}", f"{each['p_value']:.2g}")
        for each in tried
    ]
    return _table_html(("Fed as", "Right", "of images", "p against the first"), rows)


def _classes_html(classes: list[dict[str, Any]]) -> str:
    known = sorted(
        (row for row in classes if row["num_images"]), key=lambda row: (row["accuracy"], row["low"])
    )
    rows = [
        (row["class"], _share(row), f"{row['num_images']:,}", f"{row['num_predicted']:,}")
        for row in known[:_MOST_ROWS]
    ]
    rest = len(known) - len(rows)
    note = f"<p style='margin:.2em 0'>and {rest:,} more, less often wrong</p>" if rest else ""
    table = _table_html(("Class", "Right", "of images", "said"), rows) if rows else ""
    return table + note


def _share(row: dict[str, Any]) -> str:
    return f"{row['accuracy']:.1%} [{row['low']:.1%}, {row['high']:.1%}]"


def _table_html(titles: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A table whose first column is text and whose others are numbers; long ones scroll."""
    head = "".join(
        f"<th scope='col' style='{_NUMBER if place else _TITLE};font-weight:600'>"
        f"{escape(title)}</th>"
        for place, title in enumerate(titles)
    )
    body = "".join(
        "<tr>"
        + "".join(
            f"<td style='{_NUMBER if place else _CELL + _WIDE}'>{escape(text)}</td>"
            for place, text in enumerate(row)
        )
        + "</tr>"
        for row in rows
    )
    # A region that scrolls must be reached by keyboard.
    return (
        f"<div tabindex='0' role='region' aria-label='{escape(titles[0])}' "
        "style='max-height:20em;overflow:auto;margin:.4em 0'>"
        f"<table style='margin:0'><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
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
