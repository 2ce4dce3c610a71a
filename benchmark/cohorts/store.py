"""Prepared items on disk: one array of pixels and one table, written once and then only read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from benchmark.cohorts.sealed_pixels import SealedPixels
from benchmark.core.errors import BadDataError
from benchmark.core.sealed import is_intact, read_sealed_json, sealed_write, write_sealed_json

if TYPE_CHECKING:
    from benchmark.core.types import Array

PIXELS, TABLE, FILES, FINISHED = "pixels.npy", "items.parquet", "files.parquet", "finished.json"


@dataclass(frozen=True, kw_only=True)
class Stored:
    """All items of a data set, not yet split."""

    folder: Path
    pixels: Array
    """(M, C, *spatial), memory-mapped read-only, uint8 or float32; each item is checked when it is read."""
    table: pd.DataFrame
    """One row per item: item, source (which of `files`), subject, label, group, sha (of its pixels)."""
    files: pd.DataFrame
    """One row per file: source, subject, items, spacing_mm, orientation, file, bytes, sha256, and `beside`, whether the
    data set does not list it: the voxels that belong to a header."""
    channels: tuple[str, ...]
    spacing_mm: tuple[float, ...]
    remarks: dict[str, list[str]]
    """What was left out or repaired, with the names: for the person at the keyboard, never for a record."""


def finish(
    folder: Path,
    table: pd.DataFrame,
    files: pd.DataFrame,
    *,
    channels: tuple[str, ...],
    spacing_mm: tuple[float, ...],
    remarks: dict[str, list[str]],
) -> None:
    """Write the tables, and last the file that says that the folder is whole."""
    for name, frame in ((TABLE, table), (FILES, files)):
        with sealed_write(folder / name) as temporary:
            frame.to_parquet(temporary, index=False)
    facts = {"items": len(table), "channels": channels, "spacing_mm": spacing_mm, "remarks": remarks}
    write_sealed_json(folder / FINISHED, facts | {"bytes": (folder / PIXELS).stat().st_size})


def open_stored(folder: Path) -> Stored | None:
    """Open a prepared folder; None where it is absent, unfinished, cut off, changed or unreadable."""
    if not all(is_intact(folder / name) for name in (FINISHED, TABLE, FILES)):
        return None
    try:
        facts = read_sealed_json(folder / FINISHED, kind=dict)
        if (folder / PIXELS).stat().st_size != facts["bytes"]:
            return None
        table, files = (pd.read_parquet(folder / name) for name in (TABLE, FILES))
        pixels: Any = SealedPixels(folder / PIXELS, tuple(table["sha"]), finished=folder / FINISHED)
        if not len(table) == len(pixels) == facts["items"]:
            return None
        return Stored(
            folder=folder,
            pixels=pixels,
            table=table,
            files=files,
            channels=tuple(facts["channels"]),
            spacing_mm=tuple(facts["spacing_mm"]),
            remarks=dict(facts["remarks"]),
        )
    except (OSError, ValueError, KeyError, TypeError, BadDataError):
        return None
