"""Appending items to one array on disk, checked as they come, in constant memory."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np
import pandas as pd

from benchmark.cohorts.sealed_pixels import item_digest
from benchmark.core.errors import AdapterError, BadDataError
from benchmark.core.types import Items, Source

if TYPE_CHECKING:
    from benchmark.core.types import Array

KINDS = ("uint8", "float32")


class Writer:
    """Writes a .npy file of unknown length, item after item, and keeps one table row an item."""

    def __init__(self, path: Path, channels: tuple[str, ...]) -> None:
        self._channels = channels
        self._file = path.open("wb")
        self._shape: tuple[int, ...] = ()
        self._dtype = np.dtype("uint8")
        self._first = ""
        self._rows: list[tuple[str, str, str, str | None, str, str]] = []

    def append(self, source: Source, items: Items) -> None:
        """Add the items of one source.

        Raises BadDataError where they do not fit those before, AdapterError where no data set may return such items.
        """
        pixels = np.ascontiguousarray(items.pixels)
        self._check(source, pixels, items)
        for name, item in zip(items.names, pixels, strict=True):
            full = f"{source.name}_{name}" if name else source.name
            self._rows.append((full, source.name, source.subject, source.label, source.group, item_digest(item)))
        self._file.write(pixels.data)

    def table(self) -> pd.DataFrame:
        """Return one row per item. Raises BadDataError where two items share a name."""
        table = pd.DataFrame(self._rows, columns=["item", "source", "subject", "label", "group", "sha"])
        twice = table["item"][table["item"].duplicated()]
        if len(twice):
            raise BadDataError(
                f"two items are named {twice.iloc[0]}", "give each image a name of its own in the data set"
            )
        return table

    def _check(self, source: Source, pixels: Array, items: Items) -> None:
        if len(items.names) != len(pixels) or pixels.dtype.name not in KINDS:
            raise AdapterError(
                f"{source.name} gave {len(pixels)} items of type {pixels.dtype} with {len(items.names)} names",
                "a data set's `read` returns uint8 or float32 items, one name each",
            )
        if not self._shape:
            self._begin(source, pixels)
        if pixels.shape[1:] != self._shape or pixels.dtype != self._dtype:
            raise BadDataError(
                f"{source.name} has items of shape {pixels.shape[1:]} {pixels.dtype}, "
                f"but {self._first} has {self._shape} {self._dtype}",
                "bring all images to one shape, or leave this one out",
            )
        if pixels.dtype == "float32" and len(pixels) and not _in_range(pixels):
            raise AdapterError(
                f"{source.name} has values outside [-1, 1], or values that are not finite",
                "a data set's `read` scales float32 items to [-1, 1]",
            )

    def _begin(self, source: Source, pixels: Array) -> None:
        if pixels.ndim < 2 or pixels.shape[1] != len(self._channels):
            raise AdapterError(
                f"{source.name} has items of shape {pixels.shape[1:]}, "
                f"but {len(self._channels)} channels are named: {', '.join(self._channels)}",
                "a data set's `read` returns (items, channels, *spatial), one name per channel",
            )
        self._shape, self._dtype, self._first = pixels.shape[1:], pixels.dtype, source.name
        self._write_header()

    def _write_header(self) -> None:
        """Write or overwrite the header; numpy pads it so that the first axis may grow in place."""
        self._file.seek(0)
        header = {"descr": self._dtype.str, "fortran_order": False, "shape": (len(self._rows), *self._shape)}
        np.lib.format.write_array_header_1_0(self._file, header)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._file:
            if kind is None:
                self._write_header()


def _in_range(pixels: Array) -> bool:
    return bool(np.isfinite(pixels).all() and pixels.min() >= -1 and pixels.max() <= 1)
