"""The intake as a card: its cures can be copied, its names are only text, its tables are folded."""

from __future__ import annotations

import ast
import re
from html import unescape
from html.parser import HTMLParser

import pytest

from kernel_lib.report.intake_card import code_in, cure_html, intake_html, intake_text

NASTY = ("a]b", 'say "no"', "it's", "<script>x</script>", "(", "naïve, c=3")


@pytest.mark.parametrize(
    ("cure", "codes"),
    [
        ("Give at least 30 labelled test images.", []),
        ("Name them: class_names=['a', 'b'].", ["class_names=['a', 'b']"]),
        ("Wrap it: f(m, scale=(2, -1)).", ["f(m, scale=(2, -1))"]),
        ("Use kl.load('a.npz', size=3), or seed=3.", ["kl.load('a.npz', size=3)", "seed=3"]),
        ("Say `preprocessing`, or input_size=-1.5 then.", ["`preprocessing`", "input_size=-1.5"]),
        ("Check it (preprocessing) and names (class_names).", []),
        ("This one never ends: class_names=['a', 'b", []),
    ],
)  # fmt: skip
def test_code_is_found_in_a_sentence(cure, codes):
    assert [cure[start:end] for start, end in code_in(cure)] == codes


@pytest.mark.parametrize("name", NASTY)
def test_names_of_any_kind_stay_text_and_can_be_pasted(name):
    names = [name, "b", name + name]
    html = cure_html(f"Name them in the order of the outputs: class_names={names!r}.")
    (code,) = re.findall("<code[^>]*>(.*?)</code>", html)
    assert "<" not in code
    call = ast.parse(f"f({unescape(code)})", mode="eval").body
    assert ast.literal_eval(call.keywords[0].value) == names


class _Balanced(HTMLParser):
    """Fails where an element is closed that was not opened last."""

    def __init__(self):
        super().__init__()
        self.open, self.seen = [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def _intake(findings=(), num_classes=3, name="cat"):
    share = {"accuracy": 0.5, "low": 0.4, "high": 0.6, "num_images": 40}
    standing = {**share, "chance": 0.3, "largest_class": 0.4}
    return {
        "headline": f"The network is right on half, says {name}.",
        "network": {
            "name": name, "input_shape": [None, None, 3], "input_dtype": "float32",
            "num_parameters": 1234, "num_layers": 2, "num_classes": num_classes,
            "head_in_words": "softmax",
        },
        "feeding": {
            "preprocessing": name, "source": "said", "evidence": name,
            "candidates": [{"preprocessing": name, "p_value": p, **share} for p in (1.0, 1e-9)],
        },
        "standing": standing,
        "classes": [
            {"class": f"{name}{k}", "num_predicted": 7, **share} for k in range(num_classes)
        ],
        "images": {"summary": name},
        "reach": {"summary": name},
        "forecast": {},
        "findings": [dict(each) for each in findings],
    }  # fmt: skip


STOP = {"name": "x", "severity": "stop", "text": "It is <b>wrong</b>.", "cure": "seed=3"}


@pytest.mark.parametrize("name", NASTY)
def test_the_card_is_sound_whatever_things_are_called(name):
    page = _Balanced()
    html = intake_html(_intake([STOP], name=name))
    page.feed(html)
    assert not page.open
    table = {"table", "thead", "tbody", "tr", "th", "td", "div"}
    words = {"section", "p", "b", "br", "span", "code", "details", "summary"}
    assert {tag for tag, _ in page.seen} <= table | words
    assert name in unescape(html)


def test_tables_are_folded_and_reached_by_keyboard():
    page = _Balanced()
    page.feed(intake_html(_intake([STOP], num_classes=1000)))
    details = [attrs for tag, attrs in page.seen if tag == "details"]
    assert len(details) == 3 and not any("open" in attrs for attrs in details)
    scrolls = [attrs for _, attrs in page.seen if "overflow:auto" in attrs.get("style", "")]
    assert scrolls and all(each["tabindex"] == "0" and each["aria-label"] for each in scrolls)
    assert len(intake_html(_intake(num_classes=1000))) < 200_000
    assert "800 more" in intake_html(_intake(num_classes=1000))


def test_a_stop_is_told_once_and_a_clean_one_opens_its_facts():
    for words in (intake_html(_intake([STOP])), intake_text(_intake([STOP]))):
        assert "No verdict can stand" in words
        assert "right on half" not in words
    assert "<details open" in intake_html(_intake())
    assert "right on half" in intake_html(_intake())


def test_colors_of_badges_read_on_their_ground():
    """White letters need a contrast of 4.5 (WCAG 2.1, relative luminance)."""
    from kernel_lib.report.intake_card import _COLORS

    for color in _COLORS.values():
        parts = [int(color[k : k + 2], 16) / 255 for k in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
        assert 1.05 / (luminance + 0.05) >= 4.5


def test_a_result_without_an_intake_has_no_card():
    assert intake_html({}) == ""
