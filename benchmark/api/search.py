"""`memobench.search`: the exact nearest reference images of every query, by maximum correlation of pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.api.stack import stacked
from benchmark.api.wording import python_words
from benchmark.core.devices import pick_device
from benchmark.core.errors import BadDataError, UsageError
from benchmark.core.types import Split, to_images
from benchmark.detectors.fitting import rows_of
from benchmark.detectors.pixels import Pixels
from benchmark.detectors.query_transforms import views_of
from benchmark.search import search as search_rows

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from benchmark.core.types import Array


@dataclass(frozen=True)
class Neighbours:
    """The k nearest references of N queries, nearest first."""

    index: NDArray[np.int64]
    """(N, k), numbers of references; ties go to the lowest."""
    similarity: NDArray[np.float64]
    """(N, k), Pearson correlation over all pixels and channels, -1 to 1; of a constant image 0."""
    engine: str
    """What compared them; every engine is exact."""

    def table(self) -> pd.DataFrame:
        """Return one row per pair: query, rank (from 1), reference, similarity."""
        import pandas as pd

        count, k = self.index.shape
        return pd.DataFrame(
            {
                "query": np.repeat(np.arange(count), k), "rank": np.tile(np.arange(1, k + 1), count),
                "reference": self.index.ravel(), "similarity": self.similarity.ravel(),
            }
        )  # fmt: skip


def search(
    queries: Any,
    references: Any,
    k: int = 1,
    *,
    transforms: Sequence[str] = (),
    layout: str | None = None,
    key: str = "image",
    device: str = "auto",
    search_memory: float = 2.0,
) -> Neighbours:
    """Find the exact k nearest references of every query.

    Args:
        queries: images in memory as `audit` takes them, all of one shape (H, W), (C, H, W), (D, H, W) ...
        references: as many pixels and channels per image.
        k: how many; all, where there are fewer references.
        transforms: flips, rotations, shifts, scales: a query is compared in each of these views, too, and the best
            counts.
        layout: the axes, where their sizes leave a doubt.
        key: what holds the image in entries that are dicts.
        device: auto, cpu, cuda or cuda:N.
        search_memory: GiB that the search may take.

    Ranges need not be equal: correlation does not depend on them. Raises UsageError and BadDataError.
    """
    if k < 1:
        raise UsageError(f"k={k} is no number of neighbours", "give 1 or more")
    with python_words():
        one, other = (
            stacked(given, name, layout=layout, key=key)
            for given, name in ((queries, "queries"), (references, "references"))
        )
        if one.pixels.shape[1:] != other.pixels.shape[1:]:
            raise BadDataError(
                f"queries have shape {one.pixels.shape[1:]} (channels first), references {other.pixels.shape[1:]}",
                "resize them to one shape",
            )
        levels = one.pixels.dtype == other.pixels.dtype == np.uint8
        detector = Pixels(levels=levels, views=views_of(transforms, one.pixels.ndim - 2))
        rows, bank = (
            rows_of(detector, _split(pixels if levels else _floats(pixels))) for pixels in (one.pixels, other.pixels)
        )
        result = search_rows(rows, bank, k, device=str(pick_device(device)), memory=int(search_memory * 2**30))
    return Neighbours(result.index, result.similarity, result.certificate.engine)


def _split(pixels: Array) -> Split:
    names = tuple(map(str, range(len(pixels))))
    return Split(
        name="images", pixels=np.ascontiguousarray(pixels), rows=np.arange(len(pixels)), subjects=names, items=names,
        channels=tuple(f"channel {number}" for number in range(pixels.shape[1])),
    )  # fmt: skip


def _floats(pixels: Array) -> Array:
    """Return pixels (N, C, *spatial) as float32 in about [-1, 1], where the detector sees what is constant.

    Dividing by a power of two changes no digit.
    """
    if pixels.dtype == np.uint8:
        return to_images(pixels)
    greatest = float(np.abs(pixels).max())
    scale = 2.0 ** -math.ceil(math.log2(greatest)) if greatest else 1.0
    return (pixels * scale).astype(np.float32)
