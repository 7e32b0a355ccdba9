"""kernel_lib: five published check-ups for trained image classifiers.

Submodules load on first use, so ``import kernel_lib`` starts neither TensorFlow nor Matplotlib.

```python
import kernel_lib as kl

images = kl.data.load("digits")
model = kl.models.train("cnn", images, epochs=5, seed=0)
result = kl.saliency.audit(model, images)
result.save("outputs/saliency")
```
"""

from __future__ import annotations

import importlib
from typing import Any

from kernel_lib import _onednn

_onednn.switch_on()  # before any submodule imports TensorFlow
SlowTensorFlowWarning = _onednn.SlowTensorFlowWarning

__version__ = "0.1.0"

_SUBMODULES = (
    "audit",
    "data",
    "doctor",
    "errors",
    "invariance",
    "models",
    "network",
    "report",
    "run",
    "saliency",
    "tasks",
    "trust",
)

# Functions at the top -> module that holds them.
_FUNCTIONS = {"intake": "audit.examine"}

__all__ = ["SlowTensorFlowWarning", "__version__", *_FUNCTIONS, *_SUBMODULES]


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _FUNCTIONS:
        return getattr(importlib.import_module(f"{__name__}.{_FUNCTIONS[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_FUNCTIONS, *_SUBMODULES])


def _jupyter_labextension_paths() -> list[dict[str, str]]:
    return [{"src": "labextension", "dest": "kernel-lib"}]


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "kernel_lib.server"}]
