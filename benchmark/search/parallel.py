"""Compiled loops on several threads."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmark.core.types import chunks


def thread_count() -> int:
    """Return how many threads torch may use: the one setting (OMP_NUM_THREADS) that all products and loops follow."""
    import torch

    return torch.get_num_threads()


def run_in_threads(count: int, work: Callable[[slice], Any], *, least: int = 1) -> None:
    """Call `work` on slices of range(count), one per thread; compiled loops run outside Python's lock.

    `least` is the smallest slice that is worth a thread: starting one takes about as long as the loops take for a few
    rows. Slices are disjoint and `work` writes rows of its own slice, so that results do not depend on their number.
    """
    parts = list(chunks(count, max(least, -(-count // thread_count()))))
    if len(parts) < 2:
        for part in parts:
            work(part)
        return
    with ThreadPoolExecutor(len(parts)) as pool:
        list(pool.map(work, parts))
