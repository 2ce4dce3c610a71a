"""The search: exact against brute force in float64, in bounded memory."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from benchmark.errors import BadDataError
from benchmark.search import COSINE, Rows, blocks, join, nearest, settle, subject_maxima, top


def unit(rng: np.random.Generator, count: int, dimension: int) -> np.ndarray:
    rows = rng.standard_normal((count, dimension))
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def cosines(queries: np.ndarray, bank: np.ndarray) -> np.ndarray:
    """All similarities in float64, a pair at a time in exact sums; a zero row resembles nothing."""
    a, b = queries.astype(np.float64), bank.astype(np.float64)
    lengths = np.linalg.norm(a, axis=1)[:, None] * np.linalg.norm(b, axis=1)[None]
    return np.asarray(np.divide(a @ b.T, lengths, out=np.zeros(lengths.shape), where=lengths > 0))


def on_the_fly(array: np.ndarray) -> Rows:
    """Rows that check what they are asked for and forget it again."""

    def take(index: slice | np.ndarray) -> np.ndarray:
        assert isinstance(index, slice) or index.dtype == np.int64
        return array[index].copy()

    return Rows(len(array), array.shape[1], take)


# Equal to brute force


@pytest.mark.parametrize("memory", [1, 4_000, 100_000, 1 << 30])
def test_equals_brute_force(memory: int) -> None:
    rng = np.random.default_rng(0)
    for _ in range(25):
        count, size, dimension = (int(rng.integers(low, high)) for low, high in ((1, 30), (1, 60), (2, 1300)))
        queries, bank = unit(rng, count, dimension), unit(rng, size, dimension)
        expected = cosines(queries, bank)
        found = nearest(Rows.of(queries), Rows.of(bank), memory=memory)
        assert np.array_equal(found.index, expected.argmax(axis=1))
        np.testing.assert_allclose(found.similarity, expected.max(axis=1), rtol=0, atol=1e-12)
        assert found.index.dtype == np.int64
        assert found.similarity.dtype == np.float64


def test_near_ties_that_float32_gets_wrong() -> None:
    rng = np.random.default_rng(1)
    queries = unit(rng, 20, 700)
    around = queries[:, None] + 1e-5 * rng.standard_normal((20, 15, 700))
    bank = around.reshape(-1, 700)
    bank = (bank / np.linalg.norm(bank, axis=1, keepdims=True)).astype(np.float32)
    expected = cosines(queries, bank)
    assert ((queries @ bank.T).argmax(axis=1) != expected.argmax(axis=1)).any()  # or this test tests nothing
    found = nearest(Rows.of(queries), Rows.of(bank))
    np.testing.assert_allclose(found.similarity, expected.max(axis=1), rtol=0, atol=1e-14)
    chosen = np.take_along_axis(expected, found.index[:, None], axis=1)[:, 0]
    np.testing.assert_allclose(chosen, expected.max(axis=1), rtol=0, atol=1e-14)


def test_rows_made_on_the_fly_are_the_same() -> None:
    rng = np.random.default_rng(2)
    queries, bank = unit(rng, 37, 90), unit(rng, 53, 90)
    held = nearest(Rows.of(queries), Rows.of(bank))
    made = nearest(on_the_fly(queries), on_the_fly(bank), memory=5_000)
    assert np.array_equal(held.index, made.index)
    assert np.array_equal(held.similarity, made.similarity)


def test_rows_of_a_memory_map(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    array = unit(rng, 9, 5).astype(np.float64)
    np.save(tmp_path / "rows.npy", array)
    rows = Rows.of(np.load(tmp_path / "rows.npy", mmap_mode="r"))
    assert (rows.count, rows.dimension) == (9, 5)
    assert rows.take(slice(2, 4)).dtype == np.float32
    assert np.array_equal(rows.take(np.array([8, 0])), array[[8, 0]].astype(np.float32))


def test_a_part_of_the_bank_counts_from_its_own_beginning() -> None:
    rng = np.random.default_rng(4)
    queries, bank = unit(rng, 12, 40), unit(rng, 30, 40)
    ((_, block),) = blocks(Rows.of(queries), Rows.of(bank))
    found = settle(block[:, 10:25], queries, Rows.of(bank), offset=10)
    expected = cosines(queries, bank[10:25])
    assert np.array_equal(found.index, expected.argmax(axis=1))
    np.testing.assert_allclose(found.similarity, expected.max(axis=1), rtol=0, atol=1e-12)


def test_one_item_against_one_item() -> None:
    found = nearest(Rows.of(np.array([[0.6, 0.8]], np.float32)), Rows.of(np.array([[0.8, -0.6]], np.float32)))
    assert found.index.tolist() == [0]
    assert found.similarity[0] == pytest.approx(0, abs=1e-7)


# Ties, copies, constant images


@pytest.mark.parametrize("memory", [1, 1 << 30])
def test_ties_go_to_the_lowest_index(memory: int) -> None:
    rng = np.random.default_rng(5)
    query, bank = unit(rng, 1, 33), unit(rng, 900, 33)
    places = np.array([17, 290, 291, 555, 800])
    bank[places] = query
    bank[600:] = query  # more equal ones than are decided at once
    assert nearest(Rows.of(query), Rows.of(bank), memory=memory).index.tolist() == [17]


def test_an_exact_copy_reads_one() -> None:
    rng = np.random.default_rng(6)
    for dimension in (2, 3, 64, 192, 1000, 4096):
        bank = unit(rng, 40, dimension)
        found = nearest(Rows.of(bank[::-1].copy()), Rows.of(bank))
        assert found.index.tolist() == list(range(39, -1, -1))
        np.testing.assert_allclose(found.similarity, 1.0, rtol=0, atol=1e-14)
        assert found.similarity.max() <= 1.0


def test_an_exact_copy_reads_exactly_one() -> None:
    rng = np.random.default_rng(6)
    for dimension in (2, 3, 64, 192, 1000, 4096):
        bank = unit(rng, 40, dimension)
        assert np.array_equal(nearest(Rows.of(bank), Rows.of(bank)).similarity, np.ones(40))


def test_a_negative_reads_minus_one() -> None:
    row = unit(np.random.default_rng(7), 1, 50)
    assert nearest(Rows.of(row), Rows.of(-row)).similarity[0] == pytest.approx(-1, abs=1e-15)


def test_constant_images_resemble_nothing() -> None:
    rng = np.random.default_rng(8)
    queries, bank = unit(rng, 3, 20), unit(rng, 6, 20)
    queries[1] = 0
    bank[4] = 0
    found = nearest(Rows.of(queries), Rows.of(bank))
    expected = cosines(queries, bank)
    assert (found.index[1], found.similarity[1]) == (0, 0.0)
    assert np.array_equal(found.index[[0, 2]], expected[[0, 2]].argmax(axis=1))
    nothing = nearest(Rows.of(queries), Rows.of(np.zeros((5, 20), np.float32)))
    assert nothing.index.tolist() == [0, 0, 0]
    assert nothing.similarity.tolist() == [0.0, 0.0, 0.0]


# The bound


@pytest.mark.parametrize("dimension", [2, 511, 512, 513, 1500, 6000])
def test_the_error_bound_holds(dimension: int) -> None:
    rng = np.random.default_rng(9)
    random = unit(rng, 30, dimension)
    even = np.full((1, dimension), dimension**-0.5, np.float32)  # every term has one sign: nothing cancels
    peak = np.zeros((1, dimension), np.float32)
    peak[0, -1] = 1
    rows = np.concatenate([random, np.abs(random), even, peak])
    ((_, block),) = blocks(Rows.of(rows), Rows.of(rows))
    error = np.abs(block - rows.astype(np.float64) @ rows.astype(np.float64).T).max()
    assert 0 <= error <= COSINE.error(dimension)


def test_the_error_bound_is_small_and_grows_slowly() -> None:
    assert COSINE.error(512) < 4e-5
    assert COSINE.error(512) < COSINE.error(1 << 20) < 5 * COSINE.error(512)  # 2,048 times as many terms


# Memory


def test_blocks_are_as_high_as_memory_allows() -> None:
    rng = np.random.default_rng(10)
    queries, bank = unit(rng, 10, 8), unit(rng, 7, 8)
    exact = cosines(queries, bank)
    for memory, heights in ((1, [1] * 10), (4 * 4 * (7 + 8) * 4, [4, 4, 2]), (1 << 30, [10])):
        found = list(blocks(Rows.of(queries), Rows.of(bank), memory=memory))
        assert [part.stop - part.start for part, _ in found] == heights
        assert [part.start for part, _ in found] == list(np.cumsum([0, *heights[:-1]]))
        np.testing.assert_allclose(np.concatenate([block for _, block in found]), exact, atol=1e-6)


def test_never_all_queries_against_all_items_at_once() -> None:
    rng = np.random.default_rng(11)
    queries, bank = unit(rng, 1500, 16), unit(rng, 20_000, 16)  # all products: 120 MB
    memory = 4 << 20
    tracemalloc.start()
    try:
        found = nearest(Rows.of(queries), Rows.of(bank), memory=memory)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1.5 * memory
    some = slice(0, 50)
    assert np.array_equal(found.index[some], cosines(queries[some], bank).argmax(axis=1))


def test_join_keeps_the_order() -> None:
    rng = np.random.default_rng(12)
    queries, bank = unit(rng, 9, 6), unit(rng, 8, 6)
    whole = nearest(Rows.of(queries), Rows.of(bank))
    joined = join([nearest(Rows.of(queries[part]), Rows.of(bank)) for part in (slice(0, 4), slice(4, 9))])
    assert np.array_equal(whole.index, joined.index)
    np.testing.assert_allclose(whole.similarity, joined.similarity, rtol=0, atol=1e-14)


# By subject


@pytest.mark.parametrize("order", ["sorted", "shuffled", "one each", "one subject"])
def test_subject_maxima_against_a_loop(order: str) -> None:
    rng = np.random.default_rng(13)
    codes = {
        "sorted": np.repeat(np.arange(6), [3, 1, 4, 1, 5, 2]),
        "shuffled": rng.permutation(np.repeat(np.arange(6), [3, 1, 4, 1, 5, 2])),
        "one each": rng.permutation(16),
        "one subject": np.zeros(16, np.int64),
    }[order].astype(np.int64)
    block = rng.standard_normal((11, 16)).astype(np.float32)
    found = subject_maxima(block, codes)
    assert found.shape == (11, codes.max() + 1)
    for i in range(11):
        for subject in range(codes.max() + 1):
            assert found[i, subject] == max(block[i, j] for j in range(16) if codes[j] == subject)


def test_empty_sides_and_embeddings_that_are_no_numbers_are_refused() -> None:
    rows = Rows.of(np.eye(3, dtype=np.float32))
    with pytest.raises(BadDataError) as error:
        nearest(Rows.of(np.zeros((0, 3), np.float32)), rows)
    assert str(error.value) == "0 items cannot be searched in 3\n  hint: give at least one of each"
    with pytest.raises(BadDataError) as error:
        nearest(rows, Rows.of(np.full((2, 3), np.nan, np.float32)))
    assert str(error.value) == (
        "an embedding is not a number\n  hint: train the detector anew: delete its folder in cache/"
    )


@pytest.mark.parametrize("memory", [1 << 12, 1 << 30])
def test_top_is_a_sort(memory: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmark.search.MEMORY_BYTES", memory)
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((count, 6)).astype(np.float32) for count in (17, 40))
    values, places = top(Rows.of(a), Rows.of(b), 5)
    expected = np.sort(a @ b.T, axis=1)[:, ::-1][:, :5]
    np.testing.assert_allclose(values, expected, rtol=1e-5)
    np.testing.assert_allclose(np.take_along_axis(a @ b.T, places, axis=1), expected, rtol=1e-5)


def test_top_of_a_small_bank_is_all_of_it() -> None:
    rows = Rows.of(np.eye(3, dtype=np.float32))
    values, places = top(rows, rows, 50)
    assert values.shape == (3, 3)
    assert places[:, 0].tolist() == [0, 1, 2]
