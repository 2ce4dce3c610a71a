"""The search: the exact k nearest bank items of every query, in bounded memory, whatever the size of the bank."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from benchmark.core.errors import BadDataError
from benchmark.core.types import Match, chunks
from benchmark.search.float32 import CodeEngine, FloatEngine, common_direction
from benchmark.search.pairwise import PairEngine
from benchmark.search.prefetch import DEPTH, read_ahead
from benchmark.search.products import pair_seconds
from benchmark.search.similarity import Cosine, Levels, Pearson
from benchmark.search.state import State
from benchmark.search.topk import Best
from benchmark.search.uint8 import Uint8Engine

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmark.search.index import Index
    from benchmark.search.rows import Rows

MEMORY_BYTES = 2 << 30
"""The default of --search-memory."""
SHORT_ROW = 100
"""Float rows of up to this many numbers are compared by a float32 product, longer ones by int8 digits. Both are exact;
encoding digits and their windows cost per row and pair what a short product does not save."""
WIDTH, DEVICE_WIDTH = 2048, 16384
"""Bank items that are multiplied at once at most, on the CPU (products of 128 queries then stay in its cache) and on a
GPU (whose products need more rows to reach its speed)."""
PAIR_BYTES = 16
"""Bytes per pair in a block that is being compared in host memory: int32 or int64 products, and float32 or float64
values. What a pair takes on a device is `device.PAIR_BYTES`."""
TRIAL_QUERIES = 64
"""Queries that warm the index up (files are read, loops compiled), and as many that it is timed on."""
INDEX_NEIGHBOURS = 1
"""For up to this many nearest items an index is tried; for ten it takes as long as the product or longer
(docs/performance.md)."""


class Engine(Protocol):
    """What compares blocks of rows of one kind."""

    @property
    def name(self) -> str:
        """What multiplies."""

    @property
    def number_bytes(self) -> int:
        """How many bytes one number of a row takes, as given and as prepared."""

    def prepare(self, rows: Any) -> Any:
        """Do once what a block of rows (n, D) needs, of queries or of the bank."""

    def constant(self, block: Any) -> int:
        """Count rows without variance."""

    def scan(self, queries: Any, bank: Any, offset: int, best: Best) -> int:
        """Push to the lists of queries what a block of the bank holds; return how many pairs were scored one by one."""


@runtime_checkable
class OnDevice(Protocol):
    """An engine whose blocks and pairs are in the memory of a device, not of the host."""

    @property
    def memory(self) -> int:
        """Bytes of the device's memory that it may take."""

    def join(self, blocks: Sequence[Any]) -> Any:
        """Return several prepared blocks as one."""


class Sizes(NamedTuple):
    """How a search is cut into blocks; none of them changes its result."""

    queries: int
    """Queries that are compared with the bank in one pass over it."""
    items: int
    """Bank items that are compared at once."""
    prepared: int
    """Queries that are prepared at once."""


@dataclass(frozen=True)
class Certificate:
    """How an answer was found, and why it is exact."""

    engine: str
    scored: int
    """Pairs scored one by one in float64; 0 where the product itself is exact."""
    constant_queries: int
    """Queries of zero variance: their similarity is 0."""
    constant_items: int
    """Bank items of zero variance."""
    tied: int
    """Queries with several nearest items; the lowest place is given."""


@dataclass(frozen=True)
class SearchResult:
    """The k nearest bank items of N queries, nearest first; all items where the bank holds fewer."""

    index: NDArray[np.int64]
    """(N, k); ties go to the lowest."""
    similarity: NDArray[np.float64]
    """(N, k), computed in float64."""
    certificate: Certificate
    best: Best
    """The same lists and their ties, which `shards.merged_shards` takes."""

    @property
    def match(self) -> Match:
        """The nearest item of each query."""
        return Match(index=self.index[:, 0].copy(), similarity=self.similarity[:, 0].copy())


@dataclass(frozen=True)
class _Job:
    """One search while it runs."""

    queries: Rows
    bank: Rows
    engine: Engine
    state: State
    sizes: Sizes
    memory: int
    advance: Callable[[int], None]

    def prepared(self, which: NDArray[np.int64]) -> list[Any]:
        """Return these queries (n,), and their views, as the engine takes them."""
        return [self._prepared(rows, which) for rows in (self.queries, *self.queries.views)]

    def _prepared(self, rows: Rows, which: NDArray[np.int64]) -> Any:
        """Return rows (n,) as one block; on a device, part by part, as the host may hold fewer rows than the device."""
        parts = [self.engine.prepare(rows.take(part)) for part in _in_parts(which, self.sizes.prepared)]
        return self.engine.join(parts) if len(parts) > 1 and isinstance(self.engine, OnDevice) else parts[0]

    def result(self) -> SearchResult:
        """Return what the state holds when all is done."""
        state = self.state
        state.best.ties[state.best.values[:, 0] == 0] = 0  # 0 is the similarity of zero variance: no item is nearest
        certificate = Certificate(
            engine=" and ".join(sorted(state.engines)), scored=state.scored, constant_queries=state.constant_queries,
            constant_items=state.constant_items, tied=int((state.best.ties > 0).sum()),
        )  # fmt: skip
        return SearchResult(state.best.places, state.best.values, certificate, state.best)


