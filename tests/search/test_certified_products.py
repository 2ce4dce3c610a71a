"""What makes the search exact: coarse values are never farther from the truth than their certificates say."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmark.search import COSINE, Rows, blocks, products
from benchmark.search.best import Best
from benchmark.search.floats import CodeEngine, FloatEngine, _decoded, _settle, _Window, common_direction


def hard_rows(rng: np.random.Generator, dimension: int) -> np.ndarray:
    """Noise, images alike, spikes, almost constant rows, copies, copies one pixel off, and rows that are constant."""
    noise = rng.standard_normal((6, dimension))
    alike = np.cos(np.linspace(0, 9, dimension)) + 0.02 * rng.standard_normal((6, dimension))
    spikes = np.eye(4, dimension) * rng.uniform(1, 1e6, (4, 1)) + 1e-3 * rng.standard_normal((4, dimension))
    flat = np.full((3, dimension), 100.0)
    flat[0, 0], flat[1, -1] = 101, 99
    beside = alike.copy()
    beside[:, dimension // 2] += 0.01
    even = np.where(np.arange(dimension) % 2, 1.0, -1.0)[None] * np.array([[1.0], [1e-12]])
    few = np.zeros((2, dimension))
    few[0, :2], few[1, -2:] = (1, -1), (1, 1e-6)
    rows = [noise, alike, spikes, flat, beside, even, few, noise[:2], 40 * noise[:2] + 3, np.abs(noise[:3])]
    return np.concatenate(rows).astype(np.float32)


def digits(engine: CodeEngine, rows: np.ndarray, count: int) -> Any:
    return engine._encoded(engine.prepare(rows), count)


@pytest.mark.parametrize("centred", [True, False], ids=["pearson", "cosine"])
@pytest.mark.parametrize("dimension", [3, 40, 1_000, 5_000, 70_000])
@pytest.mark.parametrize("direction", ["mean", "of one row", "of nothing"])
@pytest.mark.parametrize("count", [1, 2])
def test_codes_are_within_their_windows(count: int, direction: str, dimension: int, centred: bool, brute: Any) -> None:
    rng = np.random.default_rng(0)
    rows = hard_rows(rng, dimension)
    toward = {"mean": rows, "of one row": rows[:1], "of nothing": np.zeros_like(rows[:1])}[direction]
    engine = CodeEngine(centred, common_direction(toward, centred=centred))
    assert np.linalg.norm(engine.direction) == pytest.approx(1, abs=1e-14)
    ours, bank = digits(engine, rows, count), digits(engine, rows[::-1].copy(), count)
    truth = brute.floats(rows, rows[::-1], centred=centred)
    window = _Window.of(ours, bank)
    allowed = np.multiply.outer(window.a.astype(np.float64), window.u) + np.multiply.outer(
        window.c.astype(np.float64), window.w
    )
    missed = np.abs(_decoded(ours, bank, "cpu") - truth)
    assert (missed <= allowed + window.slack).all()
    assert np.isfinite(allowed).all()


def test_what_both_codes_leave_out_counts_too() -> None:
    """Two rows with a bright pixel each, and all the rest too faint for a digit: their likeness is in no code."""
    rng = np.random.default_rng(5)
    faint = rng.choice([-0.003, 0.003], 600_000)
    rows = np.stack([faint, faint]).astype(np.float32)
    rows[0, 0], rows[1, 1] = 1, 1
    engine = CodeEngine(True, np.eye(1, 600_000, 9)[0])
    ours = digits(engine, rows, 1)
    missed = abs(_decoded(ours, ours, "cpu")[0, 1] - np.corrcoef(rows.astype(np.float64))[0, 1])
    window = _Window.of(ours, ours)
    assert missed > 0.8  # or this test tests nothing
    assert missed <= window.a[0] * window.u[1] + window.c[0] * window.w[1] + window.slack


@pytest.mark.parametrize("k", [1, 3, 50])
def test_all_that_a_window_lets_in_is_scored(k: int, brute: Any) -> None:
    """Coarse values that are wrong by all but the whole window, which differs from pair to pair."""
    rng = np.random.default_rng(6)
    engine = FloatEngine(True)
    for _ in range(100):
        count, size = int(rng.integers(1, 9)), int(rng.integers(1, 300))
        queries, bank = (rng.standard_normal((n, 6)).astype(np.float32) for n in (count, size))
        bank[rng.random(size) < 0.1] = bank[0]
        truth, scale = brute.floats(queries, bank, centred=True), 10 ** rng.uniform(-4, 0)
        a, c = (scale * rng.random(count).astype(np.float32) for _ in range(2))
        u, w = (rng.random(size).astype(np.float32) ** 4 for _ in range(2))
        a[rng.random(count) < 0.3] = 0
        window = _Window(np.float32(a), u, np.float32(c), w, 1e-6)
        wide = np.multiply.outer(a, u) + np.multiply.outer(c, w)
        coarse = (truth + rng.choice([-0.999, 0.999], truth.shape) * wide).astype(np.float32)
        best, ours, cut = Best.empty(count, min(k, size)), engine.prepare(queries), int(rng.integers(0, size))
        for part in (slice(0, cut), slice(cut, size)):
            if part.start == part.stop:
                continue
            some = _Window(window.a, u[part], window.c, w[part], window.slack)
            scored = _settle(
                coarse[:, part], some, ours, engine.prepare(bank[part]), part.start, best, budget=part.stop - part.start
            )
            assert (scored >= 0).all()
        brute.agrees(SimpleNamespace(index=best.places, similarity=best.values), truth, bank, k)


def test_nothing_is_scored_where_more_than_the_budget_would_be() -> None:
    rng = np.random.default_rng(7)
    engine = FloatEngine(True)
    ours, bank = (engine.prepare(rng.standard_normal((n, 6)).astype(np.float32)) for n in (4, 30))
    best = Best.empty(4, 2)
    wide = _Window.same(4, 30, 3.0)
    assert _settle(ours.unit @ bank.unit.T, wide, ours, bank, 0, best, budget=29).tolist() == [-1] * 4
    assert (best.places == -1).all()
    assert _settle(ours.unit @ bank.unit.T, wide, ours, bank, 0, best, budget=30).tolist() == [30] * 4


def test_second_digits_narrow_the_window_a_hundredfold(brute: Any) -> None:
    rows = np.random.default_rng(1).standard_normal((20, 4_000)).astype(np.float32)
    engine = CodeEngine(True, common_direction(rows, centred=True))
    wide = []
    for count in (1, 2):
        ours = digits(engine, rows, count)
        window = _Window.of(ours, ours)
        wide.append((np.multiply.outer(window.a, window.u) + np.multiply.outer(window.c, window.w)).mean())
        missed = np.abs(_decoded(ours, ours, "cpu") - brute.floats(rows, rows, centred=True))
        assert missed.max() > wide[-1] / 2_000  # a window that is far too wide costs time
    assert wide[1] < wide[0] / 80


def test_a_direction_that_images_share_narrows_the_window() -> None:
    rng = np.random.default_rng(2)
    rows = (np.cos(np.linspace(0, 9, 4_000)) + 0.05 * rng.standard_normal((20, 4_000))).astype(np.float32)
    wide = []
    for direction in (np.eye(1, 4_000)[0], common_direction(rows, centred=True)):
        ours = digits(CodeEngine(True, direction), rows, 1)
        window = _Window.of(ours, ours)
        wide.append((np.multiply.outer(window.a, window.u) + np.multiply.outer(window.c, window.w)).mean())
    assert wide[1] < wide[0] / 5


@pytest.mark.parametrize("dimension", [1, 2, 511, 512, 513, 1_500, 6_000, 100_000])
def test_float32_products_are_within_their_error(dimension: int, brute: Any) -> None:
    rng = np.random.default_rng(3)
    rows = hard_rows(rng, max(dimension, 4))[:, :dimension]
    even = np.full((1, dimension), dimension**-0.5)  # every term has one sign: nothing cancels
    rows = np.concatenate([rows, even, np.linspace(1, 2, dimension)[None]]).astype(np.float32)
    for centred in (False, True):
        unit = FloatEngine(centred).prepare(rows).unit
        product = products.float_product(unit, unit)
        wide = unit.astype(np.float64)
        assert np.abs(product - wide @ wide.T).max() <= products.float_error(dimension)
        truth = brute.floats(rows, rows, centred=centred)
        assert np.abs(product - truth).max() <= products.float_error(dimension) + 2.0**-22


def test_the_error_of_float32_products_grows_slowly() -> None:
    assert products.float_error(512) < 4e-5
    assert products.float_error(512) < products.float_error(1 << 18) < 3 * products.float_error(512)


@pytest.mark.parametrize("dimension", [2, 511, 512, 513, 1500, 6000])
def test_blocks_of_cosines_are_within_their_error(dimension: int, brute: Any) -> None:
    rng = np.random.default_rng(4)
    random = brute.unit(rng.standard_normal((30, dimension)), centred=False)
    even = np.full((1, dimension), dimension**-0.5)
    peak = np.eye(1, dimension, dimension - 1)
    rows = np.concatenate([random, np.abs(random), even, peak]).astype(np.float32)
    ((_, block),) = blocks(Rows.of(rows), Rows.of(rows))
    assert np.abs(block - brute.floats(rows, rows, centred=False)).max() <= COSINE.error(dimension)
