"""What all widgets share stands in front of each one's own text, and no style leaves its widget."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import kernel_widgets
from kernel_widgets import (
    CascadeStepper,
    ErrorTriage,
    InvarianceExplorer,
    MaskImporter,
    PolygonEditor,
    TrustMatrix,
)
from kernel_widgets.assets import module, stylesheet

STATIC = Path(kernel_widgets.__file__).parent / "static"
SCOPES = {
    CascadeStepper: ("cascade_stepper", ".kernel-cascade"),
    ErrorTriage: ("error_triage", ".kernel-triage"),
    InvarianceExplorer: ("invariance_explorer", ".kernel-invariance"),
    MaskImporter: ("mask_importer", ".kernel-masks"),
    PolygonEditor: ("polygon_editor", ".kernel-polygons"),
    TrustMatrix: ("trust_matrix", ".kernel-trust"),
}


def selectors(sheet: str) -> list[str]:
    """Every single selector, those of one rule apart."""
    bare = re.sub(r"/\*.*?\*/", "", sheet, flags=re.DOTALL)
    rules = [each.strip() for each in re.findall(r"([^{}]+)\{", bare)]
    own = [each for each in rules if not each.startswith("@")]
    return [part for each in own for part in re.split(r",(?![^()]*\))", each)]


@pytest.mark.parametrize("widget", SCOPES)
def test_a_widget_is_what_is_shared_and_its_own(widget):
    name, _ = SCOPES[widget]
    for held, joined, kind in (
        (widget._esm, module(name), "js"),
        (widget._css, stylesheet(name), "css"),
    ):
        shared, own = ((STATIC / f"{stem}.{kind}").read_text("utf-8") for stem in ("common", name))
        assert held == joined
        assert joined.startswith(shared)
        assert joined.endswith(own)


@pytest.mark.parametrize("widget", SCOPES)
def test_no_name_is_given_twice_in_a_module(widget):
    names = re.findall(r"^(?:const|let|function|class) (\w+)", str(widget._esm), re.MULTILINE)
    assert len(names) > 15
    assert len(names) == len(set(names))


@pytest.mark.parametrize("widget", SCOPES)
def test_every_style_is_scoped_to_the_widget(widget):
    name, scope = SCOPES[widget]
    own = selectors((STATIC / f"{name}.css").read_text("utf-8"))
    assert len(own) > 10
    assert [each for each in own if scope not in each] == []


def test_every_shared_style_is_scoped_to_the_widgets():
    shared = selectors((STATIC / "common.css").read_text("utf-8"))
    assert len(shared) > 20
    assert [each for each in shared if not re.search(r"\.kernel-widget(-host)?\b", each)] == []
