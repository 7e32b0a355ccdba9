"""A page that needs nothing but itself: the widget's module, its styles and a stub of its model.

The stub offers only what the module may rely on: get, set, on, off and save_changes.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import anywidget
from playwright.sync_api import Page

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Widget</title>
<style>body {{ margin: 16px; background: Canvas; }} html {{ color-scheme: light dark; }}
{css}</style>
<body><div id="widget"></div>
<script type="module">
const state = {state};
const binary = Uint8Array.from(atob("{atlas}"), (letter) => letter.charCodeAt(0));
state.atlas = new DataView(binary.buffer);
const listeners = {{}};
const model = {{
  get: (name) => state[name],
  set(name, value) {{
    state[name] = value;
    (listeners[`change:${{name}}`] ?? []).forEach((listener) => listener());
  }},
  on: (name, listener) => (listeners[name] ??= []).push(listener),
  off(name, listener) {{
    listeners[name] = (listeners[name] ?? []).filter((each) => each !== listener);
  }},
  save_changes() {{}},
}};
const source = new Blob([{source}], {{ type: "text/javascript" }});
const {{ default: widget }} = await import(URL.createObjectURL(source));
const started = performance.now();
window.model = model;
window.state = state;
window.listeners = listeners;
window.cleanup = widget.render({{ model, el: document.querySelector("#widget") }});
window.milliseconds = performance.now() - started;
</script></body></html>
"""


def open_page(page: Page, folder: Path, widget: anywidget.AnyWidget, **state: Any) -> None:
    """Open a widget from disk, offline, and wait until it is drawn."""
    path = write_page(folder, widget, **state)
    page.context.set_offline(True)
    page.goto(path.as_uri())
    page.locator("#widget > div").wait_for()


def write_page(folder: Path, widget: anywidget.AnyWidget, **state: Any) -> Path:
    """Write the page and return its path.

    Args:
        folder: where to write.
        widget: the widget; the page knows those of its synchronised traits that are plain.
        **state: more that the model of the page holds.
    """
    names = [name for name in widget.trait_names(sync=True) if not name.startswith("_")]
    traits = {name: getattr(widget, name) for name in names}
    plain = {name: value for name, value in traits.items() if _is_plain(value)}
    path = folder / "page.html"
    path.write_text(
        PAGE.format(
            css=str(widget._css),
            state=json.dumps(plain | state).replace("</", "<\\/"),
            atlas=base64.b64encode(traits.get("atlas", b"")).decode(),
            source=json.dumps(str(widget._esm)).replace("</", "<\\/"),
        ),
        encoding="utf-8",
    )
    return path


def _is_plain(value: Any) -> bool:
    try:
        json.dumps(value)
    except TypeError:
        return False
    return True
