"""Detector `ssim`: its comparison against a loop over windows, and its place in the search."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from benchmark.core.types import Split
from benchmark.detectors.ssim import C1, C2, Options, Windows
from benchmark.images.planted_copies import PLANTED
from benchmark.search import Rows, nearest


def images(count: int, *shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (count, *shape)).astype(np.float32)


def real(given: np.ndarray) -> Split:
    names = tuple(f"i{k}" for k in range(len(given)))
    return Split(
        name="real",
        pixels=given,
        rows=np.arange(len(given)),
        subjects=names,
        items=names,
        channels=("x",) * given.shape[1],
    )


def slow_ssim(a: np.ndarray, b: np.ndarray, window: int, stride: int) -> float:
    """Wang et al. 2004, equation 13, window by window, in float64; every side is a whole number of strides."""
    starts = [range(0, side - window + 1, stride) for side in a.shape[1:]]
    values = []
    for channel, *corner in itertools.product(range(len(a)), *starts):
        place = (channel, *(slice(start, start + window) for start in corner))
        x, y = a[place].astype(np.float64).ravel(), b[place].astype(np.float64).ravel()
        covariance = ((x - x.mean()) * (y - y.mean())).mean()
        luminance = (2 * x.mean() * y.mean() + C1) / (x.mean() ** 2 + y.mean() ** 2 + C1)
        values.append(luminance * (2 * covariance + C2) / (x.var() + y.var() + C2))
    return float(np.mean(values))


@pytest.mark.parametrize("shape", [(1, 24, 24), (2, 16, 24), (1, 12, 8, 12)])
def test_comparison_is_its_formula(shape: tuple[int, ...], tmp_path: Path) -> None:
    given = images(5, *shape)
    given[3] = given[1] * 0.5 + 0.2
    given[4] = 0.3  # constant
    detector = Options().fit(real(given), folder=tmp_path, key="k", device="cpu")
    rows = detector.embed(given)
    expected = np.array([[slow_ssim(a + 1, b + 1, 8, 4) for b in given] for a in given])
    block = detector.similarity.block(rows, rows, "cpu")
    np.testing.assert_allclose(block, expected, atol=1e-5)
    exact = np.stack([detector.similarity.exact(row, rows) for row in rows])
    np.testing.assert_allclose(exact, expected, atol=1e-7)
    assert np.abs(block - exact).max() <= detector.similarity.error(rows.shape[1])
    assert np.diag(exact) == pytest.approx(1)


def test_block_by_block_is_the_same() -> None:
    windows, rows = Windows((1, 16, 16), 8, 4), images(40, 256)
    whole = windows.block(rows, rows[:7], "cpu")
    parts = [windows.block(rows[[k]], rows[:7], "cpu") for k in range(40)]
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-6)


def test_the_last_window_ends_at_the_border(tmp_path: Path) -> None:
    given = images(2, 1, 21, 21)
    given[1] = given[0]
    given[1, :, -1, -1] *= -1  # one corner pixel
    detector = Options().fit(real(given), folder=tmp_path, key="k", device="cpu")
    rows = detector.embed(given)
    assert detector.similarity.exact(rows[0], rows)[1] < 1


def test_large_items_are_reduced_and_small_ones_kept(tmp_path: Path) -> None:
    for size, dimension in ((128, 64 * 64), (50, 50 * 50), (6, 36)):
        given = images(2, 1, size, size)
        detector = Options().fit(real(given), folder=tmp_path, key="k", device="cpu")
        assert detector.embed(given).shape == (2, dimension)


def test_the_search_finds_copies(tmp_path: Path) -> None:
    given = images(30, 1, 16, 16)
    detector = Options().fit(real(given), folder=tmp_path, key="k", device="cpu")
    bank = Rows.of(detector.embed(given), detector.similarity)
    match = nearest(Rows.of(detector.embed(given[[4, 9]] * 0.99), detector.similarity), bank)
    assert match.index.tolist() == [4, 9]
    black = np.full((1, 1, 16, 16), -1, np.float32)
    with_black = Rows.of(detector.embed(np.concatenate([given, black])), detector.similarity)
    assert nearest(Rows.of(detector.embed(black), detector.similarity), with_black).index[0] == 30
    exact = nearest(Rows.of(detector.embed(given[[7]]), detector.similarity), bank)
    assert exact.similarity[0] == pytest.approx(1, abs=1e-12)
    assert set(detector.invariances) <= set(PLANTED)
