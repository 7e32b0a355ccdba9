"""An executed notebook as one HTML page that opens anywhere: from disk, from mail, offline.

Widgets made with anywidget stay alive: the page carries their state and their modules, and mounts
them by itself. Other widgets, and all of them on request, show the picture or text that was saved
beside them. Nothing is loaded from a network; LaTeX formulas stay as they were typed.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from kernel_lib.run.catalogue import LARGEST_NOTEBOOK, title_and_description
from kernel_lib.run.record import Failure
from kernel_lib.run.steps import clock, step

VIEW = "application/vnd.jupyter.widget-view+json"
STATE = "application/vnd.jupyter.widget-state+json"
PICTURES = ("image/png", "image/jpeg", "image/svg+xml")

# nbconvert's cells without prompts, each with its code folded away.
CELLS = """
{%- extends 'lab/base.html.j2' -%}
{%- block input -%}
<details class="code"><summary>
{%- if 'injected-parameters' in cell.metadata.tags -%} Parameters of this run
{%- elif 'parameters' in cell.metadata.tags -%} Parameters and their defaults
{%- else -%} Code {%- endif -%}
</summary>{{ super() }}</details>
{%- endblock -%}
"""


def export(notebook: str | Path, output: str | Path | None = None, *, still: bool = False) -> Path:
    """Write an executed notebook as one self-contained HTML page.

    Args:
        notebook: The executed notebook.
        output: The page; the notebook's name with `.html` by default.
        still: Whether to show pictures in place of widgets, for readers that run no scripts.

    Returns:
        The page.

    Raises:
        ValueError: If the notebook cannot be read.
    """
    from kernel_lib.tasks import atomic_path
    from kernel_lib.tasks.untrusted import untrusted

    notebook = Path(notebook)
    output = notebook.with_suffix(".html") if output is None else Path(output)
    content = _read(notebook)
    with untrusted(f"{notebook} cannot be made a page"):
        page = _page(content, notebook, still)
    with atomic_path(output) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return output


def _read(path: Path) -> Any:
    import nbformat

    from kernel_lib.tasks.untrusted import check_size, untrusted

    with untrusted(f"{path} cannot be read"):
        check_size(path, LARGEST_NOTEBOOK)
    with untrusted(f"{path} is not a notebook"):
        content = nbformat.read(path, as_version=4)
        if not isinstance(content.get("cells"), list) or not isinstance(content.metadata, dict):
            raise ValueError("its cells are no list")
        return content


def _page(content: Any, path: Path, still: bool) -> str:
    from jinja2 import Environment

    content.cells = _without_error_cells(content)
    ours = content.metadata.get("kernel_lib", {})
    models = content.metadata.pop("widgets", {}).get(STATE, {}).get("state", {})
    data = _replace_outputs(content, {} if still else models)
    run = ours.get("run", {})
    return (
        Environment(autoescape=True)
        .from_string(_resource("page.html"))
        .render(
            title=ours.get("title") or title_and_description(content)[0] or path.stem,
            style=_resource("page.css") + _code_style(),
            run=run,
            time=clock(run.get("seconds", 0)),
            failure=str(Failure(**run["error"])) if "error" in run else "",
            body=_body(content, path),
            data={name: _script_json(value) for name, value in data.items()},
            script=_resource("mount.js"),
        )
    )


def _without_error_cells(content: Any) -> list[Any]:
    """Return the cells but those in which papermill tells of a failure: the page has its own."""
    return [
        cell
        for cell in content.cells
        if "papermill-error-cell-tag" not in cell.metadata.get("tags", [])
    ]


def _replace_outputs(content: Any, models: dict[str, Any]) -> dict[str, Any]:
    """Make each widget and picture of the notebook HTML; return the data its widgets need."""
    needed: dict[str, Any] = {}
    for output, heading in _outputs(content):
        data = output.data
        view = data.pop(VIEW, None)
        if "text/html" not in data:
            picture = _picture(data, f"Figure of the step {heading}")
            if picture:
                data["text/html"] = picture
        model = models.get(view["model_id"]) if view else None
        if model and "_esm" in model["state"]:
            still = data.get("text/html") or f"<pre>{escape(data.get('text/plain', ''))}</pre>"
            data["text/html"] = _place(view["model_id"], model, still, needed)
    return needed


def _outputs(content: Any) -> Iterator[tuple[Any, str]]:
    """Yield each output that holds data, with the heading it stands under."""
    for index, cell in enumerate(content.cells):
        for output in cell.get("outputs", []):
            if "data" in output:
                yield output, step(content.cells, index, "").name


def _picture(data: Any, description: str) -> str:
    """Return the first picture of an output as an `<img>` element, or nothing."""
    for kind in PICTURES:
        if kind in data:
            text = data[kind]
            if kind == "image/svg+xml":
                text = base64.b64encode(text.encode()).decode()
            source = f"data:{kind};base64,{''.join(text.split())}"
            return f'<img class="figure" alt="{escape(description)}" src="{source}">'
    return ""


def _place(name: str, model: dict[str, Any], still: str, needed: dict[str, Any]) -> str:
    """Return the place where a widget is mounted; until then it holds the still picture."""
    state = dict(model["state"])
    module = {"esm": state.pop("_esm"), "css": state.pop("_css", "")}
    module_name = f"module-{hashlib.sha256(json.dumps(module).encode()).hexdigest()[:16]}"
    needed[module_name] = module
    needed[f"model-{name}"] = {"state": state, "buffers": model.get("buffers", [])}
    return f'<div data-model="{escape(name)}" data-module="{module_name}">{still}</div>'


def _body(content: Any, path: Path) -> str:
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(
        raw_template=CELLS,
        embed_images=True,
        exclude_anchor_links=True,
        exclude_input_prompt=True,
        exclude_output_prompt=True,
    )
    resources = {"metadata": {"path": str(path.parent)}}
    return str(exporter.from_notebook_node(content, resources)[0])


def _code_style() -> str:
    """Return the colours of code, for light and for dark."""
    from pygments.formatters import HtmlFormatter

    light = HtmlFormatter(style="default", nobackground=True).get_style_defs(".highlight")
    dark = HtmlFormatter(style="github-dark", nobackground=True).get_style_defs(".highlight")
    return f"{light}\n@media (prefers-color-scheme: dark) {{\n{dark}\n}}\n"


def _script_json(value: Any) -> str:
    """Return `value` as JSON that cannot end the script element it stands in."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")


def _resource(name: str) -> str:
    return (files("kernel_lib.run") / "page" / name).read_text(encoding="utf-8")
