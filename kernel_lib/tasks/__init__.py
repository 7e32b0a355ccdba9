"""Work keyed by its content: named, written whole, cached, resumed, and run anywhere.

```python
from kernel_lib.tasks import cached_arrays

recipe = {"step": "mutants", "model": model.digest, "images": images.digest, "seed": 0}
arrays = cached_arrays("outputs/cache", "mutants", recipe, lambda: {"rate": slow_measure()})
```
"""

from kernel_lib.tasks.arrays import cached_arrays, read_arrays, write_arrays
from kernel_lib.tasks.content import digest
from kernel_lib.tasks.files import atomic_path
from kernel_lib.tasks.holding import FolderInUseError, hold
from kernel_lib.tasks.run import TaskRun, run_tasks
from kernel_lib.tasks.task import Task

__all__ = [
    "FolderInUseError",
    "Task",
    "TaskRun",
    "atomic_path",
    "cached_arrays",
    "digest",
    "hold",
    "read_arrays",
    "run_tasks",
    "write_arrays",
]
