"""An index of an 8-bit bank: bounds leave few pairs to verify, so that a search reads little of the bank.

It pays where items are large, alike in the large, and searched for the nearest one; its answers are exact everywhere.
It is made once a cohort, kept under a content key, and memory-mapped.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from benchmark.core.types import chunks, consecutive
from benchmark.search.index_projection import SLACK, Coefficients, Grid, Projection
from benchmark.search.products import spread
from benchmark.search.topk import Best
from benchmark.search.uint8 import Block, prepared

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

SAMPLE = 1024
"""Items that the directions are taken from."""
NARROW, VERIFY = 0.5, 0.1
"""Shares of the bank that may be narrowed and verified for one query; one that asks for more is given up."""
AT_ONCE = 256
QUERY_NUMBERS = 24
"""Bytes that coefficients of a query take a box, while they are made."""


@dataclass(frozen=True)
class Stored:
    """Where the pixels of a bank lie: item j is row where[j] of `pixels`, in memory or memory-mapped."""

    pixels: NDArray[np.uint8]
    """(rows, D)."""
    where: NDArray[np.int64]
    """(M,)."""

    def take(self, index: slice | NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return the rows of some items."""
        rows: NDArray[np.uint8] = self.pixels[consecutive(self.where[index])]
        return rows


@dataclass(frozen=True)
class Index:
    """Coefficients of a bank, and where it lies."""

    stored: Stored
    projection: Projection
    coefficients: Coefficients
    sums: NDArray[np.float64]
    """Of levels 0 to 255."""
    variances: NDArray[np.float64]

    @classmethod
    def build(
        cls, stored: Stored, shape: tuple[int, ...], *, advance: Callable[[int], None] = lambda steps: None
    ) -> Self:
        """Make the index of a bank of items of one shape (C, *spatial), a few hundred at a time.

        `advance` is told how many items are done.
        """
        count = len(stored.where)
        sample = np.unique(np.linspace(0, count - 1, min(count, SAMPLE)).astype(np.int64))
        projection = Projection.fitted(Grid.of(shape), [prepared(stored.take(part)) for part in _parts(sample)])
        found = []
        for part in chunks(count, AT_ONCE):
            block = prepared(stored.take(part))
            found.append((projection.of(block), _raw_sums(block), block.variances))
            advance(part.stop - part.start)
        coefficients, sums, variances = zip(*found, strict=True)
        return cls(
            stored, projection, Coefficients.joined(coefficients), np.concatenate(sums), np.concatenate(variances)
        )

    def part(self, part: slice) -> Index:
        """Return the index of some of the items; part has a start, a stop and no step."""
        return replace(
            self,
            stored=Stored(self.stored.pixels, self.stored.where[part]),
            coefficients=self.coefficients.part(part),
            sums=self.sums[part],
            variances=self.variances[part],
        )

    def save(self, folder: Path) -> None:
        """Write all but the pixels, an array a file; the last one written is `done.npy`."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, array in self._arrays().items():
            np.save(folder / f"{name}.npy", array)
        np.save(folder / "done.npy", np.array(self.projection.grid.shape))

    @classmethod
    def open(cls, folder: Path, stored: Stored) -> Self | None:
        """Memory-map what `save` wrote for these pixels; nothing where it is not there, or not whole."""
        if not (folder / "done.npy").exists():
            return None
        grid = Grid.of(tuple(int(side) for side in np.load(folder / "done.npy")))
        part = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in _NAMES}
        projection = Projection(grid, np.array(part.pop("directions")))
        sums, variances = (np.array(part.pop(name)) for name in ("sums", "variances"))
        if len(sums) != len(stored.where):
            return None
        return cls(stored, projection, Coefficients(**part), sums, variances)

    def _arrays(self) -> dict[str, NDArray[np.generic]]:
        found = {field.name: getattr(self.coefficients, field.name) for field in fields(Coefficients)}
        return found | {"directions": self.projection.directions, "sums": self.sums, "variances": self.variances}

    def scan(self, ours: Block, best: Best, *, memory: int = 1 << 30) -> NDArray[np.int64]:
        """Fill the lists of queries; return counts (n, 4), the last one 1 where a query is abandoned (`best_first`).

        The lists of those are as they were.
        """
        from benchmark.search.index_bounds import ABANDONED

        counts = np.zeros((len(ours.rows), 4), dtype=np.int64)
        before = best.taken(np.arange(len(counts)))
        query = 4 * len(self.sums) + QUERY_NUMBERS * self.projection.grid.parents.size
        for part in chunks(len(counts), max(1, min(AT_ONCE, memory // 3 // query))):
            self._scan(ours.part(part), best.rows(part), counts[part])
        left = np.flatnonzero(counts[:, ABANDONED])
        best.put(left, before.taken(left))
        return counts

    def _scan(self, ours: Block, best: Best, counts: NDArray[np.int64]) -> None:
        from benchmark.search.index_bounds import best_first

        mine, bank, count = self.projection.of(ours), self.coefficients, len(self.sums)
        bounds = mine.head @ bank.head.T
        budgets = np.array([max(64, int(NARROW * count)), max(16, int(VERIFY * count))])

        def work(part: slice) -> None:
            best_first(
                bounds[part], bank.coarse, bank.fine, bank.facts, mine.coarse[part], mine.fine[part], mine.facts[part],
                SLACK, self.stored.pixels, self.stored.where, self.sums, self.variances, ours.size, ours.rows[part],
                ours.sums[part], ours.variances[part], budgets, *best.part(part), counts[part],
            )  # fmt: skip

        spread(len(counts), work, least=16)


_NAMES = (*(field.name for field in fields(Coefficients)), "directions", "sums", "variances")


def _parts(index: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return [index[part] for part in chunks(len(index), AT_ONCE)]


def _raw_sums(block: Block) -> NDArray[np.float64]:
    return np.asarray(block.sums + 128.0 * block.rows.shape[1])
