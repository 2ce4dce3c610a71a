"""All similarities of two sides, a block at a time, for what needs more of them than the greatest few.

An exact answer comes of two steps: a block is float32 with a proven error, and float64 decides what is nearest.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from benchmark.core.errors import BadDataError
from benchmark.core.types import Match, chunks
from benchmark.search.engine import MEMORY_BYTES, PAIR_BYTES, WIDTH
from benchmark.search.prefetch import DEPTH, ahead
from benchmark.search.rows import Rows

if TYPE_CHECKING:
    from numpy.typing import NDArray


def block_parts(queries: Rows, bank: Rows, *, memory: int = MEMORY_BYTES) -> list[slice]:
    """Return which queries are compared with all of the bank at once: as many as memory bytes allow.

    Raises BadDataError when a side is empty.
    """
    if not queries.count or not bank.count:
        raise BadDataError(f"{queries.count} items cannot be searched in {bank.count}", "give at least one of each")
    row = _row_bytes(bank) * (1 + len(queries.views))
    height = memory // 3 // (4 * bank.count + PAIR_BYTES * _width(bank, memory) + row)
    return list(chunks(queries.count, max(1, min(queries.count, height))))


def similarities(
    queries: Rows, part: slice, bank: Rows, *, device: str = "cpu", memory: int = MEMORY_BYTES
) -> NDArray[np.float32]:
    """Return the similarities of queries[part] to all of the bank, the best of their views, (n, bank.count).

    Raises BadDataError when an embedding is not a number.
    """
    views = [rows.take(part) for rows in (queries, *queries.views)]
    block = np.empty((len(views[0]), bank.count), dtype=np.float32)
    for piece, others in ahead(chunks(bank.count, _width(bank, memory)), bank.take):
        block[:, piece] = bank.similarity.block(views[0], others, device)
        for view in views[1:]:
            np.maximum(block[:, piece], bank.similarity.block(view, others, device), out=block[:, piece])
    if np.isnan(block.max()):
        raise BadDataError("an embedding is not a number", "train the detector anew: delete its folder in cache/")
    return block


def blocks(
    queries: Rows, bank: Rows, *, device: str = "cpu", memory: int = MEMORY_BYTES
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Yield (query slice, their similarities) until all queries have been compared."""
    for part in block_parts(queries, bank, memory=memory):
        yield part, similarities(queries, part, bank, device=device, memory=memory)


def _row_bytes(bank: Rows) -> int:
    return int(bank.dimension * bank.take(slice(0, 1)).itemsize)


def _width(bank: Rows, memory: int) -> int:
    """Return how many bank items are compared at once; float64 copies of them take as much as two more blocks."""
    return int(max(1, min(bank.count, WIDTH, memory // 3 // ((DEPTH + 4) * _row_bytes(bank)))))


def settle(block: NDArray[np.float32], queries: Rows, part: slice, bank: Rows, offset: int = 0) -> Match:
    """Decide the nearest bank item of each query in float64.

    Args:
        block: (n, m) float32 similarities of queries[part] to bank items offset .. offset + m.
        queries: all of them, with their views.
        part: which ones.
        bank: the whole bank.
        offset: where the block's first column stands in the bank.

    Returns:
        `index` counts from `offset`; ties go to the lowest index.
    """
    compare = bank.similarity
    reach = block.max(axis=1) - 2 * compare.error(bank.dimension)
    views = [rows.take(part) for rows in (queries, *queries.views)]
    index = np.empty(len(block), dtype=np.int64)
    similarity = np.empty(len(block))
    for i, rows in enumerate(zip(*views, strict=True)):
        # A row without variance resembles nothing, everything equally: no need to compare it with all of the bank.
        near = np.zeros(1, dtype=np.int64) if not block[i].any() else np.flatnonzero(block[i] >= reach[i])
        exact = np.concatenate(
            [
                np.max([compare.exact(row, bank.take(near[part] + offset)) for row in rows], axis=0)
                for part in chunks(len(near), 256)
            ]
        )
        best = int(exact.argmax())
        index[i], similarity[i] = near[best], exact[best]
    return Match(index=index, similarity=similarity)


def settle_bank(block: NDArray[np.float32], queries: Rows, part: slice, bank: Rows, best: Match) -> None:
    """Decide in float64 which of queries[part] is nearest to each bank item, and keep it in `best` where it is nearer.

    Args:
        block: (n, M) float32 similarities.
        queries: all of them, with their views.
        part: which ones, later than those that `best` knows.
        bank: the whole bank.
        best: (M,) query and similarity of each bank item; -inf where none is known.
    """
    compare = bank.similarity
    error = compare.error(bank.dimension)
    views = [rows.take(part) for rows in (queries, *queries.views)]
    greatest = block.max(axis=0)
    for item in np.flatnonzero(greatest >= best.similarity - error):
        near = np.flatnonzero(block[:, item] >= greatest[item] - 2 * error)
        near = near[:1] if greatest[item] == 0 and not block[:, item].any() else near
        row = bank.take(np.array([item]))[0]
        exact = np.max([compare.exact(row, view[near]) for view in views], axis=0)
        first = int(exact.argmax())
        if exact[first] > best.similarity[item]:
            best.index[item], best.similarity[item] = near[first] + part.start, exact[first]


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
