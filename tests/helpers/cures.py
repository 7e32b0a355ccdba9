"""Cures that messages hold, taken out and followed as a person would paste them."""

from __future__ import annotations

import re
from typing import Any

import numpy as np


def follow(error: BaseException, name: str = "images", **variables: Any) -> Any:
    """Run the `name = ...` that the message of `error` says, and return what `name` then is."""
    found = re.search(rf"((?:import [\w., ]+; )*\b{name} = .*?)(?:\.?$|\. |, or )", str(error))
    assert found, f"no cure in: {error}"
    scope = {"np": np, **variables}
    exec(found.group(1), scope)
    return scope[name]
