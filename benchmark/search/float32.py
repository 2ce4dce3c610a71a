"""Float rows: a coarse product with a certified error finds every pair that may be among the best; float64 decides.

Short rows (embeddings) are multiplied in float32, summed in pieces of 512 terms. Long ones (images) are written as

    z = along * m + step * (first + second / 254) + residual        m any fixed direction of length 1, the mean image

with int8 digits (`kernels_digits`). The product of first digits is an integer product, and Cauchy-Schwarz bounds what
it leaves out by the lengths of the residuals. Where too many pairs are within that bound (noise, few bright pixels),
two more integer products bring the second digits in, which narrows it a hundredfold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmark.core.errors import BadDataError
from benchmark.core.types import chunks
from benchmark.search.parallel import run_in_threads
from benchmark.search.products import float_product, integer_engine, level_product
from benchmark.search.rounding import EXACT_TERMS_CROSS, UNIT_ERROR, float_error
from benchmark.search.similarity import NOT_FINITE, measured

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmark.core.types import Array
    from benchmark.search.rows import Rows
    from benchmark.search.topk import Best

BUDGET = 0.01
"""Share of a block that is scored one by one at most, before second digits are computed. A pair scored in float64
takes about a hundred times as long as a pair of an int8 product, so that more would cost more than the product."""
BUDGET_PER_NEIGHBOUR = 16
"""Pairs per nearest item that are always scored, which in small blocks are more than their share."""
SLACK = 2e-6
"""What windows do not hold, in units of u = 2^-24 (6e-8): the coarse value is rounded 5 times and its bounds 6 times;
a residual is orthogonal to the direction only up to 3 roundings of `along` and the row, on both sides 6. 17 u = 1e-6,
and as much again. This is for windows of at most 1; wider ones exclude nothing."""
QUERIES_AT_ONCE = 128
"""Queries whose products with a block of the bank stay in a core's cache until they are scanned. Rows of D numbers take
D / 8 at once where that is more: their product takes long enough to outweigh a second read."""
DIRECTION_ROWS = 256
"""Rows of the bank that the common direction is the mean of: it differs from the mean of all by about 1 / 16 of what a
row does (the standard error, 1 / root of 256)."""
ROWS_READ_AT_ONCE, SAMPLE_BYTES = 32, 16
"""How many of them are read at once, and the bytes that each of their numbers takes: float32 and float64 copies."""
ROWS_PER_THREAD, PREPARED_PER_THREAD = 16, 64
"""Fewer rows of a product, and fewer rows to standardise, are not worth a thread."""
FACTS = 5
"""Numbers that `kernels_digits.encode` gives of a row."""


@dataclass(frozen=True)
class FloatBlock:
    """Rows as given, with their means and sums of squares (`kernels_float32.moments`)."""

    rows: NDArray[np.float32]
    """(n, D)."""
    means: NDArray[np.float64]
    """(n,)."""
    squares: NDArray[np.float64]
    """(n,) sums of squares about the means; 0 for rows without variance."""

    @property
    def moments(self) -> tuple[Array, Array, Array]:
        """Rows, means and squares, as compiled loops take them."""
        return self.rows, self.means, self.squares


@dataclass(frozen=True)
class UnitBlock(FloatBlock):
    """Adds the standardised rows."""

    unit: NDArray[np.float32]
    """(n, D) of length 1, or zeros."""

    def part(self, part: slice) -> UnitBlock:
        """Return some of the rows."""
        return UnitBlock(self.rows[part], self.means[part], self.squares[part], self.unit[part])


@dataclass(frozen=True)
class DigitBlock(FloatBlock):
    """Adds the rows' digits."""

    digits: tuple[NDArray[np.int8], ...]
    """One or two arrays (n, D)."""
    facts: NDArray[np.float64]
    """(n, 5), columns of `kernels_digits.encode`: along, step, and bounds of the coded, missed and fine lengths."""

    @property
    def along(self) -> NDArray[np.float32]:
        """(n,) shares of the direction."""
        return np.ascontiguousarray(self.facts[:, 0], dtype=np.float32)

    @property
    def step(self) -> NDArray[np.float32]:
        """(n,) what one step of a first digit stands for."""
        return np.ascontiguousarray(self.facts[:, 1], dtype=np.float32)

    def part(self, index: slice | NDArray[np.int64]) -> DigitBlock:
        """Return some of the rows."""
        digits = tuple(one[index] for one in self.digits)
        return DigitBlock(self.rows[index], self.means[index], self.squares[index], digits, self.facts[index])


def checked(rows: Array, *, centred: bool) -> FloatBlock:
    """Measure float rows (n, D). Raises BadDataError where one is not finite."""
    rows = np.ascontiguousarray(rows, dtype=np.float32)
    means, squares = measured(rows, centred=centred)
    if (squares < 0).any():
        raise BadDataError(*NOT_FINITE)
    return FloatBlock(rows, means, squares)


