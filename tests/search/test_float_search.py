"""Float items and embeddings: float64 decides, whatever multiplies first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from benchmark.core.errors import BadDataError
from benchmark.search import COSINE, LEVELS, PEARSON, Rows, nearest, search
from benchmark.search import engine as find

SHAPES = 200
"""Random shapes per test, number of threads and engine."""
NOT_FINITE = "an embedding holds NaN or infinite values\n  hint: retrain the detector: delete its folder in cache/"


@pytest.fixture(params=["float32", "codes"])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Compare rows of every length by one engine."""
    monkeypatch.setattr("benchmark.search.engine.SHORT_ROW", {"float32": 1 << 40, "codes": 0}[request.param])
    return str(request.param)


KINDS = (
    "normal", "offset", "16-bit", "levels", "spikes", "alike", "near ties", "integer near ties", "far from 1",
)  # fmt: skip


def items(rng: np.random.Generator, kind: str, count: int, size: int) -> np.ndarray:
    """Rows of a kind, float32."""
    normal = rng.standard_normal((count, size))
    if kind == "offset":  # near 1e6 float32 knows sixteenths
        normal = 1e6 + normal
    elif kind == "16-bit":
        normal = rng.integers(0, 1 << 16, (count, size)).astype(np.float64)
    elif kind == "levels":
        normal = rng.integers(0, 4, (count, size)).astype(np.float64)
    elif kind == "spikes":
        normal = 1e-3 * normal
        normal[np.arange(count), rng.integers(0, size, count)] += rng.choice([-1, 1, 50], count)
    elif kind == "alike":
        normal = rng.standard_normal((1, size)) + 0.01 * normal
    elif kind == "near ties":
        normal = rng.standard_normal((1, size)) + 1e-6 * normal
    elif kind == "integer near ties":
        normal = np.repeat(rng.integers(0, 256, (1, size)), count, axis=0).astype(np.float64)
        normal[np.arange(count), rng.integers(0, size, count)] += rng.choice([-1, 0, 1], count)
    elif kind == "far from 1":
        normal = normal * 10.0 ** rng.uniform(-18, 18, (count, 1))
    return normal.astype(np.float32)


