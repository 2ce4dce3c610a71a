"""Unpacking of gzip files up to a size that is known, so that a small file cannot fill the memory."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path

from benchmark.core.errors import BadDataError
from benchmark.images.readers.limits import AGAIN, decoding

GZIP = 16 + zlib.MAX_WBITS
"""zlib then reads gzip's header, and verifies its checksum."""
CHUNK = 2**16
"""Bytes read at a time."""
PIECE = 2**18
"""Bytes unpacked at a time: they stay in the processor's cache until they are copied."""
BEYOND = 2**26
"""Bytes after the declared end that are unpacked to verify the checksum, and not kept."""


def is_gzip(start: bytes) -> bool:
    """Return whether a file that starts so is compressed with gzip, whatever its name."""
    return start[:2] == b"\x1f\x8b"


def unpacked_start(path: Path, size: int) -> bytes:
    """Return the first bytes of a gzip file, at most `size`. Raises zlib.error, EOFError for a damaged start."""
    start = b""
    for piece in _pieces(path, size):
        start += piece
        if len(start) >= size:
            break
    return start[:size]


def unpack(path: Path, size: int) -> bytearray:
    """Return the first `size` bytes of a gzip file, and verify the checksums of all of it.

    Raises BadDataError for a truncated or damaged file, and for one that holds fewer bytes, or far more.
    """
    content, filled = bytearray(size), 0
    with decoding(f"{path} is truncated or damaged: it cannot be unpacked"):
        for piece in _pieces(path):
            kept = min(len(piece), max(0, size - filled))
            content[filled : filled + kept] = memoryview(piece)[:kept]
            filled += len(piece)
            if filled > size + BEYOND:
                raise BadDataError(
                    f"{path} is damaged: its header declares {size:,} bytes, and it unpacks to more", AGAIN
                )
    if filled < size:
        raise BadDataError(
            f"{path} is truncated or damaged: its header declares {size:,} bytes, it unpacks to {filled:,}", AGAIN
        )
    return content


def _pieces(path: Path, most: int = PIECE) -> Iterator[bytes]:
    """Yield the content of all members of a gzip file, at most `most` bytes at a time. Raises zlib.error, EOFError."""
    with path.open("rb") as file:
        unpacker = zlib.decompressobj(GZIP)
        waiting = file.read(CHUNK)
        while waiting:
            piece = unpacker.decompress(waiting, most)
            yield piece
            if unpacker.eof:
                waiting = unpacker.unused_data.lstrip(b"\0") or file.read(CHUNK).lstrip(b"\0")
                unpacker = zlib.decompressobj(GZIP) if waiting else unpacker
            else:
                waiting = unpacker.unconsumed_tail or file.read(CHUNK)
        while not unpacker.eof:
            piece = unpacker.decompress(b"", most)
            if not piece:
                raise EOFError("the file ends within its compressed data")
            yield piece
