"""The real and synthetic images of a cohort at the size of their files, in one orientation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.core.errors import BadDataError
from benchmark.images.readers import read_image
from benchmark.images.readers.series import read_series

if TYPE_CHECKING:
    from benchmark.cohorts.store import Stored
    from benchmark.core.types import Array, Split


def opener(stored: Stored, items: Split) -> Callable[[int], Array]:
    """Return a function that opens the first channel of an item by its position, at full size.

    An item that is cut from a file (a slice, a tile) and one whose files cannot be read again are returned as stored.
    """
    files = {source: list(rows["file"]) for source, rows in stored.files.groupby("source", sort=False)}

    def open_item(position: int) -> Array:
        as_stored: Array = items.stored([position])[0, 0]
        image = _from_files(files.get(items.items[position], []))
        return as_stored if image is None or image.ndim != as_stored.ndim else image

    return open_item


def _from_files(files: list[str]) -> Array | None:
    try:
        if len(files) == 1:
            return read_image(files[0], constant_ok=True).pixels
        volumes = read_series([Path(file) for file in files]).volumes if files else ()
    except BadDataError:
        return None
    return volumes[0].pixels if len(volumes) == 1 else None
