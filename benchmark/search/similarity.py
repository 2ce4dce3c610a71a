"""How two rows are compared: cosine of embeddings, Pearson correlation of pixels. A constant is like nothing: 0."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmark.core.types import Array


class Cosine:
    """The inner product of unit rows, float32."""

    def block(self, queries: NDArray[np.float32], others: NDArray[np.float32], device: str) -> NDArray[np.float32]:
        """Multiply in float64 and round once, so that a value does not depend on what else stands in the block."""
        if device == "cpu":
            return np.asarray(queries.astype(np.float64) @ others.astype(np.float64).T, dtype=np.float32)
        import torch

        left, right = (torch.from_numpy(rows).to(device).double() for rows in (queries, others))
        return (left @ right.T).float().cpu().numpy()

    def exact(self, row: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float64]:
        """Divide the inner product by both lengths: rounded rows are of length 1 only to 1e-7."""
        return _scored(row, others, centred=False)

    def error(self, dimension: int) -> float:
        """More than both rows, which are of length 1 up to rounding, and the product lose to float32."""
        return 2.0**-22


class Pearson:
    """Pearson correlation of float32 rows of any offset and scale (Akbar et al., 2305.07644, without masks)."""

    def block(self, queries: NDArray[np.float32], others: NDArray[np.float32], device: str) -> NDArray[np.float32]:
        """Standardise in float64, and multiply as cosines."""
        return COSINE.block(unit(queries), unit(others), device)

    def exact(self, row: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float64]:
        """Correlate in float64."""
        return _scored(row, others, centred=True)

    def error(self, dimension: int) -> float:
        """As of the cosine of the standardised rows."""
        return COSINE.error(dimension)


class Levels:
    """Pearson correlation of uint8 rows from exact integer sums: n Sxy - Sx Sy over the root of both variances."""

    def block(self, queries: NDArray[np.uint8], others: NDArray[np.uint8], device: str) -> NDArray[np.float32]:
        """Correlate every pair; only the last rounding, to float32, is inexact."""
        from benchmark.search.uint8 import correlations, prepared

        return correlations(prepared(queries), prepared(others), device)

    def exact(self, row: NDArray[np.uint8], others: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Correlate one row with others in float64."""
        from benchmark.search.uint8 import pair_scores, prepared

        return pair_scores(prepared(row[None]), prepared(others))

    def error(self, dimension: int) -> float:
        """Half a unit in the last place of float32, and what float64 rounds."""
        return 2.0**-24


COSINE, PEARSON, LEVELS = Cosine(), Pearson(), Levels()


def measured(rows: NDArray[np.float32], *, centred: bool) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return means and sums of squares of float32 rows, -1 where a row is not finite (`kernels.moments`)."""
    from benchmark.search.kernels import moments
    from benchmark.search.products import spread

    means, squares = np.empty(len(rows)), np.empty(len(rows))
    spread(len(rows), lambda part: moments(rows[part], centred, means[part], squares[part]), least=64)
    return means, squares


def unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return rows less their means, over their lengths; NaN where a row is not finite, zeros where it is constant."""
    from benchmark.search.kernels import standardise
    from benchmark.search.products import spread

    means, squares = measured(rows, centred=True)
    result = np.empty(rows.shape, dtype=np.float32)
    spread(len(rows), lambda part: standardise(rows[part], means[part], squares[part], result[part]), least=64)
    result[squares < 0] = np.nan
    return result


def _scored(row: Array, others: Array, *, centred: bool) -> NDArray[np.float64]:
    from benchmark.search.kernels import score_pairs

    others = np.ascontiguousarray(others)
    (mean,), (square,) = measured(row[None], centred=centred)
    result = np.empty(len(others))
    score_pairs(others, *measured(others, centred=centred), row, mean, square, result)
    return result
