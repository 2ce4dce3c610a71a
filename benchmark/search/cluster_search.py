"""One search by all nodes of a Ray cluster: each task compares a block of queries with a shard of the bank.

The exact results are merged (`shards.merged_shards`), so that the answer equals that of one machine, bit for bit. Rows
reach the nodes as files of a shared file system, which tasks map into memory: the cluster's object store holds lists of
nearest items only.
"""

from __future__ import annotations

import mmap
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.core.cluster import connected, in_task
from benchmark.core.sealed import require_intact, sealed_write
from benchmark.core.types import Similarity, chunks
from benchmark.search.blocks import similarities
from benchmark.search.engine import MEMORY_BYTES, SearchResult, search
from benchmark.search.rows import Rows, piece
from benchmark.search.shards import merged_shards, shards
from benchmark.search.topk import Best

if TYPE_CHECKING:
    from numpy.typing import NDArray

ITEMS_AT_ONCE = 256
"""Rows that are computed and written at once."""
LEAST_SHARD = 256
"""Items of a shard at least: fewer are compared faster than a task is started."""
LARGEST_BLOCK = 1 << 16
"""Queries of a block at most: their lists are one object of the cluster's store."""


VARIABLE = "BENCH_SEARCH_CLUSTER"
"""Environment variable with the cluster that searches: its address, `auto`, or `local` for one on this machine."""


@dataclass(frozen=True)
class RowFiles:
    """Rows of a part of a bank, or of some queries and their views, in files that every node maps into memory."""

    paths: tuple[Path, ...]
    """The file of the rows comes first, then that of each view; arrays (n, D) as numpy writes them."""
    similarity: Similarity

    def rows(self) -> Rows:
        """Open them."""
        first, *views = (Rows.of(np.load(require_intact(path), mmap_mode="r"), self.similarity) for path in self.paths)
        return replace(first, views=tuple(views))


