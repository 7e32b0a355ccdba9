"""Make a notebook, run it and sign it, as a run of a template does."""

from __future__ import annotations

from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat.sign import NotebookNotary

CASCADE = """\
from kernel_widgets import CascadeStepper
from synthetic_frames import make_frames

CascadeStepper(make_frames())"""


def write_notebook(path: Path, *cells: str, environment: dict[str, str]) -> Path:
    """Run the cells in a kernel with this environment; write the notebook with its widgets."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    client = NotebookClient(notebook, timeout=120, kernel_name="python3")
    client.execute(env=environment)
    nbformat.write(notebook, path)
    return path


def sign(path: Path, data_dir: Path) -> None:
    """Trust the notebook with the keys of the server that will show it."""
    with NotebookNotary(data_dir=str(data_dir)) as notary:
        notary.sign(nbformat.read(path, as_version=4))
