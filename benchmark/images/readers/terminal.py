"""Libraries in C that print what they find in damaged files, and cannot be told not to."""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

_ONE_AT_A_TIME = threading.Lock()
DAMAGE = (b"Corrupt JPEG data", b"Premature end of JPEG", b"Unsupported marker", b"Invalid JPEG", b"Bogus")
"""How libjpeg, which GDCM contains, begins its complaints: it then fills the rest of the image with one value."""


@contextmanager
def silent() -> Iterator[None]:
    """Keep what a library writes to standard error from the terminal; the block should be short.

    A process has one standard error: what another thread writes meanwhile is dropped, too.
    """
    with _ONE_AT_A_TIME, Path(os.devnull).open("wb") as nowhere, _written_to(nowhere):
        yield


@contextmanager
def codec_messages() -> Iterator[list[bytes]]:
    """Collect what is written to standard error; text that no decoder wrote is written again afterwards.

    The list holds complaints of DAMAGE after the block. Everything is dropped if the block raises: the error says more.
    """
    damage: list[bytes] = []
    with _ONE_AT_A_TIME, tempfile.TemporaryFile() as caught:
        with _written_to(caught):
            yield damage
        caught.seek(0)
        text = caught.read()
        damage += [line for line in text.splitlines() if any(start in line for start in DAMAGE)]
        if not damage and text:
            os.write(2, text)


@contextmanager
def _written_to(target: IO[bytes]) -> Iterator[None]:
    """Redirect file descriptor 2 for a block. The caller holds the lock: a second redirection would restore ours."""
    _flush()
    try:
        kept = os.dup(2)
    except OSError:  # a process without a terminal may have closed it: then nothing can be written
        yield
        return
    os.dup2(target.fileno(), 2)
    try:
        yield
    finally:
        _flush()
        os.dup2(kept, 2)
        os.close(kept)


def _flush() -> None:
    if sys.stderr is not None:
        sys.stderr.flush()
