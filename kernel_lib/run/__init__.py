"""Run the notebook templates: find them, check their parameters, execute, export.

```python
import kernel_lib as kl

kl.run.templates()
result = kl.run.run("saliency_cascade", preset="demo", parameters={"seed": 1})
kl.run.export(result.notebook)
```
"""

from __future__ import annotations

from kernel_lib.run.catalogue import Template, parameters, template, templates
from kernel_lib.run.export import export
from kernel_lib.run.injected import check_parameters
from kernel_lib.run.parameter import Parameter
from kernel_lib.run.runner import RunResult, run
from kernel_lib.run.schema import to_json_schema, validate

__all__ = [
    "Parameter",
    "RunResult",
    "Template",
    "check_parameters",
    "export",
    "parameters",
    "run",
    "template",
    "templates",
    "to_json_schema",
    "validate",
]
