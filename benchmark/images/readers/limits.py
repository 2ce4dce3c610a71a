"""What a file may take before its pixels are read, and the border to other libraries' decoders."""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from benchmark.core.errors import BadDataError, UsageError
from benchmark.core.memory import machine_memory

VARIABLE = "BENCH_MAX_SOURCE_GIB"
"""Environment variable with the limit, which processes that read files inherit; `--max-source-gib` sets it."""
SHARE_OF_MEMORY = 8
"""A reader holds an image as stored, as float32 or float64, and resized: together up to eight times its own size."""
MOST_BY_DEFAULT = 8 * 2**30
DEFLATE = 1032
"""Bytes into which one byte of deflate (gzip, PNG, zip) can expand at most: zlib's technical details."""
ANY_RATIO_BYTES = 256 * 2**20
MOST_COMPRESSED = 200
"""Bytes of pixels per stored byte. Lossless codecs reach 2 to 4 on scans. Segmentations reach more, but up to
ANY_RATIO_BYTES every file is decoded."""
SLACK = 2**16
"""Bytes that a header, or the last block of a compressed file, may add."""
AGAIN = "download or copy the file again"
NOT_FILES = {
    stat.S_IFIFO: "a pipe", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device", stat.S_IFSOCK: "a socket",
}  # fmt: skip
"""What is no file of bytes. Opening a pipe blocks, and a device such as /dev/zero has no end."""

_root: ContextVar[Path | None] = ContextVar("root", default=None)


class TooLargeError(BadDataError):
    """An image that takes more memory than `limit` allows."""


def limit() -> int:
    """Return the bytes of pixels, as stored, that one image, volume or series may take.

    The limit is VARIABLE where it is set, else an eighth of the machine's memory, at most 8 GiB. Raises UsageError.
    """
    text = os.environ.get(VARIABLE)
    if not text:
        return min(machine_memory() // SHARE_OF_MEMORY, MOST_BY_DEFAULT)
    try:
        gib = float(text)
    except ValueError:
        gib = math.nan
    if not 0 < gib < math.inf:
        raise UsageError(f"--max-source-gib {text} is no size", "give a number of GiB above 0, such as 2")
    return int(gib * 2**30)


def limit_text() -> str:
    """Return the limit as people read it, such as `2.93 GiB`."""
    return f"{limit() / 2**30:.3g} GiB"


@contextmanager
def below(root: Path | None) -> Iterator[None]:
    """While it lasts, let headers name files of this folder; without one, those in the folder of the header."""
    token = _root.set(root)
    try:
        yield
    finally:
        _root.reset(token)


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


def require_file(path: Path) -> None:
    """Raise BadDataError where a path is a pipe, a device or the like, behind links too; it is not opened for that."""
    try:
        kind = stat.S_IFMT(path.stat().st_mode)
    except OSError:
        return  # whoever opens it says what is wrong
    if kind not in (stat.S_IFREG, stat.S_IFDIR):
        raise BadDataError(f"{path} is {NOT_FILES.get(kind, 'no file')}, not a file", "leave it out")


def require_companion(path: Path, header: Path) -> None:
    """Raise BadDataError where the file that a header names is no regular file, or a link out of the data set.

    It may be below the data set's folder, or in the folder that the header itself is in behind all links.
    """
    require_file(path)
    real = path.resolve()
    root = (_root.get() or header.parent).resolve()
    if not (real.is_relative_to(root) or real.is_relative_to(header.resolve().parent)):
        raise BadDataError(
            f"{header} needs the file {path.name}, which is a link out of the data set's folder",
            "copy the file itself there",
        )


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
    if expansion > 1:
        require_ratio(path, declared, held)


def require_limit(path: Path, shape: Sequence[int], pixel_bytes: int) -> None:
    """Raise TooLargeError where pixels of this shape take more than `limit`, whatever the file can hold."""
    taken = math.prod(int(size) for size in shape) * pixel_bytes
    if taken > limit():
        raise TooLargeError(
            f"{path} holds {by(shape)} pixels, which take {taken / 2**30:.1f} GiB; "
            f"at most {limit_text()} per file are read",
            "crop or resample it, save it with fewer bytes per pixel, or give more with --max-source-gib",
        )


def require_bytes(path: Path) -> None:
    """Raise TooLargeError where a file that is read as a whole has more bytes than `limit`."""
    size = path.stat().st_size
    if size > limit():
        raise TooLargeError(
            f"{path} has {size / 2**30:.1f} GiB; at most {limit_text()} per file are read",
            "leave it out, or give more with --max-source-gib",
        )


def require_ratio(path: Path, unpacked: int, stored: int, any_ratio: int = ANY_RATIO_BYTES) -> None:
    """Raise BadDataError where a file would unpack to more than an image of its size can: it is made to fill memory."""
    if unpacked > max(any_ratio, MOST_COMPRESSED * stored):
        raise BadDataError(
            f"{path} unpacks from {stored:,} bytes to {unpacked:,}, more than {MOST_COMPRESSED} times as many, "
            "as images do not",
            "leave it out; if it is an image, save it without compression",
        )


def by(shape: Sequence[int]) -> str:
    """Return such as `512 x 512 x 40`."""
    return " x ".join(str(int(size)) for size in shape)
