"""The nearest images of other patients among all real images: computed once per cohort and detector, and kept.

The test of the split and the level of verbatim copies rest on it. It depends on no synthetic image.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmark.core.sealed import is_intact, sealed_write
from benchmark.core.source_digest import core_module, source_digest
from benchmark.core.types import patient_codes
from benchmark.metrics.patient_neighbours import nearest_others

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from benchmark.core.types import Array
    from benchmark.detectors.bank import Bank
    from benchmark.evaluation.resumable_search import Searching

NEIGHBOURS = 5
"""More neighbours give the test of the split more power; past five it gains little (simulated)."""


@dataclass(frozen=True)
class RealNeighbours:
    """The k most similar images of other units, for each of M real images, most similar first."""

    positions: NDArray[np.int64]
    """(M, k) in the bank: train, calibration, test."""
    similarity: NDArray[np.float64]
    """(M, k)."""


def real_neighbours(bank: Bank, folder: Path, searching: Searching, *, seed: int) -> RealNeighbours | None:
    """Compute the neighbours, or read them from `folder`; nothing where all images are of one unit."""
    units = patient_codes(bank.real.dealt)
    keep = min(NEIGHBOURS, len(units) - int(np.bincount(units).max()))
    if keep < 1:
        return None
    code = source_digest(core_module("metrics.patient_neighbours"), core_module("search.blocks"))
    path = folder / f"neighbours-{keep}-{seed}-{code}.npz"
    if is_intact(path):
        with np.load(path) as kept:
            return RealNeighbours(kept["positions"], kept["similarity"])
    neighbours = _searched(bank, units, keep, searching, seed)
    with sealed_write(path) as temporary, temporary.open("wb") as file:
        np.savez(file, positions=neighbours.positions, similarity=neighbours.similarity)
    return neighbours


def _searched(bank: Bank, units: Array, keep: int, searching: Searching, seed: int) -> RealNeighbours:
    positions, similarity = [], []
    for part, block in searching.blocks(bank.rows, bank.rows):
        for rows in searching.row_parts(block):
            near, how_near = nearest_others(block[rows], units[part][rows], units, keep, seed=seed)
            positions.append(near)
            similarity.append(how_near)
        del block  # the next one would be computed while this one is held
    return RealNeighbours(np.concatenate(positions), np.concatenate(similarity))
