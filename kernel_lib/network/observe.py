"""Watch, and if asked alter, what each layer returns while a network is traced.

Keras runs every layer and every operation of every kind of model (Functional, Sequential, nested,
subclassed) through ``keras.Operation.__call__``. Listening there, in one thread and only while a
compiled function is being traced, shows the inside of a model without rebuilding, cloning or
marking it: the caller's model never learns that it was watched.

Names are the same at every trace, for every wrapper of a model, and after saving and loading. Keras
numbers what has no name of its own anew each time it is made: operations inside a layer's code
(``pad_7``), and layers that a subclass makes without naming them (``conv2d_12``). Such a number is
left out: the operation is named by its class, the layer by its class and its place among its
siblings.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf

Listener = Callable[[str, keras.Operation, Any], Any]
Arrival = Callable[[str, keras.Operation, tuple, dict], None]
Bypass = Callable[[Any], Any]

_original_call = keras.Operation.__call__
_listening = threading.local()
_patch_lock = threading.Lock()
_num_listeners = 0


class _Watch:
    """Names each call by its path, such as ``backbone/conv1``; a second call gets ``conv1:2``."""

    def __init__(
        self,
        root: keras.Operation,
        listener: Listener,
        on_call: Arrival | None,
        bypass: Bypass | None,
    ):
        self.root, self.listener, self.on_call, self.bypass = root, listener, on_call, bypass
        self.path: list[str] = []
        self.times_seen: Counter[str] = Counter()
        self.own_names = stable_names(root)

    def call(self, operation: keras.Operation, args: tuple, kwargs: dict) -> Any:
        if operation is self.root:
            return _original_call(operation, *args, **kwargs)
        if self.bypass is not None:
            args = tuple(self.bypass(argument) for argument in args)
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
        own = self.own_names.get(id(operation)) or _class_name(operation)
        name = "/".join([*self.path, own])
        self.times_seen[name] += 1
        count = self.times_seen[name]
        return name if count == 1 else f"{name}:{count}"


def stable_names(root: keras.Operation) -> dict[int, str]:
    """Name of every operation that `root` holds, by identity.

    What a Functional or Sequential model holds keeps its name, which a file keeps too. What the
    code of a subclass makes and does not name is numbered among its siblings of the same class,
    at any depth below. What is not held (made anew at each call) is not there.
    """
    names: dict[int, str] = {id(root): root.name}
    waiting = [(root, False)]
    while waiting:
        parent, is_made_by_code = waiting.pop()
        is_made_by_code = is_made_by_code or not _keeps_names(parent)
        seen: Counter[str] = Counter()
        for operation in [*getattr(parent, "_layers", ()), *getattr(parent, "operations", ())]:
            if id(operation) in names:
                continue
            name = operation.name
            if is_made_by_code and _is_numbered(operation):
                kind = _class_name(operation)
                name = f"{kind}_{seen[kind]}" if seen[kind] else kind
                seen[kind] += 1
            names[id(operation)] = name
            waiting.append((operation, is_made_by_code))
    return names


def _keeps_names(parent: keras.Operation) -> bool:
    """Whether a file keeps the names of what the parent holds: Functional and Sequential."""
    return isinstance(parent, keras.Sequential) or hasattr(parent, "operations")


def _is_numbered(operation: keras.Operation) -> bool:
    """Whether Keras made up the name: the class, and perhaps a number."""
    return re.fullmatch(rf"{re.escape(_class_name(operation))}(_\d+)?", operation.name) is not None


def _class_name(operation: keras.Operation) -> str:
    """The class in snake case, as Keras writes it in names."""
    name = re.sub(r"\W+", "", type(operation).__name__)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def _watched_call(operation: keras.Operation, *args: Any, **kwargs: Any) -> Any:
    watch = getattr(_listening, "watch", None)
    if watch is None:
        return _original_call(operation, *args, **kwargs)
    return watch.call(operation, args, kwargs)


@contextmanager
def listen(
    model: keras.Operation,
    listener: Listener,
    *,
    on_call: Arrival | None = None,
    bypass: Bypass | None = None,
) -> Iterator[None]:
    """Send each layer's output inside `model` through `listener(path, layer, output)`.

    What the listener returns takes the output's place, so a listener can record a value, replace
    it, or wrap it (to change its gradient). `on_call(path, layer, args, kwargs)` is told before
    each call what the layer is given, and `bypass` may replace each argument before that.
    """
    outer = getattr(_listening, "watch", None)
    _listening.watch = _Watch(model, listener, on_call, bypass)
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