def search(
    queries: Rows,
    bank: Rows,
    k: int = 1,
    *,
    device: str = "cpu",
    memory: int = MEMORY_BYTES,
    advance: Callable[[int], None] = lambda steps: None,
    resumed: Callable[[int], None] = lambda pairs: None,
    state: Path | None = None,
) -> SearchResult:
    """Find the exact k nearest bank items of every query.

    Args:
        queries: N rows; where they have views, the best view of each counts.
        bank: M rows of the same kind; read in blocks, the next one while the present one is compared.
        k: how many.
        device: where products are computed: `cpu`, `cuda` or `cuda:N`.
        memory: bytes of host memory that rows and products may take, whatever N and M are. 8-bit rows on a GPU also
            take a part of the GPU's free memory (`device.free_memory`).
        advance: is called with the number of pairs that were compared since, N * M in all.
        resumed: is called once with the number of pairs that `state` has already, where it has some.
        state: a file that keeps what is found so far: an interrupted search resumes from it.

    Raises BadDataError where a side is empty, or a row is not finite.
    """
    if not queries.count or not bank.count:
        raise BadDataError(f"{queries.count} items cannot be searched in {bank.count}", "give at least one of each")
    engine, depth = engine_for(bank, device, memory), min(k, bank.count)
    sizes = _sizes(queries, bank, engine, memory, DEVICE_WIDTH if device != "cpu" else WIDTH)
    plan = (queries.count, bank.count, bank.dimension, depth, sizes.queries, sizes.items)
    job = _Job(queries, bank, engine, State.open(state, plan, queries.count, depth), sizes, memory, advance)
    if bank.index is not None and k <= INDEX_NEIGHBOURS and device == "cpu" and not job.state.started:
        _by_index(job, bank.index)
    elif job.state.started:
        resumed(_compared(job))
    _by_product(job)
    return job.result()


def _compared(job: _Job) -> int:
    """Return how many pairs the state has: all of the queries that the index answered, and blocks of the others."""
    state, items = job.state, job.bank.count
    pieces = list(chunks(items, job.sizes.items))
    pairs = (job.queries.count - len(state.remaining)) * items
    for number, part in enumerate(chunks(len(state.remaining), job.sizes.queries)):
        done = pieces[: max(0, state.blocks - number * len(pieces))]
        pairs += (part.stop - part.start) * sum(piece.stop - piece.start for piece in done)
    return pairs


def nearest(queries: Rows, bank: Rows, *, device: str = "cpu", memory: int = MEMORY_BYTES) -> Match:
    """Return the exact nearest bank item of every query (`search`)."""
    return search(queries, bank, device=device, memory=memory).match


def engine_for(bank: Rows, device: str, memory: int = MEMORY_BYTES) -> Engine:
    """Return what compares rows of this kind."""
    if isinstance(bank.similarity, Levels):
        return Uint8Engine() if device == "cpu" else _on_device(device)
    if not isinstance(bank.similarity, Cosine | Pearson):
        return PairEngine(bank.similarity, device)
    centred = isinstance(bank.similarity, Pearson)
    if bank.dimension <= SHORT_ROW:
        return FloatEngine(centred, device)
    return CodeEngine(centred, common_direction(bank, centred=centred, memory=memory), device)


def _on_device(device: str) -> Engine:
    from benchmark.search.device import DeviceEngine, free_memory

    return DeviceEngine(device, free_memory(device))


def _by_product(job: _Job) -> None:
    """Compare the remaining queries with all of the bank, block by block.

    Queries stay in memory while the bank is read, so that it is read once per set of queries that fits.
    """
    state, engine, bank = job.state, job.engine, job.bank
    pieces = list(chunks(bank.count, job.sizes.items))
    for number, part in enumerate(chunks(len(state.remaining), job.sizes.queries)):
        first = state.blocks - number * len(pieces)  # blocks of these queries that an interrupted search has done
        if first >= len(pieces):
            continue
        which = state.remaining[part]
        views, some = job.prepared(which), state.best.taken(which)
        state.engines.add(engine.name)
        state.constant_queries += engine.constant(views[0]) if first <= 0 else 0
        for piece, block in read_ahead(pieces[max(0, first) :], lambda piece: engine.prepare(bank.take(piece))):
            if number == 0 and "index" not in state.engines:  # once; the index has counted them already
                state.constant_items += engine.constant(block)
            state.scored += sum(engine.scan(view, block, piece.start, some) for view in views)
            # Lists and the count of blocks are saved together: a block is done in both or in neither.
            state.best.put(which, some)
            state.blocks += 1
            state.save()
            job.advance(len(which) * (piece.stop - piece.start))
    state.save(now=True)


