"""Measure how fast the exact search is, compared with other libraries; print the table and the goals that it meets.

    python scripts/make_layouts.py cxr R1
    python scripts/bench_search.py --data cxr-pneumonia --root R1 --image-size 224
    python scripts/make_layouts.py luna LUNA
    python scripts/bench_search.py --data folder --root LUNA --image-size 50 --name "CT patches"
    python scripts/bench_search.py --data phantom-mr --image-size 128 --channels flair --set-data patients=128
    python scripts/bench_search.py --data noise --image-size 128

30 % of the N queries are images of the bank with noise, 70 % are images of unseen patients. All methods alternate in
one process, on one thread; seconds are process CPU time (wall time with more threads), medians of the rounds. `sgemm`
is NumPy's product of blocks of standardised rows with a running best, standardising not timed; ratios are to it. Rows
marked * are timed on a sample of the pairs and scaled. Ground truth is float64, of every pair.

With --out FOLDER the figures are kept there, and table and plot of all runs in it are rewritten.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from search_report import (
    BUILD,
    CHOICE,
    EMBEDDINGS,
    FAISS,
    FLOATS,
    INDEX,
    PAIRS,
    PRODUCT,
    SGEMM,
    TRAIN,
    WIDE,
    keep,
    table,
)

import benchmark
from benchmark.cohorts.open import DataConfig, build_dataset, open_cohort
from benchmark.core.progress import to_stderr
from benchmark.core.types import Split, chunks, join_splits, to_images, to_pixels
from benchmark.detectors.random_conv import random_features
from benchmark.search import COSINE, LEVELS, PEARSON, Rows, search
from benchmark.search.index import Index, Stored
from benchmark.search.index_bounds import ABANDONED
from benchmark.search.topk import Best
from benchmark.search.uint8 import prepare_uint8

Array = np.ndarray[Any, Any]
Answer = tuple[Array, Array]
"""Places and similarities of the nearest items, (N, k) each."""

MIB = 2**20
BLOCK = 2048
COPIED, NOISE = 0.3, 8.0
OFFSET, SCALE = 1000.0, 0.37
"""Float images are levels times SCALE and OFFSET more."""
LEAST_SECONDS = 0.1


@dataclass(frozen=True)
class Sides:
    """Grey levels of both sides, (M, D) and (N, D) uint8, of items of one shape (C, *spatial)."""

    bank: Array
    queries: Array
    shape: tuple[int, ...]
    novel: int
    """This many queries, the last ones, are of unseen patients."""


@dataclass(frozen=True)
class Method:
    """A search method, of this package or another."""

    name: str
    work: Callable[[], Answer | None]
    exact: str = "levels"
    reference: str = SGEMM
    """The method that its ratio is to."""
    times: float = 1.0
    """One call compares a part of all pairs: all of them take this many times as long."""


@dataclass
class Figures:
    """Time, memory and error of one method."""

    name: str
    seconds: float = 0.0
    ratio: float = 0.0
    peak: float = 0.0
    """Share of the machine's sgemm peak, counting two operations per pixel of a pair."""
    error: float | None = None
    agrees: float | None = None
    mib: float = 0.0
    rounds: list[float] = field(default_factory=list)


# Both sides


def sides(given: argparse.Namespace) -> Sides:
    """Take levels from a data set, or draw white noise."""
    rng = np.random.default_rng(0)
    if given.data == "noise":
        shape = (1, given.image_size or 128, given.image_size or 128)
        draw = rng.integers(0, 256, (given.most + given.queries, *shape), dtype=np.uint8)
        bank, unseen = draw[: given.most], draw[given.most :]
    else:
        bank, unseen = cohort_sides(given)
        bank = bank[np.sort(rng.permutation(len(bank))[: given.most])]
    shape = bank.shape[1:]
    copies = with_noise(rng, bank[rng.integers(0, len(bank), round(COPIED * given.queries))])
    count = given.queries - len(copies)
    others = unseen[rng.choice(len(unseen), count, replace=len(unseen) < count)]
    queries = np.concatenate([copies, others])
    return Sides(bank.reshape(len(bank), -1), queries.reshape(len(queries), -1), shape, count)


