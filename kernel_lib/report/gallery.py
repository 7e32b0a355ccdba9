"""One page that shows all results below a folder: for a look around, a meeting, or a mail."""

from __future__ import annotations

import base64
import io
import os
import warnings
from collections import Counter
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

from kernel_lib.report.page import MARKS
from kernel_lib.report.result import read_result
from kernel_lib.tasks import atomic_path
from kernel_lib.tasks.untrusted import reason_of

PICTURE_WIDTH = 900  # pixels; sharp on dense screens at the width of a card
MOST_SCORES = 6
LARGEST_RESULT = 32 * 2**20  # bytes of a result.json; arrays and tables lie beside it
LARGEST_PICTURE = 50_000_000  # pixels
# What a file of another form than expected may raise.
BROKEN = (
    AttributeError,
    KeyError,
    MemoryError,
    OSError,
    OverflowError,
    RecursionError,
    TypeError,
    ValueError,
)
WORDS = {
    "means": "What it means.",
    "does_not_mean": "What it does not mean.",
    "next_step": "What to do next.",
}


@dataclass(frozen=True)
class Card:
    """What the page shows of one result; all of it text that the page escapes."""

    audit: str
    question: str
    status: str
    headline: str
    words: dict[str, str]
    scores: dict[str, str]
    about: str
    created: str
    picture: str
    picture_name: str
    main_link: str
    links: dict[str, str]


def gallery(folder: str | Path, output: str | Path | None = None) -> Path:
    """Write a self-contained page of every result below `folder`.

    Args:
        folder: Searched, with all its folders, for `result.json`.
        output: The page; `folder/index.html` by default. Links lead from it to the files of each
            result.

    Returns:
        The page. A result that cannot be read is named on it, with the reason.

    Raises:
        ValueError: If there is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder.")
    output = folder / "index.html" if output is None else Path(output)
    cards, broken = [], []
    for file in sorted(folder.rglob("result.json")):
        if any(part.startswith(".") for part in file.relative_to(folder).parts):
            continue  # a checkpoint, or a result that is just being written
        try:
            card, problem = _card(file.parent, output.parent)
        except BROKEN as error:
            broken.append(_reason(file, folder, error))
            continue
        cards.append(card)
        if problem:
            broken.append(f"{file.parent.relative_to(folder).as_posix()}: {problem}")
    with atomic_path(output) as temporary:
        # JSON can hold half a character, which no file can: it is shown as a question mark.
        page = _page(folder, cards, broken)
        temporary.write_text(page, encoding="utf-8", errors="replace")
    return output


def _page(folder: Path, cards: list[Card], broken: list[str]) -> str:
    from jinja2 import Environment

    found = Counter(card.status for card in cards)
    page = (files("kernel_lib.report") / "gallery.html").read_text(encoding="utf-8")
    return (
        Environment(autoescape=True)
        .from_string(page)
        .render(
            title=f"Check-ups in {folder.resolve().name}",
            cards=cards,
            broken=broken,
            counts={status: found[status] for status in MARKS if found[status]},
            marks=MARKS,
        )
    )


def _card(folder: Path, page_folder: Path) -> tuple[Card, str]:
    """Return the card of a result, and what is wrong with its picture."""
    size = os.path.getsize(folder / "result.json")
    if size > LARGEST_RESULT:
        raise ValueError(f"has {size:,} bytes; at most {LARGEST_RESULT:,} are read")
    content = read_result(folder)
    verdict = content["verdict"]
    if verdict["status"] not in MARKS:
        raise ValueError(f"unknown verdict {verdict['status']!r}")
    picture, uri, problem = _first_picture(folder, content), "", ""
    if picture:
        try:
            uri = _data_uri(picture)
        except Exception as error:  # Pillow raises anything; the numbers count without a picture
            problem = f"the picture figures/{picture.name} cannot be read: {reason_of(error)}"
    links = {name: _link(path, page_folder) for name, path in _files(folder, content).items()}
    card = Card(
        audit=str(content["audit"]).replace("_", " "),
        question=str(content.get("question", "")),
        status=verdict["status"],
        headline=str(verdict["headline"]),
        words={title: str(verdict[key]) for key, title in WORDS.items() if verdict.get(key)},
        scores=_scores(content["scores"]),
        about=_about(content["provenance"]),
        created=str(content["provenance"].get("created", ""))[:10],
        picture=uri,
        picture_name=picture.stem.replace("_", " ") if picture and uri else "",
        main_link=next(iter(links.values())),
        links=links,
    )
    return card, problem


def _scores(scores: dict[str, float | None]) -> dict[str, str]:
    """Return the first few scores, as short texts; what JSON cannot hold is null."""
    shown = list(scores.items())[:MOST_SCORES]
    return {
        name.replace("_", " "): "none" if value is None else f"{value:.3g}" for name, value in shown
    }


def _about(provenance: dict[str, Any]) -> str:
    """Return model and data in a line."""
    model, data = provenance.get("model") or {}, provenance.get("data") or {}
    parts = []
    if model.get("name"):
        size = model.get("parameters")
        weights = f" ({size:,} weights)" if isinstance(size, int) else ""
        parts.append(f"{model['name']}{weights}")
    if data.get("name"):
        size = data.get("num_images")
        images = f" ({size:,} images)" if isinstance(size, int) else ""
        parts.append(f"{data['name']}{images}")
    return " on ".join(parts)


def _files(folder: Path, content: dict[str, Any]) -> dict[str, Path]:
    """Return what a reader may open, the most readable first."""
    notebook = next(iter(sorted(folder.glob("*.ipynb"))), folder / "missing.ipynb")
    named = {
        "Notebook page": notebook.with_suffix(".html"),
        "Summary": folder / "page.html",
        "Notebook": notebook,
    }
    for name in content["tables"]:
        named[f"{name.replace('_', ' ')} (table)"] = folder / "tables" / f"{name}.csv"
    named["result.json"] = folder / "result.json"
    return {name: path for name, path in named.items() if path.is_file()}


def _first_picture(folder: Path, content: dict[str, Any]) -> Path | None:
    names = [f"{name}.png" for name in content.get("figures") or []]
    return next((folder / "figures" / name for name in names if _is_file(folder, name)), None)


def _is_file(folder: Path, name: str) -> bool:
    return Path(name).name == name and (folder / "figures" / name).is_file()


def _data_uri(path: Path) -> str:
    """Return the picture as a data URI, made smaller if it is larger than a card can show."""
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # looked at below
        opened = Image.open(path, formats=["PNG"])
    with opened:
        if opened.width * opened.height > LARGEST_PICTURE:
            raise ValueError(f"it has {opened.width} x {opened.height} pixels")
        image = opened.convert("RGBA" if "A" in opened.getbands() else "RGB")
    if image.width > PICTURE_WIDTH:
        height = round(image.height * PICTURE_WIDTH / image.width)
        image = image.resize((PICTURE_WIDTH, max(height, 1)), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"


def _link(path: Path, page_folder: Path) -> str:
    return quote(Path(os.path.relpath(path, page_folder)).as_posix())


def _reason(file: Path, folder: Path, error: Exception) -> str:
    text = reason_of(error).removeprefix(f"{file} ")
    return f"{file.relative_to(folder).as_posix()}: {text}."
