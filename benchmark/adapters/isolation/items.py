"""Training items for the process of a model: a copy in a file without a name, which that process maps read-only.

The copy holds the items of one split and nothing else. What the other process does to it reaches neither the prepared
images of the cohort nor any array of the evaluator.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from benchmark.core.errors import MachineError
from benchmark.core.types import Split, chunks

if TYPE_CHECKING:
    from benchmark.core.types import Array

IN_MEMORY = 2**26
"""Bytes up to which the copy is kept in memory (64 MiB); larger ones are on the disk, of any size."""
BLOCK = 2**24
"""Bytes that are copied at a time; the digest of each prepared item is compared as it is read."""
NAMES = ("name", "subjects", "items", "channels", "labels", "units", "captions")


def lent_items(split: Split, folder: Path) -> tuple[int, dict[str, Any]]:
    """Return the descriptor of a file with the items of a split, open for reading only, and what describes them.

    Each item is there once, in the order of the cohort, whatever the order and repetitions of the split.

    Args:
        split: the training items.
        folder: where a file is made that is too large for memory; it has no name there.

    Raises DamagedError for an item that has changed, MachineError for a full disk.
    """
    rows, positions = np.unique(split.rows, return_inverse=True)
    size = len(rows) * _bytes_each(split)
    try:
        with _nameless(size, folder) as file:
            for pixels in _blocks(split, rows):
                file.write(np.ascontiguousarray(pixels).data)
            file.flush()
            reading = _read_only(file)
    except OSError as error:
        raise MachineError(
            f"a copy of the training items ({size / 2**30:.3g} GiB) could not be written to {folder}: {error.strerror}",
            "free some space, or choose another --runs",
        ) from error
    names = {name: getattr(split, name) for name in NAMES}
    layout = {"dtype": np.dtype(split.pixels.dtype).str, "shape": (len(rows), *split.shape)}
    return reading, {**names, **layout, "rows": positions.tolist()}


def borrowed_items(file: int, told: Mapping[str, Any]) -> Split:
    """Return the split of `lent_items`: its `pixels` (M, C, *spatial) are those items alone, and cannot be written."""
    shape, dtype = tuple(told["shape"]), np.dtype(told["dtype"])
    names: dict[str, Any] = {name: told[name] if name == "name" else _tuple(told[name]) for name in NAMES}
    return Split(pixels=_mapped(file, dtype, shape), rows=np.array(told["rows"], dtype=np.int64), **names)


def _mapped(file: int, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Array:
    if not all(shape):  # an empty file cannot be mapped
        return np.empty(shape, dtype)
    content = mmap.mmap(file, 0, access=mmap.ACCESS_READ)
    return np.frombuffer(content, dtype).reshape(shape)


def _tuple(values: list[str] | None) -> tuple[str, ...] | None:
    return None if values is None else tuple(values)


def _bytes_each(split: Split) -> int:
    return int(np.prod(split.shape, dtype=np.int64)) * np.dtype(split.pixels.dtype).itemsize


def _blocks(split: Split, rows: Array) -> Iterator[Array]:
    for part in chunks(len(rows), max(1, BLOCK // _bytes_each(split))):
        yield split.pixels[rows[part]]


def _nameless(size: int, folder: Path) -> BinaryIO:
    """Return a new file that no path leads to."""
    return _in_memory() if size <= IN_MEMORY and hasattr(os, "memfd_create") else _on_disk(folder)


def _in_memory() -> BinaryIO:
    return os.fdopen(os.memfd_create("items", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING), "w+b")


def _on_disk(folder: Path) -> BinaryIO:
    folder.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryFile(dir=folder)  # deleted (O_TMPFILE) from the start


def _read_only(file: BinaryIO) -> int:
    """Return another descriptor of an open file, for reading only; a file in memory can no more be written at all."""
    if hasattr(fcntl, "F_ADD_SEALS"):
        with suppress(OSError):  # a file on a disk has no seals; nobody but the other process reads this copy
            fcntl.fcntl(file.fileno(), fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE)
    return os.open(f"/dev/fd/{file.fileno()}", os.O_RDONLY | os.O_CLOEXEC)
