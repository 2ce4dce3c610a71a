"""The search: the exact k nearest bank items of every query, in bounded memory, whatever the size of the bank."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from benchmark.core.errors import BadDataError
from benchmark.core.types import Match, chunks
from benchmark.search.prefetch import DEPTH, ahead
from benchmark.search.products import pair_seconds
from benchmark.search.similarity import Cosine, Levels, Pearson
from benchmark.search.state import State
from benchmark.search.topk import Best

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmark.search.index import Index
    from benchmark.search.rows import Rows

MEMORY_BYTES = 2 << 30
LONG = 100
"""Float rows of more numbers are compared by int8 digits, shorter ones by a float32 product."""
WIDTH, DEVICE_WIDTH = 2048, 16384
"""Bank items that are multiplied at once at most, on the CPU and on a GPU."""
PAIR_BYTES = 16
"""Of a pair in a block that is being compared: products, and what they become."""
TRIAL = 64
"""Queries that warm the index up, and queries that it is timed on, before it or the product takes the rest."""
SHALLOW = 1
"""For so many nearest items an index is tried; for ten it takes as long as the product or longer, measured."""


class Engine(Protocol):
    """What compares blocks of rows of one kind."""

    @property
    def name(self) -> str:
        """What multiplies."""

    @property
    def number_bytes(self) -> int:
        """How much memory a number of a row takes, as given and as prepared."""

    def prepare(self, rows: Any) -> Any:
        """Do once what a block of rows needs, of queries or of the bank."""

    def constant(self, block: Any) -> int:
        """Count rows without variance."""

    def scan(self, ours: Any, bank: Any, offset: int, best: Best) -> int:
        """Push to the lists of `ours` what a block of the bank holds; return how many pairs were scored one by one."""


@dataclass(frozen=True)
class Certificate:
    """How an answer was found, and why it is exact."""

    engine: str
    scored: int
    """Pairs scored one by one in float64; 0 where the product itself is exact."""
    constant_queries: int
    """Queries without variance: like nothing (0)."""
    constant_items: int
    """Bank items without variance."""
    tied: int
    """Queries with several nearest items; the lowest place is given."""


@dataclass(frozen=True)
class Found:
    """The k nearest bank items of N queries, nearest first; all items where the bank holds fewer."""

    index: NDArray[np.int64]
    """(N, k); ties go to the lowest."""
    similarity: NDArray[np.float64]
    """(N, k), computed in float64."""
    certificate: Certificate
    best: Best
    """For `best.merged`: what shards of one bank found."""

    @property
    def match(self) -> Match:
        """The nearest item of each query."""
        return Match(index=self.index[:, 0].copy(), similarity=self.similarity[:, 0].copy())


@dataclass(frozen=True)
class _Job:
    """One search, as it goes on."""

    queries: Rows
    bank: Rows
    engine: Engine
    state: State
    high: int
    """Queries, and bank items, that are compared at once."""
    wide: int
    memory: int
    advance: Callable[[int], None]

    def prepared(self, which: NDArray[np.int64]) -> list[Any]:
        """Return these queries, and their views, as the engine takes them."""
        return [self.engine.prepare(rows.take(which)) for rows in (self.queries, *self.queries.views)]

    def found(self) -> Found:
        """Return what the state holds when all is done."""
        state = self.state
        state.best.ties[state.best.values[:, 0] == 0] = 0  # what is like nothing is tied with nothing
        certificate = Certificate(
            engine=" and ".join(sorted(state.engines)), scored=state.scored, constant_queries=state.constant_queries,
            constant_items=state.constant_items, tied=int((state.best.ties > 0).sum()),
        )  # fmt: skip
        return Found(state.best.places, state.best.values, certificate, state.best)


def search(
    queries: Rows,
    bank: Rows,
    k: int = 1,
    *,
    device: str = "cpu",
    memory: int = MEMORY_BYTES,
    advance: Callable[[int], None] = lambda steps: None,
    state: Path | None = None,
) -> Found:
    """Find the exact k nearest bank items of every query.

    Args:
        queries: N rows; where they have views, the best view of each counts.
        bank: M rows of the same kind; read in blocks, the next one while the present one is compared.
        k: how many.
        device: where products are computed: `cpu`, `cuda` or `cuda:N`.
        memory: bytes that rows and products may take, whatever N and M are.
        advance: told of pairs compared, N * M in all.
        state: a file that keeps what is found so far: a search that was cut off goes on from it.

    Raises BadDataError where a side is empty, or a row is not finite.
    """
    if not queries.count or not bank.count:
        raise BadDataError(f"{queries.count} items cannot be searched in {bank.count}", "give at least one of each")
    engine, depth = engine_for(bank, device, memory), min(k, bank.count)
    high, wide = _sizes(queries, bank, engine, memory, DEVICE_WIDTH if device != "cpu" else WIDTH)
    plan = (queries.count, bank.count, bank.dimension, depth, high, wide)
    job = _Job(queries, bank, engine, State.open(state, plan, queries.count, depth), high, wide, memory, advance)
    if bank.index is not None and k <= SHALLOW and device == "cpu" and not job.state.started:
        _by_index(job, bank.index)
    _by_product(job)
    return job.found()


def nearest(queries: Rows, bank: Rows, *, device: str = "cpu", memory: int = MEMORY_BYTES) -> Match:
    """Return the exact nearest bank item of every query (`search`)."""
    return search(queries, bank, device=device, memory=memory).match


def engine_for(bank: Rows, device: str, memory: int = MEMORY_BYTES) -> Engine:
    """Return what compares rows of this kind."""
    from benchmark.search.float32 import CodeEngine, FloatEngine, common_direction
    from benchmark.search.pairwise import PairEngine
    from benchmark.search.uint8 import LevelEngine

    if isinstance(bank.similarity, Levels):
        return LevelEngine() if device == "cpu" else _on_device(device)
    if not isinstance(bank.similarity, Cosine | Pearson):
        return PairEngine(bank.similarity, device)
    centred = isinstance(bank.similarity, Pearson)
    if bank.dimension <= LONG:
        return FloatEngine(centred, device)
    return CodeEngine(centred, common_direction(bank, centred=centred, memory=memory), device)


def _on_device(device: str) -> Engine:
    from benchmark.search.device import DeviceLevels

    return DeviceLevels(device)


def _by_product(job: _Job) -> None:
    """Compare the queries that are left with all of the bank, block by block; queries stay, the bank streams by."""
    state, engine, bank = job.state, job.engine, job.bank
    pieces = list(chunks(bank.count, job.wide))
    for number, part in enumerate(chunks(len(state.left), job.high)):
        first = state.blocks - number * len(pieces)
        if first >= len(pieces):
            continue
        which = state.left[part]
        views, some = job.prepared(which), state.best.taken(which)
        state.engines.add(engine.name)
        state.constant_queries += engine.constant(views[0]) if first <= 0 else 0
        for piece, block in ahead(pieces[max(0, first) :], lambda piece: engine.prepare(bank.take(piece))):
            if number == 0 and "index" not in state.engines:
                state.constant_items += engine.constant(block)
            state.scored += sum(engine.scan(ours, block, piece.start, some) for ours in views)
            state.best.put(which, some)
            state.blocks += 1
            state.save()
            job.advance(len(which) * (piece.stop - piece.start))
    state.save(now=True)


def _sizes(queries: Rows, bank: Rows, engine: Engine, memory: int, widest: int) -> tuple[int, int]:
    """Return how many queries and how many bank items are compared at once: a third of memory each, and for pairs."""
    third = memory // 3
    row = bank.dimension * engine.number_bytes
    wide = max(1, min(widest, bank.count, third // ((DEPTH + 2) * row)))
    high = min(third // (row * (1 + len(queries.views))), third // (PAIR_BYTES * wide))
    return max(1, min(queries.count, high)), wide


def _by_index(job: _Job, index: Index) -> None:
    """Ask the index; only a few queries, drawn at random, where it takes longer for them than a product would."""
    state = job.state
    state.constant_items = int((index.variances == 0).sum())
    order = np.random.default_rng(0).permutation(job.queries.count)
    trial, timed, rest = order[:TRIAL], order[TRIAL : 2 * TRIAL], order[2 * TRIAL :]
    left = [_asked(job, index, part) for part in _in_parts(trial, job.high)]
    seconds = _seconds(lambda: left.extend(_asked(job, index, part) for part in _in_parts(timed, job.high)))
    plain = pair_seconds() * job.bank.count * job.bank.dimension * (1 + len(job.queries.views))
    pays = seconds <= plain * len(timed)
    left += [_asked(job, index, part) if pays else part for part in _in_parts(rest, job.high)]
    state.left = np.sort(np.concatenate([np.empty(0, np.int64), *left]))
    state.save(now=True)


def _in_parts(which: NDArray[np.int64], size: int) -> list[NDArray[np.int64]]:
    return [which[part] for part in chunks(len(which), size)]


def _asked(job: _Job, index: Index, which: NDArray[np.int64]) -> NDArray[np.int64]:
    """Ask the index for these queries; return those that it gave up."""
    from benchmark.search.index_bounds import ABANDONED, VERIFIED

    state = job.state
    views, some = job.prepared(which), state.best.taken(which)
    counts = [index.scan(ours, some, memory=job.memory) for ours in views]
    given_up = np.any([count[:, ABANDONED] > 0 for count in counts], axis=0)
    some.put(np.flatnonzero(given_up), Best.empty(int(given_up.sum()), some.values.shape[1]))
    state.best.put(which, some)
    state.engines.add("index")
    state.scored += int(sum(count[:, VERIFIED].sum() for count in counts))
    state.constant_queries += int((views[0].variances[~given_up] == 0).sum())
    job.advance(int((~given_up).sum()) * job.bank.count)
    return which[given_up]


def _seconds(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