def cohort_sides(given: argparse.Namespace) -> tuple[Array, Array]:
    """Training and calibration patients' items are the bank; test patients' items are unseen."""
    options = dict(setting.split("=", 1) for setting in given.set_data)
    config = DataConfig(
        name=given.data, root=given.root, image_size=given.image_size, channels=given.channels, options=options
    )
    cohort = open_cohort(config, *build_dataset(config), cache=given.cache, log=to_stderr)
    return levels_of(join_splits("bank", cohort.train, cohort.calibration)), levels_of(cohort.test)


def levels_of(split: Split) -> Array:
    """Return all items in memory, as 8-bit images."""
    stored = split.stored()
    return stored if stored.dtype == np.uint8 else to_pixels(to_images(stored), "uint8")


def with_noise(rng: np.random.Generator, items: Array) -> Array:
    noisy = items + rng.normal(0, NOISE, items.shape)
    return noisy.round().clip(0, 255).astype(np.uint8)


def pooled(given: Sides, factor: int) -> Sides:
    """Return the same items at a lower resolution: means of `factor` pixels along each axis."""

    def pool(rows: Array) -> Array:
        items = rows.reshape(len(rows), *given.shape)
        for axis in range(2, items.ndim):
            size = items.shape[axis] // factor
            cut = np.moveaxis(items, axis, -1)[..., : size * factor]
            items = np.moveaxis(cut.reshape(*cut.shape[:-1], size, factor).mean(axis=-1, dtype=np.float32), -1, axis)
        return items.round().astype(np.uint8)

    bank, queries = pool(given.bank), pool(given.queries)
    return Sides(bank.reshape(len(bank), -1), queries.reshape(len(queries), -1), bank.shape[1:], given.novel)


def as_floats(levels: Array) -> Array:
    return (levels * np.float32(SCALE) + np.float32(OFFSET)).astype(np.float32)


def embedded(given: Sides) -> tuple[Array, Array]:
    """Return features of a random network as the detector `random-conv` has them: standardised, of length 1."""
    both = [
        np.concatenate(
            [random_features(to_images(rows[part].reshape(-1, *given.shape))) for part in chunks(len(rows), 256)]
        )
        for rows in (given.bank, given.queries)
    ]
    mean, spread = both[0].mean(axis=0), both[0].std(axis=0)
    rows = [(features - mean) / np.where(spread > 0, spread, 1) for features in both]
    bank, queries = (features / np.linalg.norm(features, axis=1, keepdims=True) for features in rows)
    return bank.astype(np.float32), queries.astype(np.float32)


# Ground truth


def exact_unit(rows: Array, *, centred: bool) -> Array:
    """Standardise in float64; rows without variance become zeros."""
    wide = rows.astype(np.float64)
    if centred:
        wide -= wide.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)
    return wide / np.where(lengths > 0, lengths, 1)


def exact_floats(queries: Array, bank: Array, *, centred: bool) -> Array:
    """Return all similarities, (N, M), in float64."""
    ours = exact_unit(queries, centred=centred)
    parts = [ours @ exact_unit(bank[part], centred=centred).T for part in chunks(len(bank), BLOCK)]
    return np.concatenate(parts, axis=1)


def exact_levels(queries: Array, bank: Array) -> Array:
    """Return all correlations: sums of products of levels are whole numbers, which float64 adds without rounding."""
    ours, size = queries.astype(np.float64), queries.shape[1]
    total, variance = ours.sum(axis=1), size * (ours * ours).sum(axis=1) - ours.sum(axis=1) ** 2
    parts = []
    for part in chunks(len(bank), BLOCK):
        others = bank[part].astype(np.float64)
        sums, variances = others.sum(axis=1), size * (others * others).sum(axis=1) - others.sum(axis=1) ** 2
        scale = np.sqrt(np.outer(variance, variances))
        numerators = size * (ours @ others.T) - np.outer(total, sums)
        parts.append(np.divide(numerators, scale, out=np.zeros_like(scale), where=scale > 0))
    return np.concatenate(parts, axis=1)


def compared(answer: Answer, exact: Array) -> tuple[float, float]:
    """Return the greatest error, and the share of places that hold an item as near as float64's (ties are equal)."""
    places, values = answer
    similarities = np.take_along_axis(exact, places, axis=1)
    depth = places.shape[1]
    nearest = -np.sort(np.partition(-exact, depth - 1, axis=1)[:, :depth], axis=1)
    return float(np.abs(values - similarities).max()), float((np.abs(similarities - nearest) <= 1e-12).mean())


