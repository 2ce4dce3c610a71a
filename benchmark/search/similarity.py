"""How two rows are compared: cosine of embeddings, Pearson correlation of pixels.

Rows of zero variance (for cosines: of zeros) have no correlation; it is 0 here, with every row.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from benchmark.search.parallel import run_in_threads
from benchmark.search.rounding import UNIT_ROUNDOFF
from benchmark.search.uint8 import correlations, pair_scores, prepare_uint8

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmark.core.types import Array

CENTRED_ERROR = 2.0**-22
"""4 u: rounding two rows of length 1 to float32 changes their lengths by u each, and their product by u / 2."""
ROWS_PER_THREAD = 64
"""Fewer rows to measure or standardise are not worth a thread."""
NOT_FINITE = (
    "an embedding holds NaN or infinite values", "retrain the detector: delete its folder in cache/",
)  # fmt: skip
"""What is wrong with a row, and what to do."""


class Cosine:
    """The inner product of unit rows, float32; an implementation of `core.types.Similarity`, which has the shapes."""

    def block(self, queries: NDArray[np.float32], others: NDArray[np.float32], device: str) -> NDArray[np.float32]:
        """Multiply (n, D) and (m, D) to (n, m) in float64 and round once.

        Float32 products depend on how a library cuts the block: the same pair would have other values in other blocks.
        """
        if device == "cpu":
            return np.asarray(queries.astype(np.float64) @ others.astype(np.float64).T, dtype=np.float32)
        import torch

        left, right = (torch.from_numpy(rows).to(device).double() for rows in (queries, others))
        return (left @ right.T).float().cpu().numpy()

    def exact(self, row: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float64]:
        """Divide the inner products of (D,) and (k, D) by both lengths, (k,): rounded rows have length 1 up to 1e-7."""
        return _scored(row, others, centred=False)

    def error(self, dimension: int) -> float:
        """Return 4 u and the root of D times u (u = 2^-24).

        Rounding changes the rows' lengths by up to u each, and their product by u / 2. Rows that were normalised in
        float32, as by torch, are off by more: a float32 sum of n squares errs by about the root of n times u (Higham
        and Mary, SIAM J. Sci. Comput. 41, 2019), a length by half of that, and both lengths add up. torch's are off by
        2.5 u for D = 512 and 11 u for D = 65,536.
        """
        return CENTRED_ERROR + math.sqrt(dimension) * UNIT_ROUNDOFF


class Pearson:
    """Pearson correlation of float32 rows of any offset and scale (Akbar et al., 2305.07644, without masks)."""

    def block(self, queries: NDArray[np.float32], others: NDArray[np.float32], device: str) -> NDArray[np.float32]:
        """Standardise (n, D) and (m, D) in float64, and multiply as cosines, (n, m)."""
        return COSINE.block(unit(queries), unit(others), device)

    def exact(self, row: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float64]:
        """Correlate (D,) with (k, D) in float64, (k,)."""
        return _scored(row, others, centred=True)

    def error(self, dimension: int) -> float:
        """Return 4 u: rows are standardised in float64 and rounded once."""
        return CENTRED_ERROR


class Levels:
    """Pearson correlation of uint8 rows from exact integer sums (`uint8`)."""

    def block(self, queries: NDArray[np.uint8], others: NDArray[np.uint8], device: str) -> NDArray[np.float32]:
        """Correlate every pair of (n, D) and (m, D), (n, m); only the last rounding, to float32, is inexact."""
        blocks = prepare_uint8(queries), prepare_uint8(others)
        if device == "cpu":
            return correlations(*blocks)
        from benchmark.search.device import correlations as on_device

        return on_device(*blocks, device)

    def exact(self, row: NDArray[np.uint8], others: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Correlate one row (D,) with others (k, D) in float64, (k,)."""
        return pair_scores(prepare_uint8(row[None]), prepare_uint8(others))

    def error(self, dimension: int) -> float:
        """Return u = 2^-24, twice what rounding a number of at most 1 to float32 loses; float64 loses 4e-15."""
        return UNIT_ROUNDOFF


COSINE, PEARSON, LEVELS = Cosine(), Pearson(), Levels()


def measured(rows: NDArray[np.float32], *, centred: bool) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return means and sums of squares of float32 rows (n, D), (n,) each (`kernels_float32.moments`).

    The sum is -1 where a row is not finite, and 0 where it has no variance.
    """
    from benchmark.search.kernels_float32 import moments

    means, squares = np.empty(len(rows)), np.empty(len(rows))

    def work(part: slice) -> None:
        moments(rows[part], centred, means[part], squares[part])

    run_in_threads(len(rows), work, least=ROWS_PER_THREAD)
    return means, squares


def unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return rows (n, D) less their means, over their lengths, (n, D).

    A row is NaN where it is not finite, and zeros where it is constant.
    """
    from benchmark.search.kernels_float32 import standardise

    means, squares = measured(rows, centred=True)
    result = np.empty(rows.shape, dtype=np.float32)

    def work(part: slice) -> None:
        standardise(rows[part], means[part], squares[part], result[part])

    run_in_threads(len(rows), work, least=ROWS_PER_THREAD)
    result[squares < 0] = np.nan
    return result


def _scored(row: Array, others: Array, *, centred: bool) -> NDArray[np.float64]:
    """Return the cosines or correlations of one row (D,) with others (k, D), (k,) float64."""
    from benchmark.search.kernels_float32 import score_pairs

    others = np.ascontiguousarray(others)
    (mean,), (square,) = measured(row[None], centred=centred)
    result = np.empty(len(others))
    score_pairs(others, *measured(others, centred=centred), row, mean, square, result)
    return result
