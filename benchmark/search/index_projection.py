"""Coarse coefficients of images: a few numbers and lengths that bound every correlation from above.

An image x of mean 0 and length 1 falls into parts that are orthogonal to each other: its share of directions P, the
rest of its sums over large boxes, the rest of its sums over small boxes, and the rest of its pixels. By Cauchy-Schwarz,

    <x, y>  <=  <Px, Py> + |large rest of x| |large rest of y| + |small rest| |small rest| + |pixel rest| |pixel rest|

for any orthonormal P within the large boxes: they decide how close the bound is, never whether it holds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Self

import numpy as np

from benchmark.search.products import spread
from benchmark.search.uint8 import Block

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

BOXES = 4096
"""At most so many small boxes; large ones are two along each axis."""
DIRECTIONS = 128
SLACK = (DIRECTIONS + 16) * 2.0**-23
"""Of a bound: float32 rounds its terms once and their sum at most so often."""


@dataclass(frozen=True)
class Coefficients:
    """What bounds are made of, for n items."""

    head: NDArray[np.float32]
    """(n, directions + 3): coefficients of P and the lengths of three rests; a product of two is an upper bound."""
    coarse: NDArray[np.int8]
    """(n, large boxes) codes of the large rests."""
    fine: NDArray[np.int8]
    """(n, small boxes) codes of the small rests."""
    facts: NDArray[np.float64]
    """(n, 8), as `index_bounds.encode_residuals`."""

    def part(self, part: slice) -> Coefficients:
        """Return those of some items."""
        return Coefficients(self.head[part], self.coarse[part], self.fine[part], self.facts[part])

    @classmethod
    def joined(cls, found: Sequence[Coefficients]) -> Self:
        """Join those of consecutive items."""
        return cls(*(np.concatenate([getattr(one, name.name) for one in found]) for name in fields(cls)))


@dataclass(frozen=True)
class Grid:
    """Boxes of items of one shape."""

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
        """Cut each spatial axis into boxes that are as equal as whole pixels allow."""
        channels, *spatial = shape
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
        """Return sums over small boxes of rows (n, pixels), (n, boxes)."""
        from benchmark.search.index_bounds import box_sums

        channels, *above, height, width = self.shape
        *_, tops, lefts = self.edges
        sums = np.empty((len(rows), math.prod([channels, *above]), len(tops) - 1, len(lefts) - 1), dtype=np.int32)
        spread(len(rows), lambda part: box_sums(rows[part], height, width, tops, lefts, sums[part]), least=16)
        if above:
            deep = sums.reshape(len(rows), channels, *above, *sums.shape[2:])
            sums = np.add.reduceat(deep, self.edges[0][:-1], axis=2)
        return sums.reshape(len(rows), -1)

    def coefficients(self, block: Block) -> tuple[NDArray[np.float32], NDArray[np.float32], Floats]:
        """Return coefficients of small and of large boxes, of items of mean 0 and length 1, and the length outside."""
        from benchmark.search.index_bounds import pyramid

        sums, size = self.sums(block.rows), block.rows.shape[1]
        means, scales = np.asarray(block.sums / size), block.inverse * math.sqrt(size)
        boxes = np.empty(sums.shape, dtype=np.float32)
        low = np.empty((len(sums), int(self.parents[-1]) + 1), dtype=np.float32)
        outside = np.empty(len(sums))

        def work(part: slice) -> None:
            pyramid(
                sums[part], means[part], scales[part], self.areas, self.parents, self.shares, boxes[part], low[part],
                outside[part],
            )  # fmt: skip

        spread(len(sums), work, least=16)
        return boxes, low, outside


@dataclass(frozen=True)
class Projection:
    """A grid and its directions P: turns items into coefficients."""

    grid: Grid
    directions: Floats
    """(large boxes, directions), orthonormal columns."""

    @classmethod
    def fitted(cls, grid: Grid, sample: Sequence[Block]) -> Self:
        """Take the directions in which the large boxes of a sample of items vary most about 0 (PCA)."""
        import scipy.linalg

        low = np.concatenate([grid.coefficients(block)[1] for block in sample]).astype(np.float64)
        count, size = min(DIRECTIONS, low.shape[1]), low.shape[1]
        vectors = scipy.linalg.eigh(low.T @ low, subset_by_index=(size - count, size - 1))[1][:, ::-1]
        directions = np.ascontiguousarray(np.linalg.qr(vectors)[0])
        defect = float(np.abs(directions.T @ directions - np.eye(count)).sum(axis=0).max())
        if defect > 1e-10:
            raise ArithmeticError(f"directions are {defect} from orthonormal")
        return cls(grid, directions)

    def of(self, block: Block) -> Coefficients:
        """Return what bounds of these items are made of."""
        from benchmark.search.index_bounds import encode_residuals
        from benchmark.search.kernels import ROUNDED

        boxes, low, outside = self.grid.coefficients(block)
        head = low.astype(np.float64) @ self.directions
        inside = head @ self.directions.T
        coarse, fine = (np.empty(values.shape, dtype=np.int8) for values in (low, boxes))
        facts = np.empty((len(low), 8))

        def work(part: slice) -> None:
            encode_residuals(
                boxes[part], low[part], inside[part], self.grid.parents, self.grid.shares, coarse[part], fine[part],
                facts[part],
            )  # fmt: skip

        spread(len(low), work, least=16)
        varies = (block.inverse > 0)[:, None]
        facts *= varies
        lengths = np.concatenate([facts[:, [0, 4]], outside[:, None]], axis=1) + ROUNDED
        facts[:, [0, 4]] = lengths[:, :2] * varies
        return Coefficients(_augmented(head, lengths * varies), coarse, fine, facts)


def _augmented(head: Floats, lengths: Floats) -> NDArray[np.float32]:
    upward = np.nextafter(lengths.astype(np.float32), np.float32(4)) * (lengths > 0)
    return np.concatenate([head.astype(np.float32), upward], axis=1, dtype=np.float32)