@dataclass(frozen=True)
class FloatEngine:
    """Exact search of short rows: one float32 product, certified."""

    centred: bool
    device: str = "cpu"
    name: str = "float32"
    number_bytes: int = 8
    """Float32, as given and standardised."""

    def prepare(self, rows: Array) -> UnitBlock:
        """Measure and standardise rows (n, D), of queries or of the bank.

        Embeddings of length 1 are taken as they are, which saves a copy: their lengths may be off by half `UNIT_ERROR`.
        """
        from benchmark.search.kernels_float32 import standardise

        block = checked(rows, centred=self.centred)
        if not self.centred and (np.abs(block.squares - 1) < UNIT_ERROR).all():
            return UnitBlock(*block.moments, block.rows)
        unit = np.empty(block.rows.shape, dtype=np.float32)

        def work(part: slice) -> None:
            standardise(block.rows[part], block.means[part], block.squares[part], unit[part])

        run_in_threads(len(unit), work, least=PREPARED_PER_THREAD)
        return UnitBlock(*block.moments, unit)

    def constant(self, block: FloatBlock) -> int:
        """Count rows without variance."""
        return int((block.squares == 0).sum())

    def scan(self, queries: UnitBlock, bank: UnitBlock, offset: int, best: Best) -> int:
        """Push what may be among the best, scored in float64; return how many pairs that were."""
        from benchmark.search.kernels_float32 import scan_floats

        # The two lengths change a product by one UNIT_ERROR, rounding the rows' numbers by an eighth of one; the rest
        # is for the bounds that loops compute from it in float32.
        error = float_error(queries.rows.shape[1]) + 2 * UNIT_ERROR
        scored = np.zeros(len(queries.rows), dtype=np.int64)
        for part in _query_parts(queries):
            product = float_product(queries.unit[part], bank.unit, self.device)

            def work(some: slice, product: Array = product, first: int = part.start) -> None:
                rows = slice(first + some.start, first + some.stop)
                scan_floats(
                    product[some], error, *bank.moments, *queries.part(rows).moments, offset, *best.part(rows),
                    scored[rows],
                )  # fmt: skip

            run_in_threads(len(product), work, least=ROWS_PER_THREAD)
        return int(scored.sum())


@dataclass(frozen=True)
class CodeEngine:
    """Exact search of long rows: integer products of digits, certified."""

    centred: bool
    direction: NDArray[np.float64]
    """(D,), of length 1."""
    device: str = "cpu"
    number_bytes: int = 8
    """Float32 as given, and one or two int8 digits, while both are encoded again."""

    @property
    def name(self) -> str:
        """What multiplies."""
        return f"codes, {integer_engine()[0]}"

    def prepare(self, rows: Array) -> DigitBlock:
        """Measure rows (n, D) and write their first digits."""
        return self._encoded(checked(rows, centred=self.centred), 1)

    def constant(self, block: FloatBlock) -> int:
        """Count rows without variance."""
        return int((block.squares == 0).sum())

    def scan(self, queries: DigitBlock, bank: DigitBlock, offset: int, best: Best) -> int:
        """Push what may be among the best, scored in float64; return how many pairs that were.

        Queries for which first digits leave too many pairs are scanned again with second digits, and without a budget.
        """
        budget = max(BUDGET_PER_NEIGHBOUR * best.values.shape[1], int(BUDGET * len(bank.rows)))
        scored = self._pass(queries, bank, offset, best, budget)
        unsure = np.flatnonzero(scored < 0)
        if len(unsure):
            some = best.taken(unsure)
            finer = self._encoded(queries.part(unsure), 2), self._encoded(bank, 2)
            scored[unsure] = self._pass(*finer, offset, some, len(bank.rows))
            best.put(unsure, some)
        return int(scored.sum())

    def _pass(self, queries: DigitBlock, bank: DigitBlock, offset: int, best: Best, budget: int) -> NDArray[np.int64]:
        """Return how many pairs of each query were scored, (n,); -1 where more than the budget were to be."""
        from benchmark.search.kernels_digits import scan_codes

        scored = np.zeros(len(queries.rows), dtype=np.int64)
        for part in _query_parts(queries):
            product, cross = self._products(queries.part(part), bank)
            window = _Window.of(queries.part(part), bank)

            def work(
                some: slice, first: int = part.start, product: Array = product, cross: Array = cross,
                window: _Window = window,
            ) -> None:  # fmt: skip
                rows = slice(first + some.start, first + some.stop)
                some_queries = queries.part(rows)
                scan_codes(
                    product[some], cross[some], bank.along, bank.step, some_queries.along, some_queries.step,
                    window.a[some], window.u, window.c[some], window.w, SLACK, *bank.moments, *some_queries.moments,
                    offset, budget, *best.part(rows), scored[rows],
                )  # fmt: skip

            run_in_threads(len(product), work, least=ROWS_PER_THREAD)
        return scored

    def _products(self, queries: DigitBlock, bank: DigitBlock) -> tuple[Array, Array]:
        """Return the products of first digits, (n, m), and of first with second ones, both ways, (n, m) or (n, 0)."""
        product = level_product(queries.digits[0], bank.digits[0], self.device)
        if len(queries.digits) == 1:
            return product, np.empty((len(product), 0), dtype=product.dtype)
        cross = level_product(queries.digits[0], bank.digits[1], self.device)
        if queries.rows.shape[1] > EXACT_TERMS_CROSS:  # each product fits in int32, their sum may not
            cross = cross.astype(np.int64)
        cross += level_product(queries.digits[1], bank.digits[0], self.device)
        return product, cross

    def _encoded(self, block: FloatBlock, digits: int) -> DigitBlock:
        """Return a block with one or two digits per number."""
        from benchmark.search.kernels_digits import encode

        planes = tuple(np.empty(block.rows.shape, dtype=np.int8) for _ in range(digits))
        facts = np.empty((len(block.rows), FACTS))

        def work(part: slice) -> None:
            encode(
                block.rows[part], block.means[part], block.squares[part], self.direction, digits, planes[0][part],
                planes[-1][part], facts[part],
            )  # fmt: skip

        run_in_threads(len(facts), work, least=ROWS_PER_THREAD)
        return DigitBlock(*block.moments, planes, facts)


