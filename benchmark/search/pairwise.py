"""Search by any similarity that says how far its float32 values may be from the truth: SSIM, a plugin's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmark.core.errors import BadDataError
from benchmark.core.types import Similarity, chunks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmark.core.types import Array
    from benchmark.search.topk import Best

SCORED_AT_ONCE = 256


@dataclass(frozen=True)
class PairEngine:
    """Compares all pairs in float32, and in float64 those that may be among the best."""

    similarity: Similarity
    device: str
    number_bytes: int = 4

    @property
    def name(self) -> str:
        """What compares."""
        return type(self.similarity).__name__.lower()

    def prepare(self, rows: Array) -> Array:
        """Return rows as they are. Raises BadDataError where one is not finite."""
        if not np.isfinite(rows).all():
            raise BadDataError("an embedding is not a number", "train the detector anew: delete its folder in cache/")
        return rows

    def constant(self, rows: Array) -> int:
        """Count rows of zeros."""
        return int((~rows.any(axis=1)).sum())

    def scan(self, ours: Array, bank: Array, offset: int, best: Best) -> int:
        """Push what may be among the best, scored in float64; return how many pairs that were."""
        from benchmark.search.kernels import offer

        block = self.similarity.block(ours, bank, self.device)
        error, depth = self.similarity.error(bank.shape[1]), min(best.values.shape[1], len(bank))
        known = np.partition(block, len(bank) - depth, axis=1)[:, len(bank) - depth]
        total = 0
        for q, row in enumerate(ours):
            near = np.flatnonzero(block[q] >= max(best.values[q, -1] - error, known[q] - 2 * error))
            if not row.any() and not block[q].any():  # like nothing, everything equally
                near = near[:depth]
            values, places, ties = best.part(slice(q, q + 1))
            for value, j in zip(self._scored(row, bank, near), near, strict=True):
                offer(values[0], places[0], ties, value, offset + j)
            total += len(near)
        return total

    def _scored(self, row: Array, bank: Array, near: NDArray[np.int64]) -> NDArray[np.float64]:
        parts = [self.similarity.exact(row, bank[near[part]]) for part in chunks(len(near), SCORED_AT_ONCE)]
        return np.concatenate([np.empty(0), *parts])
