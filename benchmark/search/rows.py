"""Items as rows of numbers, computed or read when they are needed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmark.core.types import Similarity
from benchmark.search.similarity import COSINE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmark.core.types import Array
    from benchmark.search.index import Index

    Which = slice | NDArray[np.int64]


@dataclass(frozen=True)
class Rows:
    """Embedded items: `take` returns the rows (n, dimension) of a slice or an index (n,), uint8 or float32."""

    count: int
    dimension: int
    take: Callable[[Which], Array]
    similarity: Similarity = COSINE
    views: tuple[Rows, ...] = ()
    """The same items transformed (flipped, rotated ...): a query is as similar to an item as the best of its views."""
    index: Index | None = None
    """The index of these rows as a bank, where one was built."""
    embedded: bool = False
    """Whether `take` computes them from images, which the nodes of a cluster can share among them."""

    @classmethod
    def of(cls, array: Array, similarity: Similarity = COSINE, views: tuple[Rows, ...] = ()) -> Rows:
        """Wrap an array of rows (N, D), in memory or memory-mapped; what is not uint8 becomes float32."""
        dtype = np.uint8 if array.dtype == np.uint8 else np.float32
        return cls(len(array), array.shape[1], lambda which: np.asarray(array[which], dtype=dtype), similarity, views)


def piece(rows: Rows, part: slice) -> Rows:
    """Return rows[part] as rows of their own, without copying; part has a start, a stop and no step."""
    start, stop = part.start, part.stop

    def take(which: Which) -> Array:
        if isinstance(which, slice):
            first, last, _ = which.indices(stop - start)
            return rows.take(slice(first + start, last + start))
        return rows.take(which + start)

    return Rows(
        stop - start, rows.dimension, take, rows.similarity, tuple(piece(view, part) for view in rows.views),
        rows.index.part(part) if rows.index else None, rows.embedded,
    )  # fmt: skip
