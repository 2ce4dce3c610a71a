"""Inputs on which searches of other libraries went wrong (facebookresearch/faiss#297, #377, #2526, #5327)."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.core.errors import BadDataError
from benchmark.core.types import Similarity
from benchmark.search import COSINE, PEARSON, Rows, search

SIMILARITIES = (PEARSON, COSINE)


def unit(rows: np.ndarray, *, centred: bool) -> np.ndarray:
    wide = rows.astype(np.float64)
    wide = wide - wide.mean(axis=1, keepdims=True) if centred else wide
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)
    return np.divide(wide, lengths, out=np.zeros_like(wide), where=lengths > 1e-9)


def exact(queries: np.ndarray, bank: np.ndarray, similarity: Similarity) -> np.ndarray:
    """All pairs in float64."""
    centred = similarity is PEARSON
    return np.asarray(unit(queries, centred=centred) @ unit(bank, centred=centred).T)


@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize("size", [16, 256])
def test_one_dimension_that_dwarfs_the_others(similarity: Similarity, size: int) -> None:
    """All cosines are within 1e-7 of each other: float32 products cannot order them."""
    rng = np.random.default_rng(0)
    queries, bank = (rng.standard_normal((count, size)).astype(np.float32) for count in (50, 400))
    for rows in (queries, bank):
        rows[:, 0] += 1e4
    expected = exact(queries, bank, similarity)
    result = search(Rows.of(queries, similarity), Rows.of(bank, similarity), 3)
    assert np.array_equal(result.index, np.argsort(-expected, axis=1, kind="stable")[:, :3])
    assert result.similarity[:, 0] == pytest.approx(expected.max(axis=1), abs=4e-15)


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_a_row_of_nan_is_refused_on_either_side(similarity: Similarity) -> None:
    good = np.random.default_rng(1).standard_normal((50, 8)).astype(np.float32)
    bad = good.copy()
    bad[7, 3] = np.nan
    for queries, bank in ((bad, good), (good, bad)):
        with pytest.raises(BadDataError) as error:
            search(Rows.of(queries, similarity), Rows.of(bank, similarity))
        assert str(error.value) == (
            "an embedding holds NaN or infinite values\n  hint: retrain the detector: delete its folder in cache/"
        )


def test_a_constant_image_is_like_none() -> None:
    rows = np.random.default_rng(2).standard_normal((50, 8)).astype(np.float32)
    rows[20] = 5.0
    result = search(Rows.of(rows, PEARSON), Rows.of(rows, PEARSON))
    assert (result.index[20, 0], result.similarity[20, 0]) == (0, 0.0)
    assert result.certificate.constant_queries == result.certificate.constant_items == 1
    assert np.array_equal(np.delete(result.index[:, 0], 20), np.delete(np.arange(50), 20))


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_tied_neighbours_go_to_the_lowest_place(similarity: Similarity) -> None:
    bank = np.random.default_rng(3).standard_normal((50, 8)).astype(np.float32)
    bank[[11, 30, 49]] = bank[4]
    result = search(Rows.of(bank[[4, 49]], similarity), Rows.of(bank, similarity), 5)
    assert result.index[:, :4].tolist() == [[4, 11, 30, 49]] * 2
    assert result.certificate.tied == 2


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_more_neighbours_than_the_bank_holds(similarity: Similarity) -> None:
    rng = np.random.default_rng(4)
    queries, bank = (rng.standard_normal((count, 8)).astype(np.float32) for count in (5, 3))
    result = search(Rows.of(queries, similarity), Rows.of(bank, similarity), 10)
    assert result.index.shape == result.similarity.shape == (5, 3)
    assert np.array_equal(np.sort(result.index, axis=1), np.tile(np.arange(3), (5, 1)))
