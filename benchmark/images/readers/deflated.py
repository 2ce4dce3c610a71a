"""DICOM files that are deflated as a whole: pydicom unpacks all of one at once, however large it becomes."""

from __future__ import annotations

import zlib
from pathlib import Path

from benchmark.core.errors import BadDataError
from benchmark.images.readers.limits import AGAIN

SYNTAX = b"1.2.840.10008.1.2.1.99"
"""Deflated Explicit VR Little Endian."""
START = 2048
"""Bytes at the beginning of a file that hold SYNTAX, where it is deflated."""
META = 144
"""Bytes before the meta group, which ends with as many bytes as the four before it state (PS3.10, 7.1)."""
PIECE = 2**18
"""Bytes unpacked at a time, and not kept."""


def require_bounded(path: Path, most: int) -> None:
    """Raise BadDataError where a deflated file unpacks to more than `most` bytes; OSError where it cannot be read."""
    with path.open("rb") as file:
        start = file.read(META)
        file.seek(META + int.from_bytes(start[META - 4 :], "little"))
        unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
        size, packed = 0, file.read(PIECE)
        while packed and not unpacker.eof:
            size += len(unpacker.decompress(packed, PIECE))
            packed = unpacker.unconsumed_tail or file.read(PIECE)
            if size > most:
                raise BadDataError(
                    f"{path} is damaged: its {path.stat().st_size:,} bytes unpack to more than {most:,}", AGAIN
                )
