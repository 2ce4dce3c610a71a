"""Reading many sources with several threads, in order, with few of them in memory."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

from benchmark.contracts import Dataset, Items, Source

AHEAD = 1
"""Sources that may wait, read, beyond one a thread."""


def read_all(
    dataset: Dataset, sources: Sequence[Source], *, workers: int | None = None
) -> Iterator[tuple[Source, Items]]:
    """Yield each source with its items, in the order of `sources`, holding at most workers + AHEAD of them.

    Threads, since unpacking and resizing run outside Python's lock: no pickling, any class of any file, and nothing
    outlives a killed process. One worker reads in the calling thread. Errors of `read` come out unchanged.
    """
    workers = min(workers or os.cpu_count() or 1, len(sources))
    if workers <= 1:
        yield from ((source, dataset.read(source)) for source in sources)
        return
    pool = ThreadPoolExecutor(workers, thread_name_prefix="read")
    try:
        yield from _in_order(pool, dataset, sources, workers + AHEAD)
    finally:
        pool.shutdown(cancel_futures=True)


def _in_order(
    pool: ThreadPoolExecutor, dataset: Dataset, sources: Sequence[Source], depth: int
) -> Iterator[tuple[Source, Items]]:
    waiting: deque[tuple[Source, Future[Items]]] = deque()
    left = iter(sources)
    for source in islice(left, depth):
        waiting.append((source, pool.submit(dataset.read, source)))
    while waiting:
        source, future = waiting.popleft()
        items = future.result()
        del future
        yield source, items
        del items
        waiting.extend((after, pool.submit(dataset.read, after)) for after in islice(left, 1))