@dataclass(frozen=True)
class _Window:
    """How far a coarse value may be from the exact one: a[q] u[j] + c[q] w[j] + SLACK."""

    a: Array
    """(n,) lengths of the queries' coded parts."""
    u: Array
    """(m,) lengths of the bank's residuals, and its second digits' share."""
    c: Array
    """(n,) lengths of the queries' residuals."""
    w: Array
    """(m,) lengths of the bank's coded parts and residuals together."""

    @classmethod
    def of(cls, queries: DigitBlock, bank: DigitBlock) -> _Window:
        """Bound <x, y> less its decoded part by the lengths of parts (Cauchy-Schwarz).

        With x = code_x + missed_x besides the direction, to which both are orthogonal, what is left out is

            <code_x, missed_y> + <missed_x, code_y> + <missed_x, missed_y>
                <= |code_x| |missed_y| + |missed_x| (|code_y| + |missed_y|),

        and with second digits the product of both second parts, which is not computed: at most |fine_x| |fine_y|. As
        |fine_x| <= r |code_x|, with r the greatest quotient of the queries, it is at most |code_x| r |fine_y|: a window
        stays a sum of two products, which the scan adds in one pass.
        """
        (code, missed, fine), (bank_code, bank_missed, bank_fine) = queries.facts[:, 2:].T, bank.facts[:, 2:].T
        most = float(np.max(np.divide(fine, code, out=np.zeros_like(fine), where=code > 0), initial=0.0))
        return cls(*(_upward(one) for one in (code, bank_missed + bank_fine * most, missed, bank_code + bank_missed)))


def _query_parts(queries: FloatBlock) -> list[slice]:
    """Cut the queries of a block into parts that are multiplied and scanned one after the other."""
    return list(chunks(len(queries.rows), max(QUERIES_AT_ONCE, queries.rows.shape[1] // 8)))


def _upward(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """Round lengths (n,) to float32 and one number up, so that they stay upper bounds."""
    return np.nextafter(values.astype(np.float32), np.float32(np.inf))


def common_direction(bank: Rows, *, centred: bool, memory: int) -> NDArray[np.float64]:
    """Return the mean of some standardised rows, (D,), of length 1.

    Any direction is valid. What images share is taken out of the digits by this one, so that steps, and with them
    residuals and windows, are the smaller.
    """
    most = max(1, memory // 3 // (SAMPLE_BYTES * bank.dimension))
    # Evenly spaced places: the bank may be sorted by patient or by slice.
    total = np.zeros(bank.dimension)
    places = np.unique(np.linspace(0, bank.count - 1, min(DIRECTION_ROWS, bank.count)).astype(np.int64))
    for part in chunks(len(places), min(most, ROWS_READ_AT_ONCE)):
        block = checked(bank.take(places[part]), centred=centred)
        # The sum of (row - mean) / length over rows, as one vector-matrix product.
        scale = np.divide(1, np.sqrt(block.squares), out=np.zeros(len(block.rows)), where=block.squares > 0)
        total += scale @ block.rows - float(scale @ block.means)
    length = float(np.linalg.norm(total))
    unit = total / length if length > 0 else np.eye(1, len(total))[0]  # where all rows cancel: any direction
    # Normalised twice: `length` was rounded in a long sum, that of a row of length 1 leaves the last digit at most.
    return np.asarray(unit / np.linalg.norm(unit), dtype=np.float64)
