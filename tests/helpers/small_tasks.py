"""Tasks that are quick, for workers that need not start TensorFlow."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np

from kernel_lib.tasks import Task


def numbers(recipe: dict) -> dict[str, np.ndarray]:
    """Bytes that depend on the recipe alone."""
    return {"value": np.random.default_rng(recipe["seed"]).random(5)}


def doubled(recipe: dict, first: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Twice what the task before gave."""
    return {"value": 2 * first["value"]}


def dies_once(recipe: dict) -> dict[str, np.ndarray]:
    """Kill the worker the first time, as if it ran out of memory."""
    mark = Path(recipe["mark"])
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return {"value": np.arange(3)}


def broken(recipe: dict) -> dict[str, np.ndarray]:
    """Fail, always."""
    raise ValueError("this never works")


def chain(seed: int) -> Task:
    """Two tasks, the second of which needs the first."""
    first = Task("first", "small_tasks:numbers", {"seed": seed})
    return Task("second", "small_tasks:doubled", {}, {"first": first})
