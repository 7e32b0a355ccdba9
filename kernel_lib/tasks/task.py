"""A piece of work that can be done anywhere, and how it is done."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kernel_lib.tasks.arrays import plain_arrays, read_arrays, write_arrays
from kernel_lib.tasks.content import digest


@dataclass(frozen=True)
class Task:
    """A piece of work that depends on its recipe and its needs alone.

    Attributes:
        name: Readable start of the file its arrays go to.
        function: "module:function"; called with the recipe and, by name, the arrays of each need.
            Returns arrays by name.
        recipe: What it depends on, in values that `digest` knows and JSON can hold.
        needs: Argument name -> the task that gives it.
    """

    name: str
    function: str
    recipe: Mapping[str, Any]
    needs: Mapping[str, Task] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Digest of everything the result depends on."""
        needs = {name: task.key for name, task in self.needs.items()}
        return digest([self.function, self.recipe, needs])

    def path(self, folder: str | os.PathLike[str]) -> Path:
        """Where the arrays lie."""
        return Path(folder) / f"{self.name}-{self.key}.npz"


def with_needs(tasks: Sequence[Task]) -> dict[str, Task]:
    """Every task by its key, needs first."""
    every: dict[str, Task] = {}
    for task in tasks:
        every |= with_needs(list(task.needs.values()))
        every[task.key] = task
    return every


def perform(task: Task, folder: Path) -> str:
    """Do one task, unless its arrays are there, and return the digest of its arrays."""
    arrays = read_arrays(task.path(folder))
    if arrays is None:
        inputs = {name: _result_of(need, folder) for name, need in task.needs.items()}
        module, _, function = task.function.partition(":")
        compute = getattr(importlib.import_module(module), function)
        arrays = plain_arrays(compute(dict(task.recipe), **inputs))
        write_arrays(task.path(folder), arrays)
    return digest(arrays)


def _result_of(task: Task, folder: Path) -> dict[str, np.ndarray]:
    arrays = read_arrays(task.path(folder))
    if arrays is None:
        raise FileNotFoundError(f"The arrays of {task.name!r} are missing or damaged.")
    return arrays
