"""Files are whole or absent."""

from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kernel_lib.tasks import atomic_path


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


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "'{path}'"),
        (OSError("800 requested and 0 written"), "{path} cannot be written: 800 requested"),
        (FileNotFoundError(errno.ENOENT, "No such file", "another"), "'another'"),
        (ConnectionResetError("by peer"), "by peer"),
    ],
)
def test_an_error_of_the_system_names_the_file(tmp_path, raised, told):
    path = tmp_path / "scores.npz"
    with pytest.raises(type(raised)) as caught, atomic_path(path):
        raise raised
    assert caught.value is raised
    assert told.format(path=path) in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_an_error_of_the_temporary_file_names_the_real_one(tmp_path):
    path = tmp_path / "scores.npz"
    with pytest.raises(FileNotFoundError) as caught, atomic_path(path) as at:
        os.rename(at, tmp_path / "elsewhere")
    assert caught.value.filename == str(path)
