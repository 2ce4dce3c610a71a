"""Exact nearest neighbours over all items of a bank, in bounded memory.

Items are rows; a detector's similarity compares them. For unit rows that is their inner product: a float32 product
finds every pair that can be the nearest (its error has a proven bound), float64 decides among these. Nothing of size
queries x bank is ever held.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmark.contracts import Match, Similarity, chunks
from benchmark.errors import BadDataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

MEMORY_BYTES = 1 << 30
_DEPTH = 512  # products are summed over pieces of this many terms, which bounds their rounding error


class Cosine:
    """The inner product of unit rows; a zero row (a constant image) resembles nothing: 0."""

    def block(self, queries: NDArray[np.float32], others: NDArray[np.float32], device: str) -> NDArray[np.float32]:
        """Multiply in float32, summing pieces of 512 terms."""
        if device == "cpu":
            total = queries[:, :_DEPTH] @ others[:, :_DEPTH].T
            for piece in list(chunks(queries.shape[1], _DEPTH))[1:]:
                total += queries[:, piece] @ others[:, piece].T
            return total
        import torch

        left, right = torch.from_numpy(queries).to(device), torch.from_numpy(others).to(device)
        result = torch.zeros(len(queries), len(others), device=device)
        for piece in chunks(queries.shape[1], _DEPTH):
            result.addmm_(left[:, piece], right[:, piece].T)
        return result.cpu().numpy()

    def exact(self, row: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float64]:
        """Divide the inner product by both lengths: rounded rows are of length 1 only to 1e-7."""
        one, wide = row.astype(np.float64), others.astype(np.float64)
        # The same order of summation in all three sums: a copy then reads exactly 1.
        inner = (wide * one).sum(axis=1)
        lengths = np.sqrt((wide * wide).sum(axis=1) * (one * one)[None].sum(axis=1))
        cosines = np.divide(inner, lengths, out=np.zeros_like(inner), where=lengths > 0)
        return np.asarray(np.clip(cosines, -1.0, 1.0))

    def error(self, dimension: int) -> float:
        """How far a float32 product of unit rows, summed in pieces of 512, can be from the exact one."""
        return (_DEPTH + dimension / _DEPTH + 4) * 2.0**-24


COSINE = Cosine()


@dataclass(frozen=True)
class Rows:
    """Embedded items that are made when asked for: `take` returns (n, dimension) float32 rows of a slice or index."""

    count: int
    dimension: int
    take: Callable[[slice | NDArray[np.int64]], NDArray[np.float32]]
    similarity: Similarity = COSINE

    @classmethod
    def of(cls, array: NDArray[np.float32], similarity: Similarity = COSINE) -> Rows:
        """Wrap an array of rows, in memory or memory-mapped."""
        return cls(len(array), array.shape[1], lambda index: np.asarray(array[index], dtype=np.float32), similarity)


def blocks(
    queries: Rows, bank: Rows, *, device: str = "cpu", memory: int = MEMORY_BYTES
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Yield (query slice, (n, bank.count) similarities) with n as large as memory bytes allow.

    Raises BadDataError when a side is empty, or an embedding is not a number.
    """
    if not queries.count or not bank.count:
        raise BadDataError(f"{queries.count} items cannot be searched in {bank.count}", "give at least one of each")
    height = max(1, min(queries.count, memory // 4 // max(1, 4 * bank.count + 4 * queries.dimension)))
    width = max(1, memory // 4 // (4 * bank.dimension))
    for part in chunks(queries.count, height):
        rows = queries.take(part)
        block = np.empty((len(rows), bank.count), dtype=np.float32)
        for piece in chunks(bank.count, width):
            block[:, piece] = bank.similarity.block(rows, bank.take(piece), device)
        if np.isnan(block.max()):
            raise BadDataError("an embedding is not a number", "train the detector anew: delete its folder in cache/")
        yield part, block


def settle(block: NDArray[np.float32], rows: NDArray[np.float32], bank: Rows, offset: int = 0) -> Match:
    """Decide the nearest bank item of each query in float64.

    Args:
        block: (n, m) float32 similarities of `rows` to bank items offset .. offset + m.
        rows: (n, dimension) the queries.
        bank: the whole bank.
        offset: where the block's first column stands in the bank.

    Returns:
        `index` counts from `offset`; ties go to the lowest index.
    """
    compare = bank.similarity
    reach = block.max(axis=1) - 2 * compare.error(rows.shape[1])
    index = np.empty(len(rows), dtype=np.int64)
    similarity = np.empty(len(rows))
    for i, row in enumerate(rows):
        # A zero row resembles nothing, everything equally: no need to compare it with all of the bank.
        alone = not row.any() and not block[i].any()
        near = np.zeros(1, dtype=np.int64) if alone else np.flatnonzero(block[i] >= reach[i])
        exact = np.concatenate([compare.exact(row, bank.take(near[part] + offset)) for part in chunks(len(near), 256)])
        best = int(exact.argmax())
        index[i], similarity[i] = near[best], exact[best]
    return Match(index=index, similarity=similarity)


def nearest(queries: Rows, bank: Rows, *, device: str = "cpu", memory: int = MEMORY_BYTES) -> Match:
    """Return the exact nearest bank item of every query."""
    found = [
        settle(block, queries.take(part), bank) for part, block in blocks(queries, bank, device=device, memory=memory)
    ]
    return join(found)


def top(queries: Rows, bank: Rows, count: int, *, device: str = "cpu") -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the `count` greatest similarities of every query in falling order, and their places, (N, count) each.

    All items where the bank holds fewer. Float32 decides, unlike in `nearest`.
    """
    count = min(count, bank.count)
    values, places = [], []
    for _, block in blocks(queries, bank, device=device):
        chosen = np.argpartition(-block, count - 1, axis=1)[:, :count]
        order = np.argsort(-np.take_along_axis(block, chosen, axis=1), axis=1, kind="stable")
        places.append(np.take_along_axis(chosen, order, axis=1))
        values.append(np.take_along_axis(block, places[-1], axis=1))
    return np.concatenate(values), np.concatenate(places)


def join(found: list[Match]) -> Match:
    """Concatenate the matches of consecutive query blocks."""
    return Match(
        index=np.concatenate([match.index for match in found]),
        similarity=np.concatenate([match.similarity for match in found]),
    )


def subject_maxima(block: NDArray[np.float32], codes: NDArray[np.int64]) -> NDArray[np.float32]:
    """Reduce (n, M) similarities to (n, P): the greatest of each subject; codes (M,) name subjects 0 .. P-1."""
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    gathered = block if np.array_equal(order, np.arange(len(order))) else block[:, order]
    return np.maximum.reduceat(gathered, starts, axis=1)
