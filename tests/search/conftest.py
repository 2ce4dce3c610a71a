"""Brute force in float64 and in integers, written without the search's own code."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

if TYPE_CHECKING:
    from benchmark.core.types import Array
    from benchmark.search import SearchResult

TOLERANCE = 2e-14
"""Float64 values that differ by less may stand in any order, unless the bank's rows are the same."""


def sums(queries: np.ndarray, bank: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """n Sxy - Sx Sy of all pairs, and n Sxx - Sx^2 of both sides, int64 without rounding."""
    a, b = queries.astype(np.int64), bank.astype(np.int64)
    size = a.shape[1]
    inner = size * np.einsum("id,jd->ij", a, b) - np.outer(a.sum(axis=1), b.sum(axis=1))
    return inner, *(size * (rows * rows).sum(axis=1) - rows.sum(axis=1) ** 2 for rows in (a, b))


def levels(queries: np.ndarray, bank: np.ndarray) -> np.ndarray:
    """Correlations of uint8 rows: exact integers, one float64 product, root and quotient."""
    inner, ours, theirs = sums(queries, bank)
    roots = np.sqrt(np.multiply.outer(ours.astype(np.float64), theirs.astype(np.float64)))
    return np.clip(np.divide(inner, roots, out=np.zeros(inner.shape), where=roots > 0), -1, 1)


def flat(rows: np.ndarray) -> np.ndarray:
    """(n,) whether a row varies no more than float32 rounds a constant of its mean."""
    rows = rows.astype(np.float64)
    return np.asarray(rows.std(axis=1) <= np.abs(rows.mean(axis=1)) * 2.0**-24)


def unit(rows: np.ndarray, *, centred: bool) -> np.ndarray:
    """Rows of length 1 in float64, less their means where centred; zeros where nothing varies."""
    constant = flat(rows) if centred else ~rows.any(axis=1)
    rows = rows.astype(np.float64)
    for _ in range(2 * centred):
        rows = rows - rows.mean(axis=1, keepdims=True)
    lengths = np.sqrt((rows * rows).sum(axis=1))
    return np.where(constant[:, None], 0.0, rows / np.where(constant | (lengths == 0), 1, lengths)[:, None])


def first_like(rows: np.ndarray) -> np.ndarray:
    """(n,) the first row that equals each."""
    seen: dict[bytes, int] = {}
    return np.array([seen.setdefault((row + row.dtype.type(0)).tobytes(), place) for place, row in enumerate(rows)])


def floats(queries: np.ndarray, bank: np.ndarray, *, centred: bool) -> np.ndarray:
    """Correlations or cosines in float64; equal rows of the bank have equal values."""
    values = unit(queries, centred=centred) @ unit(bank, centred=centred).T
    return np.clip(values[:, first_like(bank)], -1, 1)


def order(values: np.ndarray, k: int) -> np.ndarray:
    """The places of the k greatest of each row, the lowest place first among equals."""
    places = np.broadcast_to(np.arange(values.shape[1]), values.shape)
    return np.lexsort((places, -values), axis=1)[:, :k]


def agrees(
    result: SearchResult, values: np.ndarray, bank: np.ndarray, k: int, no_variance: np.ndarray | None = None
) -> None:
    """Compare an answer with float64 values; ties of equal rows and of zero variance are strict."""
    k = min(k, values.shape[1])
    places = result.index
    assert places.shape == result.similarity.shape == (len(values), k)
    assert places.dtype == np.int64
    assert places.min() >= 0
    assert places.max() < values.shape[1]
    at = np.take_along_axis(values, places, axis=1)
    np.testing.assert_allclose(result.similarity, at, rtol=0, atol=1e-12)
    np.testing.assert_allclose(
        result.similarity, np.take_along_axis(values, order(values, k), axis=1), rtol=0, atol=1e-12
    )
    assert (np.diff(result.similarity, axis=1) <= 0).all()
    wanted = order(values, k)
    doubtful = np.abs(at - np.take_along_axis(values, wanted, axis=1)) < TOLERANCE
    assert ((places == wanted) | doubtful).all()
    # The n-th place of a group of equal items must be the group's n-th lowest.
    groups = first_like(bank)
    for q in range(len(values)):
        kinds = groups.copy()
        if no_variance is not None:
            kinds[no_variance[q]] = -1
        for kind in np.unique(kinds[places[q]]):
            listed = places[q][kinds[places[q]] == kind]
            assert np.array_equal(listed, np.flatnonzero(kinds == kind)[: len(listed)])


def zero_variance(queries: np.ndarray, bank: np.ndarray) -> np.ndarray:
    """(n, m) whether a row of a pair is constant."""
    return np.logical_or.outer(flat(queries), flat(bank))


def exact_square(inner: int, ours: int, theirs: int) -> Fraction:
    """A correlation's square with its sign, as a fraction: it ranks as the correlation does."""
    return Fraction(inner * abs(inner), ours * theirs) if ours and theirs else Fraction(0)


@pytest.fixture
def brute() -> Any:
    """The functions above, as tests in this folder call them."""
    return SimpleNamespace(
        sums=sums, levels=levels, flat=flat, floats=floats, unit=unit, order=order, agrees=agrees,
        zero_variance=zero_variance, exact_square=exact_square,
    )  # fmt: skip


def _smooth(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Images (n, C, *spatial) that are sums of a few slow waves, 0 to 1."""
    total = np.zeros(shape)
    for _ in range(3):
        wave = np.zeros(shape)
        for axis, side in enumerate(shape[2:], start=2):
            along = np.arange(side).reshape([-1 if a == axis else 1 for a in range(len(shape))])
            wave = wave + along * rng.uniform(-4, 4, (*shape[:2], *[1] * (len(shape) - 2))) / side
        total = total + rng.uniform(0.2, 1, (*shape[:2], *[1] * (len(shape) - 2))) * np.cos(wave)
    flat = total.reshape(shape[0], -1)
    low, high = flat.min(axis=1), flat.max(axis=1)
    return ((flat - low[:, None]) / np.maximum(high - low, 1e-9)[:, None]).reshape(shape)


def images(rng: np.random.Generator, kind: str, shape: tuple[int, ...]) -> np.ndarray:
    """Uint8 rows (n, pixels) of items of a shape (n, C, *spatial)."""
    count, size = shape[0], int(np.prod(shape[1:]))
    if kind == "noise":
        rows = rng.integers(0, 256, (count, size))
    elif kind == "few levels":
        rows = rng.integers(0, 3, (count, size))
    elif kind == "smooth":
        rows = np.rint(255 * _smooth(rng, shape)).reshape(count, size)
    elif kind == "noisy":
        rows = np.rint(200 * _smooth(rng, shape)).reshape(count, size) + rng.integers(0, 56, (count, size))
    elif kind == "alike":
        rows = np.rint(200 * _smooth(rng, (1, *shape[1:]))).reshape(1, size) + rng.integers(0, 30, (count, size))
    elif kind == "spikes":
        rows = np.zeros((count, size))
        rows[np.arange(count), rng.integers(0, size, count)] = rng.integers(1, 256, count)
    elif kind == "almost constant":
        rows = np.full((count, size), 1) * rng.integers(1, 255, (count, 1))
        rows[np.arange(count), rng.integers(0, size, count)] += rng.choice([-1, 1], count)
    else:  # one grey level apart in one pixel
        assert kind == "near ties"
        rows = np.repeat(rng.integers(1, 255, (1, size)), count, axis=0)
        rows[np.arange(count), rng.integers(0, size, count)] += rng.choice([-1, 0, 1], count)
    return rows.astype(np.uint8)


KINDS = ("noise", "few levels", "smooth", "noisy", "alike", "spikes", "almost constant", "near ties")


@pytest.fixture
def make_images() -> Any:
    """Make images: `make_images(rng, kind, shape)`, of one of `make_images.kinds`."""
    make: Any = SimpleNamespace(of=images, kinds=KINDS)
    return make


@pytest.fixture
def with_threads() -> Iterator[Callable[[int], None]]:
    """Set how many threads products and loops take, and put it back."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


class Rough:
    """A similarity whose float32 values are nearly as far from the exact ones as it says they may be."""

    def __init__(self, error: float) -> None:
        self._error = error

    def block(self, queries: Array, others: Array, device: str) -> Array:
        exact = np.stack([self.exact(row, others) for row in queries])
        sign = np.where((queries[:, :1] + 3 * others[:, :1].T) % 2 < 1, 1, -1)
        return np.asarray(exact + 0.9 * self._error * sign, dtype=np.float32)

    def exact(self, row: Array, others: Array) -> Array:
        return np.asarray(1 / (1 + np.abs(row[None].astype(np.float64) - others).mean(axis=1)))

    def error(self, dimension: int) -> float:
        return self._error


@pytest.fixture
def rough() -> type[Rough]:
    """A similarity with a great error that it knows."""
    return Rough


@pytest.fixture
def the_index_takes(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Let the measured time decide that the index takes `all` queries, or for `few` of them."""

    def takes(which: str) -> None:
        def seconds(work: Callable[[], Any]) -> float:
            work()
            return {"all": 0.0, "few": math.inf}[which]

        monkeypatch.setattr("benchmark.search.engine._seconds", seconds)

    return takes
