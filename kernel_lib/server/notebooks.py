"""A template with values filled in, as a new notebook in a folder of the server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from kernel_lib.run import filling, schema
from kernel_lib.run.catalogue import Template

INJECTED = "injected-parameters"  # papermill's tag: a cell of an earlier run
START = "start-folder"
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def filled(
    template: Template, values: dict[str, Any], start_in: Path | None = None
) -> dict[str, Any]:
    """Return the notebook with `values` as the defaults of its `parameters` cell.

    Args:
        template: The template.
        values: Checked values.
        start_in: The folder that paths are relative to, for a notebook that is run from a copy
            elsewhere, as jupyter-scheduler does; a cell before the parameters goes there.
    """
    notebook: dict[str, Any] = json.loads(template.path.read_text(encoding="utf-8"))
    cells = [cell for cell in notebook["cells"] if not {INJECTED, START} & _tags(cell)]
    notebook["cells"] = cells
    notebook["metadata"].setdefault("kernelspec", KERNEL)
    notebook["metadata"].setdefault("kernel_lib", {})["made_from"] = template.name
    at = next(index for index, cell in enumerate(cells) if "parameters" in _tags(cell))
    cells[at]["source"] = filling.fill(schema.parameters_cell(notebook), values)
    if start_in is not None:
        cells.insert(at, _start_cell(notebook, start_in))
    return notebook


async def create(
    contents: Any,
    template: Template,
    values: dict[str, Any],
    folder: str,
    start_in: Path | None = None,
) -> str:
    """Write the filled notebook into `folder` under a name that is free; return its path.

    Raises:
        OSError: If it cannot be written.
    """
    import nbformat
    from jupyter_core.utils import ensure_async
    from tornado.web import HTTPError

    name = await ensure_async(
        contents.increment_filename(f"{template.name}.ipynb", folder, insert="-")
    )
    path = f"{folder}/{name}".strip("/")
    content = nbformat.from_dict(filled(template, values, start_in))
    model = {"type": "notebook", "format": "json", "content": content}
    contents.mark_trusted_cells(content, path)
    try:
        await ensure_async(contents.save(model, path))
    except HTTPError as error:
        if error.status_code not in (403, 500):
            raise
        # The contents manager wraps what the system said, with a path of the machine in it.
        known = error.__cause__ or error.__context__
        reason = known.strerror if isinstance(known, OSError) else None
        raise OSError(0, reason or "the notebook cannot be written here", path) from None
    return path


def _tags(cell: dict[str, Any]) -> set[str]:
    return set(cell.get("metadata", {}).get("tags", []))


def _start_cell(notebook: dict[str, Any], folder: Path) -> dict[str, Any]:
    lines = [
        "# A scheduled job runs a copy of this notebook elsewhere; its paths begin here.",
        "import os",
        "",
        f"os.chdir({str(folder)!r})",
    ]
    cell: dict[str, Any] = {
        "cell_type": "code",
        "execution_count": None,
        "metadata": {"tags": [START]},
        "outputs": [],
        "source": "\n".join(lines),
    }
    has_ids = (notebook.get("nbformat", 4), notebook.get("nbformat_minor", 0)) >= (4, 5)
    return cell | ({"id": START} if has_ids else {})
