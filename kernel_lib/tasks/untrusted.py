"""One guard for every file that others wrote: read whole, or refused with its name and the reason.

A damaged or hostile file makes its reader raise nearly anything, recurse without end or ask for
more memory than there is. Readers look at sizes first (`check_size`, `check_archive`), and do the
rest inside `untrusted`, which turns every failure into one line:

```python
with untrusted(f"{path} cannot be read"):
    content = json_content(path)
```
"""

from __future__ import annotations

import contextlib
import csv
import functools
import json
import math
import os
import re
import stat
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

LARGEST_TEXT = 64 * 2**20  # bytes of JSON in one file
LARGEST_TABLE = 512 * 2**20  # bytes of CSV, where a row is one of a million images
LONGEST_LINE = 2**20  # bytes of the line that names the columns
DEEPEST = 100  # lists in lists in a JSON file
_MOST_ENTRIES = 100_000  # files in one zip archive
_LONGEST_REASON = 600  # characters
_LONGEST_HEADER = 10_000  # characters of an array's description; NumPy's own limit
_LEAST_MEMORY = 2**30  # bytes an archive may unpack to on any machine
# Keras tells what went wrong at the end of a long story, after one of these.
_AT_LAST = re.compile(r"(?:Exception encountered:|Example error message for object .*?:\n)\s*")


class UnreadableFileError(ValueError):
    """A file cannot be read. The message names it and says why."""


@contextlib.contextmanager
def untrusted(failure: str, cure: str = "", *, missing_is_damage: bool = True) -> Iterator[None]:
    """Turn whatever goes wrong in the block into an `UnreadableFileError`, a `ValueError`.

    Keep the block to the reading itself: a mistake of our own in it would be blamed on the file.
    Interrupts pass, and so does what an inner guard raised, which has named its file already.

    Args:
        failure: start of the message, which names the file, as in "a.json cannot be read".
        cure: a sentence that says what to do.
        missing_is_damage: whether a `FileNotFoundError` is turned too.

    Raises:
        UnreadableFileError: "FAILURE: REASON. CURE", from the original error.
    """
    try:
        yield
    except UnreadableFileError:
        raise
    # Decoders raise nearly every type of error over a damaged file.
    except Exception as error:
        if isinstance(error, FileNotFoundError) and not missing_is_damage:
            raise
        reason = reason_of(error)
        text = reason if reason.startswith(failure) else f"{failure}: {reason}"
        raise UnreadableFileError(f"{text}. {cure}".rstrip()) from error


def reason_of(error: BaseException) -> str:
    """Return what went wrong in one line without a full stop; of a long story, its end."""
    if isinstance(error, RecursionError):
        return "it is nested too deep"
    if isinstance(error, MemoryError):
        return "it does not fit in memory"
    if isinstance(error, UnicodeDecodeError):
        return f"it is not text in UTF-8, at byte {error.start:,}"
    if isinstance(error, KeyError):
        return f"{error.args[0]!r:.100} is missing" if error.args else "a part is missing"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.rstrip(".")
    lines = _AT_LAST.split(str(error))[-1].strip().splitlines() or [""]
    line = " ".join(lines[0].split()).rstrip(".:")
    if re.fullmatch(r"'[^']*'", line):  # of a KeyError that another error quotes
        return f"{line} is missing"
    if len(line) > _LONGEST_REASON:
        line = f"{line[:_LONGEST_REASON]} ..."
    return line or _in_words(type(error).__name__)


def check_size(path: str | os.PathLike[str], most: int = LARGEST_TEXT) -> Path:
    """Return `path` if it is a file, not a pipe or a device, of at most so many bytes.

    Raises:
        OSError, ValueError: If it is not.
    """
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("it is not a file")
    if status.st_size > most:
        raise ValueError(f"it has {status.st_size:,} bytes; at most {most:,} are read")
    return Path(path)


# --- JSON and CSV --------------------------------------------------------------------------------


