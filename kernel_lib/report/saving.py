"""A result in its folder: the old one whole, or the new one whole, never parts of both.

The files of a result lie among others that are not its own: the executed notebook, caches, a log.
So they cannot be swapped in as one folder. Instead:

1. The folder is held, see `kernel_lib.tasks.hold`; a second writer is told who holds it.
2. Everything is written into a hidden folder beside the old files. Its `result.json`, which is
   written last, names every file with the digest of its content. The old result stays readable.
3. The old `result.json` is taken away: from here on the folder holds no result.
4. The new files are moved to their places, and files that only the old result had are removed.
5. The new `result.json` is moved to its place, last.

Whoever comes upon a folder whose writer died during steps 3 to 5 finishes them, as all that is
needed lies in the hidden folder. Readers hold what they read against the digests.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from io import BufferedReader
from pathlib import Path, PurePosixPath
from typing import Any

from kernel_lib.tasks import FolderInUseError, hold
from kernel_lib.tasks.untrusted import UnreadableFileError, json_content, untrusted

RESULT = "result.json"
NETWORK = "treated.keras"  # for audits that make one
LOCK = ".result.lock"
WAIT_SECONDS = 60.0  # a save takes seconds; for so long a second one waits its turn
_STAGING = ".result-"
_REPLACED = "replaced.json"  # the result.json that was taken away


class MixedResultError(ValueError):
    """A file of the folder is not the one that its result.json names."""


@contextlib.contextmanager
def replacing(folder: Path) -> Iterator[Staging]:
    """Give a place to write a new result to; it takes the place of the old one if the block ends.

    If the block raises, the old result stays as it was and nothing is left behind.

    Raises:
        FolderInUseError: If another save has held the folder for all of `WAIT_SECONDS`.
        OSError: If the folder cannot be written to.
    """
    with hold(folder, LOCK, "saving a result", wait=WAIT_SECONDS):
        _finish_begun(folder)
        for left in _stagings(folder):
            shutil.rmtree(left, ignore_errors=True)
        staging = Staging(folder)
        try:
            yield staging
            staging.put_in_place()
        finally:
            staging.clear()


def finish_interrupted(folder: Path) -> bool:
    """Bring to its end a save whose process died; True if the folder has a result by it.

    Nothing happens while a living process holds the folder, or where nothing can be written.
    """
    if (folder / RESULT).exists() or not any(_sealed(each) for each in _stagings(folder)):
        return False
    with contextlib.suppress(OSError), hold(folder, LOCK, "finishing an interrupted save"):
        if not _finish_begun(folder):
            # Nothing was there to be replaced: the process died between writing and moving.
            newest = sorted(filter(_sealed, _stagings(folder)), key=lambda s: s.stat().st_mtime)
            if newest and not (folder / RESULT).exists():
                staging = Staging(folder, newest[-1])
                staging.put_in_place()
                staging.clear()
        return (folder / RESULT).exists()
    return False


class Staging:
    """A hidden folder in which a result is written before it takes its place.

    Args:
        folder: the result's folder.
        path: a hidden folder that is there already; a new one is made when left out.
    """

    def __init__(self, folder: Path, path: Path | None = None):
        self.folder = folder
        self.path = path or folder / f"{_STAGING}{secrets.token_hex(8)}"
        self._digests: dict[str, str] = {}
        if path is None:
            with named_errors(self.path):
                self.path.mkdir()

    def write(self, name: str, write: Callable[[Path], object]) -> None:
        """Write one file of the result.

        Args:
            name: its place in the result's folder, as in "tables/rows.csv".
            write: writes to the path it is given.

        Raises:
            OSError: names the file.
        """
        if not _is_own(name):
            raise ValueError(f"A result has no file of this name. Received: {name!r}.")
        path = self.path / name
        if name in self._digests:
            # A result.json that names the file as it was would be wrong from here on.
            (self.path / RESULT).unlink(missing_ok=True)
        with named_errors(self.folder / name):
            path.parent.mkdir(parents=True, exist_ok=True)
            write(path)
            self._digests[name] = file_digest(path)

    def drop(self, name: str) -> None:
        """Leave out a file that could not be written to its end."""
        self._digests.pop(name, None)
        (self.path / name).unlink(missing_ok=True)

    def seal(self, content: Mapping[str, Any]) -> None:
        """Write result.json, which names the other files; with it the result is whole."""
        text = json.dumps({**content, "files": dict(self._digests)}, indent=1, allow_nan=False)
        temporary = self.path / f"{RESULT}.part"
        with named_errors(self.folder / RESULT):
            temporary.write_text(text, encoding="utf-8")
            os.replace(temporary, self.path / RESULT)

    def put_in_place(self) -> None:
        """Let the sealed result take the place of the old one.

        An interrupt in the middle is kept back until this is done.
        """
        try:
            self._put_in_place()
        except OSError as error:
            raise self._not_placed(error) from error
        except BaseException:
            self._put_in_place()
            raise

    def clear(self) -> None:
        """Remove the hidden folder, unless what lies in it is still needed."""
        is_needed = (self.path / _REPLACED).exists() and (self.path / RESULT).exists()
        if not is_needed:
            shutil.rmtree(self.path, ignore_errors=True)

    def _put_in_place(self) -> None:
        """Every step may have been done before, by a process that died."""
        if not (self.path / RESULT).exists():
            return
        names = files_of(_content(self.path / RESULT))
        for name in (*names, RESULT):
            _make_way(self.folder / name)
        replaced = self.path / _REPLACED
        if not replaced.exists():
            _take_away(self.folder / RESULT, replaced)
        for name in names:
            if (self.path / name).exists():
                _move(self.path / name, self.folder / name)
        self._remove_old_files(names)
        _move(self.path / RESULT, self.folder / RESULT)

    def _remove_old_files(self, names: Mapping[str, str | None]) -> None:
        """Remove what the old result had and the new one has not, unless it was changed."""
        for name, digest in files_of(_content(self.path / _REPLACED)).items():
            path = self.folder / name
            with contextlib.suppress(OSError):
                if name not in names and path.is_file() and digest in (None, file_digest(path)):
                    path.unlink()
        for part in ("tables", "figures"):
            with contextlib.suppress(OSError):
                (self.folder / part).rmdir()  # only if nothing is in it

    def _not_placed(self, error: OSError) -> OSError:
        text = (
            f"The result was written but not put in its place in {self.folder}: "
            f"{error.strerror or error}. Close programs that have its files open, and load or save "
            "it again"
        )
        return OSError(error.errno, text, error.filename)


# --- what is in a folder -------------------------------------------------------------------------


def files_of(content: Mapping[str, Any]) -> dict[str, str | None]:
    """The files of a result by name, with their digests; None where an older version gave none.

    A name that leads out of the folder, or to where no result has a file, is left out: what is
    named may be replaced or removed, and a result.json may come from anywhere.
    """
    files = content.get("files")
    if not isinstance(files, dict):
        tables = [f"tables/{name}.csv" for name in _texts(content.get("tables"))]
        figures = [f"figures/{name}.png" for name in _texts(content.get("figures"))]
        files = dict.fromkeys([*tables, *figures])
    return {name: digest for name, digest in files.items() if _is_own(name)}


@contextlib.contextmanager
def opened(folder: Path, name: str, content: Mapping[str, Any]) -> Iterator[BufferedReader]:
    """Open a file of a result, after its content was held against the digest.

    Raises:
        MixedResultError: If it is not the file that was written with this result.
        OSError: If it cannot be read.
    """
    files = content.get("files")
    with open(folder / name, "rb") as file:
        if isinstance(files, dict):
            if files.get(name) != _digest(file):
                raise MixedResultError(
                    f"{name} is not the file that was written with this result.json. The folder "
                    "holds parts of different results, or the file was changed; run the audit "
                    "again, or restore the file"
                )
            file.seek(0)
        yield file


def file_digest(path: Path) -> str:
    """Digest of a file's content, 32 hexadecimal characters."""
    with open(path, "rb") as file:
        return _digest(file)


