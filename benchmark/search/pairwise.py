"""Search by any similarity that bounds the error of its float32 values: SSIM, a plugin's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmark.core.errors import BadDataError
from benchmark.core.types import Similarity, chunks
from benchmark.search.similarity import NOT_FINITE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmark.core.types import Array
    from benchmark.search.topk import Best

SCORED_AT_ONCE = 256
"""Bank items whose float64 copies are held at once."""


@dataclass(frozen=True)
class PairEngine:
    """Compares all pairs in float32, and in float64 those that may be among the best."""

    similarity: Similarity
    device: str
    number_bytes: int = 4
    """Float32; nothing is prepared."""

    @property
    def name(self) -> str:
        """What compares."""
        return type(self.similarity).__name__.lower()

    def prepare(self, rows: Array) -> Array:
        """Return rows (n, D) as they are. Raises BadDataError where one is not finite."""
        if not np.isfinite(rows).all():
            raise BadDataError(*NOT_FINITE)
        return rows

    def constant(self, rows: Array) -> int:
        """Count rows of zeros: what zero variance is, an unknown similarity does not tell."""
        return int((~rows.any(axis=1)).sum())

    def scan(self, queries: Array, bank: Array, offset: int, best: Best) -> int:
        """Push what may be among the best of (n, D) and (m, D), scored in float64; return how many pairs that were.

        With an error e, an item enters a list whose k-th value is v only where its float32 value is v - e or more. Of
        the block itself, the k greatest float32 values are f or more, their exact ones f - e or more: an item as good
        has a float32 value of f - 2 e or more.
        """
        from benchmark.search.kernels_lists import offer

        block = self.similarity.block(queries, bank, self.device)
        error, depth = self.similarity.error(bank.shape[1]), min(best.values.shape[1], len(bank))
        known = np.partition(block, len(bank) - depth, axis=1)[:, len(bank) - depth]
        total = 0
        for q, row in enumerate(queries):
            near = np.flatnonzero(block[q] >= max(best.values[q, -1] - error, known[q] - 2 * error))
            if not row.any() and not block[q].any():  # 0 with every item: all tie, the first ones win
                near = near[:depth]
            values, places, ties = best.part(slice(q, q + 1))
            for value, j in zip(self._scored(row, bank, near), near, strict=True):
                offer(values[0], places[0], ties, value, offset + j)
            total += len(near)
        return total

    def _scored(self, row: Array, bank: Array, near: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the exact similarities (k,) of a row (D,) with bank[near], `near` (k,)."""
        parts = [self.similarity.exact(row, bank[near[part]]) for part in chunks(len(near), SCORED_AT_ONCE)]
        return np.concatenate([np.empty(0), *parts])