# Ours


def answer_of(queries: Rows, bank: Rows, k: int, memory: int) -> Answer:
    result = search(queries, bank, k, memory=memory)
    return result.index, result.similarity


def build(given: Sides) -> Index:
    return Index.build(Stored(given.bank, np.arange(len(given.bank))), given.shape)


def by_index(given: Sides, index: Index, k: int, memory: int) -> Answer:
    """Search the index for all queries, and compare those that it abandons by the product."""
    best = Best.empty(len(given.queries), k)
    left = np.flatnonzero(index.scan(prepare_uint8(given.queries), best)[:, ABANDONED])
    if len(left):
        result = search(Rows.of(given.queries[left], LEVELS), Rows.of(given.bank, LEVELS), k, memory=memory)
        best.put(left, result.best)
    return best.places, best.values


def our_methods(given: Sides, index: Index, memory: int) -> list[Method]:
    """The search of 8-bit images."""
    queries, bank = Rows.of(given.queries, LEVELS), Rows.of(given.bank, LEVELS)
    indexed = replace(bank, index=index)
    methods = []
    for k in (1, 10):
        methods += [
            Method(f"{PRODUCT}, top-{k}", partial(answer_of, queries, bank, k, memory)),
            Method(f"{INDEX}, top-{k}", partial(by_index, given, index, k, memory)),
            Method(f"{CHOICE}, top-{k}", partial(answer_of, queries, indexed, k, memory)),
        ]
    return [*methods, Method(BUILD, lambda: nothing(build(given)))]


def nothing(result: object) -> None:
    """Forget a result."""


def float_methods(given: Sides, memory: int) -> list[Method]:
    """The search of the same images as float32."""
    queries, bank = (Rows.of(as_floats(rows), PEARSON) for rows in (given.queries, given.bank))
    return [Method(f"{FLOATS}, top-{k}", partial(answer_of, queries, bank, k, memory), "floats") for k in (1, 10)]


def train_methods(given: Sides, units: tuple[Array, Array], memory: int) -> list[Method]:
    """Find the nearest query of each bank item."""
    queries, bank = Rows.of(given.bank, LEVELS), Rows.of(given.queries, LEVELS)
    swapped = Sides(given.queries, given.bank, given.shape, 0)
    reference = f"train side: {SGEMM}"
    return [
        Method(reference, lambda: blocked(*units[::-1]), "swapped", reference),
        Method(f"{TRAIN}, int8 product", lambda: answer_of(queries, bank, 1, memory), "swapped", reference),
        Method(f"{TRAIN}, index, rebuilt", lambda: by_index(swapped, build(swapped), 1, memory), "swapped", reference),
    ]


# Theirs


def unit_rows(rows: Array) -> Array:
    """Standardise in float64 and round, a few hundred at a time."""
    return np.concatenate([exact_unit(rows[part], centred=True).astype(np.float32) for part in chunks(len(rows), 256)])


def blocked(queries: Array, bank: Array) -> Answer:
    """Multiply blocks in NumPy, and keep the best so far."""
    best, place = np.full(len(queries), -np.inf, np.float32), np.zeros(len(queries), np.int64)
    room = np.empty((len(queries), min(BLOCK, len(bank))), np.float32)
    for part in chunks(len(bank), BLOCK):
        block = room if len(room[0]) == part.stop - part.start else np.empty((len(room), part.stop - part.start), "f4")
        np.matmul(queries, bank[part].T, out=block)
        top = block.argmax(axis=1)
        value = block[np.arange(len(top)), top]
        better = value > best
        best[better], place[better] = value[better], top[better] + part.start
    return place[:, None], best[:, None]


def by_torch(queries: torch.Tensor, bank: torch.Tensor) -> Answer:
    maxima = [torch.mm(queries, bank[part].T).max(dim=1) for part in chunks(len(bank), BLOCK)]
    values = torch.stack([one.values for one in maxima])
    starts = torch.tensor([part.start for part in chunks(len(bank), BLOCK)])[:, None]
    places = torch.stack([one.indices for one in maxima]) + starts
    best = values.argmax(dim=0, keepdim=True)
    return places.gather(0, best).T.numpy(), values.gather(0, best).T.numpy()


