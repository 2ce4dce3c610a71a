"""Public files of others, read with care: a regular file of at most LARGEST bytes, JSON, each name once."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmark.core.errors import BadDataError
from benchmark.core.sealed import AGAIN, require_unchanged

LARGEST = 2**20
"""Bytes of a record or an audit; real ones have 30 to 150 thousand."""
HINT = "delete it; the next run writes it again"


def read_public_json(path: Path, largest: int = LARGEST, advice: str = AGAIN) -> Any:
    """Read JSON that others have written, of so many bytes.

    Raises BadDataError naming the file, whatever it holds, and DamagedError with this advice where the file has a
    digest next to it and another content.
    """
    with readable(path):
        if path.is_file():  # of a pipe a digest would wait for somebody who writes
            require_unchanged(path, advice)
        text = _text(path, largest)
    try:
        return json.loads(text, object_pairs_hook=_once)
    except RecursionError:
        raise BadDataError(f"{path} is not readable JSON: it has too many levels", HINT) from None
    except ValueError as error:
        raise BadDataError(f"{path} is not readable JSON: {error}", HINT) from error


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Raise BadDataError that names the file where the system does not let it, or what lies next to it, be read."""
    try:
        yield
    except OSError as error:
        raise BadDataError(f"{path} cannot be read: {error.strerror}", "check what it is, or delete it") from error


def _text(path: Path, largest: int) -> str:
    # O_NONBLOCK: opening a FIFO would wait for somebody who writes. What was opened is then looked at.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise BadDataError(f"{path} is not a file but a folder, a pipe or a device", "delete it")
        content = _read(descriptor, largest + 1)
    finally:
        os.close(descriptor)
    if len(content) > largest:
        raise BadDataError(f"{path} has more than {largest} bytes, and a record has far fewer", HINT)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadDataError(f"{path} is not readable JSON: {error}", HINT) from error


def _read(descriptor: int, most: int) -> bytes:
    with os.fdopen(os.dup(descriptor), "rb") as file:
        return file.read(most)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice[:40]!r} is there twice")  # the second would hide the first
    return values
