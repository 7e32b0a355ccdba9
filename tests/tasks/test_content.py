"""Digests name content, whatever holds it."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from kernel_lib.tasks import digest

DIFFERENT_VALUES = [
    None,
    False,
    True,
    0,
    1,
    1.0,
    -0.0,
    0.0,
    float("nan"),
    "",
    "1",
    b"1",
    [],
    {},
    ["ab"],
    ["a", "b"],
    [["a"], "b"],
    [["a", "b"]],
    {"a": "b"},
    {"a": 1},
    {1: "a"},
    np.zeros(2),
    np.zeros(2, "float32"),
    np.zeros(2, "int64"),
    np.zeros((1, 2)),
    np.zeros((2, 1)),
    np.ones(2),
    np.array(["a", "b"]),
]


def test_different_contents_have_different_digests() -> None:
    digests = [digest(value) for value in DIFFERENT_VALUES]
    assert len(set(digests)) == len(digests)
    assert all(len(text) == 32 and int(text, 16) >= 0 for text in digests)


def test_the_order_of_keys_does_not_count_and_the_order_of_items_does() -> None:
    assert digest({"a": 1, "b": [2, {"c": 3, "d": 4}]}) == digest(
        {"b": [2, {"d": 4, "c": 3}], "a": 1}
    )
    assert digest([1, 2]) != digest([2, 1])
    assert digest((1, "a")) == digest([1, "a"])


def test_numpy_scalars_are_their_python_values() -> None:
    assert digest(np.int64(3)) == digest(3)
    assert digest(np.float64(0.25)) == digest(0.25)
    assert digest(np.bool_(True)) == digest(True)


def test_arrays_count_by_content_not_by_memory_layout() -> None:
    array = np.arange(12, dtype="float32").reshape(3, 4)
    assert digest(array) == digest(np.asfortranarray(array))
    assert digest(array) == digest(array.astype(">f4"))
    assert digest(array) == digest(np.repeat(array, 2, axis=1)[:, ::2])


def test_the_digest_is_the_same_in_another_process() -> None:
    value = "{'b': [1, 2.5, None], 'a': 'é'}"
    code = f"from kernel_lib.tasks import digest; print(digest({value}))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == digest({"a": "é", "b": [1, 2.5, None]})


@pytest.mark.parametrize("value", [object(), {1, 2}, [lambda: 0], np.array([None])])
def test_unknown_content_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match="A digest needs dicts, lists"):
        digest(value)