def by_faiss(queries: Array, bank: Array) -> Callable[[int], Answer]:
    import faiss

    index = faiss.IndexFlatIP(bank.shape[1])
    index.add(bank)
    return lambda k: index.search(queries, k)[::-1]


def by_sklearn(queries: Array, bank: Array) -> Callable[[], Answer]:
    from sklearn.neighbors import NearestNeighbors

    neighbours = NearestNeighbors(n_neighbors=1, algorithm="brute", metric="cosine").fit(bank)

    def work() -> Answer:
        distances, places = neighbours.kneighbors(queries)
        return places, 1 - distances

    return work


def product_methods(queries: Array, bank: Array, exact: str, reference: str) -> list[Method]:
    """Libraries that multiply rows of length 1."""
    tensors = torch.from_numpy(queries), torch.from_numpy(bank)
    methods = [
        Method(reference, lambda: blocked(queries, bank), exact, reference),
        Method(labelled("torch mm, float32", exact), lambda: by_torch(*tensors), exact, reference),
    ]
    try:
        search_faiss = by_faiss(queries, bank)
        methods += [
            Method(labelled(f"{FAISS}, top-{k}", exact), partial(search_faiss, k), exact, reference) for k in (1, 10)
        ]
    except ImportError:
        print("faiss: not installed (pip install faiss-cpu)")
    return [*methods, Method(labelled("scikit-learn brute cosine", exact), by_sklearn(queries, bank), exact, reference)]


def labelled(name: str, exact: str) -> str:
    return name if exact == "levels" else f"{exact}: {name}"


def pair_methods(given: Sides) -> list[Method]:
    """Functions that compare one pair after another, timed on a sample."""
    from scipy.spatial.distance import cdist
    from scipy.stats import pearsonr

    some, few = (given.queries[:8], given.bank[:256]), (given.queries[:4], given.bank[:16])
    pairs = len(given.queries) * len(given.bank)

    def loop(correlate: Callable[[Array, Array], Any]) -> None:
        for one in few[0]:
            for other in few[1]:
                correlate(one, other)

    return [
        Method("scipy cdist correlation *", lambda: nothing(cdist(*some, "correlation")), times=pairs / (8 * 256)),
        Method(PAIRS, lambda: loop(np.corrcoef), times=pairs / (4 * 16)),
        Method("scipy pearsonr per pair *", lambda: loop(pearsonr), times=pairs / (4 * 16)),
    ]


def prototype_methods(given: Sides, file: Path) -> list[Method]:
    """The search that the goals were measured with; its pass over the bank (sums, codes) is not timed."""
    import importlib.util

    spec = importlib.util.spec_from_file_location("prototype", file)
    module = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
    spec.loader.exec_module(module)  # type: ignore[union-attr]
    bank, queries = module.as_i8(given.bank), module.as_i8(given.queries)
    index, sums = module.Index(given.shape[1:]).fit(bank), module.int_stats(bank)
    codes, floats = module.Codes(as_floats(given.bank)), as_floats(given.queries)

    def swapped(answer: Answer) -> Answer:
        return answer[1], answer[0]

    return [
        Method("prototype: int8 product, top-1", lambda: swapped(module.brute_i8(bank, queries, 1, sx=sums))),
        Method("prototype: index, top-1", lambda: swapped(index.search(queries, 1))),
        Method("prototype: index, top-10", lambda: swapped(index.search(queries, 10))),
        Method("prototype: float images, top-1", lambda: swapped(codes.search(floats, 1)), "floats"),
    ]


# Measuring


def clock() -> float:
    """CPU time of the process on one thread: other jobs of the machine do not count."""
    return time.process_time() if torch.get_num_threads() == 1 else time.perf_counter()


def seconds(work: Callable[[], object]) -> float:
    """Time a call; short ones are repeated."""
    started, calls = clock(), 0
    while calls == 0 or clock() - started < LEAST_SECONDS:
        work()
        calls += 1
    return (clock() - started) / calls


