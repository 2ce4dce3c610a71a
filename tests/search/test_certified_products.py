"""What makes the search exact: coarse values are never farther from the exact ones than their certificates say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmark.search import COSINE, PEARSON, Rows, blocks, products, search
from benchmark.search.float32 import SLACK, CodeEngine, FloatEngine, _Window, common_direction
from benchmark.search.rounding import EXACT_TERMS_CROSS, float_error
from benchmark.search.topk import Best


def hard_rows(rng: np.random.Generator, dimension: int) -> np.ndarray:
    """Noise, images alike, spikes, almost constant rows, copies, copies one pixel off, and rows that are constant."""
    noise = rng.standard_normal((6, dimension))
    alike = np.cos(np.linspace(0, 9, dimension)) + 0.02 * rng.standard_normal((6, dimension))
    spikes = np.eye(4, dimension) * rng.uniform(1, 1e6, (4, 1)) + 1e-3 * rng.standard_normal((4, dimension))
    flat = np.full((3, dimension), 100.0)
    flat[0, 0], flat[1, -1] = 101, 99
    changed = alike.copy()
    changed[:, dimension // 2] += 0.01
    even = np.where(np.arange(dimension) % 2, 1.0, -1.0)[None] * np.array([[1.0], [1e-12]])
    few = np.zeros((2, dimension))
    few[0, :2], few[1, -2:] = (1, -1), (1, 1e-6)
    rows = [noise, alike, spikes, flat, changed, even, few, noise[:2], 40 * noise[:2] + 3, np.abs(noise[:3])]
    return np.concatenate(rows).astype(np.float32)


def coded(engine: CodeEngine, rows: np.ndarray, count: int) -> Any:
    """Rows by one digit or two."""
    return engine._encoded(engine.prepare(rows), count)


def decoded(ours: Any, bank: Any) -> np.ndarray:
    """The decoded values of all pairs, in float64: along * along + step * step * digits, without both second digits."""
    (along, step), (others, steps) = ours.facts[:, :2].T, bank.facts[:, :2].T
    first, *second = (digits.astype(np.float64) for digits in ours.digits)
    firsts, *seconds = (digits.astype(np.float64) for digits in bank.digits)
    product = first @ firsts.T
    for fine, fines in zip(second, seconds, strict=True):
        product += (first @ fines.T + fine @ firsts.T) / 254
    return np.asarray(np.outer(along, others) + np.outer(step, steps) * product)


def allowed(ours: Any, bank: Any) -> np.ndarray:
    """How far the exact values may be from what digits say."""
    window = _Window.of(ours, bank)
    a, u, c, w = (one.astype(np.float64) for one in (window.a, window.u, window.c, window.w))
    return np.asarray(np.outer(a, u) + np.outer(c, w))


@pytest.mark.parametrize("centred", [True, False], ids=["pearson", "cosine"])
@pytest.mark.parametrize("dimension", [3, 40, 1_000, 5_000, 70_000])
@pytest.mark.parametrize("direction", ["mean", "of one row", "of zeros"])
@pytest.mark.parametrize("count", [1, 2])
def test_codes_are_within_their_windows(count: int, direction: str, dimension: int, centred: bool, brute: Any) -> None:
    rng = np.random.default_rng(0)
    rows = hard_rows(rng, dimension)
    toward = {"mean": rows, "of one row": rows[:1], "of zeros": np.zeros_like(rows[:1])}[direction]
    engine = CodeEngine(centred, common_direction(Rows.of(toward), centred=centred, memory=1 << 30))
    assert np.linalg.norm(engine.direction) == pytest.approx(1, abs=1e-14)
    ours, bank = coded(engine, rows, count), coded(engine, rows[::-1].copy(), count)
    missed = np.abs(decoded(ours, bank) - brute.floats(rows, rows[::-1], centred=centred))
    assert (missed <= allowed(ours, bank) + SLACK / 2).all()  # the other half is for the sums of a search, in float32


def faint_rows(rng: np.random.Generator, count: int, dimension: int) -> np.ndarray:
    """Rows with a bright pixel each, whose other pixels are too faint for a digit."""
    rows = rng.choice([-0.002, 0.002], (count, dimension))
    rows[np.arange(count), np.arange(count)] = 1
    return rows.astype(np.float32)


def test_what_both_codes_leave_out_counts_too() -> None:
    rows = faint_rows(np.random.default_rng(5), 2, 600_000)
    rows[1, 2:] = rows[0, 2:]
    ours = coded(CodeEngine(True, np.eye(1, 600_000, 9)[0]), rows, 1)
    missed = abs(decoded(ours, ours)[0, 1] - np.corrcoef(rows.astype(np.float64))[0, 1])
    assert missed > 0.6  # or the test could not fail
    assert missed <= allowed(ours, ours)[0, 1]


@pytest.mark.parametrize("bright", [0.0, 1.0], ids=["in no digit", "in the digits of one side"])
def test_a_likeness_that_digits_leave_out_is_found(bright: float, brute: Any) -> None:
    """Digits say that the row of the same bright pixel is nearest; all its faint pixels say another."""
    rng = np.random.default_rng(6)
    queries, bank = (faint_rows(rng, count, 300_000) for count in (2, 8))  # too few to need second digits
    bank[:2, 15:] *= 1 - bright
    bank[5, 15:], bank[6, 15:] = queries[0, 15:], queries[1, 15:]
    bank[[5, 6], [5, 6]] = 1 - bright  # without a bright pixel, digits can say what is faint
    values = brute.floats(queries, bank, centred=True)
    assert values.argmax(axis=1).tolist() == [5, 6]
    for k in (1, 2):
        result = search(Rows.of(queries, PEARSON), Rows.of(bank, PEARSON), k)
        brute.agrees(result, values, bank, k)
        assert result.certificate.engine.startswith("codes")


@pytest.mark.parametrize("k", [1, 3, 70])
@pytest.mark.parametrize("scale", [1.0, 3e-5])
def test_float32_products_may_be_as_wrong_as_their_error(
    scale: float, k: int, brute: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(7)
    wrong = float_error(9)

    def product(first: np.ndarray, second: np.ndarray, device: str = "cpu") -> np.ndarray:
        exact = first.astype(np.float64) @ second.astype(np.float64).T
        return (exact + rng.choice([-0.95, 0.95], exact.shape) * wrong).astype(np.float32)

    monkeypatch.setattr("benchmark.search.float32.float_product", product)
    for _ in range(60):
        count, size = int(rng.integers(1, 9)), int(rng.integers(1, 300))
        middle = rng.standard_normal((1, 9))
        queries, bank = ((middle + scale**0.5 * rng.standard_normal((n, 9))).astype(np.float32) for n in (count, size))
        bank[rng.random(size) < 0.1] = bank[0]
        for centred, kind in ((True, PEARSON), (False, COSINE)):
            result = search(Rows.of(queries, kind), Rows.of(bank, kind), k, memory=int(10 ** rng.uniform(4, 6)))
            brute.agrees(result, brute.floats(queries, bank, centred=centred), bank, k)


def test_second_digits_narrow_the_window_a_hundredfold(brute: Any) -> None:
    rows = np.random.default_rng(1).standard_normal((20, 4_000)).astype(np.float32)
    engine, wide = CodeEngine(True, common_direction(Rows.of(rows), centred=True, memory=1 << 30)), []
    for count in (1, 2):
        ours = coded(engine, rows, count)
        wide.append(allowed(ours, ours).mean())
        missed = np.abs(decoded(ours, ours) - brute.floats(rows, rows, centred=True))
        assert missed.max() > wide[-1] / 2_000  # a window that is far too wide costs time
    assert wide[1] < wide[0] / 80


def test_a_direction_that_images_share_narrows_the_window() -> None:
    rng = np.random.default_rng(2)
    rows = (np.cos(np.linspace(0, 9, 4_000)) + 0.05 * rng.standard_normal((20, 4_000))).astype(np.float32)
    wide = []
    for direction in (np.eye(1, 4_000)[0], common_direction(Rows.of(rows), centred=True, memory=1 << 30)):
        ours = coded(CodeEngine(True, direction), rows, 1)
        wide.append(allowed(ours, ours).mean())
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
        assert np.abs(product - wide @ wide.T).max() <= float_error(dimension)
        exact = brute.floats(rows, rows, centred=centred)
        assert np.abs(product - exact).max() <= float_error(dimension) + 2.0**-19


def test_the_error_of_float32_products_grows_slowly() -> None:
    assert float_error(512) < 4e-5
    assert float_error(512) < float_error(1 << 18) < 3 * float_error(512)


@pytest.mark.parametrize("dimension", [2, 511, 512, 513, 1500, 6000])
def test_blocks_of_cosines_are_within_their_error(dimension: int, brute: Any) -> None:
    rng = np.random.default_rng(4)
    random = brute.unit(rng.standard_normal((30, dimension)), centred=False)
    even = np.full((1, dimension), dimension**-0.5)
    peak = np.eye(1, dimension, dimension - 1)
    rows = np.concatenate([random, np.abs(random), even, peak]).astype(np.float32)
    ((_, block),) = blocks(Rows.of(rows), Rows.of(rows))
    assert np.abs(block - brute.floats(rows, rows, centred=False)).max() <= COSINE.error(dimension)


def test_products_of_first_and_second_digits_fit_in_their_integers() -> None:
    """All pixels but two are 126.49 or 126 steps, of either sign: their sums of products pass 2^31."""
    size, rng = 131_000, np.random.default_rng(8)
    assert EXACT_TERMS_CROSS == (2**31 - 1) // (2 * 127**2)
    signs = rng.permutation(np.repeat([-1.0, 1.0], size // 2))
    image, changed = 126.49 * signs, 126.0 * signs
    for row in (image, changed):
        row[[signs.argmax(), signs.argmin()]] = 127, -127
    bank = np.repeat(changed[None], 40, axis=0).astype(np.float32)
    bank[30] = image
    engine = CodeEngine(True, np.eye(1, size, 5)[0])
    ours, others = coded(engine, bank[30:31], 2), coded(engine, bank, 2)
    _, cross = engine._products(ours, others)
    first, second = (digits.astype(np.int64) for digits in others.digits)
    assert np.array_equal(cross[0], first @ second[30] + second @ first[30])
    assert cross.max() > 2**31
    best = Best.empty(1, 1)
    engine.scan(engine.prepare(bank[30:31]), engine.prepare(bank), 0, best)
    assert (best.places.item(), best.values.item()) == (30, 1.0)
