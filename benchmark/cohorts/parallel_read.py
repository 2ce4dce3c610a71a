"""Reading many sources with all cores, in order, with few of them in memory."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path

from benchmark.cohorts.guarded import read_source
from benchmark.core.errors import BadDataError
from benchmark.core.processes import processes
from benchmark.core.types import Dataset, Items, Source

AHEAD = 1
"""Sources that may wait, read, beyond one a worker."""
WORTH_PROCESSES = 4.0
"""Seconds of reading by one core below which starting processes costs more than it saves."""
ATTEMPTS = 3
"""How often a source is read in a process of its own that does not survive it. A process may be ended from outside, by
the system when memory is short; its source must not be left out of the cohort for that."""
ALLOWED = "BENCH_PROCESSES"
"""Environment variable, 1 where processes may be started: `bench` sets it. A script without `if __name__ == "__main__"`
would be run again by each of them."""


@dataclass(frozen=True)
class Hashed:
    """A file as it was when it was read."""

    path: str
    size: int
    """Bytes."""
    sha256: str


@dataclass(frozen=True)
class Reading:
    """What became of one source: items, or why there are none."""

    source: Source
    items: Items | None
    error: BadDataError | None
    files: tuple[Hashed, ...]


def read_all(dataset: Dataset, sources: Sequence[Source], *, workers: int | None = None) -> Iterator[Reading]:
    """Yield a reading of each source, in their order, holding at most workers + AHEAD of them.

    The first source is read here and timed: long work goes to processes, where they are ALLOWED and can import the data
    set's class, other work to threads. One worker reads in the calling thread. BadDataError of `read` is part of the
    reading, as is a file that ends the process; other errors come out unchanged.
    """
    started = time.monotonic()
    yield read_one(dataset, sources[0])
    rest = sources[1:]
    workers = min(workers or os.cpu_count() or 1, len(rest))
    if workers <= 1:
        yield from (read_one(dataset, source) for source in rest)
        return
    if _in_processes(dataset, (time.monotonic() - started) * len(rest)):
        yield from _surviving(dataset, rest, workers)
        return
    with _closing(ThreadPoolExecutor(workers, thread_name_prefix="read")) as pool:
        yield from _in_order(pool, dataset, rest, workers + AHEAD)


def read_one(dataset: Dataset, source: Source) -> Reading:
    """Read one source and the digests of its files, which the system still holds in memory."""
    try:
        items = read_source(dataset, source)
    except BadDataError as error:
        return Reading(source, None, error, ())
    return Reading(source, items, None, tuple(_hashed(path) for path in source.files))


def _hashed(path: str) -> Hashed:
    seen = Path(path).stat()
    return Hashed(path, seen.st_size, _digest(path, seen.st_size, seen.st_mtime_ns))


@lru_cache(maxsize=16)
def _digest(path: str, size: int, modified: int) -> str:
    """Digest a file once: thousands of sources may be images of one file (MedMNIST), which each would read again."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _in_processes(dataset: Dataset, seconds: float) -> bool:
    allowed = os.environ.get(ALLOWED) == "1" and _importable(type(dataset).__module__)
    return allowed and seconds > WORTH_PROCESSES


@contextmanager
def _closing(pool: Executor) -> Iterator[Executor]:
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _importable(module: str) -> bool:
    """Return whether another process finds a class's module: not that of a script or of ./file.py:Class."""
    try:
        return module != "__main__" and importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _surviving(dataset: Dataset, sources: Sequence[Source], workers: int) -> Iterator[Reading]:
    """Read in processes. Where one is ended, by a decoder in C or for want of memory, all of its pool are lost: the
    sources that were being read are read again, each in a process of its own, and the rest in a new pool.
    """
    depth = workers + AHEAD
    while sources:
        done = 0
        try:
            with _closing(processes(workers)) as pool:
                for reading in _in_order(pool, dataset, sources, depth):
                    yield reading
                    done += 1
        except BrokenProcessPool:
            yield from (_alone(dataset, source) for source in sources[done : done + depth])
            done += depth
        sources = sources[done:]


def _alone(dataset: Dataset, source: Source) -> Reading:
    for _ in range(ATTEMPTS):
        try:
            with _closing(processes(1)) as pool:
                return pool.submit(read_one, dataset, source).result()
        except BrokenProcessPool:
            continue
    error = BadDataError(
        f"{source.files[0]} ended the process that read it: its decoder crashed, or the memory was full",
        "convert it with another program, or leave it out",
    )
    return Reading(source, None, error, ())


def _in_order(pool: Executor, dataset: Dataset, sources: Sequence[Source], depth: int) -> Iterator[Reading]:
    waiting: deque[Future[Reading]] = deque()
    left = iter(sources)
    waiting.extend(pool.submit(read_one, dataset, source) for source in islice(left, depth))
    while waiting:
        yield waiting.popleft().result()
        waiting.extend(pool.submit(read_one, dataset, after) for after in islice(left, 1))