def own_bytes() -> int:
    """Memory of the process without files that are mapped."""
    resident, shared = map(int, Path("/proc/self/statm").read_text().split()[1:3])
    return (resident - shared) * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def watched() -> Iterator[list[float]]:
    """Yield a list, which holds in the end the MiB that were taken beyond those at the beginning."""
    ctypes.CDLL(None).malloc_trim(0)
    start, peak, done, result = own_bytes(), [0], threading.Event(), [0.0]

    def look() -> None:
        while not done.wait(0.003):
            peak[0] = max(peak[0], own_bytes())

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield result
    finally:
        done.set()
        thread.join()
        result[0] = max(0, peak[0] - start) / MIB


def measure(methods: Sequence[Method], exact_values: dict[str, Array], rounds: int) -> dict[str, Figures]:
    """Time all methods, alternating; the first call of each compiles what it needs, and its answer is checked."""
    figures_of = {method.name: Figures(method.name) for method in methods}
    for method in methods:
        answer = method.work()
        if answer is not None:
            figures_of[method.name].error, figures_of[method.name].agrees = compared(answer, exact_values[method.exact])
    for number in range(rounds):
        for method in methods:
            if number == 0:
                with watched() as mib:
                    taken = seconds(method.work)
                figures_of[method.name].mib = mib[0]
            else:
                taken = seconds(method.work)
            figures_of[method.name].rounds.append(taken * method.times)
        print(f"round {number + 1} of {rounds}", file=sys.stderr)
    for figures in figures_of.values():
        figures.seconds = statistics.median(figures.rounds)
    return figures_of


def compare(
    figures_of: dict[str, Figures], methods: Sequence[Method], operations: dict[str, float], peak: float
) -> None:
    """Fill ratios to sgemm and to the machine's peak."""
    for method in methods:
        figures = figures_of[method.name]
        figures.ratio = figures_of[method.reference].seconds / figures.seconds
        figures.peak = 0.0 if method.name == BUILD else operations[method.exact] / figures.seconds / peak


def sgemm_peak() -> float:
    """Return the operations per second of the best of several float32 products."""
    rng, best = np.random.default_rng(0), 0.0
    for rows, terms, columns in ((1024, 1024, 1024), (2048, 2048, 2048), (1000, 8192, 2048), (4096, 4096, 1024)):
        first, second = rng.random((rows, terms), np.float32), rng.random((columns, terms), np.float32)
        taken = min(seconds(partial(np.matmul, first, second.T)) for _ in range(5))
        best = max(best, 2 * rows * terms * columns / taken)
    return best


def kernels() -> dict[str, str]:
    """Return the library and kernel that each package's products run on."""
    from threadpoolctl import threadpool_info

    names = {}
    for library in threadpool_info():
        if library["user_api"] == "blas":
            package = next(part for part in reversed(Path(library["filepath"]).parts[:-1]) if part != "lib")
            names[package.removesuffix(".libs")] = (
                f"{library['internal_api']} {library['version']} {library.get('architecture', '')}".strip()
            )
    return names


def limit_threads(count: int) -> None:
    import numba
    from threadpoolctl import threadpool_limits

    torch.set_num_threads(count)
    numba.set_num_threads(min(count, numba.config.NUMBA_NUM_THREADS))
    threadpool_limits(count)


# Growth


def exponents(given: Sides, memory: int, rounds: int) -> dict[str, dict[str, float]]:
    """Return how time grows with M, N and D, for unseen queries: slopes of log seconds over log sizes."""
    rng = np.random.default_rng(1)
    order = rng.permutation(len(given.bank))
    novel = replace(given, queries=given.queries[-given.novel :])
    shares = (0.25, 0.5, 1.0)
    return {
        "M": slopes([replace(novel, bank=novel.bank[np.sort(order[: int(s * len(order))])]) for s in shares],
                    lambda some: len(some.bank), memory, rounds),
        "N": slopes([replace(novel, queries=novel.queries[: int(s * given.novel)]) for s in shares],
                    lambda some: len(some.queries), memory, rounds),
        "D": slopes([pooled(novel, 4), pooled(novel, 2), novel], lambda some: some.bank.shape[1], memory, rounds),
    }  # fmt: skip


