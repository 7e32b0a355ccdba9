"""Downloads that give up in time and say in one line what went wrong."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

_PATIENCE = 30.0  # seconds without a byte


class DownloadError(ConnectionError):
    """Data that must be downloaded could not be."""


@contextmanager
def downloading(name: str, origin: str) -> Iterator[None]:
    """Turn whatever a download raises into one `DownloadError` line, and never wait for ever.

    Args:
        name: the data set wanted.
        origin: where it is fetched from, in words.
    """
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_PATIENCE)
    try:
        yield
    # Downloaders raise all sorts of types, Keras the bare Exception.
    except Exception as error:
        reason = " ".join(str(error).split())[:300].rstrip(".") or type(error).__name__
        raise DownloadError(
            f"{name!r} could not be fetched from {origin}: {reason}. "
            "Without a network, use one of the embedded sets: 'shapes', 'digits', 'mnist5k'."
        ) from error
    finally:
        socket.setdefaulttimeout(before)
