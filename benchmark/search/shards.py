"""One search by several workers: each takes a part of the bank, and the exact results are merged."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from benchmark.search.engine import MEMORY_BYTES, SearchResult, search
from benchmark.search.rows import piece
from benchmark.search.topk import Best, merged

if TYPE_CHECKING:
    from benchmark.search.rows import Rows


def shards(count: int, parts: int) -> list[slice]:
    """Cut a bank of `count` items into up to this many parts of nearly equal size, in order."""
    edges = np.linspace(0, count, min(parts, count) + 1).astype(int)
    return [slice(int(start), int(stop)) for start, stop in pairwise(edges)]


def search_shards(
    queries: Rows, bank: Rows, k: int = 1, *, devices: Sequence[str], memory: int = MEMORY_BYTES
) -> SearchResult:
    """Search one part of the bank per device, all at once, and merge; the result equals `search` of the whole bank.

    Args:
        queries: N rows.
        bank: M rows.
        k: how many nearest items.
        devices: such as cuda:0 and cuda:1; one may be named twice.
        memory: bytes of host memory that all of them may take together.
    """
    parts = shards(bank.count, len(devices))

    def work(job: tuple[str, slice]) -> SearchResult:
        device, part = job
        return search(queries, piece(bank, part), k, device=device, memory=memory // len(parts))

    with ThreadPoolExecutor(len(parts)) as pool:
        results = list(pool.map(work, zip(devices, parts, strict=False)))
    return merged_shards(results, parts, k)


def merged_shards(results: Sequence[SearchResult], parts: Sequence[slice], k: int) -> SearchResult:
    """Merge the results of consecutive parts of one bank, wherever they were computed.

    The k nearest items of the bank are among the k nearest of its parts, so that the merged result is exact.

    Args:
        results: one per part, for the same queries.
        parts: the places of each part's items in the bank.
        k: how many nearest items are wanted.
    """
    shifted = [
        Best(one.best.values, np.where(one.index >= 0, one.index + part.start, -1), one.best.ties)
        for one, part in zip(results, parts, strict=True)
    ]
    best = merged(shifted, k)
    certificates = [one.certificate for one in results]
    certificate = replace(
        certificates[0],
        engine=" and ".join(sorted({one.engine for one in certificates})),
        scored=sum(one.scored for one in certificates),
        constant_items=sum(one.constant_items for one in certificates),
        tied=int((best.ties > 0).sum()),
    )
    return SearchResult(best.places, best.values, certificate, best)