@contextlib.contextmanager
def named_errors(path: Path) -> Iterator[None]:
    """Say which file could not be written: a full disk names none."""
    try:
        yield
    except FolderInUseError:
        raise
    except OSError as error:
        text = (
            f"{path} cannot be written: {error.strerror or error}. "
            "The result is not saved; save it again, or into another folder"
        )
        raise OSError(error.errno, text) from error


def _digest(file: BufferedReader) -> str:
    return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _finish_begun(folder: Path) -> bool:
    """Finish the swap that a dead process left in the middle, if there is one."""
    for path in _stagings(folder):
        if _sealed(path) and (path / _REPLACED).exists():
            staging = Staging(folder, path)
            staging.put_in_place()
            staging.clear()
            return True
    return False


def _stagings(folder: Path) -> list[Path]:
    try:
        return [each for each in folder.glob(f"{_STAGING}*") if each.is_dir()]
    except OSError:
        return []


def _sealed(staging: Path) -> bool:
    return (staging / RESULT).is_file()


def _take_away(path: Path, replaced: Path) -> None:
    """Move the old result.json away; where there is none, note that."""
    try:
        os.replace(path, replaced)
    except FileNotFoundError:
        replaced.write_text("{}", encoding="utf-8")


def _make_way(path: Path) -> None:
    """Refuse what would stop the swap in its middle, before anything is taken away."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "a folder of this name is in the way", str(path))


def _move(source: Path, target: Path) -> None:
    """Windows refuses for moments in which another program looks at the file."""
    for attempt in range(10):
        try:
            os.replace(source, target)
        except PermissionError:
            if os.name != "nt" or attempt == 9:
                raise
            time.sleep(0.1)
        else:
            return


def _content(path: Path) -> dict[str, Any]:
    try:
        with untrusted(f"{path} cannot be read"):
            content = json_content(path)
    except UnreadableFileError:
        return {}
    return content if isinstance(content, dict) else {}


def _texts(value: Any) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def _is_own(name: Any) -> bool:
    """Whether a name is that of a file which a result may have."""
    if not isinstance(name, str) or "\\" in name or ":" in name or "\0" in name:
        return False
    parts = PurePosixPath(name).parts
    if name != "/".join(parts) or any(part.startswith(".") for part in parts):
        return False
    is_part = len(parts) == 2 and parts[0] in ("tables", "figures")
    return is_part or name in _OTHER_FILES


_OTHER_FILES = ("arrays.npz", "page.html", NETWORK, f"{NETWORK}.json")
