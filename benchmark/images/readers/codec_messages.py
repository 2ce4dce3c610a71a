"""What decoders in C write to the terminal, where they raise no error for a damaged stream."""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_ONE_AT_A_TIME = threading.Lock()
DAMAGE = (b"Corrupt JPEG data", b"Premature end of JPEG", b"Unsupported marker", b"Invalid JPEG", b"Bogus")
"""How libjpeg, which GDCM contains, begins its complaints: it then fills the rest of the image with one value."""


@contextmanager
def codec_messages() -> Iterator[list[bytes]]:
    """Collect what is written to file descriptor 2; text that no decoder wrote is written again afterwards.

    The list holds complaints of DAMAGE after the block. Everything is dropped if the block raises: the error says more.
    """
    damage: list[bytes] = []
    with _ONE_AT_A_TIME, tempfile.TemporaryFile() as caught:
        _flush()
        try:
            kept = os.dup(2)
        except OSError:  # a process without a terminal may have closed it: then nothing can be written
            yield damage
            return
        os.dup2(caught.fileno(), 2)
        try:
            yield damage
        finally:
            _flush()
            os.dup2(kept, 2)
            os.close(kept)
        caught.seek(0)
        text = caught.read()
        damage += [line for line in text.splitlines() if any(start in line for start in DAMAGE)]
        if not damage and text:
            os.write(2, text)


def _flush() -> None:
    if sys.stderr is not None:
        sys.stderr.flush()
