"""Progress bars that stay out of the way: plain text, and only after two seconds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from tqdm.std import tqdm

Item = TypeVar("Item")


def progress(
    items: Iterable[Item], label: str, *, total: int | None = None, enabled: bool = True
) -> Iterable[Item]:
    """Yield `items`, with a bar named `label` once two seconds have passed."""
    return tqdm(items, desc=label, total=total, disable=not enabled, delay=2.0, leave=False)
