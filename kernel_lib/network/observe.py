"""Watch, and if asked alter, what each layer returns while a network is traced.

Keras runs every layer and every operation of every kind of model (Functional, Sequential, nested,
subclassed) through ``keras.Operation.__call__``. Listening there, in one thread and only while a
compiled function is being traced, shows the inside of a model without rebuilding, cloning or
marking it: the caller's model never learns that it was watched.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf

Listener = Callable[[str, keras.Operation, Any], Any]
Arrival = Callable[[str, keras.Operation, tuple, dict], None]

_original_call = keras.Operation.__call__
_listening = threading.local()
_patch_lock = threading.Lock()
_num_listeners = 0


class _Watch:
    """Names each call by its path, such as ``backbone/conv1``; a second call gets ``conv1:2``."""

    def __init__(self, root: keras.Operation, listener: Listener, on_call: Arrival | None):
        self.root, self.listener, self.on_call = root, listener, on_call
        self.path: list[str] = []
        self.times_seen: Counter[str] = Counter()

    def call(self, operation: keras.Operation, args: tuple, kwargs: dict) -> Any:
        if operation is self.root:
            return _original_call(operation, *args, **kwargs)
        name = self._name(operation)
        if self.on_call is not None:
            self.on_call(name, operation, args, kwargs)
        self.path.append(name.rsplit("/", 1)[-1])
        try:
            output = _original_call(operation, *args, **kwargs)
        finally:
            self.path.pop()
        is_tensor = tf.is_tensor(output) and output.dtype.is_floating
        return self.listener(name, operation, output) if is_tensor else output

    def _name(self, operation: keras.Operation) -> str:
        name = "/".join([*self.path, operation.name])
        self.times_seen[name] += 1
        count = self.times_seen[name]
        return name if count == 1 else f"{name}:{count}"


def _watched_call(operation: keras.Operation, *args: Any, **kwargs: Any) -> Any:
    watch = getattr(_listening, "watch", None)
    if watch is None:
        return _original_call(operation, *args, **kwargs)
    return watch.call(operation, args, kwargs)


@contextmanager
def listen(
    model: keras.Operation, listener: Listener, on_call: Arrival | None = None
) -> Iterator[None]:
    """Send each layer's output inside `model` through `listener(path, layer, output)`.

    What the listener returns takes the output's place, so a listener can record a value, replace
    it, or wrap it (to change its gradient). `on_call(path, layer, args, kwargs)` is told before
    each call what the layer is given.
    """
    outer = getattr(_listening, "watch", None)
    _listening.watch = _Watch(model, listener, on_call)
    _patch(+1)
    try:
        yield
    finally:
        _patch(-1)
        _listening.watch = outer


def _patch(change: int) -> None:
    """Listen at `keras.Operation.__call__` while anybody wants to, and not a moment longer."""
    global _num_listeners
    with _patch_lock:
        _num_listeners += change
        keras.Operation.__call__ = _watched_call if _num_listeners else _original_call
