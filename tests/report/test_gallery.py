"""The gallery page, taken apart: every result is on it, nothing comes from outside."""

from __future__ import annotations

import base64
import io
import json
import re
import struct
import zlib
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from PIL import Image

from kernel_lib.report.gallery import gallery

EVIL = "<script>alert('1')</script> & \"quoted\""


def save(folder: Path, **changes) -> None:
    content = {
        "schema": 1,
        "audit": "saliency",
        "question": "Do maps follow the weights?",
        "scores": {"sensitive_methods": 5.0, "similarity": 0.73149, "lost": None},
        "verdict": {
            "status": "warning",
            "headline": "Some do.",
            "means": "Look.",
            "does_not_mean": "",
            "next_step": "Go on.",
        },
        "parameters": {},
        "provenance": {
            "created": "2030-01-02T03:04:05",
            "model": {"name": "cnn", "parameters": 1234567},
            "data": {"name": "digits", "num_images": 1797},
        },
        "tables": ["map_similarity"],
        "figures": ["missing", "curves"],
    }
    for part in ("figures", "tables"):
        (folder / part).mkdir(parents=True)
    (folder / "result.json").write_text(json.dumps(content | changes))
    (folder / "tables" / "map_similarity.csv").write_text("a\n1\n")
    Image.new("RGB", (2000, 1000), (250, 0, 0)).save(folder / "figures" / "curves.png")


GOOD = {
    "schema": 1,
    "audit": "saliency",
    "scores": {"a": 1.0},
    "verdict": {"status": "pass", "headline": "x"},
    "parameters": {},
    "provenance": {"created": "2030"},
    "tables": [],
    "figures": ["curves"],
}


def parsed(page: Path) -> BeautifulSoup:
    return BeautifulSoup(page.read_text(), "html.parser")


def test_a_card_shows_the_result_and_links_to_its_files(tmp_path):
    folder = tmp_path / "out" / "a #1"
    save(folder)
    (folder / "saliency_cascade.ipynb").write_text("{}")
    (folder / "saliency_cascade.html").write_text("")
    (folder / "page.html").write_text("")
    page = gallery(tmp_path / "out")
    assert page == tmp_path / "out" / "index.html"
    card = parsed(page).select_one("article")

    assert card.h2.text == "Do maps follow the weights?"
    assert card.select_one(".badge").text == "▲ take care"
    assert "Some do." in card.select_one(".verdict").text
    assert [each.dd.text for each in card.select(".scores div")] == ["5", "0.731", "none"]
    assert card.select_one(".scores dt").text == "sensitive methods"
    assert card.select_one(".about").text == "cnn (1,234,567 weights) on digits (1,797 images)"
    assert card.time.text == "2030-01-02"
    words = [each.text for each in card.select("details p")]
    assert words == ["What it means. Look.", "What to do next. Go on."]
    assert {each.text: each["href"] for each in card.select(".links a")} == {
        "Notebook page": "a%20%231/saliency_cascade.html",
        "Summary": "a%20%231/page.html",
        "Notebook": "a%20%231/saliency_cascade.ipynb",
        "map similarity (table)": "a%20%231/tables/map_similarity.csv",
        "result.json": "a%20%231/result.json",
    }


def test_links_lead_from_the_page_wherever_it_is(tmp_path):
    save(tmp_path / "out" / "a")
    page = gallery(tmp_path / "out", tmp_path / "site" / "all.html")
    links = [each["href"] for each in parsed(page).select(".links a")]
    assert links == ["../out/a/tables/map_similarity.csv", "../out/a/result.json"]


def test_the_first_figure_that_exists_is_embedded_and_made_smaller(tmp_path):
    save(tmp_path / "a")
    image = parsed(gallery(tmp_path)).img
    assert image["alt"] == "curves"
    content = base64.b64decode(image["src"].removeprefix("data:image/png;base64,"))
    assert Image.open(io.BytesIO(content)).size == (900, 450)


def test_nothing_comes_from_outside_and_text_stays_text(tmp_path):
    verdict = {"status": "fail", "headline": EVIL, "means": EVIL}
    provenance = {"model": {"name": EVIL}, "created": EVIL}
    save(
        tmp_path / "a",
        audit=EVIL,
        question=EVIL,
        verdict=verdict,
        provenance=provenance,
        scores={EVIL: 1.0},
    )
    save(tmp_path / EVIL.replace("/", "_"), tables=["../../../etc"], figures=["../curves"])
    page = gallery(tmp_path)
    soup = parsed(page)
    assert not soup.select("script")
    assert any(each.text.endswith(EVIL) for each in soup.select(".verdict"))
    assert len(soup.select("article")) == 2
    assert not re.search(r"https?://", page.read_text())
    for element in soup.select("[src], link[href]"):
        assert (element.get("src") or element["href"]).startswith("data:")
    links = [each["href"] for each in soup.select(".links a")]
    assert all(link.startswith(("a/", "%3Cscript")) for link in links)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "b/result.json: cannot be read: Expecting"),
        ("[]", "b/result.json: is not a result of kernel_lib."),
        (None, "b/result.json: has schema 9; this version reads schema 1."),
    ],
)
def test_broken_results_are_named_beside_the_others(tmp_path, text, reason):
    save(tmp_path / "a")
    save(tmp_path / "b", schema=9)
    if text is not None:
        (tmp_path / "b" / "result.json").write_text(text)
    soup = parsed(gallery(tmp_path))
    assert len(soup.select("article")) == 1
    assert soup.select_one(".broken li").text.startswith(reason)
    assert "1 unreadable" in soup.select_one(".summary").text


