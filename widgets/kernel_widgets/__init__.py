"""kernel_widgets: what a person touches in a notebook, one widget for each idea.

```python
from kernel_widgets import CascadeStepper

CascadeStepper(result)  # the result of a saliency audit
```
"""

from __future__ import annotations

from kernel_widgets.cascade_stepper import CascadeStepper
from kernel_widgets.error_triage import ErrorTriage
from kernel_widgets.invariance_explorer import InvarianceExplorer
from kernel_widgets.mask_importer import MaskImporter
from kernel_widgets.polygon_editor import PolygonEditor
from kernel_widgets.trust_matrix import TrustMatrix

__all__ = [
    "CascadeStepper",
    "ErrorTriage",
    "InvarianceExplorer",
    "MaskImporter",
    "PolygonEditor",
    "TrustMatrix",
]