def _sizes(queries: Rows, bank: Rows, engine: Engine, memory: int, widest: int) -> Sizes:
    """Return how many queries and how many bank items are compared at once.

    A third of memory is for blocks of the bank, a third for queries and their views, a third for pairs. Of the bank,
    `DEPTH` blocks wait while one is prepared and one is compared.
    """
    third = memory // 3
    row = bank.dimension * engine.number_bytes
    items = max(1, min(widest, bank.count, third // ((DEPTH + 2) * row)))
    if isinstance(engine, OnDevice):
        return _sizes_on_device(queries, items, bank.dimension, engine.memory, prepared=third // row)
    count = min(third // (row * (1 + len(queries.views))), third // (PAIR_BYTES * items))
    count = max(1, min(queries.count, count))
    return Sizes(count, items, prepared=count)


def _sizes_on_device(queries: Rows, items: int, row: int, memory: int, *, prepared: int) -> Sizes:
    """Return sizes for int8 rows of `row` bytes in a device's memory, whose thirds serve the same purposes.

    A GPU usually has room for all queries, so that the bank is read, prepared and copied once and not once per set of
    queries that fits into host memory. The engine itself cuts the pairs to its memory. Host memory only holds what is
    being copied: up to `items` rows of the bank, and `prepared` queries.
    """
    from benchmark.search.device import whole_tiles

    third = memory // 3
    items = max(1, min(items, third // ((DEPTH + 2) * row)))
    # While the parts of one view are joined, or long rows are cut into pieces, that view is there twice.
    count = max(1, min(queries.count, third // (row * (2 + len(queries.views)))))
    return Sizes(count, whole_tiles(items), max(1, min(count, prepared)))


def _by_index(job: _Job, index: Index) -> None:
    """Search the index; where it takes longer for a few queries than a product would, leave the others to the product.

    The few are drawn at random, because neighbouring queries are alike (slices of a patient). Which engine answers a
    query depends on the clock, its answer does not: both are exact.
    """
    state = job.state
    state.constant_items = int((index.variances == 0).sum())
    order = np.random.default_rng(0).permutation(job.queries.count)
    warm_up, timed, others = np.split(order, [TRIAL_QUERIES, 2 * TRIAL_QUERIES])

    def query(which: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        return [_query_index(job, index, part) for part in _in_parts(which, job.sizes.queries)]

    abandoned = query(warm_up)
    seconds = _seconds(lambda: abandoned.extend(query(timed)))
    product_seconds = pair_seconds() * job.bank.count * job.bank.dimension * (1 + len(job.queries.views))
    abandoned += query(others) if seconds <= product_seconds * len(timed) else [others]
    state.remaining = np.sort(np.concatenate(abandoned))  # in order, so that their rows are read in order
    state.save(now=True)


def _in_parts(which: NDArray[np.int64], size: int) -> list[NDArray[np.int64]]:
    """Cut (n,) queries into parts of at most `size`."""
    return [which[part] for part in chunks(len(which), size)]


def _query_index(job: _Job, index: Index, which: NDArray[np.int64]) -> NDArray[np.int64]:
    """Search the index for these queries (n,); return those that it abandoned, whose lists are empty again."""
    from benchmark.search.index_bounds import ABANDONED, VERIFIED

    state = job.state
    views, some = job.prepared(which), state.best.taken(which)
    counts = [index.scan(view, some, memory=job.memory) for view in views]  # each starts from the best so far
    abandoned = np.any([count[:, ABANDONED] > 0 for count in counts], axis=0)
    some.put(np.flatnonzero(abandoned), Best.empty(int(abandoned.sum()), some.values.shape[1]))
    state.best.put(which, some)
    state.engines.add("index")
    state.scored += int(sum(count[:, VERIFIED].sum() for count in counts))
    state.constant_queries += int((views[0].variances[~abandoned] == 0).sum())
    job.advance(int((~abandoned).sum()) * job.bank.count)
    return which[abandoned]


def _seconds(work: Callable[[], Any]) -> float:
    """Return how long a call takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
