"""`mb.search`: exact, whatever the type, the axes and the range."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import memobench as mb

RNG = np.random.default_rng(0)
BANK = RNG.integers(0, 256, (60, 12, 10), dtype=np.uint8)
QUERIES = np.concatenate([BANK[[7, 3, 50]], RNG.integers(0, 256, (5, 12, 10), dtype=np.uint8)])


def brute(queries: np.ndarray, bank: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest by correlation, from NumPy alone."""
    table = np.corrcoef(queries.reshape(len(queries), -1), bank.reshape(len(bank), -1))[: len(queries), len(queries) :]
    index = np.argsort(-table, axis=1, kind="stable")[:, :k]
    return index, np.take_along_axis(table, index, axis=1)


@pytest.mark.parametrize("kind", ["levels", "floats", "mixed", "mixed bank", "tensor", "channels", "volumes"])
def test_it_is_exact(kind: str) -> None:
    queries: Any = QUERIES
    bank: Any = BANK
    settings = {}
    if kind == "floats":
        queries, bank = QUERIES * 1e-9 + 3e-7, BANK * 1000.0 - 5
    elif kind == "mixed":
        queries = QUERIES / 255
    elif kind == "mixed bank":
        bank = BANK / 255
    elif kind == "tensor":
        queries, bank = torch.from_numpy(QUERIES / 127.5 - 1), list(torch.from_numpy(BANK))
    elif kind == "channels":
        queries, bank = QUERIES.reshape(8, 3, 5, 8), BANK.reshape(60, 3, 5, 8)
    elif kind == "volumes":
        queries, bank, settings = QUERIES.reshape(8, 2, 6, 10), BANK.reshape(60, 2, 6, 10), {"layout": "NDHW"}
    nearest = mb.search(queries, bank, 3, **settings)
    index, similarity = brute(QUERIES, BANK, 3)
    np.testing.assert_array_equal(nearest.index, index)
    np.testing.assert_allclose(nearest.similarity, similarity, atol=2e-6)


def test_transforms_of_queries() -> None:
    flipped = np.ascontiguousarray(BANK[[4]][..., ::-1])
    assert mb.search(flipped, BANK).similarity[0, 0] < 0.9
    nearest = mb.search(flipped, BANK, transforms=["flips"])
    assert nearest.index[0, 0] == 4
    assert nearest.similarity[0, 0] == pytest.approx(1, abs=1e-12)


def test_the_table() -> None:
    table = mb.search(QUERIES[:2], BANK, 2).table()
    assert list(table.columns) == ["query", "rank", "reference", "similarity"]
    assert table["query"].tolist() == [0, 0, 1, 1]
    assert table["rank"].tolist() == [1, 2, 1, 2]
    assert table["reference"].tolist()[::2] == [7, 3]


def test_a_constant_image_is_like_none() -> None:
    assert mb.search(np.full((1, 12, 10), 5.0), BANK).similarity.tolist() == [[0.0]]


@pytest.mark.parametrize(
    ("queries", "settings", "told"),
    [
        (QUERIES, {"k": 0}, "k=0 is no number of neighbours\n  hint: give 1 or more"),
        (
            QUERIES[:, :9],
            {},
            (
                "queries have shape (1, 9, 10) (channels first), references (1, 12, 10)\n"
                "  hint: resize them to one shape"
            ),
        ),
        (
            np.full((2, 12, 10), np.nan),
            {},
            ("queries holds NaN or infinite values\n  hint: replace them, or leave those images out"),
        ),
        (
            [QUERIES[0], QUERIES[1, :9]],
            {},
            ("queries[1] has shape (9, 10), and queries[0] has (12, 10)\n  hint: resize them to one shape"),
        ),
        ("folder", {}, "queries is a folder, and images in memory are needed\n  hint: use audit for folders"),
        (["a.png"], {}, "queries is a list of files, and images in memory are needed\n  hint: use audit for files"),
        (QUERIES[:0], {}, "queries holds no images\n  hint: give at least one"),
        (
            QUERIES,
            {"transforms": ["flip"]},
            ("there is no transform 'flip' of queries\n  hint: choose from flips, rotations, shifts, scales"),
        ),
    ],
)
def test_what_is_refused(queries: Any, settings: dict[str, Any], told: str) -> None:
    with pytest.raises(mb.BenchError) as refused:
        mb.search(queries, BANK, **settings)
    assert str(refused.value) == told
