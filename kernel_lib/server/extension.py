"""What the server extension is made of, and how it is configured.

In `jupyter_server_config.py`:

```python
c.KernelLib.template_folders = ["~/our_templates"]
c.KernelLib.max_runs = 2
```
"""

from __future__ import annotations

import asyncio
import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from traitlets import Integer, List, Unicode
from traitlets.config import LoggingConfigurable

from kernel_lib.server.handlers import handlers
from kernel_lib.server.places import Places
from kernel_lib.server.queue import Queue
from kernel_lib.server.store import RunStore, history_folder

if TYPE_CHECKING:
    from kernel_lib.server.library import Library


class KernelLib(LoggingConfigurable):
    """The settings of the extension."""

    template_folders = List(
        Unicode(),
        help="Folders of further templates: any notebook with a `parameters` cell.",
    ).tag(config=True)

    max_runs = Integer(
        0, min=0, help="How many runs may go on at once; 0 takes half of the machine's cores."
    ).tag(config=True)

    history_dir = Unicode(
        "", help="Where the history of runs is kept; Jupyter's data folder by default."
    ).tag(config=True)

    def __init__(self, server: Any) -> None:
        super().__init__(parent=server)
        contents = server.contents_manager
        history = expanded(self.history_dir) if self.history_dir else history_folder()
        self.folders = [expanded(each) for each in self.template_folders]
        self.places = Places(contents, [*self.folders, history])
        self.store = RunStore(history / self.places.key)
        self.queue = Queue(self.store, self.max_runs or max(1, num_cores() // 2), self.sign)
        self.contents = contents
        self.intake_lock = asyncio.Lock()

    @functools.cached_property
    def library(self) -> Library:
        """The templates; those who read notebooks load with the first request."""
        from kernel_lib.server.library import Library

        return Library(self.folders)

    async def sign(self, notebook: str) -> None:
        """Trust an executed notebook with the server's own keys, so that its widgets show."""
        import nbformat

        try:
            self.contents.notary.sign(nbformat.read(notebook, as_version=4))
        except Exception as error:  # a run that ended stays ended
            self.log.warning("kernel_lib: %s is not signed: %s", notebook, error)


def load(server: Any) -> None:
    """Add the handlers to a Jupyter server, and look after runs that an earlier one started."""
    service = KernelLib(server)
    server.web_app.settings["kernel_lib"] = service
    server.web_app.add_handlers(".*$", handlers(server.web_app.settings["base_url"]))
    if os.path.isdir(service.store.folder):
        server.io_loop.call_later(1.0, service.queue.wake)


def expanded(folder: str) -> Path:
    """Return a path of the configuration with `~` as the home folder."""
    return Path(os.path.expanduser(folder))


def num_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
