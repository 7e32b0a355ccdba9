"""Image sets, and every way to get one."""

from __future__ import annotations

from kernel_lib.data.arrays import from_arrays
from kernel_lib.data.image_set import ImageSet
from kernel_lib.data.load import load, names
from kernel_lib.data.table import from_table

__all__ = ["ImageSet", "from_arrays", "from_table", "load", "names"]
