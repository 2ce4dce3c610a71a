"""A search on a device stays within the memory that it may take there, and its answer is the same for every limit."""

from __future__ import annotations

import weakref
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from benchmark.search import LEVELS, Rows, device_products, search
from benchmark.search import device as on_device
from benchmark.search.device_products import int_product
from benchmark.search.topk import Best
from benchmark.search.uint8 import prepare_uint8


class Watched(TorchDispatchMode):
    """Keeps the greatest number of bytes that tensors made inside held at once."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.made: list[weakref.ref[Tensor]] = []
        self.peak = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        self.made += [weakref.ref(one) for one in torch.utils._pytree.tree_leaves(result) if isinstance(one, Tensor)]
        alive = [one for one in (made() for made in self.made) if one is not None]
        storages = {one.untyped_storage().data_ptr(): one.untyped_storage().nbytes() for one in alive}
        self.peak = max(self.peak, sum(storages.values()))
        return result


def random_levels(seed: int, count: int, pixels: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, pixels)).astype(np.uint8)


@pytest.mark.parametrize("longest", [1 << 20, 16, 8], ids=["float64", "int64, then float64", "int64"])
def test_pairs_take_the_bytes_that_are_counted_for_them(longest: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of 64 numbers stand for longer ones: those whose sums need int64, and those whose product does too."""
    if longest <= 16:
        monkeypatch.setattr(device_products, "EXACT_TERMS_INT32", 8)
        monkeypatch.setattr(device_products, "INT32_PIECE", 8)
    if longest == 8:
        monkeypatch.setattr(on_device, "MAX_PIXELS_FLOAT64", 8)
        monkeypatch.setattr("benchmark.search.uint8.MAX_PIXELS_FLOAT64", 8)
    count = 480
    queries, bank = (on_device.DeviceBlock.of(prepare_uint8(random_levels(seed, count, 64)), "cpu") for seed in (0, 1))
    engine, best = on_device.DeviceEngine("cpu", 1 << 40), Best.empty(count, 1)
    with Watched() as watched:
        engine.scan(queries, bank, 0, best)
    # Per query or item, not per pair: the lists, and once more the rows.
    assert watched.peak <= on_device.PAIR_BYTES * count**2 + 2 * (64 + 64) * count
    if longest > 16:
        assert watched.peak > (on_device.PAIR_BYTES - 1) * count**2


@pytest.fixture
def sides() -> tuple[Rows, Rows]:
    """Queries with views, and a bank; there are constant rows, copies and ties."""
    queries, bank = random_levels(0, 90, 60), random_levels(1, 150, 60)
    bank[[7, 40, 90]], queries[5], queries[:3] = bank[7], 9, bank[[40, 3, 149]]
    return Rows.of(queries, LEVELS, (Rows.of(queries[:, ::-1].copy(), LEVELS),)), Rows.of(bank, LEVELS)


def searched(
    sides: tuple[Rows, Rows], monkeypatch: pytest.MonkeyPatch, *, device_memory: int, memory: int = 1 << 30
) -> Any:
    engine = on_device.DeviceEngine("cpu", device_memory)
    with monkeypatch.context() as patched:
        patched.setattr("benchmark.search.engine.engine_for", lambda *given: engine)
        return search(*sides, 4, memory=memory)


@pytest.mark.parametrize("device_memory", [1, 3_000, 40_000, 300_000])
def test_the_limit_changes_blocks_and_not_the_answer(
    device_memory: int, sides: tuple[Rows, Rows], monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes: list[tuple[int, int]] = []

    def watched(first: Tensor, second: Tensor) -> Tensor:
        shapes.append((len(first), len(second)))
        return int_product(first, second)

    whole = searched(sides, monkeypatch, device_memory=1 << 40)
    monkeypatch.setattr(on_device, "int_product", watched)
    result = searched(sides, monkeypatch, device_memory=device_memory)
    assert np.array_equal(result.index, whole.index)
    assert np.array_equal(result.similarity, whole.similarity)
    assert np.array_equal(result.best.ties, whole.best.ties)
    assert result.certificate == whole.certificate
    third = device_memory // 3
    assert max(m for _, m in shapes) * 4 * 60 <= max(third, 4 * 60)  # four blocks of the bank
    assert max(n * m * on_device.PAIR_BYTES for n, m in shapes) <= max(third, on_device.PAIR_BYTES)
    assert sum(n * m for n, m in shapes) == 2 * 90 * 150  # each pair once, of both views


def test_a_device_that_holds_all_queries_reads_the_bank_once(
    sides: tuple[Rows, Rows], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Although host memory holds only a few rows at a time."""
    taken: dict[str, list[int]] = {"queries": [], "bank": []}

    def counted(rows: Rows, name: str) -> Rows:
        def take(which: Any) -> Any:
            part = rows.take(which)
            taken[name].append(len(part))
            return part

        return replace(rows, take=take)

    queries, bank = sides
    whole = searched(sides, monkeypatch, device_memory=1 << 30)
    given = counted(queries, "queries"), counted(bank, "bank")
    result = searched(given, monkeypatch, device_memory=1 << 30, memory=9_000)
    assert np.array_equal(result.index, whole.index)
    assert np.array_equal(result.similarity, whole.similarity)
    assert sum(taken["bank"]) == 150
    assert sum(taken["queries"]) == 90
    assert max(taken["queries"]) <= 9_000 // 3 // (2 * 60)
    assert max(taken["bank"]) <= 9_000 // 3 // (2 * 60)


@pytest.mark.parametrize("free", [1, 2, 1_000, 24 << 30, 80 << 30, 141 << 30])
def test_the_share_of_free_memory_is_a_power_of_two(free: int) -> None:
    share = on_device.rounded_share(free)
    assert share & (share - 1) == 0
    assert free < 2 or 0.4 * free - 1 < share <= 0.8 * free


def test_free_memory_counts_what_torch_keeps(monkeypatch: pytest.MonkeyPatch) -> None:
    gib = 1 << 30
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (30 * gib, 80 * gib))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 15 * gib)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 4 * gib)
    assert on_device.free_memory("cuda:0") == 32 * gib  # 0.8 of 41 GiB is 32.8
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 15 * gib)
    assert on_device.free_memory("cuda:0") == 16 * gib


@pytest.mark.parametrize(("count", "whole"), [(0, 1), (1, 1), (23, 23), (24, 24), (31, 24), (1365, 1360)])
def test_blocks_are_whole_tiles(count: int, whole: int) -> None:
    assert on_device.whole_tiles(count) == whole
