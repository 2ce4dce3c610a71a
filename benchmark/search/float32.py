"""Float rows: a coarse product with a certified error finds every pair that may be among the best; float64 decides.

Short rows (embeddings) are multiplied in float32, summed in pieces of 512 terms. Long ones (images) are written as

    z = along * m + step * (first + second / 254) + rest        m any fixed direction of length 1, the mean image

with int8 digits. The product of first digits is an integer product, and Cauchy-Schwarz bounds what it leaves out by the
lengths of the rests. Where that bound holds too many pairs (noise, few bright pixels), two more integer products bring
the second digits in, which narrows it a hundredfold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmark.core.errors import BadDataError
from benchmark.core.types import chunks
from benchmark.search.products import float_error, float_product, integer_engine, level_product, spread
from benchmark.search.similarity import measured

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmark.core.types import Array
    from benchmark.search.rows import Rows
    from benchmark.search.topk import Best

BUDGET = 0.01
"""Share of a block that is scored one by one at most, before second digits are asked."""
SLACK = 2e-6
"""More than float32 rounds where coarse values and their bounds are put together."""
UNIT = 2.0**-20
"""How far a squared length may be from 1, and a float32 number from what it stands for, in rows of length 1."""
AT_ONCE = 128
"""Queries whose values stay in a core's cache between product and scan; of long rows, an eighth of their numbers."""
SAMPLE, SAMPLED_AT_ONCE, SAMPLE_BYTES = 256, 32, 16
"""Rows that the common direction is the mean of, how many are read at once, and bytes that a number of them takes."""


@dataclass(frozen=True)
class Block:
    """Rows as given, with their means and sums of squares."""

    rows: NDArray[np.float32]
    means: NDArray[np.float64]
    squares: NDArray[np.float64]

    @property
    def moments(self) -> tuple[Array, Array, Array]:
        """As compiled loops take them."""
        return self.rows, self.means, self.squares


@dataclass(frozen=True)
class Standard(Block):
    """With rows of length 1, float32."""

    unit: NDArray[np.float32]

    def part(self, part: slice) -> Standard:
        """Return some of the rows."""
        return Standard(self.rows[part], self.means[part], self.squares[part], self.unit[part])


@dataclass(frozen=True)
class Coded(Block):
    """With int8 digits, and the facts of `kernels.encode` in columns."""

    digits: tuple[NDArray[np.int8], ...]
    facts: NDArray[np.float64]

    @property
    def along(self) -> NDArray[np.float32]:
        """The share of the direction."""
        return np.ascontiguousarray(self.facts[:, 0], dtype=np.float32)

    @property
    def step(self) -> NDArray[np.float32]:
        """The length of one digit."""
        return np.ascontiguousarray(self.facts[:, 1], dtype=np.float32)

    def part(self, index: slice | NDArray[np.int64]) -> Coded:
        """Return some of the rows."""
        digits = tuple(one[index] for one in self.digits)
        return Coded(self.rows[index], self.means[index], self.squares[index], digits, self.facts[index])


def checked(rows: Array, *, centred: bool) -> Block:
    """Measure float rows. Raises BadDataError where one is not finite."""
    rows = np.ascontiguousarray(rows, dtype=np.float32)
    means, squares = measured(rows, centred=centred)
    if (squares < 0).any():
        raise BadDataError("an embedding is not a number", "train the detector anew: delete its folder in cache/")
    return Block(rows, means, squares)


