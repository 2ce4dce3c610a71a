"""The real and synthetic images of a cohort at the size of their files, in one orientation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.core.errors import BadDataError
from benchmark.images.crop import without_border
from benchmark.images.readers import read_image
from benchmark.images.readers.series import read_series

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from benchmark.cohorts.store import Stored
    from benchmark.core.types import Array


def opener(stored: Stored, rows: NDArray[np.int64]) -> Callable[..., Array]:
    """Return a function that opens one channel of an item by its position among `rows`, at full size.

    Black borders are cut off, as on the grid of the search: a model may have padded its images. An item that is cut
    from a file (a slice, a tile), one with several channels and one whose files cannot be read again are returned as
    stored.
    """
    listed = stored.files[~stored.files["beside"]]
    files = {source: list(group["file"]) for source, group in listed.groupby("source", sort=False)}
    sources = stored.table["source"]
    alone = ~sources.duplicated(keep=False).to_numpy()

    def open_item(position: int, channel: int = 0) -> Array:
        row = int(rows[position])
        as_stored: Array = stored.pixels[row, channel]
        if stored.pixels.shape[1] > 1:
            return as_stored  # borders that differ between channels would shift them
        image = _from_files(files[sources.iloc[row]]) if alone[row] else None
        return without_border(as_stored if image is None or image.ndim != as_stored.ndim else image)

    return open_item


def _from_files(files: list[str]) -> Array | None:
    try:
        if len(files) == 1:
            return read_image(files[0], constant_ok=True).pixels
        volumes = read_series([Path(file) for file in files]).volumes
    except BadDataError:
        return None
    return volumes[0].pixels if len(volumes) == 1 else None
