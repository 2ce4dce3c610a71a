"""8-bit images: integer products give every correlation without error, at the speed of int8 arithmetic.

Pearson correlation is (n Sxy - Sx Sy) / sqrt((n Sxx - Sx^2) (n Syy - Sy^2)), with S the sums of x, y, x^2, y^2 and x y
over n pixels. It does not change when 128 is subtracted from every level, so that levels become int8, and the sums of
x y of all pairs are one integer matrix product. Only the root and the division round.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmark.core.errors import BadDataError
from benchmark.search.parallel import run_in_threads
from benchmark.search.products import integer_engine, level_product
from benchmark.search.rounding import MAX_PIXELS, MAX_PIXELS_FLOAT64

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmark.core.types import Array
    from benchmark.search.topk import Best

ROWS_PER_THREAD = 16
"""Fewer rows of a block of products are not worth a thread."""
PREPARED_PER_THREAD = 64
"""Fewer rows to prepare, which takes less time each, are not worth a thread."""


@dataclass(frozen=True)
class Uint8Block:
    """Rows of levels less 128, and the sums that correlation needs."""

    rows: NDArray[np.int8]
    """(n, D)."""
    sums: Array
    """(n,) sums of rows; float64, or int64 beyond `MAX_PIXELS_FLOAT64` pixels."""
    variances: NDArray[np.float64]
    """(n,) n Sxx - Sx^2: integers, exact up to 2^19 pixels, rounded once beyond; 0 exactly where a row is constant."""
    inverse: NDArray[np.float64]
    """(n,) 1 over their roots; 0 for constant rows."""

    @property
    def size(self) -> float | int:
        """Pixels of a row, of the type that keeps products with it exact: float64, which is faster, while it does."""
        size = self.rows.shape[1]
        return float(size) if size <= MAX_PIXELS_FLOAT64 else size

    def part(self, index: slice | NDArray[np.int64]) -> Uint8Block:
        """Return some of the rows."""
        return Uint8Block(self.rows[index], self.sums[index], self.variances[index], self.inverse[index])


def prepare_uint8(rows: NDArray[np.uint8]) -> Uint8Block:
    """Shift and sum uint8 rows (n, D). Raises BadDataError for images of more than 2^24 pixels."""
    if rows.shape[1] > MAX_PIXELS:
        raise BadDataError(
            f"images of {rows.shape[1]} pixels are too large: integer sums are exact up to {MAX_PIXELS} pixels",
            "give a smaller --image-size",
        )
    from benchmark.search.kernels_uint8 import shift_levels

    shifted = np.empty(rows.shape, dtype=np.int8)
    total, squares = np.zeros(len(rows), dtype=np.int64), np.zeros(len(rows), dtype=np.int64)

    def work(part: slice) -> None:
        shift_levels(rows[part], shifted[part], total[part], squares[part])

    run_in_threads(len(rows), work, least=PREPARED_PER_THREAD)
    # Subtracted as int64: beyond 2^19 pixels float64 would round both terms, whose difference may be small.
    variances = (rows.shape[1] * squares - total * total).astype(np.float64)
    inverse = np.divide(1.0, np.sqrt(variances), out=np.zeros(len(rows)), where=variances > 0)
    sums = total.astype(np.float64) if rows.shape[1] <= MAX_PIXELS_FLOAT64 else total
    return Uint8Block(shifted, sums, variances, inverse)


class Uint8Engine:
    """Exact search of 8-bit rows."""

    number_bytes = 2
    """uint8 as given, int8 as prepared."""

    @property
    def name(self) -> str:
        """What multiplies."""
        return integer_engine()[0]

    def prepare(self, rows: NDArray[np.uint8]) -> Uint8Block:
        """Shift and sum rows (n, D), of queries or of the bank."""
        return prepare_uint8(rows)

    def constant(self, block: Uint8Block) -> int:
        """Count rows without variance."""
        return int((block.variances == 0).sum())

    def scan(self, queries: Uint8Block, bank: Uint8Block, offset: int, best: Best) -> int:
        """Push the correlations of all pairs to the running lists; return 0: no pair is scored separately."""
        from benchmark.search.kernels_uint8 import scan_levels

        product = level_product(queries.rows, bank.rows)

        def work(part: slice) -> None:
            scan_levels(
                product[part], bank.size, bank.sums, bank.variances, bank.inverse, queries.sums[part],
                queries.variances[part], queries.inverse[part], offset, *best.part(part),
            )  # fmt: skip

        run_in_threads(len(queries.rows), work, least=ROWS_PER_THREAD)
        return 0


def correlations(queries: Uint8Block, bank: Uint8Block) -> NDArray[np.float32]:
    """Return all correlations of two blocks, (n, m) float32."""
    from benchmark.search.kernels_uint8 import levels_block

    product = level_product(queries.rows, bank.rows)
    block = np.empty(product.shape, dtype=np.float32)

    def work(part: slice) -> None:
        levels_block(
            product[part], bank.size, bank.sums, bank.inverse, queries.sums[part], queries.inverse[part], block[part]
        )

    run_in_threads(len(block), work, least=ROWS_PER_THREAD)
    return block


def pair_scores(one: Uint8Block, others: Uint8Block) -> NDArray[np.float64]:
    """Return the exact correlations of a block of one row with the k rows of another, (k,) float64."""
    from benchmark.search.kernels_lists import correlation

    product = level_product(one.rows, others.rows)[0]
    # Exact integers, as float64 or int64 (`Uint8Block.size`); `correlation` rounds four times, as the search does.
    numerators = others.size * product - one.sums[0] * others.sums
    return np.array([correlation(n, v, one.variances[0]) for n, v in zip(numerators, others.variances, strict=True)])
