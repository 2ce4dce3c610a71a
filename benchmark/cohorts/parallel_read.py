"""Reading many sources in guarded processes, with all cores, in order, with few of them in memory."""

from __future__ import annotations

import importlib.util
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path

from benchmark.cohorts.guarded import read_source
from benchmark.core.errors import BadDataError, BenchError
from benchmark.core.file_digests import file_digest
from benchmark.core.memory import machine_memory
from benchmark.core.processes import processes
from benchmark.core.types import Dataset, Items, Source
from benchmark.images.readers.companions import with_companions
from benchmark.images.readers.limits import below, require_file

AHEAD = 1
"""Sources that may wait, read, beyond one a worker."""
WORTH_PROCESSES = 4.0
"""Seconds of reading by one core below which starting more processes costs more than it saves."""
PATIENCE_SECONDS = 900.0
"""A source of 8 GiB on a slow network disk takes a few minutes; one that takes longer than this never ends."""
LONGEST_REASON = 200
"""Letters of a library's message that are shown."""
ATTEMPTS = 3
"""How often a source is read in a process of its own that does not survive it. A process may be ended from outside, by
the system when memory is short; its source must not be left out of the cohort for that."""
ALLOWED = "BENCH_PROCESSES"
"""Environment variable, 1 where processes may be started: `bench` sets it. A script without `if __name__ == "__main__"`
would be run again by each of them."""


_Read = Callable[[Dataset, Source, Path | None], "Reading"]
_Submit = Callable[[Dataset, Source, Path | None], Future["Reading"]]


@dataclass(frozen=True)
class Hashed:
    """A file as it was when it was read."""

    path: str
    size: int
    """Bytes."""
    sha256: str
    beside: bool = False
    """Whether the data set does not list it: its reader opens it with a header that is listed."""


@dataclass(frozen=True)
class Reading:
    """What became of one source: items, or why there are none."""

    source: Source
    items: Items | None
    error: BadDataError | None
    files: tuple[Hashed, ...]
    seconds: float = 0.0


def read_all(
    dataset: Dataset, sources: Sequence[Source], *, workers: int | None = None, root: Path | None = None
) -> Iterator[Reading]:
    """Yield a reading of each source, in their order, holding at most workers + AHEAD of them.

    Sources are read in processes of their own, where these are ALLOWED and can import the data set's class, else here
    in threads. The first source is timed: only long work is given to several processes. Headers may name files below
    `root`. A file that cannot be read, whatever the reason, that ends its process, or that takes longer than
    PATIENCE_SECONDS has a reading with an error. Errors that are no fault of a file come out unchanged.
    """
    workers = min(workers or os.cpu_count() or 1, len(sources))
    if _in_processes(dataset):
        yield from _surviving(dataset, sources, workers, root)
        return
    yield read_one(dataset, sources[0], root)
    rest = sources[1:]
    if workers <= 1:
        yield from (read_one(dataset, source, root) for source in rest)
        return
    with _closing(ThreadPoolExecutor(workers, thread_name_prefix="read")) as pool:
        read = partial(_submit, pool, read_one)
        yield from _in_order(read, dataset, rest, root, workers + AHEAD, first=workers + AHEAD)


def read_one(dataset: Dataset, source: Source, root: Path | None = None) -> Reading:
    """Read one source and the digests of its files, which the system still holds in memory."""
    started = time.monotonic()
    try:
        with below(root):
            for path in source.files:
                require_file(Path(path))
            items = read_source(dataset, source)
            files = _files_of(source)
    except BadDataError as error:
        return Reading(source, None, error, ())
    except BenchError:
        raise  # of an option or of the machine: it concerns all sources
    except MemoryError:
        return Reading(source, None, _no_memory(source), ())
    except Exception as error:  # noqa: BLE001 - libraries raise anything on files that are made to harm
        return Reading(source, None, _failed(source, error), ())
    return Reading(source, items, None, files, time.monotonic() - started)


def _files_of(source: Source) -> tuple[Hashed, ...]:
    listed = frozenset(source.files)
    return tuple(_hashed(path, beside=path not in listed) for path in with_companions(source.files))


def _no_memory(source: Source) -> BadDataError:
    return BadDataError(
        f"{source.files[0]} takes more memory than there is",
        "crop or resample it, leave it out, or use a machine with more memory",
    )


