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
from types import ModuleType

__version__ = "0.1.0"

_SUBMODULES = (
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

__all__ = ["__version__", *_SUBMODULES]


def __getattr__(name: str) -> ModuleType:
    if name in _SUBMODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_SUBMODULES])


def _jupyter_labextension_paths() -> list[dict[str, str]]:
    return [{"src": "labextension", "dest": "kernel-lib"}]


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "kernel_lib.server"}]
