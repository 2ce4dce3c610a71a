"""The beginning of a file, as a file: a header of endless small tags ends there."""

from __future__ import annotations

import io
from typing import BinaryIO, cast

HEADER_BYTES = 16 * 2**20
"""Tags before the pixels take a few thousand bytes, and some hundred thousand with private data of a scanner."""


class _Beginning(io.RawIOBase):
    """Reads an open file up to HEADER_BYTES, and leaves it open."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        file.seek(0)

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def seekable(self) -> bool:
        """Say that it has places."""
        return True

    def seek(self, place: int, whence: int = 0) -> int:
        """Go to a place in the file."""
        return self._file.seek(place, whence)

    def tell(self) -> int:
        """Return the present place."""
        return self._file.tell()

    def read(self, size: int = -1) -> bytes:
        """Read up to `size` bytes, as many as are left by default."""
        left = max(0, HEADER_BYTES - self._file.tell())
        return self._file.read(left if size < 0 else min(size, left))


def beginning(file: BinaryIO) -> BinaryIO:
    """Return the first HEADER_BYTES of an open file, as a file."""
    return cast("BinaryIO", _Beginning(file))