def _failed(source: Source, error: BaseException) -> BadDataError:
    reason = (str(error).splitlines() or [""])[0][:LONGEST_REASON]
    return BadDataError(
        f"{source.files[0]} could not be read: {type(error).__name__}{': ' if reason else ''}{reason}",
        "leave it out; where the data set's `read` is code of your own, correct it",
    )


def _hashed(path: str, *, beside: bool) -> Hashed:
    # A file is read once: thousands of sources may be images of one file (MedMNIST).
    return Hashed(path, Path(path).stat().st_size, file_digest(Path(path)), beside)


def _in_processes(dataset: Dataset) -> bool:
    return os.environ.get(ALLOWED) == "1" and _importable(type(dataset).__module__)


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


def _surviving(dataset: Dataset, sources: Sequence[Source], workers: int, root: Path | None) -> Iterator[Reading]:
    """Read in processes: in one, and in all where the first source says that this is worth it.

    Where a process is ended, by a decoder in C or for want of memory, all of its pool are lost: the sources that were
    being read are read again, each in a process of its own, and the rest in a new pool.
    """
    count = 1
    while sources:
        done, depth = 0, count + AHEAD
        try:
            with _ending(processes(count)) as pool:
                read = partial(_submit, pool, _read_bounded)
                for reading in _in_order(read, dataset, sources, root, depth, first=depth if count > 1 else 1):
                    yield reading
                    done += 1
                    if done == 1 and count < workers and reading.seconds * (len(sources) - 1) > WORTH_PROCESSES:
                        count = workers
                        break
        except (BrokenProcessPool, TimeoutError):
            yield from (_alone(dataset, source, root) for source in sources[done : done + depth])
            done += depth
        sources = sources[done:]


def _alone(dataset: Dataset, source: Source, root: Path | None) -> Reading:
    for _ in range(ATTEMPTS):
        try:
            with _ending(processes(1)) as pool:
                return pool.submit(_read_bounded, dataset, source, root).result(PATIENCE_SECONDS)
        except TimeoutError:
            return Reading(source, None, _endless(source), ())
        except BrokenProcessPool:
            continue
    error = BadDataError(
        f"{source.files[0]} ended the process that read it: its decoder crashed, or the memory was full",
        "convert it with another program, or leave it out",
    )
    return Reading(source, None, error, ())


def _endless(source: Source) -> BadDataError:
    return BadDataError(
        f"{source.files[0]} was still being read after {PATIENCE_SECONDS:g} s",
        "leave it out, or copy it to a faster disk",
    )


@contextmanager
def _ending(pool: ProcessPoolExecutor) -> Iterator[ProcessPoolExecutor]:
    """End the processes of a pool at once after the block: one of them may be in an endless loop."""
    try:
        yield pool
    finally:
        for process in list((pool._processes or {}).values()):
            process.kill()
        pool.shutdown(cancel_futures=True)


def _read_bounded(dataset: Dataset, source: Source, root: Path | None) -> Reading:
    """Read one source in a process that can take no more memory than the machine has."""
    _bound_memory()
    return read_one(dataset, source, root)


@lru_cache(maxsize=1)
def _bound_memory() -> None:
    """Let allocations fail, as a MemoryError, before the system has to end a process; files that are mapped are free.

    A decoder that believes a damaged header would otherwise reserve, and with zeros fill, more than there is.
    """
    import resource  # Unix only

    present, most = resource.getrlimit(resource.RLIMIT_DATA)
    memory = min(size for size in (machine_memory(), present, most) if size != resource.RLIM_INFINITY)
    resource.setrlimit(resource.RLIMIT_DATA, (memory, most))


def _submit(pool: Executor, read: _Read, dataset: Dataset, source: Source, root: Path | None) -> Future[Reading]:
    return pool.submit(read, dataset, source, root)


def _in_order(
    submit: _Submit,
    dataset: Dataset,
    sources: Sequence[Source],
    root: Path | None,
    depth: int,
    first: int,
) -> Iterator[Reading]:
    """Yield the readings in order; `first` are begun at once, and `depth` after the first result.

    Raises TimeoutError where a reading takes longer than PATIENCE_SECONDS.
    """
    left = iter(sources)
    waiting = deque(submit(dataset, source, root) for source in islice(left, first))
    while waiting:
        yield waiting.popleft().result(PATIENCE_SECONDS)
        waiting.extend(submit(dataset, after, root) for after in islice(left, depth - len(waiting)))
