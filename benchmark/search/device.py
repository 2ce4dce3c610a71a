"""The same search on a GPU: int8 products by its tensor cores, correlations and the best of a block in float64 there.

Nothing here is bound to CUDA: on the device `cpu` the tests compare every answer with that of the compiled loops.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from benchmark.core.types import chunks
from benchmark.search.products import DEPTH, EXACT_IN_INT32
from benchmark.search.topk import Best
from benchmark.search.uint8 import FLOAT_EXACT, Block, prepared

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmark.core.types import Array

ROWS, MULTIPLE = 24, 8
"""torch._int_mm takes more than 16 rows on CUDA, and other sizes in multiples of 8."""


def int_product(first: Tensor, second: Tensor) -> Tensor:
    """Return first @ second.T of int8 rows on one device without rounding: (n, m), int32, or int64 for long rows."""
    if first.shape[1] > EXACT_IN_INT32:
        parts = chunks(first.shape[1], EXACT_IN_INT32 + 1 - 64)
        return torch.stack([int_product(first[:, part], second[:, part]).long() for part in parts]).sum(0)
    padded = torch._int_mm(_padded(first, ROWS), _padded(second, MULTIPLE).t())
    return padded[: len(first), : len(second)]


def _padded(rows: Tensor, least: int) -> Tensor:
    """Add zeros until both sides are multiples of 8, and there are at least so many rows."""
    height, width = (-(-size // MULTIPLE) * MULTIPLE for size in (max(least, len(rows)), rows.shape[1]))
    if (height, width) == tuple(rows.shape):
        return rows.contiguous()
    return torch.nn.functional.pad(rows, (0, width - rows.shape[1], 0, height - len(rows)))


def level_product(first: NDArray[np.int8], second: NDArray[np.int8], device: str) -> Array:
    """Return the product of rows in memory, computed on a device."""
    product: Array = int_product(*(torch.from_numpy(rows).to(device) for rows in (first, second))).cpu().numpy()
    return product


def float_product(first: NDArray[np.float32], second: NDArray[np.float32], device: str) -> NDArray[np.float32]:
    """Return the product of rows in memory, summed in pieces as on the CPU; torch takes no TF32 unless told to."""
    left, right = (torch.from_numpy(rows).to(device) for rows in (first, second))
    total = torch.zeros(len(left), len(right), device=device)
    for part in chunks(left.shape[1], DEPTH):
        total.addmm_(left[:, part], right[:, part].T)
    product: NDArray[np.float32] = total.cpu().numpy()
    return product


@dataclass(frozen=True)
class Resident:
    """A block of levels on a device."""

    rows: Tensor
    sums: Tensor
    variances: Tensor
    ready: torch.cuda.Event | None = None
    """When the copy is done."""

    @classmethod
    def of(cls, block: Block, device: str) -> Resident:
        """Copy a block, from pinned memory and on a stream of its own, so that the copy runs beside products."""
        rows, sums, variances = (torch.from_numpy(array) for array in (block.rows, block.sums, block.variances))
        if device == "cpu":
            return cls(rows, sums, variances)

        def copy(array: Tensor) -> Tensor:
            return array.pin_memory().to(device, non_blocking=True)

        stream = _copying(device)
        with torch.cuda.stream(stream):
            return cls(copy(rows), copy(sums), copy(variances), stream.record_event())

    def wait(self) -> None:
        """Let what follows on this device wait for the copy."""
        if self.ready is not None:
            stream = torch.cuda.current_stream(self.rows.device)
            stream.wait_event(self.ready)
            for copy in (self.rows, self.sums, self.variances):
                copy.record_stream(stream)

    def correlations(self, other: Resident) -> Tensor:
        """Return all correlations of two blocks, (n, m) float64, as `kernels.correlation` computes them."""
        self.wait()
        other.wait()
        product, size = int_product(self.rows, other.rows), self.rows.shape[1]
        exact = product.double() if size <= FLOAT_EXACT else product
        numerators = size * exact - self.sums[:, None] * other.sums[None]
        roots = (self.variances[:, None] * other.variances[None]).sqrt()
        return torch.where(roots > 0, numerators.double() / roots, 0.0).clamp(-1.0, 1.0)


@cache
def _copying(device: str) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)


@dataclass(frozen=True)
class DeviceLevels:
    """Exact search of 8-bit rows on a device; an engine of `find.search`."""

    device: str
    name: str = "int8 (device)"
    number_bytes: int = 2

    def prepare(self, rows: NDArray[np.uint8]) -> Resident:
        """Shift and sum rows, and copy them to the device."""
        return Resident.of(prepared(rows), self.device)

    def constant(self, block: Resident) -> int:
        """Count rows without variance."""
        block.wait()
        return int((block.variances == 0).sum())

    def scan(self, ours: Resident, bank: Resident, offset: int, best: Best) -> int:
        """Merge the best of a block into the lists; return 0: no pair is scored by itself."""
        found = _greatest(ours.correlations(bank), min(best.values.shape[1], len(bank.rows)), offset)
        _merge(best, found)
        return 0


def _greatest(block: Tensor, depth: int, offset: int) -> Best:
    """Return the greatest values of each row, the lowest place first among equals (which topk does not promise)."""
    columns = torch.arange(block.shape[1], device=block.device)
    values, places, ties = [], [], None
    for _ in range(depth):
        most = block.max(dim=1, keepdim=True).values
        equal = block == most
        first = torch.where(equal, columns, block.shape[1]).min(dim=1, keepdim=True).values
        ties = equal.sum(dim=1) - 1 if ties is None else ties
        values.append(most)
        places.append(first)
        block.scatter_(1, first, -torch.inf)
    assert ties is not None
    found = torch.cat(values, 1), torch.cat(places, 1) + offset, ties
    return Best(*(one.cpu().numpy() for one in found))


def _merge(best: Best, found: Best) -> None:
    """Merge what a block holds into running lists; the same item seen in another view keeps its best value."""
    from benchmark.search.kernels import merge_lists

    merge_lists(best.values, best.places, best.ties, found.values, found.places, found.ties)


def correlations(ours: Block, bank: Block, device: str) -> NDArray[np.float32]:
    """Return all correlations of two blocks in memory, computed on a device, (n, m) float32."""
    block: NDArray[np.float32] = Resident.of(ours, device).correlations(Resident.of(bank, device)).float().cpu().numpy()
    return block
