"""A page that needs nothing but itself: the widget's module, its styles and a stub of its model.

The stub offers only what the module may rely on: get, set, on, off and save_changes.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path

from kernel_widgets import CascadeStepper

_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Cascade</title>
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
window.listeners = listeners;
window.cleanup = widget.render({{ model, el: document.querySelector("#widget") }});
window.milliseconds = performance.now() - started;
</script></body></html>
"""

_STATE = ("atlas_layout", "meta", "tab", "step", "seed", "image", "view", "metric", "focus")


def write_page(folder: Path, widget: CascadeStepper, standalone: bool = False) -> Path:
    """Write the page and return its path."""
    state = {name: getattr(widget, name) for name in _STATE} | {"standalone": standalone}
    path = folder / "cascade.html"
    path.write_text(
        _PAGE.format(
            css=str(widget._css),
            state=json.dumps(state),
            atlas=base64.b64encode(widget.atlas).decode(),
            source=json.dumps(str(widget._esm)).replace("</", "<\\/"),
        ),
        encoding="utf-8",
    )
    return path
