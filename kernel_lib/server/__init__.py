"""The Jupyter server extension: templates, filled notebooks, runs and results over HTTP.

Enabled by `etc/jupyter/jupyter_server_config.d/kernel_lib.json`. Loading it imports neither
TensorFlow nor papermill; what a request needs is imported when the first one comes.
"""

from __future__ import annotations

from typing import Any

from kernel_lib import _jupyter_server_extension_points

__all__ = ["_jupyter_server_extension_points", "_load_jupyter_server_extension"]


def _load_jupyter_server_extension(server: Any) -> None:
    from kernel_lib.server.extension import load

    load(server)