def slopes(cases: Sequence[Sides], size: Callable[[Sides], int], memory: int, rounds: int) -> dict[str, float]:
    """Return the exponent of sgemm, of the product, of the index, and of its building."""
    taken: dict[str, list[float]] = {SGEMM: [], PRODUCT: [], INDEX: [], BUILD: []}
    for some in cases:
        index, units = build(some), (unit_rows(some.queries), unit_rows(some.bank))
        rows = Rows.of(some.queries, LEVELS), Rows.of(some.bank, LEVELS)
        works: dict[str, Callable[[], object]] = {
            SGEMM: partial(blocked, *units),
            PRODUCT: partial(answer_of, *rows, 1, memory),
            INDEX: partial(by_index, some, index, 1, memory),
            BUILD: partial(build, some),
        }
        for name, times in taken.items():
            times.append(statistics.median(seconds(works[name]) for _ in range(rounds)))
    sizes = np.log([size(some) for some in cases])
    return {name: float(np.polyfit(sizes, np.log(times), 1)[0]) for name, times in taken.items()}


# A bank larger than memory


@dataclass(frozen=True)
class Streamed:
    """A search of a bank on disk."""

    bank_mib: float
    limit_mib: float
    queries: int
    plain: float
    """Bytes per second of reading the file alone."""
    rate: float
    """Bytes per second of the search."""
    mib: float
    same: bool
    """Whether the answer is that of a search with enough memory."""


