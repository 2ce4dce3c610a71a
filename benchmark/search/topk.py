"""The best k bank items of each query so far: what a search fills, a shard returns, and a resumed search reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Best:
    """Running lists of N queries, by falling similarity, then rising place (position in the bank)."""

    values: NDArray[np.float64]
    """(N, k); -inf where nothing has been seen."""
    places: NDArray[np.int64]
    """(N, k); -1 where nothing has been seen."""
    ties: NDArray[np.int64]
    """(N,) how many further bank items are as near as the nearest."""

    @classmethod
    def empty(cls, count: int, depth: int) -> Self:
        """Return the lists of `count` queries, `depth` entries each, with nothing seen."""
        return cls(
            np.full((count, depth), -np.inf), np.full((count, depth), -1, np.int64), np.zeros(count, dtype=np.int64)
        )

    def part(self, part: slice) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
        """Return values, places and ties of some queries, as compiled loops take them: views, which they fill."""
        return self.values[part], self.places[part], self.ties[part]

    def rows(self, part: slice) -> Best:
        """Return the lists of some queries, as a view."""
        return Best(*self.part(part))

    def taken(self, index: NDArray[np.int64]) -> Best:
        """Return a copy of the lists of these queries, (n,)."""
        return Best(self.values[index], self.places[index], self.ties[index])

    def put(self, index: NDArray[np.int64], lists: Best) -> None:
        """Write lists back to these queries, (n,)."""
        self.values[index], self.places[index], self.ties[index] = lists.values, lists.places, lists.ties


def merged(lists: Sequence[Best], depth: int) -> Best:
    """Merge the lists of shards of one bank for the same queries; places are positions in the whole bank.

    Ties of shards that hold a nearest item add up, and their own nearest items are one more each. Similarities of 0,
    those of zero variance, do not count as ties.
    """
    values = np.concatenate([one.values for one in lists], axis=1)
    places = np.concatenate([one.places for one in lists], axis=1)
    # The last key sorts first: values fall, and among equals places rise, free entries (-1) last.
    unseen = np.where(places < 0, np.iinfo(np.int64).max, places)
    order = np.lexsort((unseen, -values), axis=1)[:, :depth]
    values, places = np.take_along_axis(values, order, axis=1), np.take_along_axis(places, order, axis=1)
    nearest = [one.values[:, 0] == values[:, 0] for one in lists]
    ties = sum((one.ties + 1) * equal for one, equal in zip(lists, nearest, strict=True)) - 1
    return Best(values, places, np.where(values[:, 0] == 0, 0, np.maximum(ties, 0)))
