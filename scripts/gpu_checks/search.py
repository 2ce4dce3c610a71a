"""The 8-bit search at scale: made and searched on the device in shards, and the whole pipeline from the host."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmark.core.devices import pick_device
from benchmark.core.types import chunks
from benchmark.search import LEVELS, MEMORY_BYTES, Rows, search
from benchmark.search.device import DeviceBlock, DeviceEngine, free_memory
from benchmark.search.device_products import int_product
from benchmark.search.topk import Best
from benchmark.training.batches import free_memory as free_memory_of
from scripts.gpu_checks.check import Check, SkippedError
from scripts.gpu_checks.environment import int8_rate
from scripts.gpu_checks.timing import forget_peak, now, peak_gb, seconds

GIB = 1 << 30


@dataclass(frozen=True)
class Size:
    """How large a search is."""

    queries: int
    bank: int
    side: int
    shard: int
    """Bank items made at once."""
    high: int
    """Queries compared with a shard at once."""

    @property
    def pixels(self) -> int:
        """Pixels of an item."""
        return self.side**2

    @property
    def operations(self) -> float:
        """Products and sums."""
        return 2.0 * self.queries * self.bank * self.pixels

    def __str__(self) -> str:
        return f"{self.queries:,} x {self.bank:,} items of {self.side} x {self.side}"


LARGE = (Size(50_000, 112_000, 256, 16_000, 8192), Size(100_000, 100_000, 128, 16_000, 8192))
SMALL = (Size(60, 200, 16, 64, 32), Size(40, 40, 8, 40, 24))
PLANTED = 50
"""Queries, evenly spread, whose exact copies are in the bank."""


def run(check: Check) -> None:
    """Measure the yardstick, then each size on the device, then the first through the whole pipeline."""
    device = pick_device(check.device)
    rate = int8_rate(device, tiny=check.tiny)
    check.measure("yardstick: int8 product of torch, square", rate, "TOP/s")
    sizes = SMALL if check.tiny else LARGE
    for size in sizes:
        with check.trying(f"steps, {size}"):
            steps(check, size, device)
        with check.trying(f"on the device, {size}", "roofline"):
            on_device(check, size, device, rate)
    if check.enough(0 if check.tiny else 20, "the whole pipeline"):
        with check.trying("the whole pipeline"):
            pipeline(check, sizes[0], device, rate)


def levels(count: int, pixels: int, seed: int, device: torch.device) -> Tensor:
    """Make random grey levels less 128, int8, on the device; the same for the same seed."""
    random = torch.Generator(device).manual_seed(seed)
    return torch.randint(-128, 128, (count, pixels), dtype=torch.int8, device=device, generator=random)


def engine_of(device: torch.device) -> DeviceEngine:
    """Return the engine of 8-bit images on a device, with the memory that a search gives it there."""
    return DeviceEngine(str(device), free_memory(str(device)) if device.type == "cuda" else GIB)


def resident(rows: Tensor) -> DeviceBlock:
    """Sum rows on the device, as `levels.prepared` does on the host."""
    total = rows.sum(1, dtype=torch.int64)
    squares = torch.cat([part.int().square().sum(1, dtype=torch.int64) for part in rows.split(1024)])
    variances = (rows.shape[1] * squares - total * total).double()
    return DeviceBlock(rows, total.double(), variances)


def planted(size: Size) -> tuple[NDArray[np.int64], ...]:
    """Return the queries that have a copy, and where in the bank it lies."""
    count = min(PLANTED, size.queries, size.bank)
    return tuple(np.linspace(0, most - 1, count).astype(np.int64) for most in (size.queries, size.bank))


def shards(size: Size, queries: Tensor, device: torch.device) -> Iterator[tuple[slice, Tensor]]:
    """Make the bank, a shard at a time, with the planted copies in it."""
    copied, places = planted(size)
    for number, part in enumerate(chunks(size.bank, size.shard)):
        rows = levels(part.stop - part.start, size.pixels, 1 + number, device)
        here = (places >= part.start) & (places < part.stop)
        rows[torch.from_numpy(places[here] - part.start).to(device)] = queries[
            torch.from_numpy(copied[here]).to(device)
        ]
        yield part, rows


def on_device(check: Check, size: Size, device: torch.device, rate: float) -> None:
    """Search all of the bank for all queries, both made on the device; the making is not timed."""
    queries = levels(size.queries, size.pixels, 0, device)
    forget_peak(device)
    engine, best = engine_of(device), Best.empty(size.queries, 1)
    blocks = [(part, resident(queries[part])) for part in chunks(size.queries, size.high)]
    spent = 0.0
    for where, rows in shards(size, queries, device):
        bank = resident(rows)
        began = now(device)
        for part, ours in blocks:
            engine.scan(ours, bank, where.start, best.rows(part))
        spent += now(device) - began
    require_planted(size, best.places[:, 0], best.values[:, 0])
    speed = size.operations / spent / 1e12
    check.measure(f"on the device, {size}", spent, "s")
    check.measure(f"on the device, {size}: speed", speed, "TOP/s")
    check.measure(
        f"on the device, {size}: share of the int8 rate", speed / rate, goal="roofline", detail="copies found: all"
    )
    if peak := peak_gb(device):
        check.measure(f"on the device, {size}: greatest memory", peak, "GB")


def require_planted(size: Size, places: NDArray[np.int64], values: NDArray[np.float64]) -> None:
    """Refuse, with AssertionError, an answer that misses a planted copy."""
    copied, places_of_copies = planted(size)
    wrong = (places[copied] != places_of_copies) | (np.abs(values[copied] - 1) > 1e-12)
    assert not wrong.any(), f"{int(wrong.sum())} of {len(copied)} planted copies were not found"


def steps(check: Check, size: Size, device: torch.device) -> None:
    """Time what a block of pairs takes: the product, the correlations with it, the whole scan."""
    ours = resident(levels(min(size.high, size.queries), size.pixels, 0, device))
    bank = resident(levels(min(size.shard, size.bank), size.pixels, 1, device))
    pairs = len(ours.rows) * len(bank.rows)
    engine, best = engine_of(device), Best.empty(len(ours.rows), 1)
    jobs = {
        "product": lambda: int_product(ours.rows, bank.rows),
        "product and correlations": lambda: ours.correlations(bank),
        "whole scan": lambda: engine.scan(ours, bank, 0, best),
    }
    for name, job in jobs.items():
        spent = seconds(job, device, least=0.2)
        speed = 2 * pairs * size.pixels / spent / 1e12
        shape = f"{len(ours.rows):,} x {len(bank.rows):,} pairs of {size.side} x {size.side}"
        check.measure(f"{name}, {shape}", 1e3 * spent, "ms", detail=f"{speed:.4g} TOP/s")


def pipeline(check: Check, size: Size, device: torch.device, rate: float) -> None:
    """Search from arrays of the host, within several limits of host memory.

    Shifting, sums and copies to the device are timed too; making the arrays is not.
    """
    need, free = (size.queries + size.bank) * size.pixels + MEMORY_BYTES, free_memory_of(torch.device("cpu"))
    if need > free:
        raise SkippedError(f"it needs {need / 1e9:.0f} GB of the host, {free / 1e9:.0f} GB are free")
    queries, bank = host(size, device)
    for memory in (MEMORY_BYTES, 16 * GIB):
        name = f"the whole pipeline in {memory / GIB:g} GiB of the host"
        if need - MEMORY_BYTES + memory > free:
            check.note(f"left out: {name}: {free / 1e9:.0f} GB are free")
        elif check.enough(0 if check.tiny else 10, name):
            whole_pipeline(check, size, (queries, bank), device, memory, rate)


def whole_pipeline(
    check: Check, size: Size, sides: tuple[NDArray[np.uint8], NDArray[np.uint8]], device: torch.device, memory: int,
    rate: float,
) -> None:  # fmt: skip
    """Time one search of queries (N, D) in a bank (M, D), and keep its speed."""
    queries, bank = sides
    forget_peak(device)
    began = now(device)
    result = search(Rows.of(queries, LEVELS), Rows.of(bank, LEVELS), device=str(device), memory=memory)
    spent = now(device) - began
    require_planted(size, result.index[:, 0], result.similarity[:, 0])
    speed, peak = size.operations / spent / 1e12, peak_gb(device)
    name = f"whole pipeline, {size}, {memory / GIB:g} GiB of the host, {result.certificate.engine}"
    detail = f"{speed:.4g} TOP/s, {speed / rate:.2%} of the int8 rate"
    check.measure(name, spent, "s", detail=detail + ("" if peak is None else f", {peak:.3g} GB of the device"))


def host(size: Size, device: torch.device) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Make queries and bank on the device, a shard at a time, and keep them on the host as uint8."""
    queries = levels(size.queries, size.pixels, 0, device)
    bank = np.empty((size.bank, size.pixels), dtype=np.uint8)
    for part, rows in shards(size, queries, device):
        bank[part] = _unsigned(rows)
    return np.concatenate([_unsigned(part) for part in queries.split(size.shard)]), bank


def _unsigned(rows: Tensor) -> NDArray[np.uint8]:
    """Return levels less 128 as levels."""
    shifted: NDArray[np.uint8] = rows.cpu().numpy().view(np.uint8) ^ np.uint8(128)
    return shifted
