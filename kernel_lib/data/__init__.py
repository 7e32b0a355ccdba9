"""Image sets, and every way to get one."""

from __future__ import annotations

from kernel_lib.data.image_set import ImageSet

__all__ = ["ImageSet"]
