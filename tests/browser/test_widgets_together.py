"""Widgets share the front of their style sheets: on one page none changes another."""

from __future__ import annotations

from pathlib import Path

import anywidget
import invariance_frames
import numpy as np
import pytest
import synthetic_frames
from playwright.sync_api import Page
from standalone_page import open_page
from synthetic_triage import make_triage
from synthetic_trust import make_trust_frames

from kernel_lib.data import ImageSet
from kernel_widgets import (
    CascadeStepper,
    ErrorTriage,
    InvarianceExplorer,
    MaskImporter,
    PolygonEditor,
    TrustMatrix,
)

PIXELS = np.zeros((2, 8, 8, 3), np.float32)
WIDGETS = {
    CascadeStepper: lambda: CascadeStepper(synthetic_frames.make_frames()),
    ErrorTriage: lambda: ErrorTriage(make_triage()),
    InvarianceExplorer: lambda: InvarianceExplorer(invariance_frames.make_frames()),
    MaskImporter: lambda: MaskImporter(ImageSet(PIXELS, np.arange(2), ("cat", "dog"))),
    PolygonEditor: lambda: PolygonEditor(PIXELS[0]),
    TrustMatrix: lambda: TrustMatrix(make_trust_frames()),
}

LOOKS = """() => [...document.querySelectorAll("#widget, #widget *")].map((node) => {
  const style = getComputedStyle(node);
  const names = ["display", "position", "margin", "padding", "gap", "border", "background-color",
    "color", "font", "text-align", "width", "height", "overflow", "list-style-type", "cursor"];
  return [node.tagName, ...names.map((name) => style.getPropertyValue(name))].join("|");
})"""


@pytest.mark.parametrize("width", [1200, 480])
@pytest.mark.parametrize("kind", WIDGETS)
def test_the_sheets_of_other_widgets_change_nothing(
    page: Page, tmp_path: Path, kind: type[anywidget.AnyWidget], width: int
) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    open_page(page, tmp_path, WIDGETS[kind]())
    page.wait_for_timeout(300)
    alone = page.evaluate(LOOKS)
    for other in set(WIDGETS) - {kind}:
        page.add_style_tag(content=str(other._css))
    page.wait_for_timeout(300)
    assert page.evaluate(LOOKS) == alone