def json_content(path: str | os.PathLike[str], most: int = LARGEST_TEXT) -> Any:
    """Return the content of a JSON file in UTF-8, 16 or 32 that is neither large nor deep.

    Raises:
        OSError, ValueError, RecursionError: Anything else; call it inside `untrusted`.
    """
    return parsed_json(check_size(path, most).read_bytes())


def parsed_json(content: str | bytes) -> Any:
    """Return the value of a JSON text that is not nested deeper than `DEEPEST`."""
    if isinstance(content, bytes):
        content = content.decode(json.detect_encoding(content))
    value = json.loads(content)
    if content.count("[") + content.count("{") > DEEPEST:
        _check_depth(value)
    return value


def csv_rows(file: IO[str]) -> Iterator[list[str]]:
    """Yield the rows of a CSV file; a cell of more than 131,072 characters is an error, always.

    The limit is that of the csv module, which other programs may have moved for the whole process.
    """
    limit = 131_072
    for row in csv.reader(file):
        if any(len(cell) > limit for cell in row):
            raise ValueError(f"a cell has more than {limit:,} characters")
        yield row


def check_table(path: str | os.PathLike[str]) -> Path:
    """Return `path` if it is a CSV file of a size, and a first line, that can be read in seconds.

    Raises:
        OSError, ValueError: If it is not; call it inside `untrusted`.
    """
    path = check_size(path, LARGEST_TABLE)
    with open(path, "rb") as file:
        if len(file.readline(LONGEST_LINE + 1)) > LONGEST_LINE:
            raise ValueError(f"its first line has more than {LONGEST_LINE:,} bytes")
    return path


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(DEEPEST):
        level = [part for each in level for part in _parts(each)]
        if not level:
            return
    raise ValueError(f"it is nested deeper than {DEEPEST} levels")


def _parts(value: Any) -> list[Any]:
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [part for part in parts if isinstance(part, (dict, list))]


# --- arrays and archives -------------------------------------------------------------------------


def load_arrays(
    path: str | os.PathLike[str], failure: str = "", cure: str = ""
) -> dict[str, np.ndarray]:
    """Return the arrays of an ``.npz`` file; nothing is unpickled.

    The description of each array is compared with the bytes there are before memory is taken.

    Args:
        path: the file.
        failure, cure: as in `untrusted`.

    Raises:
        UnreadableFileError: It is damaged, holds Python objects or does not fit in memory.
    """
    told = f"Cannot read {path}: it is damaged, incomplete, or not an .npz file of plain arrays"
    with untrusted(failure or told, cure):
        check_size(path, largest_in_memory())
        with open(path, "rb") as file:
            return read_arrays_of(file)


def read_arrays_of(file: IO[bytes]) -> dict[str, np.ndarray]:
    """Return the arrays of an open ``.npz`` file; call it inside `untrusted`."""
    with zipfile.ZipFile(file) as archive:
        check_archive(archive)
        entries = archive.infolist()
        names = [entry.filename.removesuffix(".npy") for entry in entries]
        if len(set(names)) < len(names):
            raise ValueError("two of its arrays have the same name")
        arrays = {}
        for entry, name in zip(entries, names, strict=True):
            if not entry.filename.endswith(".npy"):
                raise ValueError(f"{entry.filename!r:.100} in it is no array")
            with archive.open(entry) as content:
                check_array(content, entry.file_size)
            with archive.open(entry) as content:
                arrays[name] = np.lib.format.read_array(content, allow_pickle=False)
                if content.read(1):  # also lets zipfile compare the checksum
                    raise ValueError(f"the array {name!r:.100} is not all there is")
            _check_values(name, arrays[name])
        return arrays