@dataclass(frozen=True)
class SearchCluster:
    """A connected Ray cluster (`core.cluster`), and how a search is shared among its nodes."""

    ray: Any
    folder: Path
    """A folder that all nodes share."""
    shards: int = 0
    """Parts of the bank; 0 for one per core, or per GPU where the device is one."""
    device: str = "cpu"
    memory: int = MEMORY_BYTES
    """Bytes of host memory that all tasks may take together where they run on one node."""

    def search(
        self, queries: Rows, bank: Rows, k: int = 1, *, advance: Callable[[int], None] = lambda pairs: None
    ) -> SearchResult:
        """Return the exact k nearest bank items of every query, as `search` does.

        `advance` is called with the number of pairs of each finished task, queries.count * bank.count in all.
        """
        parts, blocks = self._parts(bank), list(chunks(queries.count, LARGEST_BLOCK))
        with self._files() as folder:
            banks = [self._stored(bank, part, folder / f"bank-{n}") for n, part in enumerate(parts)]
            asked = [self._stored(queries, block, folder / f"queries-{n}") for n, block in enumerate(blocks)]
            task = self._task(_search)
            refs = [
                [task.remote(some, shard, k, self._device, self._share(parts)) for shard in banks] for some in asked
            ]
            self._wait([ref for row in refs for ref in row], queries.count * bank.count, advance)
            results = [merged_shards(self.ray.get(row), parts, k) for row in refs]
        return joined(results)

    @contextmanager
    def bank(self, bank: Rows) -> Iterator[Callable[[Rows, slice], NDArray[np.float32]]]:
        """Yield what compares queries[part] with all of a bank, (n, bank.count), as `blocks.similarities` does.

        The bank's rows are written at the first call, and removed at the end.
        """
        parts, stored = self._parts(bank), list[Any]()
        with self._files() as folder:

            def compare(queries: Rows, part: slice) -> NDArray[np.float32]:
                if not stored:
                    stored.extend(self._stored(bank, shard, folder / f"bank-{n}") for n, shard in enumerate(parts))
                asked, task = self._stored(queries, part, folder / "queries"), self._task(_similarities)
                refs = [task.remote(asked, shard, self._device, self._share(parts)) for shard in stored]
                return np.concatenate(self.ray.get(refs), axis=1)

            yield compare

    @property
    def _device(self) -> str:
        return "cuda" if self.device.startswith("cuda") else "cpu"  # Ray shows a task its own GPU only

    def _parts(self, bank: Rows) -> list[slice]:
        resources = self.ray.cluster_resources()
        workers = int(resources.get("GPU" if self._device == "cuda" else "CPU", 1))
        return shards(bank.count, self.shards or max(1, min(workers, bank.count // LEAST_SHARD)))

    def _share(self, parts: Sequence[slice]) -> int:
        return self.memory // len(parts)

    def _task(self, work: Callable[..., Any]) -> Any:
        return self.ray.remote(num_cpus=1, num_gpus=int(self._device == "cuda"))(work)

    @contextmanager
    def _files(self) -> Iterator[Path]:
        """Create a folder for the rows of one search, and remove it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix="rows-", dir=self.folder)).absolute()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _stored(self, rows: Rows, part: slice, path: Path) -> Any:
        """Write rows[part] and their views; where they are computed from images, a task does, and this is its promise.

        Rows that are in memory here would have to travel to a task: they are written here.
        """
        some = piece(replace(rows, index=None), part)
        if not rows.embedded:
            return write_rows(some, path)
        _share_mapped_files()
        return self._task(_write_rows).remote(some, path, Path.cwd())

    def _wait(self, refs: list[Any], pairs: int, advance: Callable[[int], None]) -> None:
        total, done = len(refs), 0
        while refs:
            ready, refs = self.ray.wait(refs)
            self.ray.get(ready)  # an error ends the search now
            before, done = done, done + len(ready)
            advance(pairs * done // total - pairs * before // total)


@contextmanager
def configured_cluster(folder: Path, *, device: str, memory: int) -> Iterator[SearchCluster | None]:
    """Connect to the cluster that $BENCH_SEARCH_CLUSTER names; yield nothing where it is not set, or in a Ray task.

    A task keeps its GPU while it waits: tasks that wait for tasks of their own could wait for each other for ever.

    Raises UsageError and MachineError as `connected` does.
    """
    address = os.environ.get(VARIABLE, "")
    if not address or in_task():
        yield None
        return
    with connected(None if address == "local" else address) as ray:
        yield SearchCluster(ray, folder, device=device, memory=memory)


def write_rows(rows: Rows, path: Path) -> RowFiles:
    """Write rows (n, D) and their views to `path`-0.npy, `path`-1.npy ..., a few hundred at a time."""
    paths = tuple(path.with_name(f"{path.name}-{number}.npy") for number in range(1 + len(rows.views)))
    for one, place in zip((rows, *rows.views), paths, strict=True):
        dtype = one.take(slice(0, 1)).dtype
        with sealed_write(place) as temporary:
            array = np.lib.format.open_memmap(
                temporary,
                mode="w+",
                dtype=np.uint8 if dtype == np.uint8 else np.float32,
                shape=(one.count, one.dimension),
            )
            for part in chunks(one.count, ITEMS_AT_ONCE):
                array[part] = one.take(part)
            array.flush()
    return RowFiles(paths, rows.similarity)


def _write_rows(rows: Rows, path: Path, home: Path) -> RowFiles:
    """Write rows in a task: the images that they are computed from may have paths that start at `home`."""
    os.chdir(home)
    return write_rows(rows, path)


def _search(queries: RowFiles, bank: RowFiles, k: int, device: str, memory: int) -> SearchResult:
    return search(queries.rows(), bank.rows(), k, device=device, memory=memory)


def _similarities(queries: RowFiles, bank: RowFiles, device: str, memory: int) -> NDArray[np.float32]:
    rows = queries.rows()
    return similarities(rows, slice(0, rows.count), bank.rows(), device=device, memory=memory)


def joined(results: Sequence[SearchResult]) -> SearchResult:
    """Join the results of consecutive blocks of queries that were compared with the same bank."""
    lists = [one.best for one in results]
    values, places, ties = (
        np.concatenate([getattr(one, name) for one in lists]) for name in ("values", "places", "ties")
    )
    certificates = [one.certificate for one in results]
    certificate = replace(
        certificates[0],
        engine=" and ".join(sorted({one.engine for one in certificates})),
        scored=sum(one.scored for one in certificates),
        constant_queries=sum(one.constant_queries for one in certificates),
        tied=sum(one.tied for one in certificates),
    )
    return SearchResult(places, values, certificate, Best(values, places, ties))


def _share_mapped_files() -> None:
    """Let Ray send an array that is mapped from a file as the file's path: nodes share the file system."""
    from ray.util import register_serializer

    register_serializer(np.memmap, serializer=as_file, deserializer=from_file)


def as_file(array: NDArray[Any]) -> tuple[Any, ...]:
    """Return how a mapped array is opened; a part of one, whose place in the file numpy does not keep, as values."""
    mapped: Any = array
    if isinstance(mapped.base, mmap.mmap) and array.flags.c_contiguous:
        return (str(Path(mapped.filename).absolute()), array.dtype.str, array.shape, mapped.offset)
    return (np.array(array, subok=False),)


def from_file(told: tuple[Any, ...]) -> NDArray[Any]:
    """Open what `as_file` returned."""
    if len(told) == 1:
        values: NDArray[Any] = told[0]
        return values
    path, dtype, shape, offset = told
    return np.memmap(path, dtype=dtype, shape=shape, offset=offset, mode="r")
