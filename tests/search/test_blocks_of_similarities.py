"""Blocks of all similarities, and the nearest items that float64 decides from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.core.errors import BadDataError
from benchmark.core.types import Match
from benchmark.search import (
    COSINE,
    LEVELS,
    PEARSON,
    Rows,
    block_parts,
    blocks,
    join,
    nearest,
    settle,
    settle_bank,
    similarities,
    subject_maxima,
)

KINDS = ("levels", "pearson", "cosine")


def side(rng: np.random.Generator, kind: str, count: int, dimension: int) -> np.ndarray:
    if kind == "levels":
        return rng.integers(0, 256, (count, dimension)).astype(np.uint8)
    rows = rng.standard_normal((count, dimension))
    if kind == "cosine":
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows.astype(np.float32)


def wrapped(kind: str, rows: np.ndarray, views: tuple[np.ndarray, ...] = ()) -> Rows:
    similarity = {"levels": LEVELS, "pearson": PEARSON, "cosine": COSINE}[kind]
    return Rows.of(rows, similarity, tuple(Rows.of(view, similarity) for view in views))


def expected(brute: Any, kind: str, queries: np.ndarray, bank: np.ndarray) -> np.ndarray:
    values = brute.levels(queries, bank) if kind == "levels" else brute.floats(queries, bank, centred=kind == "pearson")
    return np.asarray(values)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("memory", [1, 3_000, 60_000, 1 << 30])
def test_blocks_are_all_similarities_once(kind: str, memory: int, brute: Any) -> None:
    rng = np.random.default_rng(0)
    queries, bank = side(rng, kind, 23, 40), side(rng, kind, 31, 40)
    queries[4], bank[[0, 9]] = 0, 0
    view = queries[:, ::-1].copy()
    for views in ((), (view,)):
        given, others = wrapped(kind, queries, views), wrapped(kind, bank)
        values = np.max([expected(brute, kind, one, bank) for one in (queries, *views)], axis=0)
        result = list(blocks(given, others, memory=memory))
        parts = [part for part, _ in result]
        assert parts == block_parts(given, others, memory=memory)
        assert np.array_equal(np.concatenate([np.arange(part.start, part.stop) for part in parts]), np.arange(23))
        block = np.concatenate([block for _, block in result])
        assert (block.dtype, block.shape) == (np.float32, (23, 31))
        assert np.abs(block - values).max() <= others.similarity.error(40)
        some = similarities(given, slice(5, 9), others, memory=memory)
        assert np.array_equal(some, block[5:9])


def test_blocks_are_lower_the_less_memory_there_is() -> None:
    rng = np.random.default_rng(1)
    queries, bank = (wrapped("pearson", side(rng, "pearson", count, 8)) for count in (100, 70))
    heights = [block_parts(queries, bank, memory=memory)[0].stop for memory in (1, 10_000, 30_000, 60_000, 1 << 30)]
    assert heights == sorted(heights)
    assert (heights[0], heights[-1]) == (1, 100)
    assert len(set(heights)) > 3
    for memory, height in zip((10_000, 30_000, 60_000), heights[1:], strict=False):
        assert height == 1 or height * 70 * 4 <= memory / 3
    viewed = wrapped("pearson", side(rng, "pearson", 100, 8), tuple(side(rng, "pearson", 100, 8) for _ in range(40)))
    assert block_parts(viewed, bank, memory=60_000)[0].stop < heights[3]


@pytest.mark.parametrize("kind", KINDS)
def test_settling_a_block_is_brute_force(kind: str, brute: Any) -> None:
    rng = np.random.default_rng(2)
    for _ in range(25):
        count, size, dimension = (int(rng.integers(low, high)) for low, high in ((1, 20), (2, 50), (2, 200)))
        queries, bank = side(rng, kind, count, dimension), side(rng, kind, size, dimension)
        bank[rng.random(size) < 0.2] = bank[0]
        queries[rng.random(count) < 0.2] = bank[-1]
        queries[rng.random(count) < 0.1] = 0
        views = tuple(side(rng, kind, count, dimension) for _ in range(int(rng.integers(0, 3))))
        given, others = wrapped(kind, queries, views), wrapped(kind, bank)
        values = np.max([expected(brute, kind, one, bank) for one in (queries, *views)], axis=0)
        start, first = int(rng.integers(0, count)), int(rng.integers(0, size - 1))
        part = slice(start, count)
        block = similarities(given, part, others)[:, first:]
        result = settle(block, given, part, others, first)
        exact = values[part, first:]
        np.testing.assert_allclose(result.similarity, exact.max(axis=1), rtol=0, atol=1e-12)
        chosen = np.take_along_axis(exact, result.index[:, None], axis=1)[:, 0]
        np.testing.assert_allclose(chosen, exact.max(axis=1), rtol=0, atol=2e-14)
        for place in result.index:  # the lowest of items that are the same
            assert not (bank[first : first + place] == bank[first + place]).all(axis=1).any()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("height", [1, 4, 30])
def test_the_bank_s_side_is_settled_over_any_blocks(kind: str, height: int, brute: Any) -> None:
    rng = np.random.default_rng(3)
    for _ in range(8):
        queries, bank = side(rng, kind, 30, 24), side(rng, kind, 17, 24)
        queries[20:25] = queries[3]
        bank[:4] = queries[[3, 24, 29, 0]]
        bank[6] = queries[8] = 0
        views = (side(rng, kind, 30, 24),)
        given, others = wrapped(kind, queries, views), wrapped(kind, bank)
        values = np.max([expected(brute, kind, one, bank) for one in (queries, *views)], axis=0)
        best = Match(index=np.full(17, -1), similarity=np.full(17, -np.inf))
        for start in range(0, 30, height):
            part = slice(start, min(start + height, 30))
            settle_bank(similarities(given, part, others), given, part, others, best)
        np.testing.assert_allclose(best.similarity, values.max(axis=0), rtol=0, atol=1e-12)
        np.testing.assert_allclose(values[best.index, np.arange(17)], values.max(axis=0), rtol=0, atol=2e-14)
        assert best.index[:4].tolist() == [3, 3, 29, 0]


@pytest.mark.parametrize("error", [1e-6, 0.01, 0.3])
def test_settling_takes_in_all_that_the_error_allows(error: float, rough: Any) -> None:
    rng = np.random.default_rng(8)
    for _ in range(40):
        count, size = int(rng.integers(1, 20)), int(rng.integers(1, 40))
        queries, bank = (rng.integers(0, 5, (n, 9)).astype(np.float32) for n in (count, size))
        given, others = Rows.of(queries, rough(error)), Rows.of(bank, rough(error))
        values = np.stack([rough(error).exact(row, bank) for row in queries])
        best = Match(index=np.full(size, -1), similarity=np.full(size, -np.inf))
        for part, block in blocks(given, others, memory=20_000):
            result = settle(block, given, part, others)
            assert np.array_equal(result.index, values[part].argmax(axis=1))
            assert np.array_equal(result.similarity, values[part].max(axis=1))
            settle_bank(block, given, part, others, best)
        assert np.array_equal(best.index, values.argmax(axis=0))
        assert np.array_equal(best.similarity, values.max(axis=0))


def test_blocks_refuse_empty_sides_and_what_is_not_finite() -> None:
    rows = Rows.of(np.eye(3, dtype=np.float32))
    for queries, bank, sizes in ((0, 3, "0 items cannot be searched in 3"), (3, 0, "3 items cannot be searched in 0")):
        with pytest.raises(BadDataError) as error:
            block_parts(*(Rows.of(np.eye(3, dtype=np.float32)[:count]) for count in (queries, bank)))
        assert str(error.value) == f"{sizes}\n  hint: give at least one of each"
    for similarity in (COSINE, PEARSON):
        bad = Rows.of(np.array([[1, 2, np.nan], [1, 2, 4]], np.float32), similarity)
        for queries, bank in ((bad, rows), (Rows.of(np.eye(3, dtype=np.float32), similarity), bad)):
            with pytest.raises(BadDataError) as error:
                list(blocks(queries, bank))
            assert str(error.value) == (
                "an embedding holds NaN or infinite values\n  hint: retrain the detector: delete its folder in cache/"
            )


def test_rows_of_a_memory_map(tmp_path: Path) -> None:
    array = np.random.default_rng(4).standard_normal((9, 5))
    np.save(tmp_path / "rows.npy", array)
    rows = Rows.of(np.load(tmp_path / "rows.npy", mmap_mode="r"))
    assert (rows.count, rows.dimension) == (9, 5)
    assert rows.take(slice(2, 4)).dtype == np.float32
    assert np.array_equal(rows.take(np.array([8, 0])), array[[8, 0]].astype(np.float32))
    assert Rows.of(np.zeros((2, 2), np.uint8)).take(slice(0, 1)).dtype == np.uint8


@pytest.mark.parametrize("kind", KINDS)
def test_rows_made_on_the_fly_are_the_same(kind: str) -> None:
    rng = np.random.default_rng(5)
    queries, bank = side(rng, kind, 37, 90), side(rng, kind, 53, 90)

    def forgetful(array: np.ndarray) -> Rows:
        def take(which: slice | np.ndarray) -> np.ndarray:
            assert isinstance(which, slice) or which.dtype == np.int64
            return array[which].copy()

        return Rows(len(array), array.shape[1], take, wrapped(kind, array).similarity)

    held = nearest(wrapped(kind, queries), wrapped(kind, bank))
    made = nearest(forgetful(queries), forgetful(bank), memory=5_000)
    assert np.array_equal(held.index, made.index)
    assert np.array_equal(held.similarity, made.similarity)


def test_join_keeps_the_order() -> None:
    rng = np.random.default_rng(6)
    queries, bank = side(rng, "cosine", 9, 6), side(rng, "cosine", 8, 6)
    whole = nearest(Rows.of(queries), Rows.of(bank))
    joined = join([nearest(Rows.of(queries[part]), Rows.of(bank)) for part in (slice(0, 4), slice(4, 9))])
    assert np.array_equal(whole.index, joined.index)
    np.testing.assert_allclose(whole.similarity, joined.similarity, rtol=0, atol=1e-14)


@pytest.mark.parametrize("order", ["sorted", "shuffled", "one each", "one subject"])
def test_subject_maxima_against_a_loop(order: str) -> None:
    rng = np.random.default_rng(7)
    codes = {
        "sorted": np.repeat(np.arange(6), [3, 1, 4, 1, 5, 2]),
        "shuffled": rng.permutation(np.repeat(np.arange(6), [3, 1, 4, 1, 5, 2])),
        "one each": rng.permutation(16),
        "one subject": np.zeros(16, np.int64),
    }[order].astype(np.int64)
    block = rng.standard_normal((11, 16)).astype(np.float32)
    result = subject_maxima(block, codes)
    assert result.shape == (11, codes.max() + 1)
    for i in range(11):
        for subject in range(codes.max() + 1):
            assert result[i, subject] == max(block[i, j] for j in range(16) if codes[j] == subject)


def test_lengths_that_float32_got_wrong_hide_no_nearest_query() -> None:
    """The second query is nearer, but shorter by 1.5e-6: its product with the bank's row is the smaller one."""
    rng = np.random.default_rng(9)
    row, *noises = rng.standard_normal((3, 1 << 16))
    row /= np.linalg.norm(row)
    queries = []
    for noise, distance, length in zip(noises, (1e-6, 8e-7), (1.0, 1 - 1.5e-6), strict=True):
        noise -= (noise @ row) * row
        near = row + noise / np.linalg.norm(noise) * (2 * distance) ** 0.5
        queries.append(length * near / np.linalg.norm(near))
    given, bank = Rows.of(np.array(queries, np.float32)), Rows.of(row[None].astype(np.float32))
    best = Match(index=np.array([-1]), similarity=np.array([-np.inf]))
    for part in (slice(0, 1), slice(1, 2)):
        block = similarities(given, part, bank)
        settle_bank(block, given, part, bank, best)
    assert best.index.tolist() == [1]
    assert best.similarity[0] == pytest.approx(1 - 8e-7, abs=1e-7)
