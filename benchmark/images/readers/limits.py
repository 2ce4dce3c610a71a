"""What a file may take before its pixels are read, and the border to other libraries' decoders."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmark.core.errors import BadDataError

LIMIT = 2 * 2**30
"""Bytes of pixels, as stored, that one file may hold: a CT of 512 x 512 x 2,048 voxels in float32."""
DEFLATE = 1032
"""Bytes into which one byte of deflate (gzip, PNG, zip) can expand at most: zlib's technical details."""
SLACK = 2**16
"""Bytes that a header, or the last block of a compressed file, may add."""
AGAIN = "download or copy the file again"


@contextmanager
def decoding(problem: str, hint: str = AGAIN) -> Iterator[None]:
    """Convert whatever another library raises on a damaged file to BadDataError(problem, hint).

    Decoders raise any type on damaged files, IndexError and struct.error among them. The block must hold calls of such
    a library only: an error of our own would be taken for damage.
    """
    try:
        yield
    except BadDataError:
        raise
    except Exception as error:
        raise BadDataError(problem, hint) from error


def require_size(path: Path, shape: Sequence[int], pixel_bytes: int, held: int, expansion: int = 1) -> None:
    """Raise BadDataError, before memory is taken, where a header declares too much.

    Args:
        path: for messages.
        shape: as declared.
        pixel_bytes: bytes per pixel.
        held: bytes on disk that hold the pixels.
        expansion: bytes that each of them can expand to: 1 where nothing is compressed.
    """
    declared = math.prod(int(size) for size in shape) * pixel_bytes  # Python's integers do not overflow
    if declared > held * expansion + (SLACK if expansion > 1 else 0):
        raise BadDataError(
            f"{path} is truncated or damaged: its header declares {by(shape)} pixels, {declared:,} bytes, "
            f"more than its {held:,} bytes can hold",
            AGAIN,
        )
    require_limit(path, shape, pixel_bytes)


def require_limit(path: Path, shape: Sequence[int], pixel_bytes: int) -> None:
    """Raise BadDataError where pixels of this shape take more than LIMIT, whatever the file can hold."""
    taken = math.prod(int(size) for size in shape) * pixel_bytes
    if taken > LIMIT:
        raise BadDataError(
            f"{path} holds {by(shape)} pixels, which take {taken / 2**30:.1f} GiB; "
            f"at most {LIMIT / 2**30:g} GiB per file are read",
            "crop or resample it, or save it with fewer bytes per pixel",
        )


def by(shape: Sequence[int]) -> str:
    """Return such as `512 x 512 x 40`."""
    return " x ".join(str(int(size)) for size in shape)
