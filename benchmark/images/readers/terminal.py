"""Libraries in C that print what they find in damaged files, and cannot be told not to."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_ONE_AT_A_TIME = threading.Lock()


@contextmanager
def silent() -> Iterator[None]:
    """Keep what a library writes to standard error from the terminal; the block should be short.

    A process has one standard error: what another thread writes meanwhile is dropped, too.
    """
    with _ONE_AT_A_TIME, Path(os.devnull).open("wb") as nowhere:
        terminal = os.dup(2)
        try:
            os.dup2(nowhere.fileno(), 2)
            yield
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)
