"""A search stays within the memory that it was given, whatever the size of the bank on the disk."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.search import COSINE, LEVELS, PEARSON, Rows, blocks, nearest, search
from benchmark.search import engine as find
from benchmark.search.index import Index, Stored


def peak_of(work: Callable[[], Any]) -> tuple[Any, int]:
    """Return what work returns and the most bytes that NumPy held for it."""
    tracemalloc.start()
    try:
        result = work()
        return result, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", ["levels", "float32", "codes"])
def test_a_bank_of_ten_times_the_memory_gives_the_same_answer(
    kind: str, tmp_path: Path, brute: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    size, dimension, memory = 24_000, 1_024, 2_400_000  # a block holds fewer queries than there are
    monkeypatch.setattr(find, "SHORT_ROW", 0 if kind == "codes" else 1 << 40)
    bank = rng.integers(0, 256, (size // (1 if kind == "levels" else 4), dimension)).astype(np.uint8)
    np.save(tmp_path / "bank.npy", bank if kind == "levels" else bank.astype(np.float32))
    on_disk = np.load(tmp_path / "bank.npy", mmap_mode="r")
    assert on_disk.nbytes >= 10 * memory
    similarity = LEVELS if kind == "levels" else PEARSON
    queries = np.concatenate([bank[[2_100, 5_999]], rng.integers(0, 256, (600, dimension)).astype(np.uint8)])
    given = Rows.of(queries if kind == "levels" else queries.astype(np.float32), similarity)
    search(given, Rows.of(on_disk[:50], similarity))  # compiled before memory is measured
    result, peak = peak_of(lambda: search(given, Rows.of(on_disk, similarity), 2, memory=memory))
    assert peak < 1.2 * memory
    values = brute.levels(queries[:5], bank)
    assert np.array_equal(result.index[:5], brute.order(values, 2))
    assert result.index[:2, 0].tolist() == [2_100, 5_999]
    whole = search(given, Rows.of(on_disk, similarity), 2)
    assert np.array_equal(result.index, whole.index)
    assert np.array_equal(result.similarity, whole.similarity)


def test_never_all_queries_against_all_items_at_once(brute: Any) -> None:
    rng = np.random.default_rng(1)
    queries, bank = (rng.standard_normal((count, 16)).astype(np.float32) for count in (1_500, 20_000))
    memory = 4 << 20  # all products: 120 MB
    nearest(Rows.of(queries[:3]), Rows.of(bank[:3]))
    result, peak = peak_of(lambda: nearest(Rows.of(queries, COSINE), Rows.of(bank), memory=memory))
    assert peak < 1.2 * memory
    some = slice(0, 50)
    assert np.array_equal(result.index[some], brute.floats(queries[some], bank, centred=False).argmax(axis=1))


def test_many_views_count_too() -> None:
    rng = np.random.default_rng(2)
    queries, bank = (rng.integers(0, 256, (count, 256)).astype(np.uint8) for count in (3_000, 500))
    views = tuple(Rows.of(np.roll(queries, step, axis=1), LEVELS) for step in range(1, 9))
    memory = 2 << 20
    nearest(Rows.of(queries[:3], LEVELS), Rows.of(bank[:3], LEVELS))
    _, peak = peak_of(lambda: nearest(Rows.of(queries, LEVELS, views), Rows.of(bank, LEVELS), memory=memory))
    assert peak < 1.2 * memory


def test_blocks_stay_within_memory() -> None:
    rng = np.random.default_rng(3)
    queries, bank = (rng.standard_normal((count, 300)).astype(np.float32) for count in (1_000, 4_000))
    given, others, memory = Rows.of(queries, PEARSON), Rows.of(bank, PEARSON), 3 << 20
    list(blocks(Rows.of(queries[:2], PEARSON), others))

    def all_of_them() -> None:
        for _ in blocks(given, others, memory=memory):
            pass

    assert peak_of(all_of_them)[1] < 1.2 * memory


@pytest.mark.parametrize("takes", ["all", "few"])
def test_a_search_with_an_index_stays_within_memory(
    takes: str, tmp_path: Path, make_images: Any, the_index_takes: Callable[[str], None]
) -> None:
    """What the index makes of queries, and its bounds of all the bank, count too."""
    rng = np.random.default_rng(4)
    rows = make_images.of(rng, "smooth", (10_300, 1, 24, 24))
    np.save(tmp_path / "bank.npy", rows[300:])
    bank = np.load(tmp_path / "bank.npy", mmap_mode="r")
    stored = Stored(bank, np.arange(len(bank)))
    Index.build(stored, (1, 24, 24)).save(tmp_path)
    index = Index.open(tmp_path, stored)
    assert index is not None
    given, memory = Rows.of(rows[:300], LEVELS), 2 << 20
    indexed = replace(Rows.of(bank, LEVELS), index=index)
    search(given, replace(Rows.of(bank[:500], LEVELS), index=index.part(slice(0, 500))))
    the_index_takes(takes)
    _, peak = peak_of(lambda: search(given, indexed, memory=memory))
    assert peak < 1.2 * memory
