"""How a run searches: where, in how much memory, and what of it is kept so that an interrupted search resumes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from benchmark.core.percent import percent
from benchmark.core.progress import Log
from benchmark.core.sealed import is_intact, sealed_write
from benchmark.core.types import chunks
from benchmark.search import MEMORY_BYTES, Rows, block_parts, search, search_shards, similarities

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmark.core.types import Array, Match
    from benchmark.search import SearchResult
    from benchmark.search.cluster_search import SearchCluster

    Arrays = dict[str, Array]


REDUCTION_BYTES = 24
"""Bytes per similarity that reducing some rows of a block takes at most: copies in the order of patients (4), maxima by
patient (4), both sides together (4), comparisons (1), and a float64 or int64 array (8)."""
REDUCTION_SHARE = 8
"""An eighth of memory is for such copies: two blocks and what they are computed from take two thirds."""


class Told(Protocol):
    """Call it after each piece of work."""

    def __call__(self, steps: int, *, timed: bool = True) -> None:
        """Report that `steps` more are done; `timed`: by this call, not by an earlier one."""


@dataclass(frozen=True)
class Searching:
    """Where items are compared, and in how much memory."""

    devices: tuple[str, ...] = ("cpu",)
    """Where products are computed; several share the bank of a search among them."""
    memory: int = MEMORY_BYTES
    """Bytes that a search may take."""
    folder: Path | None = None
    """Where finished blocks are kept; nowhere, where none is given."""
    tell: Callable[[str], None] = lambda text: None
    """Told how far a long search is."""
    log: Log = lambda text: None
    """Told where an interrupted search resumes."""
    cluster: SearchCluster | None = None
    """Nodes that share each search; where none are given, this machine searches."""

    def search(self, queries: Rows, bank: Rows, k: int = 1, *, keep: str = "") -> SearchResult:
        """Return the exact k nearest bank items of every query; what is found so far is kept by the name `keep`."""
        if self.cluster is not None:
            return self.cluster.search(
                queries, bank, k, advance=self._progress(keep or "search", queries.count * bank.count)
            )
        if len(self.devices) > 1:
            return search_shards(queries, bank, k, devices=self.devices, memory=self.memory)
        state = self.folder / f"{keep}.npz" if self.folder and keep else None
        told = self._progress(keep or "search", queries.count * bank.count)

        def resumed(pairs: int) -> None:
            if 0 < pairs < queries.count * bank.count:
                self.log(f"{keep}: resuming at image {pairs // bank.count} of {queries.count}")
                told(pairs, timed=False)

        return search(
            queries, bank, k, device=self.devices[0], memory=self.memory, advance=told, resumed=resumed, state=state
        )

    def nearest(self, queries: Rows, bank: Rows, *, keep: str = "") -> Match:
        """Return the exact nearest bank item of every query."""
        return self.search(queries, bank, keep=keep).match

    def blocks(self, queries: Rows, bank: Rows) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """Yield all similarities, a block of queries at a time."""
        with self._bank(bank) as compare:
            for part in block_parts(queries, bank, memory=self.memory):
                yield part, compare(queries, part)

    def row_parts(self, block: NDArray[np.float32]) -> Iterable[slice]:
        """Cut the rows of a block (n, M) into parts whose copies, M * REDUCTION_BYTES per row, fit into memory."""
        row = REDUCTION_BYTES * block.shape[1]
        return chunks(len(block), max(1, self.memory // REDUCTION_SHARE // row))

    def reduced(
        self, queries: Rows, bank: Rows, reduce: Callable[[slice, NDArray[np.float32]], Arrays], *, keep: str
    ) -> Iterator[Arrays]:
        """Yield what `reduce` makes of each block of similarities; a block that was finished before is read again.

        `reduce` takes the block's queries and its similarities, (n, bank.count).
        """
        told = self._progress(keep, queries.count)
        parts = block_parts(queries, bank, memory=self.memory)
        paths = [
            self.folder / f"{keep}-{part.start:09d}-{part.stop:09d}.npz" if self.folder else None for part in parts
        ]
        kept = [path is not None and is_intact(path) for path in paths]
        if any(kept) and not all(kept):
            first = parts[kept.index(False)].start
            self.log(f"{keep}: resuming at image {first} of {queries.count}")
        with self._bank(bank) as compare:
            for part, path, there in zip(parts, paths, kept, strict=True):
                if path is not None and there:
                    with np.load(path) as file:
                        yield dict(file)
                else:
                    block = compare(queries, part)
                    arrays = reduce(part, block)
                    del block  # the next one would be computed while this one is held
                    yield _written(path, arrays)
                told(part.stop - part.start, timed=not there)

    @contextmanager
    def _bank(self, bank: Rows) -> Iterator[Callable[[Rows, slice], NDArray[np.float32]]]:
        """Yield what compares queries[part] with all of a bank, (n, bank.count)."""
        if self.cluster is not None:
            with self.cluster.bank(bank) as compare:
                yield compare
            return
        yield lambda queries, part: similarities(queries, part, bank, device=self.devices[0], memory=self.memory)

    def _progress(self, name: str, total: int) -> Told:
        started, done, timed_steps = time.monotonic(), 0, 0

        def told(steps: int, *, timed: bool = True) -> None:
            nonlocal done, timed_steps
            done += steps
            if timed:  # what an earlier call has done took this one no time
                timed_steps += steps
                left = (time.monotonic() - started) * (total - done) / max(1, timed_steps)
                self.tell(f"{name}: {percent(done / total, 0)}, {left:.0f} s left")

        return told


def _written(path: Path | None, arrays: Arrays) -> Arrays:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with sealed_write(path) as temporary, temporary.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]  # its names are ours
    return arrays