def some_items(rng: np.random.Generator, count: int, size: int) -> np.ndarray:
    array = np.concatenate([items(rng, kind, count, size) for kind in rng.choice(KINDS, 2)])
    array = array[rng.permutation(len(array))[:count]]
    if rng.random() < 0.3:
        array[rng.random(count) < 0.3] = rng.choice([0, 1, -3e5])
    if rng.random() < 0.3:
        array = array[rng.integers(0, max(1, count // 2), count)]
    return array


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("seed", [0, 1])
def test_random_shapes_and_data_equal_float64(
    seed: int, threads: int, engine: str, brute: Any, with_threads: Callable[[int], None]
) -> None:
    with_threads(threads)
    rng = np.random.default_rng([seed, threads])
    for _ in range(SHAPES):
        count, size = int(rng.integers(1, 40 if threads > 1 else 14)), int(rng.integers(1, 40))
        dimension = int(rng.integers(2, 8 if rng.random() < 0.2 else 150))
        queries, bank = some_items(rng, count, dimension), some_items(rng, size, dimension)
        if rng.random() < 0.5:
            copied = rng.random(count) < 0.5
            queries[copied] = bank[rng.integers(0, size, int(copied.sum()))]
        k = int(rng.choice([1, 1, 2, 5, size, size + 3]))
        values = brute.floats(queries, bank, centred=True)
        memory = int(10 ** rng.uniform(3.5, 7))
        result = search(Rows.of(queries, PEARSON), Rows.of(bank, PEARSON), k, memory=memory)
        brute.agrees(result, values, bank, k, brute.zero_variance(queries, bank))
        assert result.certificate.engine.startswith(engine)
        assert result.certificate.constant_queries == brute.flat(queries).sum()
        assert result.certificate.constant_items == brute.flat(bank).sum()


def test_cosines_of_any_rows_equal_float64(engine: str, brute: Any) -> None:
    rng = np.random.default_rng(2)
    for _ in range(SHAPES):
        count, size, dimension = (int(rng.integers(low, high)) for low, high in ((1, 12), (1, 50), (1, 90)))
        queries, bank = some_items(rng, count, dimension), some_items(rng, size, dimension)
        k = int(rng.choice([1, 3, size + 1]))
        result = search(Rows.of(queries), Rows.of(bank), k, memory=int(10 ** rng.uniform(3.5, 7)))
        no_variance = np.logical_or.outer(~queries.any(axis=1), ~bank.any(axis=1))
        brute.agrees(result, brute.floats(queries, bank, centred=False), bank, k, no_variance)


@pytest.mark.parametrize("dimension", [find.SHORT_ROW - 1, find.SHORT_ROW, find.SHORT_ROW + 1, 5_000])
@pytest.mark.parametrize("kind", KINDS)
def test_both_sides_of_the_length_that_changes_the_engine(kind: str, dimension: int, brute: Any) -> None:
    rng = np.random.default_rng(3)
    queries, bank = items(rng, kind, 7, dimension), items(rng, kind, 60, dimension)
    queries[0], queries[1], bank[5], bank[6], bank[17] = bank[8], 4, 2, bank[8], bank[8]
    values = brute.floats(queries, bank, centred=True)
    result = search(Rows.of(queries, PEARSON), Rows.of(bank, PEARSON), 4, memory=16 * 4 * dimension * 12)
    brute.agrees(result, values, bank, 4, brute.zero_variance(queries, bank))
    assert result.certificate.engine.startswith("float32" if dimension <= find.SHORT_ROW else "codes")
    assert result.similarity[0, :3].tolist() == [1.0] * 3
    assert kind == "integer near ties" or result.index[0, :3].tolist() == [6, 8, 17]  # where it may have more copies


def test_near_ties_that_float32_gets_wrong(engine: str, brute: Any) -> None:
    rng = np.random.default_rng(4)
    queries = brute.unit(rng.standard_normal((20, 700)), centred=False).astype(np.float32)
    around = queries[:, None] + 1e-5 * rng.standard_normal((20, 15, 700))
    bank = brute.unit(around.reshape(-1, 700), centred=False).astype(np.float32)
    expected = brute.floats(queries, bank, centred=False)
    assert ((queries @ bank.T).argmax(axis=1) != expected.argmax(axis=1)).any()  # or the test could not fail
    brute.agrees(search(Rows.of(queries), Rows.of(bank), 5), expected, bank, 5)


def test_rows_that_are_nearly_of_length_1_are_ranked_by_their_angles(engine: str, brute: Any) -> None:
    """Lengths that are 4e-7 off count for more, in a float32 product, than these angles do."""
    rng = np.random.default_rng(15)
    for dimension in (8, 64, 300):
        query = rng.standard_normal((1, dimension))
        bank = brute.unit(query + 3e-4 * rng.standard_normal((400, dimension)), centred=False)
        bank = (bank * (1 + 4e-7 * rng.choice([-1, 1], (400, 1)))).astype(np.float32)
        queries = np.concatenate([brute.unit(query, centred=False).astype(np.float32), bank[:20]])
        expected = brute.floats(queries, bank, centred=False)
        assert ((queries @ bank.T).argmax(axis=1) != expected.argmax(axis=1)).any()  # or the test could not fail
        brute.agrees(search(Rows.of(queries), Rows.of(bank), 5), expected, bank, 5)


def test_noise_needs_second_digits_and_stays_exact(brute: Any) -> None:
    """Where no rows are alike, the first digits leave more than a hundredth of the pairs: few are scored even so."""
    rng = np.random.default_rng(5)
    queries, bank = (rng.standard_normal((n, 3_000)).astype(np.float32) for n in (10, 1_500))
    result = search(Rows.of(queries, PEARSON), Rows.of(bank, PEARSON), 2)
    brute.agrees(result, brute.floats(queries, bank, centred=True), bank, 2)
    assert 2 * 10 <= result.certificate.scored < 10 * 1_500 / 50


@pytest.mark.parametrize("dimension", [2, 3, 33, 64, 192, 511, 1_000, 4_096, 9_999])
@pytest.mark.parametrize("kind", ["normal", "offset", "16-bit", "spikes", "far from 1"])
def test_copies_read_exactly_one_and_negatives_minus_one(kind: str, dimension: int, engine: str) -> None:
    rng = np.random.default_rng(6)
    bank = items(rng, kind, 30, dimension)
    bank[:, 0] += 30 * (kind == "offset")  # or two pixels may be all but the same
    for similarity in (COSINE, PEARSON):
        result = search(Rows.of(bank[::-1].copy(), similarity), Rows.of(bank, similarity), 2)
        assert np.array_equal(result.similarity[:, 0], np.ones(30))
        assert result.similarity.max() <= 1
        for row in bank[:3]:
            assert search(Rows.of(-row[None], similarity), Rows.of(row[None], similarity)).similarity.item() == -1


def test_copies_read_exactly_one_wherever_they_stand(engine: str) -> None:
    """Loops are compiled for many items at once: the last ones of a block must not round in another way."""
    rng = np.random.default_rng(7)
    for dimension in range(2, 75):
        bank = rng.standard_normal((3, dimension)).astype(np.float32)
        wide = np.zeros((3, dimension + 3), np.float32)
        wide[:, 2:-1] = bank  # rows that begin anywhere in memory
        for rows in (bank, wide[:, 2:-1]):
            result = search(Rows.of(rows, PEARSON), Rows.of(bank, PEARSON))
            assert np.array_equal(result.similarity, np.ones((3, 1)))


@pytest.mark.parametrize("memory", [1, 1 << 30])
def test_ties_go_to_the_lowest_index(memory: int, engine: str) -> None:
    rng = np.random.default_rng(8)
    query, bank = (rng.standard_normal((n, 33)).astype(np.float32) for n in (1, 900))
    bank[np.array([17, 290, 291, 555, 800])] = query
    bank[600:] = query
    result = search(Rows.of(query), Rows.of(bank), 6, memory=memory)
    assert result.index.tolist() == [[17, 290, 291, 555, 600, 601]]
    assert result.similarity.tolist() == [[1.0] * 6]
    assert result.certificate.tied == 1


def test_items_of_zero_variance_have_similarity_0(engine: str) -> None:
    rng = np.random.default_rng(9)
    queries, bank = (rng.standard_normal((n, 20)).astype(np.float32) for n in (3, 6))
    queries[1], bank[4] = 7, -2
    result = search(Rows.of(queries, PEARSON), Rows.of(bank, PEARSON), 6, memory=800)
    assert (result.index[1].tolist(), result.similarity[1].tolist()) == ([0, 1, 2, 3, 4, 5], [0.0] * 6)
    assert (result.similarity[[0, 2]][result.index[[0, 2]] == 4] == 0).all()
    constant = search(Rows.of(queries, PEARSON), Rows.of(np.full((5, 20), 3e6, np.float32), PEARSON), 2)
    assert constant.index.tolist() == [[0, 1]] * 3
    assert not constant.similarity.any()


def test_rows_that_vary_by_rounding_alone_have_similarity_0(engine: str) -> None:
    """A constant that was computed in float32: 1e6, up to one unit in the last place."""
    rng = np.random.default_rng(10)
    rows = (1e6 + 0.0625 * rng.integers(0, 2, (4, 300))).astype(np.float32)
    result = search(Rows.of(rows, PEARSON), Rows.of(rows, PEARSON))
    assert result.index.tolist() == [[0]] * 4
    assert not result.similarity.any()
    assert result.certificate.constant_queries == result.certificate.constant_items == 4


def test_one_grey_level_in_one_pixel_of_16_bits_is_a_difference(engine: str, brute: Any) -> None:
    rng = np.random.default_rng(11)
    image = rng.integers(0, 1 << 16, 2_500).astype(np.float32)
    bank = np.repeat(image[None], 40, axis=0)
    bank[np.arange(40), rng.permutation(2_500)[:40]] += rng.choice([-1, 1], 40)
    queries = bank[[3, 39]]
    result = search(Rows.of(queries, PEARSON), Rows.of(bank, PEARSON))
    assert result.index.tolist() == [[3], [39]]
    assert result.certificate.tied == 0
    brute.agrees(result, brute.floats(queries, bank, centred=True), bank, 1)


def test_the_best_view_of_a_query_counts(engine: str, brute: Any) -> None:
    rng = np.random.default_rng(12)
    for kind in KINDS:
        queries, bank = items(rng, kind, 9, 30), items(rng, kind, 50, 30)
        bank[:4] = queries[:4].reshape(4, 5, 6)[:, ::-1].reshape(4, 30)
        views = queries.reshape(9, 5, 6)[:, ::-1].reshape(9, 30).copy(), queries[:, ::-1].copy()
        given = Rows.of(queries, PEARSON, tuple(Rows.of(view, PEARSON) for view in views))
        values = np.max([brute.floats(one, bank, centred=True) for one in (queries, *views)], axis=0)
        for k, memory in ((1, 1 << 30), (3, 3_000), (60, 20_000)):
            brute.agrees(search(given, Rows.of(bank, PEARSON), k, memory=memory), values, bank, k)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("similarity", [COSINE, PEARSON], ids=["cosine", "pearson"])
def test_rows_that_are_not_finite_are_refused_on_either_side(similarity: Any, bad: float, engine: str) -> None:
    good, rows = np.random.default_rng(13).standard_normal((2, 8, 40)).astype(np.float32)
    rows[7, 39] = bad
    sound = Rows.of(good, similarity)
    cases = (
        (Rows.of(rows, similarity), sound),
        (sound, Rows.of(rows, similarity)),
        (Rows.of(good, similarity, (Rows.of(rows, similarity),)), sound),
    )
    for queries, bank in cases:
        for memory in (400, 1 << 30):
            with pytest.raises(BadDataError) as error:
                search(queries, bank, memory=memory)
            assert str(error.value) == NOT_FINITE


@pytest.mark.parametrize(("count", "size"), [(0, 3), (3, 0), (0, 0)])
@pytest.mark.parametrize(("kind", "similarity"), [(np.float32, COSINE), (np.float32, PEARSON), (np.uint8, LEVELS)])
def test_empty_sides_are_refused(kind: type, similarity: Any, count: int, size: int) -> None:
    queries, bank = (Rows.of(np.zeros((n, 3), kind), similarity) for n in (count, size))
    with pytest.raises(BadDataError) as error:
        nearest(queries, bank)
    assert str(error.value) == f"{count} items cannot be searched in {size}\n  hint: give at least one of each"


def test_one_item_against_one_item() -> None:
    result = nearest(Rows.of(np.array([[0.6, 0.8]], np.float32)), Rows.of(np.array([[0.8, -0.6]], np.float32)))
    assert result.index.tolist() == [0]
    assert result.similarity[0] == pytest.approx(0, abs=1e-7)
    assert (result.index.dtype, result.similarity.dtype) == (np.int64, np.float64)


# Similarities of any kind


@pytest.mark.parametrize("error", [1e-6, 0.01, 0.3])
def test_any_similarity_that_knows_its_error_is_searched_exactly(error: float, brute: Any, rough: Any) -> None:
    rng = np.random.default_rng(14)
    compare = rough(error)
    for _ in range(60):
        count, size, dimension = (int(rng.integers(1, high)) for high in (9, 60, 12))
        queries, bank = (rng.integers(0, 5, (n, dimension)).astype(np.float32) for n in (count, size))
        values = np.stack([compare.exact(row, bank) for row in queries])
        k = int(rng.choice([1, 4, size + 2]))
        result = search(Rows.of(queries, compare), Rows.of(bank, compare), k, memory=int(10 ** rng.uniform(2, 6)))
        places = brute.order(values, k)
        assert np.array_equal(result.index, places)
        assert np.array_equal(result.similarity, np.take_along_axis(values, places, axis=1))
        assert result.certificate.engine == "rough"
        assert result.certificate.scored >= places.size


def test_any_similarity_refuses_what_is_not_finite(rough: Any) -> None:
    good, bad = np.ones((2, 3), np.float32), np.full((2, 3), np.nan, np.float32)
    for queries, bank in ((good, bad), (bad, good)):
        with pytest.raises(BadDataError) as error:
            search(Rows.of(queries, rough(0.1)), Rows.of(bank, rough(0.1)))
        assert str(error.value) == NOT_FINITE