def test_an_incomplete_verdict_and_a_broken_picture_are_named(tmp_path):
    save(tmp_path / "a", verdict={"status": "pass"})
    save(tmp_path / "b", verdict={"status": "great", "headline": "x"})
    save(tmp_path / "c")
    (tmp_path / "c" / "figures" / "curves.png").write_bytes(b"no picture")
    reasons = [each.text for each in parsed(gallery(tmp_path)).select(".broken li")]
    assert reasons[0] == "a/result.json: 'headline' is missing."
    assert reasons[1].startswith("b/result.json: unknown verdict 'great'")
    assert reasons[2].startswith(
        "c: the picture figures/curves.png cannot be read: cannot identify"
    )


def png(width: int, height: int) -> bytes:
    """Return a PNG that says how large it is and holds nothing."""
    file = io.BytesIO()
    Image.new("L", (1, 1)).save(file, "PNG")
    start = struct.pack(">II", width, height) + file.getvalue()[24:29]
    sum_ = struct.pack(">I", zlib.crc32(b"IHDR" + start))
    return file.getvalue()[:16] + start + sum_ + file.getvalue()[33:]


def whole() -> bytes:
    file = io.BytesIO()
    Image.effect_noise((64, 64), 50).save(file, "PNG")
    return file.getvalue()


BROKEN_PICTURES = [
    b"",
    b"no picture",
    png(60_000, 60_000),  # a bomb
    png(10_000, 8_000),
    png(1, 2**31 - 1),
    whole()[:60],
    whole()[:-400] + b"x" * 400,
    whole()[:41] + b"\0" * 20 + whole()[61:],
    b"GIF89a" + b"\1" * 60,
]


def test_a_broken_picture_costs_the_picture_alone(tmp_path):
    for number, content in enumerate(BROKEN_PICTURES):
        folder = tmp_path / f"broken{number}"
        (folder / "figures").mkdir(parents=True)
        (folder / "result.json").write_text(json.dumps(GOOD))
        (folder / "figures" / "curves.png").write_bytes(content)
    save(tmp_path / "whole")
    soup = parsed(gallery(tmp_path))
    assert len(soup.select("article")) == len(BROKEN_PICTURES) + 1
    assert len(soup.select("img")) == 1
    reasons = [each.text.partition("cannot be read: ") for each in soup.select(".broken li")]
    assert [each[0] for each in reasons] == [
        f"broken{number}: the picture figures/curves.png " for number in range(len(BROKEN_PICTURES))
    ]
    assert all(each[2] for each in reasons)


def nested(levels: int) -> str:
    return "[" * levels + "]" * levels


BROKEN_RESULTS = [
    "",
    "null",
    "\ufeff{}",
    json.dumps({**GOOD, "question": "half a character: \ud800"}),
    nested(100_000),
    '{"schema": ' + "9" * 5000 + "}",
    *(
        json.dumps({**GOOD, part: value})
        for part in GOOD
        for value in (None, 1, "x", [1], {"a": 1}, 1e300)
    ),
    *(
        json.dumps({**GOOD, "verdict": {**GOOD["verdict"], key: value}})
        for key in ("status", "headline", "means")
        for value in (None, 1, [1], {"a": 1})
    ),
]


def test_a_broken_result_never_empties_the_gallery(tmp_path):
    for number, text in enumerate(BROKEN_RESULTS):
        (tmp_path / f"broken{number}").mkdir()
        (tmp_path / f"broken{number}" / "result.json").write_text(text)
    save(tmp_path / "whole")
    soup = parsed(gallery(tmp_path))
    assert any("Do maps follow" in each.text for each in soup.select("article"))
    named = [each.text for each in soup.select(".broken li")]
    assert len(soup.select("article")) + len(named) == len(BROKEN_RESULTS) + 1
    assert all(each.startswith("broken") and each.partition(": ")[2] for each in named)


def test_a_result_that_is_just_being_written_is_not_shown(tmp_path):
    save(tmp_path / "a")
    save(tmp_path / "a" / ".result-12")
    assert len(parsed(gallery(tmp_path)).select("article")) == 1


def test_an_empty_folder_says_so_and_no_folder_is_refused(tmp_path):
    assert "no results yet" in parsed(gallery(tmp_path)).text
    with pytest.raises(ValueError, match="none is not a folder"):
        gallery(tmp_path / "none")
