"""Coarse coefficients of images: a few numbers and lengths that bound every correlation from above.

An image x of mean 0 and length 1 is a sum of four parts that are orthogonal to each other: its projection on the
directions P, what these leave of its means over large boxes, what large boxes leave of its means over small boxes, and
what small boxes leave of its pixels. Products of different parts are 0, and Cauchy-Schwarz bounds the others:

    <x, y>  <=  <Px, Py> + |large_x| |large_y| + |small_x| |small_y| + |pixels_x| |pixels_y|

The right side is one inner product of the vectors (Px, |large_x|, |small_x|, |pixels_x|), so that one float32 matrix
product bounds all pairs. It holds for any orthonormal P within the large boxes: directions decide how close the bound
is, never whether it holds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Self

import numpy as np

from benchmark.search.parallel import run_in_threads
from benchmark.search.rounding import ROUNDED
from benchmark.search.uint8 import Uint8Block

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

BOXES = 4096
"""At most this many small boxes, as long as an item has fewer channels; large ones are two small ones along each axis.
`rounding.ENLARGED` holds for codes of up to 16,000."""
DIRECTIONS = 128
"""Columns of P at most: more make bounds closer and the product that computes them slower."""
SLACK = (DIRECTIONS + 16) * 2.0**-23
"""Added to a bound. Its vectors have DIRECTIONS + 3 = 131 numbers and a length of 1 up to 3e-6: their product loses at
most 131 u, rounding boxes and coefficients to float32 4 u, two narrowed bounds 2 u (u = 2^-24); this is 288 u."""
DEFECT = 1e-10
"""The greatest sum of a row of |P'P - 1|, a bound of its norm: QR in float64 leaves about 1e-14. It enters a bound
directly, and is a hundred-thousandth of SLACK."""


@dataclass(frozen=True)
class Coefficients:
    """What bounds are made of, for n items."""

    head: NDArray[np.float32]
    """(n, directions + 3): coefficients of P and the lengths of three residuals; a product of two is an upper bound."""
    coarse: NDArray[np.int8]
    """(n, large boxes) codes of what directions leave of large boxes."""
    fine: NDArray[np.int8]
    """(n, small boxes) codes of what large boxes leave of small ones."""
    facts: NDArray[np.float64]
    """(n, 8), as `index_bounds.encode_residuals`."""

    def part(self, part: slice) -> Coefficients:
        """Return those of some items."""
        return Coefficients(self.head[part], self.coarse[part], self.fine[part], self.facts[part])

    @classmethod
    def joined(cls, blocks: Sequence[Coefficients]) -> Self:
        """Join those of consecutive items."""
        return cls(*(np.concatenate([getattr(block, field.name) for block in blocks]) for field in fields(cls)))


@dataclass(frozen=True)
class Grid:
    """Small boxes, and the large ones that they make up, of items of one shape."""

    shape: tuple[int, ...]
    """(C, *spatial)."""
    edges: tuple[NDArray[np.int64], ...]
    """Where small boxes begin along each spatial axis, and the end."""
    areas: Floats
    """Roots of the pixels of small boxes, (boxes,)."""
    parents: NDArray[np.int64]
    """The large box of each, (boxes,)."""
    shares: NDArray[np.float32]
    """Root of the share that each has of its large box, (boxes,)."""

    @classmethod
    def of(cls, shape: Sequence[int]) -> Self:
        """Cut each spatial axis of a shape (C, *spatial) into boxes that are as equal as whole pixels allow."""
        channels, *spatial = shape
        # 1e-9: 4096 ** (1 / 3) is 15.999... in float64.
        most = max(1, math.floor((BOXES / channels) ** (1 / len(spatial)) + 1e-9))
        edges = tuple(np.round(np.linspace(0, side, min(side, most) + 1)).astype(np.int64) for side in spatial)
        counts, parents = np.ones(channels), np.arange(channels)
        for edge in edges:
            boxes = len(edge) - 1
            counts = np.multiply.outer(counts, np.diff(edge).astype(np.float64))
            parents = np.add.outer(parents * -(-boxes // 2), np.arange(boxes) // 2)
        pixels, parents = counts.ravel(), parents.ravel()
        shares = np.sqrt(pixels / np.bincount(parents, weights=pixels)[parents])
        return cls(tuple(shape), edges, np.sqrt(pixels), parents, shares.astype(np.float32))

    def sums(self, rows: NDArray[np.int8]) -> NDArray[np.int32]:
        """Return sums over small boxes of rows (n, pixels): (n, boxes)."""
        from benchmark.search.index_bounds import box_sums

        channels, *above, height, width = self.shape
        *_, tops, lefts = self.edges
        sums = np.empty((len(rows), math.prod([channels, *above]), len(tops) - 1, len(lefts) - 1), dtype=np.int32)
        run_in_threads(len(rows), lambda part: box_sums(rows[part], height, width, tops, lefts, sums[part]), least=16)
        if above:
            deep = sums.reshape(len(rows), channels, *above, *sums.shape[2:])
            sums = np.add.reduceat(deep, self.edges[0][:-1], axis=2)
        return sums.reshape(len(rows), -1)

    def coefficients(self, block: Uint8Block) -> tuple[NDArray[np.float32], NDArray[np.float32], Floats]:
        """Return coefficients of n items, scaled to mean 0 and length 1, and what boxes leave of them.

        The result is small boxes (n, small) and large ones (n, large), float32, and the lengths of the rest (n,).
        """
        from benchmark.search.index_bounds import pyramid

        sums, size = self.sums(block.rows), block.rows.shape[1]
        # |x - mean|^2 = Sxx - Sx^2 / n is the integer variance n Sxx - Sx^2 over n.
        means, scales = np.asarray(block.sums / size), block.inverse * math.sqrt(size)
        boxes = np.empty(sums.shape, dtype=np.float32)
        low = np.empty((len(sums), int(self.parents[-1]) + 1), dtype=np.float32)
        outside = np.empty(len(sums))

        def work(part: slice) -> None:
            pyramid(
                sums[part], means[part], scales[part], self.areas, self.parents, self.shares, boxes[part], low[part],
                outside[part],
            )  # fmt: skip

        run_in_threads(len(sums), work, least=16)
        return boxes, low, outside


@dataclass(frozen=True)
class Projection:
    """A grid and its directions P, which map items to coefficients."""

    grid: Grid
    directions: Floats
    """(large boxes, directions), orthonormal columns."""

    @classmethod
    def fitted(cls, grid: Grid, sample: Sequence[Uint8Block]) -> Self:
        """Take the directions in which the large boxes of a sample of items vary most about 0 (PCA without centring).

        They leave the least energy of the sample in the product of lengths, which is the loose part of the bound.
        Raises ArithmeticError where they are not orthonormal: the bound would not hold.
        """
        import scipy.linalg  # takes 0.1 s, and is needed only where an index is made

        low = np.concatenate([grid.coefficients(block)[1] for block in sample]).astype(np.float64)
        count, size = min(DIRECTIONS, low.shape[1]), low.shape[1]
        vectors = scipy.linalg.eigh(low.T @ low, subset_by_index=(size - count, size - 1))[1][:, ::-1]
        # Eigenvectors of close eigenvalues may be orthogonal to fewer digits: QR makes them so again.
        directions = np.ascontiguousarray(np.linalg.qr(vectors)[0])
        defect = float(np.abs(directions.T @ directions - np.eye(count)).sum(axis=0).max())
        if defect > DEFECT:
            raise ArithmeticError(f"directions are {defect} from orthonormal")
        return cls(grid, directions)

    def of(self, block: Uint8Block) -> Coefficients:
        """Return what bounds of n items are made of."""
        from benchmark.search.index_bounds import CODE_FACTS, LENGTH, encode_residuals

        boxes, low, outside = self.grid.coefficients(block)
        head = low.astype(np.float64) @ self.directions
        inside = head @ self.directions.T
        coarse, fine = (np.empty(values.shape, dtype=np.int8) for values in (low, boxes))
        facts = np.empty((len(low), 2 * CODE_FACTS))
        lengths_of = [LENGTH, CODE_FACTS + LENGTH]

        def work(part: slice) -> None:
            encode_residuals(
                boxes[part], low[part], inside[part], self.grid.parents, self.grid.shares, coarse[part], fine[part],
                facts[part],
            )  # fmt: skip

        run_in_threads(len(low), work, least=16)
        # Constant items correlate 0 with everything: without this, ROUNDED would give them a length.
        varies = (block.inverse > 0)[:, None]
        facts *= varies
        # What rounding took from the coefficients may be part of any residual.
        lengths = np.concatenate([facts[:, lengths_of], outside[:, None]], axis=1) + ROUNDED
        facts[:, lengths_of] = lengths[:, :2] * varies
        return Coefficients(_augmented(head, lengths * varies), coarse, fine, facts)


def _augmented(head: Floats, lengths: Floats) -> NDArray[np.float32]:
    """Append lengths (n, 3), rounded upward, to coefficients (n, directions): (n, directions + 3) float32.

    Lengths must stay upper bounds; coefficients are rounded to the nearest, for which `SLACK` accounts.
    """
    upward = np.nextafter(lengths.astype(np.float32), np.float32(4)) * (lengths > 0)
    return np.concatenate([head.astype(np.float32), upward], axis=1, dtype=np.float32)
