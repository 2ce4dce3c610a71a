"""Blocks of a bank, the next one read and prepared while the present one is multiplied."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
DEPTH = 2
"""Blocks that are read and prepared ahead: one while the present one is multiplied, one more for uneven reads."""


def read_ahead(parts: Iterable[slice], make: Callable[[slice], Item]) -> Iterator[tuple[slice, Item]]:
    """Yield (part, make(part)) in order, while one further thread runs `make` for up to `DEPTH` later parts.

    So at most DEPTH + 2 results exist at once: the one in use, the one being made, and those that wait.
    """
    with ThreadPoolExecutor(1) as pool:
        waiting: deque[tuple[slice, Future[Item]]] = deque()
        try:
            for part in parts:
                waiting.append((part, pool.submit(make, part)))
                if len(waiting) > DEPTH:
                    done, future = waiting.popleft()
                    yield done, future.result()
            while waiting:
                done, future = waiting.popleft()
                yield done, future.result()
        finally:  # also where the caller stops early
            for _, future in waiting:
                future.cancel()
