"""A template with values filled in, as a new notebook in a folder of the server."""

from __future__ import annotations

import json
from typing import Any

from kernel_lib.run.catalogue import Template

INJECTED = "injected-parameters"  # papermill's tag: it replaces this cell when it runs the notebook


def filled(template: Template, values: dict[str, Any]) -> dict[str, Any]:
    """Return the notebook with a cell of `values` after its `parameters` cell.

    Args:
        template: The template.
        values: Checked values: text, finite numbers, booleans, None, and lists of these, whose
            `repr` is the same value in Python and nothing else.
    """
    notebook: dict[str, Any] = json.loads(template.path.read_text(encoding="utf-8"))
    cells = [cell for cell in notebook["cells"] if INJECTED not in _tags(cell)]
    notebook["cells"] = cells
    notebook["metadata"].setdefault("kernel_lib", {})["made_from"] = template.name
    if values:
        at = next(index for index, cell in enumerate(cells) if "parameters" in _tags(cell))
        cells.insert(at + 1, _values_cell(notebook, values))
    return notebook


async def create(contents: Any, template: Template, values: dict[str, Any], folder: str) -> str:
    """Write the filled notebook into `folder` under a name that is free; return its path."""
    import nbformat
    from jupyter_core.utils import ensure_async

    name = await ensure_async(
        contents.increment_filename(f"{template.name}.ipynb", folder, insert="-")
    )
    path = f"{folder}/{name}".strip("/")
    content = nbformat.from_dict(filled(template, values))
    model = {"type": "notebook", "format": "json", "content": content}
    contents.mark_trusted_cells(content, path)
    await ensure_async(contents.save(model, path))
    return path


def _tags(cell: dict[str, Any]) -> list[str]:
    return list(cell.get("metadata", {}).get("tags", []))


def _values_cell(notebook: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    lines = ["# The values of the form", *(f"{name} = {value!r}" for name, value in values.items())]
    cell: dict[str, Any] = {
        "cell_type": "code",
        "execution_count": None,
        "metadata": {"tags": [INJECTED]},
        "outputs": [],
        "source": "\n".join(lines),
    }
    has_ids = (notebook.get("nbformat", 4), notebook.get("nbformat_minor", 0)) >= (4, 5)
    return cell | ({"id": INJECTED} if has_ids else {})
