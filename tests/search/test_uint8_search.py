"""8-bit items: every rank and every digit as integers give them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from benchmark.core.errors import BadDataError
from benchmark.search import LEVELS, PEARSON, Rows, SearchResult, products, search

SHAPES = 450
"""Random shapes per test and number of threads."""


def rows(array: np.ndarray, views: tuple[np.ndarray, ...] = ()) -> Rows:
    return Rows.of(array, LEVELS, tuple(Rows.of(view, LEVELS) for view in views))


def some_rows(rng: np.random.Generator, make_images: Any, count: int, size: int) -> np.ndarray:
    """Rows of one to three kinds, some of them constant, some of them the same."""
    kinds = rng.choice(make_images.kinds, 3)
    array = np.concatenate([make_images.of(rng, kind, (count, 1, 1, size)) for kind in kinds])
    array = array[rng.permutation(len(array))[:count]]
    if rng.random() < 0.3:
        array[rng.random(count) < 0.3] = rng.integers(0, 256)
    if rng.random() < 0.3:
        array = array[rng.integers(0, max(1, count // 2), count)]
    return array


def equal(result: SearchResult, values: np.ndarray, k: int, brute: Any) -> None:
    """Bit for bit, places and values."""
    places = brute.order(values, k)
    assert np.array_equal(result.index, places)
    assert np.array_equal(result.similarity, np.take_along_axis(values, places, axis=1))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_random_shapes_and_data_equal_integer_arithmetic(
    seed: int, threads: int, brute: Any, make_images: Any, with_threads: Callable[[int], None]
) -> None:
    with_threads(threads)
    rng = np.random.default_rng([seed, threads])
    for _ in range(SHAPES):
        count, size = int(rng.integers(1, 40 if threads > 1 else 14)), int(rng.integers(1, 40))
        pixels = int(rng.integers(1, 6 if rng.random() < 0.2 else 200))
        bank = some_rows(rng, make_images, size, pixels)
        queries = some_rows(rng, make_images, count, pixels)
        if rng.random() < 0.5:  # some of the queries are in the bank, or one grey level from it
            copied = rng.random(count) < 0.5
            queries[copied] = bank[rng.integers(0, size, int(copied.sum()))]
            moved = np.flatnonzero(rng.random(count) < 0.3)
            queries[moved, rng.integers(0, pixels, len(moved))] ^= 1
        k = int(rng.choice([1, 1, 2, 5, size, size + 3]))
        memory = int(10 ** rng.uniform(3, 7))
        values = brute.levels(queries, bank)
        result = search(rows(queries), rows(bank), k, memory=memory)
        equal(result, values, k, brute)
        assert result.certificate.scored == 0
        assert result.certificate.constant_queries == (np.ptp(queries, axis=1) == 0).sum()
        assert result.certificate.constant_items == (np.ptp(bank, axis=1) == 0).sum()
        vary = (np.ptp(queries, axis=1) > 0) & (values.max(axis=1) != 0)  # 0 is the similarity of zero variance: no tie
        assert result.certificate.tied == ((values == values.max(axis=1)[:, None]).sum(axis=1) > 1)[vary].sum()


def test_ranks_are_those_of_exact_fractions(brute: Any, make_images: Any) -> None:
    """Float64 never swaps two correlations: it may round two to one number, or one (of 3 y + 2 and of y) to two."""
    rng = np.random.default_rng(10)
    for kind in make_images.kinds:
        for pixels in (2, 3, 5, 60, 900):
            bank, queries = (make_images.of(rng, kind, (n, 1, 1, pixels)) for n in (30, 6))
            inner, ours, theirs = brute.sums(queries, bank)
            result = search(rows(queries), rows(bank), 30)
            for q in range(6):
                exact = [brute.exact_square(int(inner[q, j]), int(ours[q]), int(theirs[j])) for j in range(30)]
                for p in range(29):
                    first, second = result.index[q, p], result.index[q, p + 1]
                    if result.similarity[q, p] > result.similarity[q, p + 1]:
                        assert exact[first] >= exact[second]
                    else:
                        assert first < second
                        assert abs(float(exact[first] - exact[second])) < 4 * 2.0**-52


def test_a_grey_level_in_one_pixel_decides_as_exact_fractions_do(brute: Any) -> None:
    """Copies of one image, each a grey level off in a pixel of its own: float32 cannot tell most of them apart."""
    rng = np.random.default_rng(11)
    for pixels in (50, 3_000, 40_000):
        image = rng.integers(1, 255, pixels)
        bank = np.repeat(image[None], 24, axis=0)
        bank[np.arange(24), rng.permutation(pixels)[:24]] += rng.choice([-1, 1], 24)
        query = np.clip(image + rng.integers(-2, 3, pixels), 0, 255)[None].astype(np.uint8)
        bank = bank.astype(np.uint8)
        result = search(rows(query), rows(bank), 24)
        inner, ours, theirs = brute.sums(query, bank)
        exact = [brute.exact_square(int(inner[0, j]), int(ours[0]), int(theirs[j])) for j in range(24)]
        wanted = sorted(range(24), key=lambda j: (-exact[j], j))
        assert result.index[0].tolist() == wanted


def test_memory_never_changes_an_answer(brute: Any, make_images: Any) -> None:
    rng = np.random.default_rng(12)
    queries, bank = make_images.of(rng, "noisy", (21, 1, 9, 7)), make_images.of(rng, "noisy", (70, 1, 9, 7))
    bank[40:60] = bank[:20]
    values = brute.levels(queries, bank)
    for memory in (1, 63, 64, 1_000, 5_000, 50_000, 1 << 40):
        equal(search(rows(queries), rows(bank), 4, memory=memory), values, 4, brute)


@pytest.mark.parametrize("pixels", [65_535, 65_536, 65_537, 131_008, 131_071, 131_072, 131_073, 262_145])
def test_sums_beyond_int32(pixels: int, brute: Any) -> None:
    """The greatest products: all of -128 against all of -128."""
    rng = np.random.default_rng(13)
    bank = rng.choice(np.array([0, 255], np.uint8), (5, pixels))
    bank[0] = 0
    bank[0, 0] = 1
    bank[1] = 255
    bank[1, -1] = 254
    queries = np.concatenate([bank[[0, 1, 3]], 255 - bank[[0, 4]]])
    for others in (queries, bank):
        equal(search(rows(queries), rows(others), 5), brute.levels(queries, others), 5, brute)


@pytest.mark.parametrize("pixels", [1 << 19, (1 << 19) + 1, (1 << 19) + 12_345, 1 << 20])
def test_sums_beyond_what_float64_holds(pixels: int, brute: Any) -> None:
    """Nearly constant bright items: n Sxy and Sx Sy agree in all but their last digits."""
    rng = np.random.default_rng(14)
    bank = np.full((4, pixels), 255, np.uint8)
    for row in bank[:3]:
        row[rng.integers(0, pixels, 5)] = 254
    bank[3] = rng.integers(0, 256, pixels)
    queries = np.concatenate([bank[[2, 3]], np.full((1, pixels), 9, np.uint8)])
    queries[0, rng.integers(0, pixels, 2)] = 254
    equal(search(rows(queries), rows(bank), 4), brute.levels(queries, bank), 4, brute)


def test_items_too_large_for_exact_sums_are_refused() -> None:
    from benchmark.search.uint8 import prepare_uint8

    with pytest.raises(BadDataError) as error:
        prepare_uint8(np.broadcast_to(np.zeros(1, np.uint8), (1, (1 << 24) + 1)))
    assert str(error.value) == (
        "images of 16777217 pixels are too large: integer sums are exact up to 16777216 pixels\n"
        "  hint: give a smaller --image-size"
    )


@pytest.mark.parametrize("pixels", [2, 3, 64, 1_000, 50_000, 140_000])
def test_copies_read_exactly_one_and_negatives_minus_one(pixels: int) -> None:
    bank = np.random.default_rng(15).integers(0, 256, (20, pixels)).astype(np.uint8)
    bank[:, :2] = (0, 255)
    assert np.array_equal(search(rows(bank), rows(bank)).similarity, np.ones((20, 1)))
    for row in bank[:4]:
        assert search(rows(255 - row[None]), rows(row[None])).similarity.item() == -1.0


def test_items_of_zero_variance_have_similarity_0(brute: Any) -> None:
    rng = np.random.default_rng(16)
    bank, queries = (rng.integers(0, 256, (n, 30)).astype(np.uint8) for n in (9, 4))
    bank[[0, 3, 4]] = np.array([[0], [128], [255]], np.uint8)
    queries[2] = 77
    values = brute.levels(queries, bank)
    assert (values[2] == 0).all()
    result = search(rows(queries), rows(bank), 9, memory=500)
    equal(result, values, 9, brute)
    assert result.index[2].tolist() == list(range(9))
    assert np.signbit(result.similarity[2]).sum() == 0
    constant = search(rows(queries), rows(bank[[0, 3, 4]]), 2)
    assert constant.index.tolist() == [[0, 1]] * 4
    assert not constant.similarity.any()


@pytest.mark.parametrize("memory", [2_000, 1 << 30])
def test_the_best_view_of_a_query_counts(memory: int, brute: Any, make_images: Any) -> None:
    rng = np.random.default_rng(17)
    for kind in make_images.kinds:
        queries, bank = make_images.of(rng, kind, (9, 1, 6, 5)), make_images.of(rng, kind, (30, 1, 6, 5))
        views = queries.reshape(9, 6, 5)[:, ::-1].reshape(9, 30).copy(), queries[:, ::-1].copy()
        views[0][::4] = 3  # a constant view has similarity 0, which is above negative ones
        values = np.max([brute.levels(one, bank) for one in (queries, *views)], axis=0)
        for k in (1, 3, 40):
            equal(search(rows(queries, views), rows(bank), k, memory=memory), values, k, brute)


def test_pearson_of_the_same_pixels_as_float_gives_the_same(brute: Any) -> None:
    rng = np.random.default_rng(18)
    for pixels in (40, 3_000):
        queries, bank = (rng.integers(0, 256, (n, pixels)).astype(np.uint8) for n in (11, 60))
        result = search(Rows.of(queries, PEARSON), Rows.of(bank, PEARSON), 3)
        assert np.array_equal(result.index, search(rows(queries), rows(bank), 3).index)
        np.testing.assert_allclose(result.similarity, search(rows(queries), rows(bank), 3).similarity, atol=1e-14)


# Products of levels


def extremes(rng: np.random.Generator, count: int, pixels: int) -> np.ndarray:
    return rng.choice(np.array([-128, -127, 127, 0, 1], np.int8), (count, pixels), p=[0.5, 0.1, 0.3, 0.05, 0.05])


@pytest.mark.parametrize("engine", ["this machine's", "pieces"])
def test_products_are_exact(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if engine == "pieces":
        monkeypatch.setattr(products, "integer_engine", lambda: ("pieces", products._float_pieces))
    rng = np.random.default_rng(19)
    for _ in range(150):
        n, m = (int(rng.integers(1, 50)) for _ in range(2))
        pixels = int(rng.choice([1, 2, 3, 7, 63, 64, 65, 1_023, 1_024, 1_025, 2_049]))
        a, b = extremes(rng, n, pixels), extremes(rng, m, pixels)
        product = products.level_product(a, b)
        assert product.dtype == np.int32
        assert np.array_equal(product, a.astype(np.int64) @ b.astype(np.int64).T)
    odd = rng.integers(-127, -124, (9, 9_000)).astype(np.int8)  # sums beyond 2^24, half of them odd
    assert np.array_equal(products.level_product(odd, odd), odd.astype(np.int64) @ odd.astype(np.int64).T)
    for pixels in (131_071, 131_072, 300_000):
        least = np.full((2, pixels), -128, np.int8)
        assert np.array_equal(products.level_product(least, least), np.full((2, 2), pixels << 14))


@pytest.mark.parametrize("fault", ["absent", "refused", "saturating"])
def test_a_product_that_is_not_exact_is_not_taken(
    fault: str, brute: Any, make_images: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        raise RuntimeError("not supported")

    def absent(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        raise AttributeError("_int_mm")

    def saturating(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        pairs = first.astype(np.int64)[:, None] * second.astype(np.int64)[None]
        return np.clip(pairs[..., :-1:2] + pairs[..., 1::2], -32_768, 32_767).sum(-1)

    monkeypatch.setattr(
        products, "_torch_product", {"absent": absent, "refused": refused, "saturating": saturating}[fault]
    )
    products.integer_engine.cache_clear()
    try:
        rng = np.random.default_rng(20)
        queries, bank = make_images.of(rng, "noise", (8, 1, 1, 1_500)), make_images.of(rng, "noise", (50, 1, 1, 1_500))
        result = search(rows(queries), rows(bank), 3)
        assert result.certificate.engine == "int8 in float32 (BLAS)"
        equal(result, brute.levels(queries, bank), 3, brute)
    finally:
        products.integer_engine.cache_clear()
