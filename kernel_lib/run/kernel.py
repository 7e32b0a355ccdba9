"""The kernel a template runs in: always the Python that runs this code, stopped without remains."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import tempfile
import threading
from collections.abc import Iterator
from typing import IO, Any

from ipykernel.kernelspec import RESOURCES, get_kernel_dict
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from jupyter_core.utils import run_sync

START_SECONDS = 120  # a busy machine may take long to start Python
LAST_LINES = 5
STOPPING = [signal.SIGINT, signal.SIGTERM]
if hasattr(signal, "SIGHUP"):  # not on Windows
    STOPPING.append(signal.SIGHUP)


@contextlib.contextmanager
def kernel_manager() -> Iterator[_ThisPython]:
    """Give what starts a kernel; however the block ends, the kernel is gone after it."""
    with tempfile.TemporaryFile() as log:
        manager = _ThisPython(log)
        try:
            yield manager
        finally:
            run_sync(manager.stop)()


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """Let SIGTERM and SIGHUP stop the block as Ctrl-C does. Only the main thread hears signals.

    SIGHUP comes when a terminal or a connection is closed. A signal that is ignored stays so:
    `nohup` lets a run go on.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = {number: signal.getsignal(number) for number in STOPPING}
    for number, handler in previous.items():
        if handler != signal.SIG_IGN:
            signal.signal(number, _stop)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler or signal.SIG_DFL)


def _stop(number: int, frame: object) -> None:
    with contextlib.suppress(RuntimeError):  # no event loop runs at this moment
        for task in asyncio.all_tasks():
            # The waiting for the kernel's answer ends in an error that nobody should read.
            task.add_done_callback(lambda task: task.cancelled() or task.exception())
    raise KeyboardInterrupt


class _ThisPython(AsyncKernelManager):
    """Start kernels with this interpreter.

    The kernel spec called `python3` may belong to another environment, which need not have
    kernel_lib; so none is looked up.
    """

    def __init__(self, log_file: IO[bytes]) -> None:
        super().__init__(kernel_name="python3")
        self.log_file = log_file
        self.clients: list[Any] = []

    @property
    def kernel_spec(self) -> KernelSpec:
        return KernelSpec(resource_dir=RESOURCES, **get_kernel_dict())

    def client(self, **options: Any) -> Any:
        self.clients.append(super().client(**options))
        return self.clients[-1]

    async def start_kernel(self, **options: Any) -> None:  # type: ignore[override]
        """Start the kernel; what it says outside the notebook goes to the log file."""
        options["extra_arguments"] = [
            *options.get("extra_arguments", []),
            "--IPKernelApp.log_level=CRITICAL",
        ]
        options["env"] = {"TF_CPP_MIN_LOG_LEVEL": "2", **options.get("env", os.environ)}
        await self._async_start_kernel(stdout=self.log_file, stderr=self.log_file, **options)

    async def stop(self) -> None:
        """Stop the kernel. A busy cell is interrupted first, so that it closes its files."""
        for client in self.clients:
            client.stop_channels()
        if self.has_kernel:
            await self._async_shutdown_kernel()

    def last_words(self) -> str:
        """Return the last lines of the log file."""
        self.log_file.seek(0)
        lines = self.log_file.read().decode(errors="replace").splitlines()
        return "\n".join([line for line in lines if line.strip()][-LAST_LINES:])
