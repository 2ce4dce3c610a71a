"""All similarities of two sides, one block at a time, for what needs more of them than the greatest few.

An exact answer takes two steps: a block is float32 with a proven error, and float64 decides what is nearest.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from benchmark.core.errors import BadDataError
from benchmark.core.types import Match, chunks
from benchmark.search.engine import MEMORY_BYTES, PAIR_BYTES, WIDTH
from benchmark.search.prefetch import DEPTH, read_ahead
from benchmark.search.rows import Rows
from benchmark.search.similarity import NOT_FINITE

if TYPE_CHECKING:
    from numpy.typing import NDArray

SETTLED_AT_ONCE = 256
"""Bank items whose float64 copies are held at once."""


def block_parts(queries: Rows, bank: Rows, *, memory: int = MEMORY_BYTES) -> list[slice]:
    """Return which queries are compared with all of the bank at once: as many as `memory` bytes allow.

    A third of memory is for queries, their blocks of similarities and what a block is computed from.

    Raises BadDataError when a side is empty.
    """
    if not queries.count or not bank.count:
        raise BadDataError(f"{queries.count} items cannot be searched in {bank.count}", "give at least one of each")
    row = _row_bytes(bank) * (1 + len(queries.views))
    # Per query: its row of float32 similarities, pairs of the widest block of the bank, itself and its views.
    height = memory // 3 // (4 * bank.count + PAIR_BYTES * _width(bank, memory) + row)
    return list(chunks(queries.count, max(1, min(queries.count, height))))


def similarities(
    queries: Rows, part: slice, bank: Rows, *, device: str = "cpu", memory: int = MEMORY_BYTES
) -> NDArray[np.float32]:
    """Return the similarities of queries[part] to all of the bank, the best of their views, (n, bank.count).

    Raises BadDataError when an embedding holds NaN.
    """
    views = [rows.take(part) for rows in (queries, *queries.views)]
    block = np.empty((len(views[0]), bank.count), dtype=np.float32)
    for piece, others in read_ahead(chunks(bank.count, _width(bank, memory)), bank.take):
        block[:, piece] = bank.similarity.block(views[0], others, device)
        for view in views[1:]:
            np.maximum(block[:, piece], bank.similarity.block(view, others, device), out=block[:, piece])
    if np.isnan(block.max()):  # the maximum of numbers and NaN is NaN
        raise BadDataError(*NOT_FINITE)
    return block


def blocks(
    queries: Rows, bank: Rows, *, device: str = "cpu", memory: int = MEMORY_BYTES
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Yield (query slice, their similarities (n, bank.count)) until all queries have been compared."""
    for part in block_parts(queries, bank, memory=memory):
        yield part, similarities(queries, part, bank, device=device, memory=memory)


def _row_bytes(bank: Rows) -> int:
    """Return the bytes of one row, which is read for its type."""
    return int(bank.dimension * bank.take(slice(0, 1)).itemsize)


def _width(bank: Rows, memory: int) -> int:
    """Return how many bank items are compared at once: a third of memory for DEPTH + 2 blocks and float64 copies.

    Float64 copies of a block take as much as two more blocks.
    """
    return int(max(1, min(bank.count, WIDTH, memory // 3 // ((DEPTH + 4) * _row_bytes(bank)))))


def settle(block: NDArray[np.float32], queries: Rows, part: slice, bank: Rows, offset: int = 0) -> Match:
    """Decide the nearest bank item of each query in float64.

    Args:
        block: (n, m) float32 similarities of queries[part] to bank items offset .. offset + m.
        queries: all of them, with their views.
        part: which ones.
        bank: the whole bank.
        offset: the position of the block's first column in the bank.

    Returns:
        `index` counts from `offset`; ties go to the lowest index.
    """
    compare = bank.similarity
    # Both the greatest value and that of the item which is nearest in float64 may be wrong by the error.
    reach = block.max(axis=1) - 2 * compare.error(bank.dimension)
    views = [rows.take(part) for rows in (queries, *queries.views)]
    index = np.empty(len(block), dtype=np.int64)
    similarity = np.empty(len(block))
    for i, rows in enumerate(zip(*views, strict=True)):
        # A row of zero variance has similarity 0 with all of the bank: the first item wins, and no other is compared.
        near = np.zeros(1, dtype=np.int64) if not block[i].any() else np.flatnonzero(block[i] >= reach[i])
        exact = np.concatenate(
            [
                np.max([compare.exact(row, bank.take(near[part] + offset)) for row in rows], axis=0)
                for part in chunks(len(near), SETTLED_AT_ONCE)
            ]
        )
        best = int(exact.argmax())
        index[i], similarity[i] = near[best], exact[best]
    return Match(index=index, similarity=similarity)


def settle_bank(block: NDArray[np.float32], queries: Rows, part: slice, bank: Rows, best: Match) -> None:
    """Decide in float64 which of queries[part] is nearest to each bank item, and put it into `best` where it is nearer.

    Args:
        block: (n, M) float32 similarities.
        queries: all of them, with their views.
        part: which ones, later than those that `best` knows.
        bank: the whole bank.
        best: (M,) query and similarity of each bank item; -inf where none is known.
    """
    compare = bank.similarity
    error = compare.error(bank.dimension)
    # Best values are exact, those of the block are not: a query is nearer only where the block says at least best - e.
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


def join(matches: list[Match]) -> Match:
    """Concatenate the matches of consecutive query blocks."""
    return Match(
        index=np.concatenate([match.index for match in matches]),
        similarity=np.concatenate([match.similarity for match in matches]),
    )


def subject_maxima(block: NDArray[np.float32], codes: NDArray[np.int64]) -> NDArray[np.float32]:
    """Reduce (n, M) similarities to (n, P): the greatest of each subject; codes (M,) number subjects 0 .. P-1.

    Columns are sorted by subject, so that each subject is a run, of which `reduceat` takes the greatest.
    """
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    gathered = block if np.array_equal(order, np.arange(len(order))) else block[:, order]
    return np.maximum.reduceat(gathered, starts, axis=1)
