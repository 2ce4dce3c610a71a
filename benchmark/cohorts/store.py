"""Prepared items on disk: one array of pixels and one table, written once and then only read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from benchmark.core.errors import BadDataError
from benchmark.core.files import read_json, write_json

if TYPE_CHECKING:
    from benchmark.core.types import Array

PIXELS, TABLE, FILES, FINISHED = "pixels.npy", "items.parquet", "files.parquet", "finished.json"


@dataclass(frozen=True, kw_only=True)
class Stored:
    """All items of a data set, not yet split."""

    folder: Path
    pixels: Array
    """(M, C, *spatial), memory-mapped read-only, uint8 or float32."""
    table: pd.DataFrame
    """One row per item: item, source (which of `files`), subject, label, group, sha (of its pixels)."""
    files: pd.DataFrame
    """One row per file: source, subject, items, spacing_mm, orientation, file, bytes, sha256."""
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
    table.to_parquet(folder / TABLE, index=False)
    files.to_parquet(folder / FILES, index=False)
    sizes = {name: (folder / name).stat().st_size for name in (PIXELS, TABLE, FILES)}
    facts = {"items": len(table), "channels": channels, "spacing_mm": spacing_mm, "remarks": remarks, "bytes": sizes}
    write_json(folder / FINISHED, facts)


def open_stored(folder: Path) -> Stored | None:
    """Open a prepared folder; None where it is absent, unfinished, cut off or unreadable."""
    try:
        facts = read_json(folder / FINISHED)
        if any((folder / name).stat().st_size != size for name, size in facts["bytes"].items()):
            return None
        table, files = (pd.read_parquet(folder / name) for name in (TABLE, FILES))
        pixels = np.load(folder / PIXELS, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, KeyError, TypeError, BadDataError):
        return None
    if not len(table) == len(pixels) == facts["items"]:
        return None
    return Stored(
        folder=folder,
        pixels=pixels,
        table=table,
        files=files,
        channels=tuple(facts["channels"]),
        spacing_mm=tuple(facts["spacing_mm"]),
        remarks=facts["remarks"],
    )