@dataclass(frozen=True)
class FloatEngine:
    """Exact search of short rows: one float32 product, certified."""

    centred: bool
    device: str = "cpu"
    name: str = "float32"
    number_bytes: int = 8

    def prepare(self, rows: Array) -> Standard:
        """Measure and standardise rows, of queries or of the bank; rows of length 1 are taken as they are."""
        from benchmark.search.kernels import standardise

        block = checked(rows, centred=self.centred)
        if not self.centred and (np.abs(block.squares - 1) < UNIT).all():
            return Standard(*block.moments, block.rows)
        unit = np.empty(block.rows.shape, dtype=np.float32)

        def work(part: slice) -> None:
            standardise(block.rows[part], block.means[part], block.squares[part], unit[part])

        spread(len(unit), work, least=64)
        return Standard(*block.moments, unit)

    def constant(self, block: Block) -> int:
        """Count rows without variance."""
        return int((block.squares == 0).sum())

    def scan(self, ours: Standard, bank: Standard, offset: int, best: Best) -> int:
        """Push what may be among the best, scored in float64; return how many pairs that were."""
        from benchmark.search.kernels import scan_floats

        error = float_error(ours.rows.shape[1]) + 2 * UNIT
        scored = np.zeros(len(ours.rows), dtype=np.int64)
        for part in chunks(len(scored), max(AT_ONCE, ours.rows.shape[1] // 8)):
            product = float_product(ours.unit[part], bank.unit, self.device)

            def work(some: slice, product: Array = product, first: int = part.start) -> None:
                rows = slice(first + some.start, first + some.stop)
                scan_floats(
                    product[some],
                    error,
                    *bank.moments,
                    *ours.part(rows).moments,
                    offset,
                    *best.part(rows),
                    scored[rows],
                )

            spread(len(product), work, least=16)
        return int(scored.sum())


@dataclass(frozen=True)
class CodeEngine:
    """Exact search of long rows: integer products of digits, certified."""

    centred: bool
    direction: NDArray[np.float64]
    """Of length 1, (D,)."""
    device: str = "cpu"
    number_bytes: int = 8
    """Float32, and up to three planes of digits."""

    @property
    def name(self) -> str:
        """What multiplies."""
        return f"codes, {integer_engine()[0]}"

    def prepare(self, rows: Array) -> Coded:
        """Measure rows and write their first digits."""
        return self._encoded(checked(rows, centred=self.centred), 1)

    def constant(self, block: Block) -> int:
        """Count rows without variance."""
        return int((block.squares == 0).sum())

    def scan(self, ours: Coded, bank: Coded, offset: int, best: Best) -> int:
        """Push what may be among the best, scored in float64; return how many pairs that were."""
        budget = max(16 * best.values.shape[1], int(BUDGET * len(bank.rows)))
        scored = self._pass(ours, bank, offset, best, budget)
        unsure = np.flatnonzero(scored < 0)
        if len(unsure):
            some = best.taken(unsure)
            finer = self._encoded(ours.part(unsure), 2), self._encoded(bank, 2)
            scored[unsure] = self._pass(*finer, offset, some, len(bank.rows))
            best.put(unsure, some)
        return int(scored.sum())

    def _pass(self, ours: Coded, bank: Coded, offset: int, best: Best, budget: int) -> NDArray[np.int64]:
        """Return how many pairs of each query were scored, -1 where more than the budget were to be."""
        from benchmark.search.kernels import scan_codes

        scored = np.zeros(len(ours.rows), dtype=np.int64)
        for part in chunks(len(scored), max(AT_ONCE, ours.rows.shape[1] // 8)):
            product, cross = self._products(ours.part(part), bank)
            window = _Window.of(ours.part(part), bank)

            def work(
                some: slice, first: int = part.start, product: Array = product, cross: Array = cross,
                window: _Window = window,
            ) -> None:  # fmt: skip
                rows = slice(first + some.start, first + some.stop)
                mine = ours.part(rows)
                scan_codes(
                    product[some], cross[some], bank.along, bank.step, mine.along, mine.step, window.a[some], window.u,
                    window.c[some], window.w, SLACK, *bank.moments, *mine.moments, offset, budget, *best.part(rows),
                    scored[rows],
                )  # fmt: skip

            spread(len(product), work, least=16)
        return scored

    def _products(self, ours: Coded, bank: Coded) -> tuple[Array, Array]:
        """Return the products of first digits, and of first and second ones where there are such, both ways."""
        product = level_product(ours.digits[0], bank.digits[0], self.device)
        if len(ours.digits) == 1:
            return product, np.empty((len(product), 0), dtype=product.dtype)
        cross = level_product(ours.digits[0], bank.digits[1], self.device)
        cross += level_product(ours.digits[1], bank.digits[0], self.device)
        return product, cross

    def _encoded(self, block: Block, digits: int) -> Coded:
        from benchmark.search.kernels import encode

        planes = tuple(np.empty(block.rows.shape, dtype=np.int8) for _ in range(digits))
        facts = np.empty((len(block.rows), 5))

        def work(part: slice) -> None:
            encode(
                block.rows[part], block.means[part], block.squares[part], self.direction, digits, planes[0][part],
                planes[-1][part], facts[part],
            )  # fmt: skip

        spread(len(facts), work, least=16)
        return Coded(*block.moments, planes, facts)


@dataclass(frozen=True)
class _Window:
    """How far a coarse value may be from the truth: a[q] u[j] + c[q] w[j] + SLACK."""

    a: Array
    u: Array
    c: Array
    w: Array

    @classmethod
    def of(cls, ours: Coded, bank: Coded) -> _Window:
        """Bound <x, y> less its decoded part by the lengths of parts (Cauchy-Schwarz).

        It is <code_x, rest_y> + <rest_x, code_y> + <rest_x, rest_y>, and with second digits the product of both second
        parts, which is not computed: at most fine_x fine_y, and that is put into u by the greatest fine / code of the
        queries.
        """
        (code, rest, fine), (codes, rests, fines) = ours.facts[:, 2:].T, bank.facts[:, 2:].T
        most = float(np.max(np.divide(fine, code, out=np.zeros_like(fine), where=code > 0), initial=0.0))
        return cls(*(_upward(one) for one in (code, rests + fines * most, rest, codes + rests)))


def _upward(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """Round to float32, away from 0."""
    return np.nextafter(values.astype(np.float32), np.float32(np.inf))


def common_direction(bank: Rows, *, centred: bool, memory: int) -> NDArray[np.float64]:
    """Return the mean of some standardised rows, of length 1, (D,): any is valid, this one narrows the bound."""
    most = max(1, memory // 3 // (SAMPLE_BYTES * bank.dimension))
    total = np.zeros(bank.dimension)
    places = np.unique(np.linspace(0, bank.count - 1, min(SAMPLE, bank.count)).astype(np.int64))
    for part in chunks(len(places), min(most, SAMPLED_AT_ONCE)):
        block = checked(bank.take(places[part]), centred=centred)
        scale = np.divide(1, np.sqrt(block.squares), out=np.zeros(len(block.rows)), where=block.squares > 0)
        total += scale @ block.rows - float(scale @ block.means)
    length = float(np.linalg.norm(total))
    unit = total / length if length > 0 else np.eye(1, len(total))[0]
    return np.asarray(unit / np.linalg.norm(unit), dtype=np.float64)
