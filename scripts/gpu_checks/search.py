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
from benchmark.search.device import DeviceBlock, DeviceEngine
from benchmark.search.device_products import int_product
from benchmark.search.topk import Best
from benchmark.training.batches import free_memory
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
"""Queries, evenly spread, whose exact copies lie in the bank."""


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
    for memory in (32 * GIB, MEMORY_BYTES):
        if check.enough(0 if check.tiny else 25, f"the whole pipeline in {memory / GIB:g} GiB"):
            with check.trying(f"the whole pipeline in {memory / GIB:g} GiB"):
                pipeline(check, sizes[0], device, memory, rate)


def levels(count: int, pixels: int, seed: int, device: torch.device) -> Tensor:
    """Make random grey levels less 128, int8, on the device; the same for the same seed."""
    random = torch.Generator(device).manual_seed(seed)
    return torch.randint(-128, 128, (count, pixels), dtype=torch.int8, device=device, generator=random)


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
    asked, places = planted(size)
    for number, part in enumerate(chunks(size.bank, size.shard)):
        rows = levels(part.stop - part.start, size.pixels, 1 + number, device)
        here = (places >= part.start) & (places < part.stop)
        rows[torch.from_numpy(places[here] - part.start).to(device)] = queries[torch.from_numpy(asked[here]).to(device)]
        yield part, rows


def on_device(check: Check, size: Size, device: torch.device, rate: float) -> None:
    """Search all of the bank for all queries, both made on the device; the making is not timed."""
    queries = levels(size.queries, size.pixels, 0, device)
    forget_peak(device)
    engine, best = DeviceEngine(str(device)), Best.empty(size.queries, 1)
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
    asked, there = planted(size)
    wrong = (places[asked] != there) | (np.abs(values[asked] - 1) > 1e-12)
    assert not wrong.any(), f"{int(wrong.sum())} of {len(asked)} planted copies were not found"


def steps(check: Check, size: Size, device: torch.device) -> None:
    """Time what a block of pairs takes: the product, the correlations with it, the whole scan."""
    ours = resident(levels(min(size.high, size.queries), size.pixels, 0, device))
    bank = resident(levels(min(size.shard, size.bank), size.pixels, 1, device))
    pairs = len(ours.rows) * len(bank.rows)
    best = Best.empty(len(ours.rows), 1)
    jobs = {
        "product": lambda: int_product(ours.rows, bank.rows),
        "product and correlations": lambda: ours.correlations(bank),
        "whole scan": lambda: DeviceEngine(str(device)).scan(ours, bank, 0, best),
    }
    for name, job in jobs.items():
        spent = seconds(job, device, least=0.2)
        speed = 2 * pairs * size.pixels / spent / 1e12
        shape = f"{len(ours.rows):,} x {len(bank.rows):,} pairs of {size.side} x {size.side}"
        check.measure(f"{name}, {shape}", 1e3 * spent, "ms", detail=f"{speed:.4g} TOP/s")


def pipeline(check: Check, size: Size, device: torch.device, memory: int, rate: float) -> None:
    """Search from arrays of the host: shifting, sums and copies to the device are timed too."""
    queries = size.queries if memory > MEMORY_BYTES else min(size.queries, 4096)
    need = (queries + size.bank) * size.pixels + memory
    free = free_memory(torch.device("cpu"))
    if need > free:
        raise SkippedError(f"it needs {need / 1e9:.0f} GB of the host, {free / 1e9:.0f} GB are free")
    shortened = Size(queries, size.bank, size.side, size.shard, size.high)
    asked, bank = host(shortened, device)
    began = now(device)
    found = search(Rows.of(asked, LEVELS), Rows.of(bank, LEVELS), device=str(device), memory=memory)
    spent = now(device) - began
    require_planted(shortened, found.index[:, 0], found.similarity[:, 0])
    speed = shortened.operations / spent / 1e12
    name = f"whole pipeline, {shortened}, {memory / GIB:g} GiB, {found.certificate.engine}"
    check.measure(name, spent, "s", detail=f"{speed:.4g} TOP/s, {speed / rate:.2%} of the int8 rate")


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
