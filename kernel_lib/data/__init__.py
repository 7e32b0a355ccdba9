"""Image sets, and every way to get one."""

from __future__ import annotations

from kernel_lib.data.arrays import from_arrays
from kernel_lib.data.classes import class_name_list
from kernel_lib.data.conversion import as_images
from kernel_lib.data.image_set import ImageSet
from kernel_lib.data.labelme import labelme_instances, labelme_mask
from kernel_lib.data.labelme_export import export_labelme, write_labelme
from kernel_lib.data.labelme_import import MaskImport, import_labelme
from kernel_lib.data.load import load, names
from kernel_lib.data.reading import Reading
from kernel_lib.data.table import from_table

__all__ = [
    "ImageSet",
    "MaskImport",
    "Reading",
    "as_images",
    "class_name_list",
    "export_labelme",
    "from_arrays",
    "from_table",
    "import_labelme",
    "labelme_instances",
    "labelme_mask",
    "load",
    "names",
    "write_labelme",
]
