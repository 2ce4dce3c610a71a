"""An index of an 8-bit bank: bounds leave few pairs to verify, so that a search reads little of the bank.

It saves time where items are large, share their coarse structure, and are searched for the nearest one; its answers are
exact everywhere. It is built once per cohort, kept under a content key, and memory-mapped.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from benchmark.core.types import chunks, consecutive
from benchmark.search.index_projection import SLACK, Coefficients, Grid, Projection
from benchmark.search.parallel import run_in_threads
from benchmark.search.topk import Best
from benchmark.search.uint8 import Uint8Block, prepare_uint8

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

SAMPLE = 1024
"""Items that the directions are taken from: eight times as many as directions, evenly spaced in the bank."""
NARROW, VERIFY = 0.5, 0.1
"""Shares of the bank that may be narrowed and verified for one query; one that needs more is abandoned, because a
product with the whole bank is cheaper then. They decide how long a search takes, never what it finds."""
NARROW_LEAST, VERIFY_LEAST = 64, 16
"""The least of both, for small banks: so few items cost nothing."""
ITEMS_AT_ONCE = 256
QUERY_BYTES = 24
"""Bytes per small box that a query's coefficients take while they are computed: sums (int32), small and large
coefficients (float32), the latter and their part in the directions in float64, and codes: about 20."""
COUNTS = 4
"""Numbers of pairs that `index_bounds.best_first` counts per query."""


@dataclass(frozen=True)
class Stored:
    """The pixels of a bank: item j is row where[j] of `pixels`, in memory or memory-mapped."""

    pixels: NDArray[np.uint8]
    """(rows, D)."""
    where: NDArray[np.int64]
    """(M,)."""

    def take(self, index: slice | NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return the rows of some items, (n, D)."""
        rows: NDArray[np.uint8] = self.pixels[consecutive(self.where[index])]
        return rows


@dataclass(frozen=True)
class Index:
    """Coefficients of a bank, and its pixels."""

    stored: Stored
    projection: Projection
    coefficients: Coefficients
    sums: NDArray[np.float64]
    """(M,) of levels 0 to 255, which `index_bounds.best_first` reads from the file as they are."""
    variances: NDArray[np.float64]
    """(M,) n Sxx - Sx^2."""

    @classmethod
    def build(
        cls, stored: Stored, shape: tuple[int, ...], *, advance: Callable[[int], None] = lambda steps: None
    ) -> Self:
        """Build the index of a bank of items of one shape (C, *spatial), a few hundred at a time.

        `advance` is told how many items are done.
        """
        count = len(stored.where)
        sample = np.unique(np.linspace(0, count - 1, min(count, SAMPLE)).astype(np.int64))
        projection = Projection.fitted(Grid.of(shape), [prepare_uint8(stored.take(part)) for part in _parts(sample)])
        blocks = []
        for part in chunks(count, ITEMS_AT_ONCE):
            block = prepare_uint8(stored.take(part))
            blocks.append((projection.of(block), _raw_sums(block), block.variances))
            advance(part.stop - part.start)
        coefficients, sums, variances = zip(*blocks, strict=True)
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
        """Write all but the pixels, one file per array; `done.npy` is written last, so that it marks a whole index."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, array in self._arrays().items():
            np.save(folder / f"{name}.npy", array)
        np.save(folder / "done.npy", np.array(self.projection.grid.shape))

    @classmethod
    def open(cls, folder: Path, stored: Stored) -> Self | None:
        """Memory-map what `save` wrote for these pixels; None where it is missing, incomplete or of another bank."""
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
        arrays = {field.name: getattr(self.coefficients, field.name) for field in fields(Coefficients)}
        return arrays | {"directions": self.projection.directions, "sums": self.sums, "variances": self.variances}

    def scan(self, queries: Uint8Block, best: Best, *, memory: int = 1 << 30) -> NDArray[np.int64]:
        """Fill the lists of n queries; return counts (n, 4) (`index_bounds.best_first`).

        The last count is 1 where a query is abandoned, and its list stays as it was.
        """
        from benchmark.search.index_bounds import ABANDONED

        counts = np.zeros((len(queries.rows), COUNTS), dtype=np.int64)
        before = best.taken(np.arange(len(counts)))
        # A query takes a row of float32 bounds of the whole bank, and its own coefficients, from a third of memory.
        query_bytes = 4 * len(self.sums) + QUERY_BYTES * self.projection.grid.parents.size
        for part in chunks(len(counts), max(1, min(ITEMS_AT_ONCE, memory // 3 // query_bytes))):
            self._scan(queries.part(part), best.rows(part), counts[part])
        abandoned = np.flatnonzero(counts[:, ABANDONED])
        best.put(abandoned, before.taken(abandoned))
        return counts

    def _scan(self, queries: Uint8Block, best: Best, counts: NDArray[np.int64]) -> None:
        from benchmark.search.index_bounds import best_first

        ours, bank, count = self.projection.of(queries), self.coefficients, len(self.sums)
        bounds = ours.head @ bank.head.T
        budgets = np.array([max(NARROW_LEAST, int(NARROW * count)), max(VERIFY_LEAST, int(VERIFY * count))])

        def work(part: slice) -> None:
            best_first(
                bounds[part], bank.coarse, bank.fine, bank.facts, ours.coarse[part], ours.fine[part], ours.facts[part],
                SLACK, self.stored.pixels, self.stored.where, self.sums, self.variances, queries.size,
                queries.rows[part], queries.sums[part], queries.variances[part], budgets, *best.part(part),
                counts[part],
            )  # fmt: skip

        run_in_threads(len(counts), work, least=16)


_NAMES = (*(field.name for field in fields(Coefficients)), "directions", "sums", "variances")


def _parts(index: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return [index[part] for part in chunks(len(index), ITEMS_AT_ONCE)]


def _raw_sums(block: Uint8Block) -> NDArray[np.float64]:
    """Return the sums (n,) of levels 0 to 255: rows hold levels less 128."""
    return np.asarray(block.sums + 128.0 * block.rows.shape[1])