def load_array(
    path: str | os.PathLike[str], mmap_mode: Any = None, failure: str = "", cure: str = ""
) -> np.ndarray:
    """Return the array of an ``.npy`` file; nothing is unpickled.

    Args:
        path: the file.
        mmap_mode: as in `numpy.load`.
        failure, cure: as in `untrusted`.

    Raises:
        UnreadableFileError: It is damaged, holds Python objects or does not fit in memory.
    """
    with untrusted(failure or f"{path} cannot be read", cure):
        check_size(path, largest_in_memory() if mmap_mode is None else 2**62)
        with open(path, "rb") as file:
            check_array(file, os.fstat(file.fileno()).st_size)
        return np.load(path, mmap_mode=mmap_mode, allow_pickle=False)


def check_array(file: IO[bytes], num_bytes: int) -> None:
    """Refuse an array whose description does not fit the bytes there are, or Python objects.

    Args:
        file: Content of an ``.npy`` file from its start; it is read to the end of the description.
        num_bytes: Length of the whole content.

    Raises:
        ValueError: What does not fit.
    """
    version = np.lib.format.read_magic(file)
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version == (3, 0):  # as 2.0, but for letters of other alphabets in names of fields
        raise ValueError("an array of records is no array of numbers or text")
    if version not in readers:
        raise ValueError("it is of an unknown version of NumPy's format")
    shape, _, dtype = readers[version](file, max_header_size=_LONGEST_HEADER)
    if dtype.hasobject:
        raise ValueError("it holds Python objects, which are never loaded: they can run code")
    if dtype.kind not in "biufcUS":
        raise ValueError(f"an array of the type {str(dtype)!r:.100} is none of numbers or text")
    told = math.prod(shape) * dtype.itemsize
    # An empty side hides how long the others claim to be.
    largest = math.prod(max(side, 1) for side in shape)
    is_whole = min(shape, default=0) >= 0 and told == num_bytes - file.tell()
    if not is_whole or largest > max(num_bytes, 2**31):
        raise ValueError(
            f"an array of the shape {shape!s:.100} and the type {dtype} does not fit the "
            f"{num_bytes:,} bytes there are for it"
        )


def _check_values(name: str, array: np.ndarray) -> None:
    """Refuse bytes that are neither true nor false, and numbers that are no letters."""
    kind = array.dtype.kind
    if kind not in "bU" or not array.nbytes:
        return
    raw = np.ascontiguousarray(array)
    if kind == "b":
        fits = raw.view(np.uint8).max() <= 1
    else:
        fits = raw.view(f"{raw.dtype.byteorder}u4").max() <= sys.maxunicode
    if not fits:
        raise ValueError(f"the array {name!r:.100} holds values that its type does not have")


def check_archive(archive: zipfile.ZipFile) -> None:
    """Refuse an archive that would unpack to more than half of the machine's memory.

    Raises:
        ValueError: It would, it claims an impossible size, or it has too many files.
    """
    entries = archive.infolist()
    if len(entries) > _MOST_ENTRIES:
        raise ValueError(f"it holds {len(entries):,} files; at most {_MOST_ENTRIES:,} are read")
    if len({entry.filename for entry in entries}) < len(entries):
        raise ValueError("two files in it have the same name")
    total = sum(entry.file_size for entry in entries)
    if total > largest_in_memory():
        raise ValueError(f"it would unpack to {total:,} bytes, more than half of the memory")


def check_entry(archive: zipfile.ZipFile, name: str) -> None:
    """Refuse a text in an archive that is too large once it is unpacked.

    Raises:
        KeyError, ValueError: It is not there, or too large; call it inside `untrusted`.
    """
    size = archive.getinfo(name).file_size
    if size > LARGEST_TEXT:
        raise ValueError(f"{name} in it has {size:,} bytes; at most {LARGEST_TEXT:,} are read")


@functools.cache
def largest_in_memory() -> int:
    """Half of the machine's memory, in bytes."""
    import psutil

    return max(psutil.virtual_memory().total // 2, _LEAST_MEMORY)


def _in_words(name: str) -> str:
    """A class of errors as words: "EOFError" says little, "EOF error" is at least English."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