def stream(given: Sides, gib: float, limit_mib: float, queries: int, rounds: int, folder: Path) -> Streamed:
    """Write images repeatedly, rolled by some pixels, to a file, and search it, out of the page cache."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        file = Path(place) / "bank.npy"
        write_bank(file, given, int(gib * 2**30 / given.bank.shape[1]))
        few_queries = Rows.of(given.queries[-queries:], LEVELS)
        plain, rates, most = [], [], []
        limited = searched(file, few_queries, limit_mib)[0]
        for _ in range(rounds):
            plain.append(plain_rate(file))
            with watched() as mib:
                rates.append(searched(file, few_queries, limit_mib)[1])
            most += mib
        roomy = searched(file, few_queries, 8192)[0]
        same = all(np.array_equal(one, other) for one, other in zip(limited, roomy, strict=True))
        return Streamed(
            file.stat().st_size / MIB, limit_mib, few_queries.count, statistics.median(plain), statistics.median(rates),
            max(most), same,
        )  # fmt: skip


def write_bank(file: Path, given: Sides, count: int) -> None:
    rows = np.lib.format.open_memmap(file, "w+", np.uint8, (count, given.bank.shape[1]))
    for number, part in enumerate(chunks(count, len(given.bank))):
        rows[part] = np.roll(given.bank[: part.stop - part.start], 7 * number, axis=1)
    rows.flush()


def forget(file: Path) -> None:
    """Drop a file from the page cache."""
    with file.open("rb") as opened:
        os.fsync(opened.fileno())
        os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def plain_rate(file: Path) -> float:
    forget(file)
    room, started = bytearray(8 * MIB), time.perf_counter()
    with file.open("rb", buffering=0) as opened:
        while opened.readinto(room):
            pass
    return file.stat().st_size / (time.perf_counter() - started)


def searched(file: Path, queries: Rows, limit_mib: float) -> tuple[Answer, float]:
    """Return the answer and the bytes per second of wall time."""
    forget(file)
    started = time.perf_counter()
    bank = Rows.of(np.load(file, mmap_mode="r"), LEVELS)
    answer = answer_of(queries, bank, 1, int(limit_mib * MIB))
    return answer, file.stat().st_size / (time.perf_counter() - started)


# One run


def embedding_methods(rows: tuple[Array, Array], memory: int) -> list[Method]:
    bank, queries = rows
    reference = f"embeddings: {SGEMM}"
    sides_as_rows = Rows.of(queries, COSINE), Rows.of(bank, COSINE)
    ours = [
        Method(f"{EMBEDDINGS}, top-{k}", partial(answer_of, *sides_as_rows, k, memory), "embeddings", reference)
        for k in (1, 10)
    ]
    return product_methods(queries, bank, "embeddings", reference) + ours


def run_all(given: argparse.Namespace) -> dict[str, Any]:
    """Measure everything of one data set."""
    both, memory = sides(given), int(given.memory_gib * 2**30)
    features = embedded(both)
    exact_values = {
        "levels": exact_levels(both.queries, both.bank),
        "floats": exact_floats(as_floats(both.queries), as_floats(both.bank), centred=True),
        "embeddings": exact_floats(features[1], features[0], centred=False),
    }
    exact_values["swapped"] = exact_values["levels"].T
    units = unit_rows(both.queries), unit_rows(both.bank)
    methods = [
        *product_methods(*units, "levels", SGEMM), *pair_methods(both), *our_methods(both, build(both), memory),
        *float_methods(both, memory), *train_methods(both, units, memory),
        *embedding_methods(features, memory),
        *(prototype_methods(both, given.prototype) if given.prototype else []),
    ]  # fmt: skip
    peak = sgemm_peak()
    figures_of = measure(methods, exact_values, given.rounds)
    pairs = 2.0 * len(both.bank) * len(both.queries)
    operations = {what: pairs * (features[0] if what == "embeddings" else both.bank).shape[1] for what in exact_values}
    compare(figures_of, methods, operations, peak)
    run = facts(given, both, peak, figures_of)
    del methods, exact_values, units
    run["growth"] = exponents(both, memory, 3) if given.growth else {}
    run["stream"] = streaming(given, both)
    return run


def streaming(given: argparse.Namespace, both: Sides) -> dict[str, Any]:
    if not given.stream_gib:
        return {}
    done = stream(both, given.stream_gib, given.stream_mib, given.stream_queries, given.rounds, given.cache)
    return asdict(done)


def facts(given: argparse.Namespace, both: Sides, peak: float, figures_of: dict[str, Figures]) -> dict[str, Any]:
    """Return what a table needs, as JSON."""
    names = kernels()
    return {
        "name": given.name or f"{given.data} {both.shape[-1]}",
        "command": shown_command(),
        "commit": commit(),
        "data": given.data,
        "shape": both.shape,
        "sizes": [len(both.queries), len(both.bank), both.bank.shape[1]],
        "threads": given.threads,
        "rounds": given.rounds,
        "limit_mib": given.memory_gib * 1024,
        "kernels": names,
        "wide": any(kernel in names.get("numpy", "") for kernel in WIDE),
        "versions": {
            package: installed(package) for package in ("numpy", "torch", "scipy", "scikit-learn", "faiss-cpu")
        },
        "peak": peak,
        "figures": [asdict(figures) for figures in figures_of.values()],
    }


def shown_command() -> str:
    """Return the command line, with file names in place of absolute paths."""
    given = [Path(argument).name if argument.startswith("/") else argument for argument in sys.argv[1:]]
    quoted = (f'"{argument}"' if " " in argument else argument for argument in given)
    return " ".join(["python scripts/bench_search.py", *quoted])


def commit() -> str:
    """Return the commit of the package that is measured."""
    folder = Path(benchmark.__file__).parent
    arguments = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(arguments, cwd=folder, capture_output=True, text=True, check=False).stdout.strip()


def installed(package: str) -> str:
    try:
        return version(package)
    except ImportError:
        return "not installed"


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="a data set of the project, or noise")
    for name in ("root", "out", "prototype"):
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--cache", type=Path, default=Path("cache"))
    parser.add_argument("--set-data", action="append", default=[], metavar="NAME=VALUE")
    for name in ("channels", "name"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--image-size", type=int)
    for name, value in (("queries", 1000), ("most", 10_000), ("rounds", 5), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--memory-gib", type=float, default=2.0, help="memory that our search may take")
    parser.add_argument("--growth", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--stream-gib", type=float, default=0.0, help="size of a bank on disk; 0: none")
    parser.add_argument("--stream-mib", type=float, default=256, help="memory for searching it")
    parser.add_argument("--stream-queries", type=int, default=50)
    return parser.parse_args()


def main() -> None:
    """Run, print the table, and keep it."""
    given = options()
    for package in ("faiss", "scipy.linalg", "sklearn.neighbors"):  # so that each one's threads are limited, too
        with suppress(ImportError):
            __import__(package)
    limit_threads(given.threads)
    run = run_all(given)
    print(table(run))
    if given.out:
        keep(run, given.out)


if __name__ == "__main__":
    main()
