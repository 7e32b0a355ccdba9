"""The kernel a template runs in: always the Python that runs this code, stopped without remains."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

from ipykernel.kernelspec import RESOURCES, get_kernel_dict
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from jupyter_core.utils import run_sync

START_SECONDS = 120  # a busy machine may take long to start Python


@contextlib.contextmanager
def kernel_manager() -> Iterator[AsyncKernelManager]:
    """Give what starts a kernel; however the block ends, the kernel is gone after it."""
    manager = _ThisPython(kernel_name="python3")
    try:
        yield manager
    finally:
        run_sync(manager.stop)()


class _ThisPython(AsyncKernelManager):
    """Start kernels with this interpreter.

    The kernel spec called `python3` may belong to another environment, which need not have
    kernel_lib; so none is looked up.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.clients: list[Any] = []

    @property
    def kernel_spec(self) -> KernelSpec:
        return KernelSpec(resource_dir=RESOURCES, **get_kernel_dict())

    def client(self, **options: Any) -> Any:
        self.clients.append(super().client(**options))
        return self.clients[-1]

    async def start_kernel(self, **options: Any) -> None:  # type: ignore[override]
        """Start the kernel, quiet but for what the notebook prints."""
        env = {"TF_CPP_MIN_LOG_LEVEL": "2", **options.pop("env", os.environ)}
        arguments = [*options.pop("extra_arguments", []), "--IPKernelApp.log_level=CRITICAL"]
        await self._async_start_kernel(env=env, extra_arguments=arguments, **options)

    async def stop(self) -> None:
        """Stop the kernel. A busy cell is interrupted first, so that it closes its files."""
        for client in self.clients:
            client.stop_channels()
        if self.has_kernel:
            await self._async_shutdown_kernel()
