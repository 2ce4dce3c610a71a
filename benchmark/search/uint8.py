"""8-bit images: integer products give every correlation without error, at the speed of int8 arithmetic.

Pearson correlation needs the sums of x, x^2 and x y alone, and does not change when 128 is taken from every level, so
that levels are int8 and the sums of x y are one integer matrix product.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmark.core.errors import BadDataError
from benchmark.search.products import integer_engine, level_product, spread

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmark.core.types import Array
    from benchmark.search.topk import Best

FLOAT_EXACT = 1 << 19
"""Up to so many pixels, n Sxy and Sx Sy are exact in float64."""
MOST = 1 << 24
"""Up to so many, they are exact in int64."""


@dataclass(frozen=True)
class Block:
    """Rows of levels less 128, and the sums that correlation needs."""

    rows: NDArray[np.int8]
    sums: Array
    """Of each row; float64, or int64 beyond `FLOAT_EXACT` pixels."""
    variances: NDArray[np.float64]
    """n Sxx - Sx^2."""
    inverse: NDArray[np.float64]
    """1 over their roots; 0 for constant rows."""

    @property
    def size(self) -> float | int:
        """Pixels of a row, of the kind that keeps products with it exact."""
        size = self.rows.shape[1]
        return float(size) if size <= FLOAT_EXACT else size

    def part(self, index: slice | NDArray[np.int64]) -> Block:
        """Return some of the rows."""
        return Block(self.rows[index], self.sums[index], self.variances[index], self.inverse[index])


def prepared(rows: NDArray[np.uint8]) -> Block:
    """Shift and sum uint8 rows (n, D). Raises BadDataError for items of more than 2^24 pixels."""
    if rows.shape[1] > MOST:
        raise BadDataError(
            f"items of {rows.shape[1]} pixels are too large for exact integer sums, which end at {MOST}",
            "give a smaller --image-size",
        )
    from benchmark.search.kernels import shift_levels

    shifted = np.empty(rows.shape, dtype=np.int8)
    total, squares = np.zeros(len(rows), dtype=np.int64), np.zeros(len(rows), dtype=np.int64)
    spread(len(rows), lambda part: shift_levels(rows[part], shifted[part], total[part], squares[part]), least=64)
    variances = (rows.shape[1] * squares - total * total).astype(np.float64)
    inverse = np.divide(1.0, np.sqrt(variances), out=np.zeros(len(rows)), where=variances > 0)
    return Block(shifted, total.astype(np.float64) if rows.shape[1] <= FLOAT_EXACT else total, variances, inverse)


class LevelEngine:
    """Exact search of 8-bit rows."""

    number_bytes = 2

    @property
    def name(self) -> str:
        """What multiplies."""
        return integer_engine()[0]

    def prepare(self, rows: NDArray[np.uint8]) -> Block:
        """Shift and sum rows, of queries or of the bank."""
        return prepared(rows)

    def constant(self, block: Block) -> int:
        """Count rows without variance."""
        return int((block.variances == 0).sum())

    def scan(self, ours: Block, bank: Block, offset: int, best: Best) -> int:
        """Push the correlations of all pairs to the running lists; return 0: none is scored by itself."""
        from benchmark.search.kernels import scan_levels

        product = level_product(ours.rows, bank.rows)

        def work(part: slice) -> None:
            scan_levels(
                product[part], bank.size, bank.sums, bank.variances, bank.inverse, ours.sums[part],
                ours.variances[part], ours.inverse[part], offset, *best.part(part),
            )  # fmt: skip

        spread(len(ours.rows), work, least=16)
        return 0


def correlations(ours: Block, bank: Block, device: str) -> NDArray[np.float32]:
    """Return all correlations of two blocks, (n, m) float32."""
    from benchmark.search.kernels import levels_block

    if device != "cpu":
        from benchmark.search.device import correlations as on_device

        return on_device(ours, bank, device)
    product = level_product(ours.rows, bank.rows)
    block = np.empty(product.shape, dtype=np.float32)

    def work(part: slice) -> None:
        levels_block(
            product[part], bank.size, bank.sums, bank.inverse, ours.sums[part], ours.inverse[part], block[part]
        )

    spread(len(block), work, least=16)
    return block


def pair_scores(one: Block, others: Block) -> NDArray[np.float64]:
    """Return the exact correlations of one row with others."""
    from benchmark.search.kernels import correlation

    product = level_product(one.rows, others.rows)[0]
    numerators = others.size * product - one.sums[0] * others.sums
    return np.array([correlation(n, v, one.variances[0]) for n, v in zip(numerators, others.variances, strict=True)])
