"""Every path of the search that runs on a device, against the compiled loops of the CPU."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmark.detectors.ssim import Windows
from benchmark.search import LEVELS, PEARSON, Rows, search, search_shards, similarities
from benchmark.search.device import SHARE_OF_MEMORY, DeviceEngine
from benchmark.search.device_products import int_product
from benchmark.search.topk import Best
from scripts.gpu_checks.same import different, identical, rows, searches, sides

LONG, VERY_LONG = 140_000, 600_000
"""Beyond sums in int32, and beyond products that float64 holds."""


@pytest.mark.parametrize(("queries", "bank", "dimension"), [(70, 300, 64), (5, 9, 3), (9, 14, LONG), (4, 6, VERY_LONG)])
@pytest.mark.parametrize("k", [1, 4])
def test_levels_are_the_cpu_s_to_the_bit(device: str, queries: int, bank: int, dimension: int, k: int) -> None:
    ours, theirs = searches("levels", device, queries=queries, bank=bank, dimension=dimension, k=k)
    assert identical(ours, theirs)
    assert ours.certificate.tied == theirs.certificate.tied
    assert np.array_equal(ours.best.ties, theirs.best.ties)


def test_the_device_s_engine_of_levels_finds_what_the_cpu_s_does(device: str) -> None:
    """On the CPU too, where `search` takes the compiled loops; there torch's roots are up to one bit off."""
    queries, bank = sides("levels", 40, 90, 64)
    expected, engine = search(queries, bank, 3), DeviceEngine(device, 1 << 30)
    best = Best.empty(queries.count, 3)
    ours = engine.prepare(queries.take(slice(0, 40)))
    for start in range(0, 90, 32):
        engine.scan(ours, engine.prepare(bank.take(slice(start, start + 32))), start, best)
    assert np.array_equal(best.places, expected.index)
    assert np.abs(best.values - expected.similarity).max() <= 2.0**-52


def test_an_int8_product_on_the_device_is_exact(device: str) -> None:
    rng = np.random.default_rng(0)
    first, second = (rng.integers(-128, 128, (count, 1029)).astype(np.int8) for count in (17, 9))
    product = int_product(*(torch.from_numpy(one).to(device) for one in (first, second)))
    assert np.array_equal(product.cpu().numpy(), first.astype(np.int64) @ second.astype(np.int64).T)


@pytest.mark.parametrize(
    ("kind", "dimension"), [("floats", 40), ("floats", 700), ("embeddings", 64), ("embeddings", 128)]
)
def test_ranks_of_floats_and_embeddings_are_the_cpu_s(device: str, kind: str, dimension: int) -> None:
    ours, theirs = searches(kind, device, queries=60, bank=400, dimension=dimension)
    assert different(ours, theirs) == 0
    assert np.array_equal(ours.similarity, theirs.similarity)  # both scored in float64 on the CPU


@pytest.mark.parametrize("kind", ["levels", "floats", "embeddings"])
def test_all_similarities_of_a_block_are_the_cpu_s_within_their_error(device: str, kind: str) -> None:
    queries, bank = sides(kind, 30, 80, 96)
    ours, theirs = (similarities(queries, slice(0, 30), bank, device=where) for where in (device, "cpu"))
    assert np.abs(ours - theirs).max() <= 2 * bank.similarity.error(96)


def test_views_of_queries_are_searched_on_the_device(device: str) -> None:
    queries, bank = sides("levels", 30, 80, 64)
    others = Rows.of(rows("levels", 30, 64, 7), LEVELS)
    viewed = Rows(queries.count, 64, queries.take, LEVELS, (others,))
    assert identical(search(viewed, bank, 2, device=device), search(viewed, bank, 2))


def test_little_memory_changes_no_answer(device: str) -> None:
    queries, bank = sides("levels", 50, 400, 256)
    assert identical(search(queries, bank, 3, device=device, memory=200_000), search(queries, bank, 3))


def test_little_memory_of_the_device_changes_no_answer(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    queries, bank = sides("levels", 50, 400, 256)
    expected = search(queries, bank, 3)
    monkeypatch.setattr("benchmark.search.engine.engine_for", lambda *given: DeviceEngine(device, 150_000))
    result = search(queries, bank, 3, device=device)
    assert different(result, expected) == 0
    assert np.abs(result.similarity - expected.similarity).max() <= 2.0**-52


@pytest.mark.gpu
@pytest.mark.parametrize("dimension", [4096, LONG])
def test_a_search_stays_within_its_share_of_the_device(dimension: int, monkeypatch: pytest.MonkeyPatch) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no GPU that torch can use")
    queries, bank = sides("levels", 900, 1500, dimension)
    limit = 256 << 20
    monkeypatch.setattr("benchmark.search.engine.engine_for", lambda *given: DeviceEngine("cuda", limit))
    search(queries, bank, device="cuda")  # cuBLAS's workspace is allocated once, and stays
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    search(queries, bank, device="cuda")
    assert torch.cuda.max_memory_allocated() - before <= limit / SHARE_OF_MEMORY


def test_shards_of_a_bank_are_merged(device: str) -> None:
    queries, bank = sides("levels", 30, 101, 64)
    found = search_shards(queries, bank, 3, devices=(device, device))
    assert identical(found, search(queries, bank, 3))


def test_ssim_on_the_device_ranks_as_the_cpu(device: str) -> None:
    rng = np.random.default_rng(0)
    bank = rng.random((40, 256), dtype=np.float32)
    windows = Windows((1, 16, 16), 8, 4)
    given = np.concatenate([bank[:6] + 0.01 * rng.random((6, 256), dtype=np.float32), rng.random((6, 256), np.float32)])
    sides_of = Rows.of(given, windows), Rows.of(bank, windows)
    ours, theirs = search(*sides_of, 2), search(*sides_of, 2, device=device)
    assert different(ours, theirs) == 0
    assert np.array_equal(ours.index[:6, 0], np.arange(6))


def test_a_difference_would_be_seen() -> None:
    """The comparisons that all of these rest on."""
    queries, bank = sides("floats", 20, 50, 40)
    other = Rows.of(bank.take(slice(0, 50))[::-1], PEARSON)
    assert different(search(queries, bank, 2), search(queries, other, 2)) > 0
    assert not identical(search(queries, bank, 2), search(queries, other, 2))
