"""Arrays are computed once for each recipe, and anew when their file is damaged."""

from __future__ import annotations

import numpy as np
import pytest

from kernel_lib.tasks import cached_arrays, digest


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
