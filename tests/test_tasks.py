"""Digests name content, writes are whole or absent, caches are recomputed when damaged."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from kernel_lib.tasks import atomic_path, cached_arrays, digest

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


def write_and_fail(path: Path, error: type[BaseException]) -> None:
    with atomic_path(path) as temporary:
        assert temporary.suffix == path.suffix
        temporary.write_text("half of the n")
        raise error


def test_an_interrupted_write_keeps_the_old_file_and_leaves_nothing(tmp_path) -> None:
    path = tmp_path / "new folder" / "note.txt"
    with atomic_path(path) as temporary:
        temporary.write_text("old")
    with pytest.raises(KeyboardInterrupt):
        write_and_fail(path, KeyboardInterrupt)
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_the_first_interrupted_write_leaves_no_file(tmp_path) -> None:
    with pytest.raises(ZeroDivisionError):
        write_and_fail(tmp_path / "a.npz", ZeroDivisionError)
    assert list(tmp_path.iterdir()) == []


def test_writers_of_one_path_do_not_mix(tmp_path) -> None:
    path = tmp_path / "shared.txt"
    contents = [str(number) * 50_000 for number in range(10)]

    def write(content: str) -> None:
        for _ in range(5):
            with atomic_path(path) as temporary, open(temporary, "w") as file:
                file.writelines(content[start : start + 99] for start in range(0, 50_000, 99))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, contents))
    assert path.read_text() in contents
    assert list(tmp_path.iterdir()) == [path]


def counted(calls: list[int]):
    def compute() -> dict[str, np.ndarray]:
        calls.append(1)
        return {"rate": np.arange(1000) / 7, "file": np.array([[True]])}

    return compute


def assert_right(arrays: dict[str, np.ndarray]) -> None:
    np.testing.assert_array_equal(arrays["rate"], np.arange(1000) / 7)
    assert arrays["file"].dtype == bool
    assert arrays["file"].shape == (1, 1)


def test_arrays_are_computed_once_per_recipe(tmp_path) -> None:
    calls: list[int] = []
    for recipe in ({"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a": 1, "b": 3}):
        assert_right(cached_arrays(tmp_path / "cache", "rates", recipe, counted(calls)))
    assert len(calls) == 2
    assert len(list((tmp_path / "cache").glob("rates-*.npz"))) == 2


def test_without_a_folder_nothing_is_cached() -> None:
    calls: list[int] = []
    for _ in range(2):
        assert_right(cached_arrays(None, "rates", {}, counted(calls)))
    assert len(calls) == 2


@pytest.mark.parametrize("keep", [0, 10, 200, 4000, -1])
def test_a_truncated_file_is_computed_anew(tmp_path, keep: int) -> None:
    calls: list[int] = []
    cached_arrays(tmp_path, "rates", 1, counted(calls))
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:keep])
    assert_right(cached_arrays(tmp_path, "rates", 1, counted(calls)))
    assert_right(cached_arrays(tmp_path, "rates", 1, counted(calls)))
    assert len(calls) == 2


def test_a_damaged_byte_is_noticed(tmp_path) -> None:
    calls: list[int] = []
    cached_arrays(tmp_path, "rates", 1, counted(calls))
    (path,) = tmp_path.iterdir()
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)
    assert_right(cached_arrays(tmp_path, "rates", 1, counted(calls)))
    assert len(calls) == 2


def test_a_failed_computation_caches_nothing(tmp_path) -> None:
    def fail() -> dict[str, np.ndarray]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        cached_arrays(tmp_path, "rates", 1, fail)
    with pytest.raises(TypeError, match="hold numbers or text"):
        cached_arrays(tmp_path, "rates", 1, lambda: {"a": np.array([{}])})
    assert list(tmp_path.iterdir()) == []


def test_a_pickle_is_never_read(tmp_path) -> None:
    calls: list[int] = []
    path = tmp_path / f"rates-{digest(1)}.npz"
    with open(path, "wb") as file:
        np.savez(file, rate=np.array([{}], dtype=object))
    assert_right(cached_arrays(tmp_path, "rates", 1, counted(calls)))
    assert len(calls) == 1
