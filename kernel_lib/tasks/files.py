"""Files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path beside `path`, and move it to `path` only if the block succeeds.

    Readers see the old file or the whole new one, never a part. If the block raises, the old file
    stays and nothing is left behind. Each writer has a temporary file of its own, so writers of
    the same path do not disturb one another: the last to finish wins.

    Args:
        path: File to write. Its folder is made if missing. The temporary name keeps the suffix,
            because many writers choose the format, or append one, by it.

    Raises:
        OSError: If it cannot be written, as on a full disk; the error names `path`.

    Example:
        with atomic_path("scores.npz") as temporary:
            np.savez(temporary, scores=scores)
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}-{secrets.token_hex(8)}{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        _name(error, temporary, path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def _name(error: OSError, temporary: Path, path: Path) -> None:
    """Say in an error of the system which file it is about; a full disk alone names none."""
    if type(error) is not OSError and error.filename is None:
        return  # of a network or another library, which says what it means by itself
    if error.filename is None and error.errno is None:  # NumPy: "800 requested and 0 written"
        error.args = (f"{path} cannot be written: {error}",)
    elif error.filename in (None, str(temporary)):
        error.filename = str(path)
