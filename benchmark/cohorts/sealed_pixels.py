"""Prepared pixels on disk, of which each item is compared with its digest when it is read."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.core.errors import DamagedError
from benchmark.core.file_digests import stamp_of
from benchmark.core.sealed import remove_sealed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmark.core.types import Array

DIGITS = 32
"""Hexadecimal digits of an item's digest (SHA-256, cut to 128 bits)."""


def item_digest(item: Array) -> str:
    """Return the digest of an item (C, *spatial), by which exact duplicates are found, too."""
    return hashlib.sha256(np.ascontiguousarray(item).data).hexdigest()[:DIGITS]


class SealedPixels:
    """An array (M, C, *spatial) in a file, indexed along its first axis as a NumPy array is.

    An item that was compared is not compared again until the file system says that the file has changed. Copies of a
    whole split and tests of single items therefore cost one pass of SHA-256 over what they read.

    Args:
        path: a .npy file.
        digests: one per item, as `item_digest` makes them.
        finished: the file that marks the folder as whole: it is removed when an item has changed, so that the next run
            prepares all items again.

    Raises ValueError where the file is no array of so many items.
    """

    def __init__(self, path: Path, digests: Sequence[str], *, finished: Path) -> None:
        self._path, self._digests, self._finished = path, digests, finished
        self._map: Array = np.load(path, mmap_mode="r", allow_pickle=False)
        if self._map.ndim < 3 or len(self._map) != len(digests):
            raise ValueError(f"{path} does not hold {len(digests)} items")
        self._compared = np.zeros(len(digests), dtype=np.bool_)
        self._stamp = stamp_of(path)
        self._bytes = path.stat().st_size

    def __len__(self) -> int:
        return len(self._map)

    @property
    def shape(self) -> tuple[int, ...]:
        """(M, C, *spatial)."""
        return tuple(self._map.shape)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return int(self._map.ndim)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of a value: uint8 or float32."""
        return self._map.dtype

    @property
    def nbytes(self) -> int:
        """Bytes of all items."""
        return int(self._map.nbytes)

    def __getitem__(self, index: Any) -> Array:
        """Return items, or parts of them. Raises DamagedError where an item is not as it was prepared."""
        self.check(index[0] if isinstance(index, tuple) else index)
        items: Array = self._map[index]
        return items

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        """Return all items."""
        return np.array(self[:], dtype=dtype, copy=copy)

    def checked(self) -> Array:
        """Compare all items, and return the memory-mapped array: for code that indexes it very often."""
        return self[:]

    def check(self, index: Any = slice(None)) -> None:
        """Compare items that were not compared since the file last changed. Raises DamagedError."""
        self._forget_if_changed()
        rows: NDArray[np.int64] = np.atleast_1d(np.arange(len(self))[index])
        for row in rows[~self._compared[rows]]:
            if item_digest(self._map[row]) != self._digests[row]:
                self._refuse(int(row))
            self._compared[row] = True

    def intact(self) -> bool:
        """Return whether every item is as it was prepared. Reads all, and removes nothing."""
        if self._path.stat().st_size != self._bytes:
            return False
        return all(item_digest(item) == digest for item, digest in zip(self._map, self._digests, strict=True))

    def _forget_if_changed(self) -> None:
        try:
            stamp = stamp_of(self._path)
        except OSError:  # prepared again or deleted meanwhile: the map still shows the file that was opened
            return
        if stamp != self._stamp:
            self._stamp = stamp
            self._compared[:] = False
        # What a map holds behind the end of its file cannot be read: the system ends the process (SIGBUS).
        if (size := self._path.stat().st_size) != self._bytes:
            remove_sealed(self._finished)
            raise DamagedError(
                f"{self._path} has {size} bytes in place of {self._bytes}: another program has cut or changed it",
                "run the same command again: all items are prepared again",
            )

    def _refuse(self, row: int) -> None:
        remove_sealed(self._finished)
        raise DamagedError(
            f"{self._path} has changed since it was prepared: item {row} is not what was read from the files",
            "run the same command again: all items are prepared again",
        )
